"""Files that somebody else may have written, spoilt: seeds, mutations, and what reads each kind."""

from __future__ import annotations

import copy
import json
import random
import shutil
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tomlkit
import yaml
from bridge_samples import build_network, make_latents, make_spec
from published_bridge import measured_config

from ltzoo.bridge import Bridge
from ltzoo.bridge.card import Publication, card_text
from ltzoo.bridge.config import read_config
from ltzoo.bridge.folder import read_folder
from ltzoo.bridge.golden import GOLDEN, golden_difference, write_golden
from ltzoo.errors import LtzooError
from ltzoo.latents import LatentSet
from ltzoo.registry import Registry, RegistrySource

SECONDS = 2
"""That a file may take."""

ODD = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63), 1e-300, 1e308, -0.0, "", " ", "x" * 5000,
    "../../etc/passwd", "/etc/passwd", "C:\\x", "\\\\host\\share", "a\nb: c\n---\n", "\u202e\x00\x1b[31m", "| a | b |",
    "os:system", "hf:org/repo", [], {}, [[]], [{}], {"": {}}, "F16", "float32", "0" * 64, "a" * 40,
)  # fmt: skip


def mutate_json(value: Any, rng: random.Random) -> Any:
    """The same document with one to four changes anywhere in it."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 4)):
        places = list(_places(value))
        if not places:
            return rng.choice(ODD)
        holder, key = rng.choice(places)
        change = rng.randrange(6)
        if change == 0:
            del holder[key]
        elif change == 1:
            holder[key] = copy.deepcopy(rng.choice(ODD))
        elif change == 2:
            other, other_key = rng.choice(places)
            holder[key] = copy.deepcopy(other.get(other_key) if isinstance(other, dict) else other[other_key])
        elif change == 3 and isinstance(holder, list):
            holder.extend(copy.deepcopy(holder[key]) for _ in range(rng.choice((1, 100))))
        elif change == 4 and isinstance(holder, dict):
            holder[rng.choice(("more", "", "__class__", *holder))] = copy.deepcopy(holder[key])
        elif isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = holder[key] * rng.choice((-1, 0, 2, 1000, 0.5)) + rng.choice((0, 1))
    return value


def _places(value: Any):
    """Every place in a document, as the container and the key."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    """The same bytes with one to four changes."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        change = rng.randrange(5)
        if change == 0:
            del data[at:]
        elif change == 1:
            del data[at : at + rng.randint(1, 40)]
        elif change == 2:
            data[at:at] = bytes(rng.choices(b'{}[]":,0123456789ex\\\x00\xff\n#=', k=rng.randint(1, 8)))
        elif change == 3:
            data[at:at] = data[at : at + rng.randint(1, 60)] * rng.choice((1, 3))
        elif at < len(data):
            data[at] ^= 1 << rng.randrange(8)
    return bytes(data)


def deep(rng: random.Random) -> bytes:
    """JSON that is nested far too deeply."""
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return opening * 200_000 + b"1" + closing * 200_000


def spoil_json(document: Any, rng: random.Random) -> bytes:
    """A document's text, with its values changed, or its bytes, or neither valid nor small."""
    kind = rng.randrange(100)
    if kind == 0:
        return deep(rng)
    if kind < 30:
        return mutate_bytes(json.dumps(document).encode(), rng)
    return json.dumps(mutate_json(document, rng)).encode()


def spoil_tensors(content: bytes, rng: random.Random) -> bytes:
    """A safetensors file with another header, another length of it, or other bytes."""
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    kind = rng.randrange(10)
    if kind == 0:
        wrong = rng.choice((0, 1, length - 1, length + 1, len(content), 100_000_000, 2**63, 2**64 - 1))
        return struct.pack("<Q", wrong) + content[8:]
    if kind <= 3:
        return mutate_bytes(content, rng)
    text = spoil_json(header, rng)
    return struct.pack("<Q", len(text)) + text + data[: rng.choice((len(data), len(data) // 2, len(data)))]


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        seed: One that is right.
        spoil: Makes others of it.
        read: Reads one; raises `LtzooError` if it is wrong.
    """

    seed: bytes
    spoil: Callable[[bytes, random.Random], bytes]
    read: Callable[[bytes], object]


@cache
def targets(folder: Path) -> dict[str, Target]:
    """All kinds, with files in a folder of the caller's."""
    config = measured_config()
    bridge = Bridge(config, build_network(config))
    good, spoilt = folder / "good", folder / "spoilt"
    bridge.save_pretrained(good)
    shutil.copytree(good, spoilt)
    write_golden(bridge, good / GOLDEN)
    spec = make_spec("a", labels=("x", "y", "z"))
    make_latents(spec, names=("x", "y", "z")).save(folder / "latents.safetensors")
    registry = Path(__file__).parents[1] / "registry.toml"

    def put(path: Path, content: bytes) -> Path:
        path.write_bytes(content)
        return path

    def config_file(content: bytes) -> None:
        put(spoilt / "config.json", content)
        shutil.copyfile(good / "model.safetensors", spoilt / "model.safetensors")
        read_folder(spoilt, "cpu")

    def weights(content: bytes) -> None:
        shutil.copyfile(good / "config.json", spoilt / "config.json")
        put(spoilt / "model.safetensors", content)
        _, network = read_folder(spoilt, "cpu")
        assert all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())

    def latents(content: bytes) -> None:
        found = LatentSet.load(put(folder / "spoilt-latents.safetensors", content))
        assert bool(found.latents.isfinite().all()) or len(found) >= 0

    def golden(content: bytes) -> None:
        golden_difference(bridge, put(folder / "spoilt-golden.safetensors", content))

    def registry_file(content: bytes) -> None:
        Registry.load(RegistrySource(name="x", path=put(folder / "registry.toml", content)))

    def card(content: bytes) -> None:
        text = card_text(
            read_config(content, where="x"), Publication(repo="a/b", license="MIT", plugins=("p>=1",))
        )
        # Whatever the config says, nothing in it may add a key, or end the front matter.
        _, front, body = text.split("---\n", 2)
        allowed = {"library_name", "license", "tags", "base_model", "model-index"}
        assert set(yaml.safe_load(front)) <= allowed
        assert body.startswith("\n# Bridge: ")

    def of_document(document: Any) -> Callable[[bytes, random.Random], bytes]:
        return lambda _, rng: spoil_json(document, rng)

    as_json = config.to_dict()
    rows = tomlkit.parse(registry.read_text()).unwrap()
    return {
        "config": Target((good / "config.json").read_bytes(), of_document(as_json), config_file),
        "weights": Target((good / "model.safetensors").read_bytes(), spoil_tensors, weights),
        "latents": Target((folder / "latents.safetensors").read_bytes(), spoil_tensors, latents),
        "golden": Target((good / GOLDEN).read_bytes(), spoil_tensors, golden),
        "registry": Target(
            registry.read_bytes(), lambda seed, rng: _spoil_registry(seed, rows, rng), registry_file
        ),
        "card": Target(json.dumps(as_json).encode(), of_document(as_json), card),
    }


def _spoil_registry(seed: bytes, rows: Any, rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return mutate_bytes(seed, rng)
    few = {**rows, "bridges": rng.sample(rows["bridges"], 1)}
    try:
        return tomlkit.dumps(_without_none(mutate_json(few, rng))).encode()
    except Exception:  # not every document has a form in TOML
        return mutate_bytes(seed, rng)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_none(v) for v in value if v is not None]
    return value


def run(target: Target, seed: int) -> bool:
    """Reads one spoilt file; gives whether it was taken. Anything but an `LtzooError` is raised."""
    content = target.spoil(target.seed, random.Random(seed))
    start = time.process_time()
    try:
        target.read(content)
    except LtzooError as error:
        assert str(error)
        return False
    finally:
        # Of this process, not of a machine that others use too.
        assert time.process_time() - start < SECONDS
    return True
