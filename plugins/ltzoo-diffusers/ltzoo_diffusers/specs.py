"""From a reference to a spec. Torch-free; asks the Hub for small files and for the hashes of large ones."""

from __future__ import annotations

from ltzoo.errors import NoSuchFileError, UnknownModelError
from ltzoo.families import Checkpoint
from ltzoo.spec import DataSpec, LatentSpec, ModelSpec
from ltzoo_diffusers.config import CONFIG, PICKLE, STEM, read_config

__all__ = ["resolve"]

PIPELINE = "model_index.json"


def resolve(ref: str) -> ModelSpec:
    """The spec of the autoencoder that a reference leads to; see `ltzoo_diffusers.resolve_model`."""
    checkpoint = Checkpoint.open(ref)
    try:
        content = checkpoint.json(CONFIG)
    except NoSuchFileError as error:
        raise _nothing(checkpoint, ref) from error
    config = read_config(content, ref)
    weights = checkpoint.weights(STEM, pickle=PICKLE)
    reference = checkpoint.reference
    place = reference.hub.repo if reference.hub else str(reference.folder)
    return ModelSpec(
        id=str(checkpoint),
        title=f"{config.name} of {place}" + (f", {reference.subfolder}" if reference.subfolder else ""),
        data=DataSpec(
            modality="image",
            shape=(config.image_channels, None, None),
            multiple=config.stride,
            background=1.0,
        ),
        latent=LatentSpec(shape=(config.channels, None, None), stochastic=config.kind.stochastic),
        capabilities=frozenset({"encode", "decode"}),
        license=checkpoint.license,
        loader="ltzoo_diffusers.adapter:load",
        source=checkpoint.source(CONFIG, *weights),
    )


def _nothing(checkpoint: Checkpoint, ref: str) -> UnknownModelError:
    """Explains that there is no config: perhaps a whole pipeline lies there, with the autoencoder in a folder."""
    if checkpoint.find(PIPELINE) is None:
        return UnknownModelError(
            f"{ref}: has no {CONFIG}", hint="diffusers:ORG/REPO#FOLDER, if it lies in a folder"
        )
    inner = f"{ref}/vae" if checkpoint.reference.folder else f"{ref}#vae"
    return UnknownModelError(f"{ref}: is a whole pipeline, not an autoencoder", hint=inner)
