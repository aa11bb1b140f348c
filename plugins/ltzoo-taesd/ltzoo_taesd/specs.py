"""From a reference to a spec. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from ltzoo.errors import IntegrityError, UnknownModelError
from ltzoo.families import Checkpoint
from ltzoo.spec import DataSpec, LatentSpec, ModelSpec
from ltzoo_taesd.layers import Chain, Shapes, decoder_chain, encoder_chain, part_of, read_shapes

__all__ = ["Parts", "read_parts", "resolve"]

BOTH = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class Parts:
    """Encoder and decoder, and what their tensors are called in the files.

    Attributes:
        encoder: Its layers.
        decoder: Its layers.
        encoder_keys: Its tensors: key in the chain to key in the file.
        decoder_keys: The same.
    """

    encoder: Chain
    decoder: Chain
    encoder_keys: dict[str, str]
    decoder_keys: dict[str, str]


def resolve(ref: str) -> ModelSpec:
    """The spec of the autoencoder that a reference leads to; see `ltzoo_taesd.resolve_model`."""
    checkpoint = Checkpoint.open(ref)
    names = _find(checkpoint, ref)
    parts = read_parts([read_shapes(checkpoint.path(name)) for name in names], ref)
    channels, latent = parts.encoder.inputs, parts.encoder.outputs
    if channels not in (1, 3, 4) or (latent, channels, parts.encoder.scale) != (
        parts.decoder.inputs,
        parts.decoder.outputs,
        parts.decoder.scale,
    ):
        raise IntegrityError(f"{ref}: its encoder and its decoder are not of one autoencoder of images")
    return ModelSpec(
        id=str(checkpoint),
        title=f"The tiny autoencoder {_name(checkpoint)}",
        data=DataSpec(
            modality="image", shape=(channels, None, None), multiple=parts.encoder.scale, background=1.0
        ),
        latent=LatentSpec(shape=(latent, None, None)),
        capabilities=frozenset({"encode", "decode"}),
        license=checkpoint.license,
        loader="ltzoo_taesd.adapter:load",
        source=checkpoint.source(*names),
    )


def read_parts(files: list[Shapes], where: str) -> Parts:
    """Encoder and decoder of a file each, or of one for both.

    Raises:
        IntegrityError: These are others.
    """
    if len(files) == 2:
        encoder, decoder = ({name: name for name in shapes} for shapes in files)
    else:
        encoder, decoder = part_of(files[0], "encoder"), part_of(files[0], "decoder")

    def shapes(keys: dict[str, str], file: Shapes) -> dict[str, tuple[int, ...]]:
        return {key: file[name] for key, name in keys.items()}

    return Parts(
        encoder_chain(shapes(encoder, files[0]), f"{where}: its encoder"),
        decoder_chain(shapes(decoder, files[-1]), f"{where}: its decoder"),
        encoder,
        decoder,
    )


def _name(checkpoint: Checkpoint) -> str:
    """What the files are called: as the repository or folder is."""
    reference = checkpoint.reference
    if reference.hub is not None:
        return reference.hub.repo.split("/")[1]
    assert reference.folder is not None
    return reference.folder.name


def _find(checkpoint: Checkpoint, ref: str) -> tuple[str, ...]:
    """Names of the weight files: encoder and decoder, or one for both."""
    name = _name(checkpoint)
    for start in (f"{name}_", ""):
        pair = (f"{start}encoder.safetensors", f"{start}decoder.safetensors")
        if all(checkpoint.find(file) for file in pair):
            return pair
    if one := checkpoint.find(f"{name}.safetensors", BOTH):
        return (one,)
    if pickle := checkpoint.find(f"{name}_encoder.pth", f"{name}_decoder.pth", f"{name}.pth"):
        raise IntegrityError(
            f"{ref}: has its weights only as a pickle ({pickle}), which can run code; ltzoo reads safetensors only",
            hint="python -m ltzoo_taesd.convert FOLDER OUTPUT converts them, and reads nothing but tensors",
        )
    raise UnknownModelError(
        f"{ref}: has neither {name}_encoder.safetensors and {name}_decoder.safetensors nor {name}.safetensors",
        hint="taesd:ORG/NAME, or taesd:local:PATH/NAME, whose files are called after it",
    )
