"""Golden outputs, and `ltzoo bridges verify`."""

from __future__ import annotations

import json
import struct

import pytest
import torch
from bridge_samples import build_network, make_config, make_spec, tiny_recipe
from published_bridge import save_bridge
from safetensors.torch import load_file, save_file

from ltzoo.bridge import Bridge
from ltzoo.bridge.golden import GOLDEN, TOLERANCE, golden_difference, write_golden
from ltzoo.bridge.networks import make_architecture
from ltzoo.errors import BridgeError, LatentsError, SpecError


@pytest.fixture
def folder(tmp_path):
    bridge = save_bridge(tmp_path / "ab")
    write_golden(bridge, tmp_path / "ab" / GOLDEN)
    return tmp_path / "ab"


def change(folder, **tensors) -> None:
    """Writes the golden file with other tensors; None leaves one out."""
    path = folder / GOLDEN
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    found = {**load_file(path), **tensors}
    save_file({k: v for k, v in found.items() if v is not None}, path, metadata=metadata)


def test_the_bridge_gives_its_golden_outputs(folder):
    bridge = Bridge.from_pretrained(folder)
    header, difference = golden_difference(bridge, folder / GOLDEN)
    assert difference < 1e-6
    assert header.torch == str(torch.__version__)
    tensors = load_file(folder / GOLDEN)
    assert set(tensors) == {"input.0", "input.1", "output.0.1", "output.1.0"}
    assert all(tensor.abs().max() > 0.01 for tensor in tensors.values())


def test_grids_have_golden_outputs_too(tmp_path):
    specs = (make_spec("a", shape=(3, None, None)), make_spec("b", shape=(12, None, None)))
    from dataclasses import replace

    from ltzoo.bridge.config import EntranceShape

    config = make_config((4, 4), 0)
    recipe = tiny_recipe(trunk="convolution")
    forms = tuple(EntranceShape(kind="folded", shape=shape) for shape in ((2, 2), (1, 1)))
    architecture = replace(make_architecture(recipe, (12, 12), 0), trunk="convolution", entrances=forms)
    ends = tuple(
        replace(end, spec=spec, fingerprint=spec.fingerprint)
        for end, spec in zip(config.models, specs, strict=True)
    )
    config = replace(config, models=ends, architecture=architecture, recipe=recipe)
    bridge = Bridge(config, build_network(config))
    write_golden(bridge, tmp_path / GOLDEN)
    assert golden_difference(bridge, tmp_path / GOLDEN)[1] < 1e-6


def test_other_weights_are_noticed(folder):
    bridge = Bridge.from_pretrained(folder)
    other = Bridge(bridge.config, build_network(bridge.config, seed=1))
    assert golden_difference(other, folder / GOLDEN)[1] > TOLERANCE


@pytest.mark.parametrize(
    ("tensors", "error"),
    [
        ({"output.0.1": None}, BridgeError),
        ({"more": torch.zeros(1)}, BridgeError),
        ({"output.0.1": torch.zeros(4, 3)}, BridgeError),
        ({"output.0.1": torch.full((4, 64), float("nan"))}, BridgeError),
        ({"input.0": torch.zeros(4, 3)}, LatentsError),
        ({"input.0": torch.full((4, 64), float("inf"))}, LatentsError),
    ],
)
def test_a_golden_file_of_something_else_is_refused(folder, tensors, error):
    change(folder, **tensors)
    with pytest.raises(error):
        golden_difference(Bridge.from_pretrained(folder), folder / GOLDEN)


def test_a_golden_file_without_a_header_is_refused(folder):
    save_file(load_file(folder / GOLDEN), folder / GOLDEN)
    with pytest.raises(SpecError):
        golden_difference(Bridge.from_pretrained(folder), folder / GOLDEN)


# The command


def verify(ltzoo, folder):
    code, out, err = ltzoo("bridges", "verify", f"local:{folder}", "--json")
    document = json.loads(out)
    return code, {check["name"]: check["ok"] for check in document["checks"]}, err


def test_a_bridge_that_is_what_it_should_be(ltzoo, folder):
    assert verify(ltzoo, folder) == (0, dict.fromkeys(("files", "weights", "models", "golden"), True), "")
    code, out, _ = ltzoo("bridges", "verify", f"local:{folder}")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()[1:]] == ["ok"] * 4


def test_golden_outputs_that_differ_are_an_integrity_error(ltzoo, folder):
    tensors = load_file(folder / GOLDEN)
    change(folder, **{"output.0.1": tensors["output.0.1"] * 1.01})
    code, checks, err = verify(ltzoo, folder)
    assert (code, checks["golden"], checks["weights"]) == (5, False, True)
    assert err.count("\n") == 1
    assert "translations differ by" in err


def test_damaged_weights_end_it(ltzoo, folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[:8] = struct.pack("<Q", len(content) * 2)
    path.write_bytes(content)
    code, checks, err = verify(ltzoo, folder)
    assert (code, checks) == (1, {"files": True, "weights": False})
    assert "the header is longer than the file" in err


def test_another_model_s_weights_are_named(ltzoo, folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    from ltzoo.spec import ModelSpec

    spec = {**config["models"][0]["spec"], "adapter_version": 2}
    config["models"][0] = {"spec": spec, "fingerprint": ModelSpec.from_dict(spec).fingerprint}
    (folder / "config.json").write_text(json.dumps(config))
    code, checks, err = verify(ltzoo, folder)
    assert (code, checks["models"]) == (5, False)
    assert "other weights of toy/a" in err


def test_a_bridge_that_is_not_there(ltzoo, tmp_path):
    code, out, err = ltzoo("bridges", "verify", f"local:{tmp_path}")
    assert (code, out) == (2, "")
    assert "no bridge there" in err
