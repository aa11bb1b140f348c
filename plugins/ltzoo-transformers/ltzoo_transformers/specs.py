"""From a reference to a spec. Torch-free; asks the Hub for small files and for the hashes of large ones."""

from __future__ import annotations

from ltzoo.errors import NoSuchFileError, UnknownModelError
from ltzoo.families import Checkpoint
from ltzoo.spec import DataSpec, LatentSpec, ModelSpec
from ltzoo_transformers.config import CONFIG, PICKLE, PREPROCESSOR, STEM, CodecConfig, read_config
from ltzoo_transformers.preprocessing import read_preprocessing

__all__ = ["resolve"]


def resolve(ref: str) -> ModelSpec:
    """The spec of the codec or encoder that a reference leads to; see `ltzoo_transformers.resolve_model`."""
    checkpoint = Checkpoint.open(ref)
    try:
        content = checkpoint.json(CONFIG)
    except NoSuchFileError as error:
        raise UnknownModelError(
            f"{ref}: has no {CONFIG}", hint="transformers:ORG/REPO#FOLDER, if it lies in a folder"
        ) from error
    config = read_config(content, ref)
    weights = checkpoint.weights(STEM, pickle=PICKLE)
    reference = checkpoint.reference
    place = reference.hub.repo if reference.hub else str(reference.folder)
    if isinstance(config, CodecConfig):
        rate = config.sample_rate / config.hop
        return ModelSpec(
            id=str(checkpoint),
            title=f"{config.kind.title} of {place}, {rate:g} steps a second",
            data=DataSpec(
                modality="audio",
                shape=(config.sound_channels, None),
                sample_rate=config.sample_rate,
                multiple=config.hop,
            ),
            latent=LatentSpec(shape=(config.channels, None)),
            capabilities=frozenset({"encode", "decode"}),
            license=checkpoint.license,
            loader="ltzoo_transformers.codecs:load",
            source=checkpoint.source(CONFIG, *weights),
        )
    try:
        read_preprocessing(checkpoint.json(PREPROCESSOR), config.image_channels, f"{ref}: {PREPROCESSOR}")
    except NoSuchFileError as error:
        raise UnknownModelError(
            f"{ref}: has no {PREPROCESSOR}, which says how images are prepared"
        ) from error
    return ModelSpec(
        id=str(checkpoint),
        title=f"{config.kind.title} of {place}, images only",
        data=DataSpec(modality="image", shape=(config.image_channels, None, None), background=1.0),
        latent=LatentSpec(shape=(config.dims,)),
        capabilities=frozenset({"encode"}),
        license=checkpoint.license,
        loader="ltzoo_transformers.encoders:load",
        source=checkpoint.source(CONFIG, PREPROCESSOR, *weights),
    )
