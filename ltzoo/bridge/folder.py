"""A bridge's folder: ``config.json``, ``model.safetensors`` and ``README.md``, under these names only."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from ltzoo.bridge.card import card_text
from ltzoo.bridge.config import BridgeConfig, read_config
from ltzoo.bridge.network import BridgeNetwork
from ltzoo.bridge.networks import make_network
from ltzoo.errors import BridgeError, UnknownBridgeError
from ltzoo.registry import BRIDGE_FILES
from ltzoo.tensor_files import open_tensors

__all__ = ["CARD", "CONFIG", "FILES", "WEIGHTS", "read_folder", "write_folder"]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
FILES = (CONFIG, WEIGHTS, CARD)

MAX_CONFIG_BYTES = 16 * 2**20
DTYPES = {"F32": torch.float32, "F16": torch.float16}


def read_folder(folder: Path, device: str | torch.device) -> tuple[BridgeConfig, BridgeNetwork]:
    """Reads and checks a bridge's folder.

    Nothing is allocated before the names, shapes and types in the weight file's header are found to be
    those that the config asks for, so memory is bounded by the size of the file.

    Args:
        folder: The folder.
        device: Where the weights go.

    Raises:
        UnknownBridgeError: There is no such folder.
        BridgeError: A file is missing, malformed, or does not fit the other.
        SpecError: ``config.json`` is not a valid config.
    """
    if not folder.is_dir():
        raise UnknownBridgeError(f"no bridge at {folder}: no such folder")
    config = read_config(_config_text(folder / CONFIG), where=str(folder / CONFIG))
    path = folder / WEIGHTS
    # A network on the meta device has names and shapes, and no memory.
    with torch.device("meta"):
        network = make_network(config.architecture)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    try:
        with open_tensors(path) as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            _check_header(
                {name: (tuple(s.get_shape()), s.get_dtype()) for name, s in found.items()}, expected, path
            )
            tensors = {name: file.get_tensor(name).float() for name in expected}
    except (OSError, SafetensorError) as error:
        raise BridgeError(f"{path} cannot be read: {error}") from error
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise BridgeError(f"{path}: '{name}' has NaN or infinite values")
        if name.startswith("scale_") and not bool((tensor > 0).all()):
            raise BridgeError(f"{path}: '{name}' must be above zero")
    network.load_state_dict(tensors, assign=True)
    return config, network.to(device)


def write_folder(folder: Path, config: BridgeConfig, network: BridgeNetwork, dtype: torch.dtype) -> None:
    """Writes a bridge's folder, which appears whole or not at all.

    Args:
        folder: A new or empty folder, or one with a bridge and nothing else in it, which is replaced.
        config: The config.
        network: Gives the weights.
        dtype: Of the stored weights: float32 or float16. What novelty is told by stays float32: its
            scores grow with the length of latents, past the largest float16.

    Raises:
        BridgeError: The folder holds something else, cannot be written, or a weight is not finite in
            that dtype.
    """
    if dtype not in DTYPES.values():
        raise BridgeError(f"weights cannot be stored as {dtype}", hint="use torch.float32 or torch.float16")
    tensors = {}
    for name, tensor in network.state_dict().items():
        stored = torch.float32 if name.startswith("novelty.") else dtype
        tensors[name] = tensor.detach().cpu().to(stored).contiguous()
        if not bool(tensors[name].isfinite().all()):
            raise BridgeError(f"'{name}' is not finite as {str(dtype).removeprefix('torch.')}")
        if name.startswith("scale_") and not bool((tensors[name] > 0).all()):
            raise BridgeError(
                f"'{name}' comes to zero as {str(dtype).removeprefix('torch.')}", hint="save as float32"
            )
    _check_replaceable(folder)
    # Symbolic links are followed, so that what they point to is replaced and not they themselves.
    folder = Path(os.path.realpath(folder))
    temporary = folder.with_name(f".ltzoo-{secrets.token_hex(8)}.tmp")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        (temporary / CONFIG).write_text(config.to_json(), "utf-8")
        (temporary / CARD).write_text(card_text(config), "utf-8")
        save_file(tensors, temporary / WEIGHTS, metadata={"format": "pt"})
        (temporary / WEIGHTS).chmod((temporary / CONFIG).stat().st_mode)
        for name in FILES:
            with open(temporary / name, "rb") as file:
                os.fsync(file.fileno())
        _swap(temporary, folder)
    except (OSError, SafetensorError) as error:
        raise BridgeError(f"{folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _config_text(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise BridgeError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(text) > MAX_CONFIG_BYTES:
        raise BridgeError(f"{path} is larger than {MAX_CONFIG_BYTES // 2**20} MiB")
    return text


def _check_header(
    found: dict[str, tuple[tuple[int, ...], str]], expected: dict[str, tuple[int, ...]], path: Path
) -> None:
    missing, unknown = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or unknown:
        what = f"has no tensor '{missing[0]}'" if missing else f"has an unknown tensor '{unknown[0]}'"
        raise BridgeError(f"{path} {what}: it does not belong to its {CONFIG}")
    for name, (shape, dtype) in found.items():
        if shape != expected[name]:
            raise BridgeError(f"{path}: '{name}' has shape {shape}, its {CONFIG} asks for {expected[name]}")
        if dtype not in DTYPES:
            raise BridgeError(f"{path}: '{name}' is of type {dtype}, not {' or '.join(DTYPES)}")


def _check_replaceable(folder: Path) -> None:
    """Refuses to replace anything but a bridge's folder with nothing else in it."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise BridgeError(f"{folder} is no folder", hint="give another path")
    entries = {entry.name for entry in folder.iterdir()}
    if entries and not (CONFIG in entries and entries <= set(BRIDGE_FILES)):
        foreign = sorted(entries - set(BRIDGE_FILES))
        raise BridgeError(
            f"{folder} is not a bridge's folder" + (f": it holds '{foreign[0]}'" if foreign else ""),
            hint="give a new or empty folder",
        )


def _swap(temporary: Path, folder: Path) -> None:
    """Puts the finished folder in place; an old one steps aside first, and comes back if that fails."""
    if not folder.exists():
        os.rename(temporary, folder)
        return
    aside = folder.with_name(f".ltzoo-{secrets.token_hex(8)}.old")
    os.rename(folder, aside)
    try:
        os.rename(temporary, folder)
    except OSError:
        os.rename(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
