"""`ltzoo export`: what a bridge gives as an ONNX graph is what it gives in torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from bridge_samples import build_network, make_config, make_latents, make_spec, tiny_recipe
from published_bridge import save_bridge
from test_bridge_shapes import MIXED, MIXED_SETS, spread_latents

import ltzoo as package
from ltzoo.bridge import Bridge, onnx_graph, train_bridge
from ltzoo.bridge.onnx_graph import INPUT, OUTPUT, export_onnx
from ltzoo.cli.train import load_latents
from ltzoo.errors import BridgeError, LtzooError
from ltzoo.registry import Registry, bundled_registry
from ltzoo.zoo import get_model

pytestmark = pytest.mark.usefixtures("one_thread")

BUNDLED = [row.id for row in Registry.load(bundled_registry()).bridges if row.path is not None]


def run(path, latents: torch.Tensor) -> np.ndarray:
    """What onnxruntime makes of latents."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run([OUTPUT], {INPUT: latents.numpy()})
    return found


def metadata(path) -> dict[str, str]:
    return onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map


def unlabelled(name: str, shape: tuple, size: tuple, seed: int):
    """A model and its latents, of positions and without labels: such bridges work position by position."""
    spec = make_spec(name, shape=shape)
    return spec, replace(spread_latents(spec, size, seed=seed), labels=None, label_names=())


@pytest.mark.slow
@pytest.mark.parametrize("id", BUNDLED)
def test_every_bundled_bridge_gives_the_same_on_held_out_latents(ltzoo, tmp_path, id):
    code, out, err = ltzoo("export", id, "--onnx", str(tmp_path / "graphs"), "--json")
    assert code == 0, err
    document = json.loads(out)
    bridge = Bridge.from_pretrained(id)
    graphs = document["graphs"]
    assert {(g["source"], g["target"]) for g in graphs} == {
        (a, b) for a in bridge.models for b in bridge.models if a != b
    }
    for graph in graphs:
        source, target = graph["source"], graph["target"]
        latents = load_latents(get_model(source), {}).part("test").latents
        for batch in (1, 5, 1000):
            expected = bridge.translate(latents[:batch], source=source, target=target).numpy()
            assert np.abs(run(graph["path"], latents[:batch]) - expected).max() <= 1e-4
        assert 0 < graph["difference"] <= 1e-4
        known = metadata(graph["path"])
        assert known["ltzoo.version"] == package.__version__
        assert (known["ltzoo.bridge"], known["ltzoo.source"], known["ltzoo.target"]) == (id, source, target)
        assert known["ltzoo.source.fingerprint"] == get_model(source).fingerprint
        assert known["ltzoo.target.license"] == get_model(target).license


@pytest.mark.slow
def test_the_page_shows_what_happens(ltzoo, tmp_path, monkeypatch):
    page = Path(__file__).parents[1] / "docs" / "export.md"
    blocks = re.findall(r"^```(?:sh|python|text)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    commands, files, program, printed = blocks
    monkeypatch.chdir(tmp_path)
    code, out, err = ltzoo(*commands.splitlines()[1].removeprefix("ltzoo ").split())
    assert (code, out) == (0, files), err
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, printed), result.stderr


@pytest.fixture(scope="module")
def folded():
    """Bridges that work position by position, by the number of dimensions that have positions."""
    grids = (unlabelled("a", (3, None, None), (3, 8, 6), 0), unlabelled("b", (2, None, None), (2, 4, 3), 1))
    sequences = (unlabelled("a", (3, None), (3, 10), 0), unlabelled("b", (2, 20), (2, 20), 1))
    return {
        dims: train_bridge([s for _, s in pair], models=[m for m, _ in pair], recipe=tiny_recipe())[0]
        for dims, pair in ((1, sequences), (2, grids))
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "target", "sizes", "multiples"),
    [
        ("toy/a", "toy/b", ((8, 6), (2, 2), (10, 26)), (2, 2)),
        ("toy/b", "toy/a", ((4, 3), (1, 1), (5, 13)), ()),
    ],
)
def test_positions_vary_where_the_bridge_works_position_by_position(
    folded, tmp_path, source, target, sizes, multiples
):
    bridge = folded[2]
    assert bridge.config.architecture.trunk == "convolution"
    graph = export_onnx(bridge, tmp_path / "g.onnx", source=source, target=target)
    assert (graph.shape[1:], graph.multiples) == ((None, None), multiples)
    rng = torch.Generator().manual_seed(4)
    for batch, size in enumerate(sizes, start=1):
        latents = torch.randn(batch, graph.shape[0], *size, generator=rng)
        expected = bridge.translate(latents, source=source, target=target).numpy()
        np.testing.assert_allclose(run(graph.path, latents), expected, atol=1e-4, rtol=0)
    assert ("ltzoo.multiples" in metadata(graph.path)) == bool(multiples)


@pytest.mark.slow
def test_a_sequence_of_any_length_and_one_of_a_fixed_length(folded, tmp_path):
    bridge = folded[1]
    there = export_onnx(bridge, tmp_path / "there.onnx", source="toy/a", target="toy/b")
    back = export_onnx(bridge, tmp_path / "back.onnx", source="toy/b", target="toy/a")
    assert (there.shape, back.shape, back.multiples) == ((3, None), (2, 20), ())
    latents = torch.randn(3, 3, 17, generator=torch.Generator().manual_seed(5))
    middle = bridge.translate(latents, source="toy/a", target="toy/b")
    np.testing.assert_allclose(run(there.path, latents), middle.numpy(), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_pooled_latents_have_the_size_that_was_trained_on(tmp_path):
    bridge, _ = train_bridge(MIXED_SETS, models=MIXED, recipe=tiny_recipe())
    graph = export_onnx(bridge, tmp_path / "g.onnx", source="toy/grid", target="toy/sequence")
    assert (graph.shape, graph.multiples) == ((3, 8, 6), ())
    latents = MIXED_SETS[1].latents[:9]
    expected = bridge.translate(latents, source="toy/grid", target="toy/sequence").numpy()
    np.testing.assert_allclose(run(graph.path, latents), expected, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_the_plain_network_and_a_file_of_one_direction(ltzoo, tmp_path):
    """The paper's network, for models of different sizes."""
    specs = make_spec("a", size=6), make_spec("b", size=4)
    config = make_config(specs=specs)
    bridge = Bridge(config, build_network(config))
    bridge.save_pretrained(tmp_path / "ab")
    path = tmp_path / "deep" / "ab.onnx"
    words = ["export", f"local:{tmp_path}/ab", "--onnx", str(path), "--from", "toy/a"]
    code, out, err = ltzoo(*words)
    assert (code, out) == (0, f"{path}\n"), err
    assert "toy/a -> toy/b: takes n x 6; within" in err
    latents = make_latents(specs[0]).latents
    expected = bridge.translate(latents, source="toy/a", target="toy/b").numpy()
    np.testing.assert_allclose(run(path, latents), expected, atol=1e-4, rtol=0)


def test_a_graph_that_gives_something_else_is_not_written(tmp_path, monkeypatch):
    bridge = save_bridge(tmp_path / "ab")
    own = bridge.translate
    monkeypatch.setattr(bridge, "translate", lambda z, **ends: own(z, **ends) + 0.01)
    with pytest.raises(BridgeError, match="differs from torch by 0.0"):
        export_onnx(bridge, tmp_path / "g.onnx", source="toy/a", target="toy/b")
    assert [path.name for path in tmp_path.iterdir()] == ["ab"]


def test_what_cannot_be_exported_is_said(ltzoo, tmp_path):
    save_bridge(tmp_path / "ab")
    reference, output = f"local:{tmp_path}/ab", tmp_path / "g.onnx"
    for words, message in (
        (("--onnx", str(output)), "there are 2 directions; try: --from MODEL --to MODEL"),
        (("--onnx", str(output), "--from", "toy/c"), "does not join toy/c"),
        (
            ("--onnx", str(output), "--from", "toy/a", "--to", "toy/a"),
            "no direction leads from toy/a to toy/a",
        ),
        ((), "Missing option '--onnx'"),
    ):
        code, out, err = ltzoo("export", reference, *words)
        assert (code != 0, out) == (True, ""), words
        assert message in err
    assert not output.exists()


@pytest.mark.parametrize("name", ["onnx", "onnxscript"])
def test_without_the_packages_the_command_that_brings_them_is_said(tmp_path, monkeypatch, name):
    bridge = save_bridge(tmp_path / "ab")
    own = onnx_graph.find_spec
    monkeypatch.setattr(onnx_graph, "find_spec", lambda module: None if module == name else own(module))
    with pytest.raises(LtzooError, match=f"export to ONNX needs {name}$") as caught:
        export_onnx(bridge, tmp_path / "g.onnx", source="toy/a", target="toy/b")
    assert "ltzoo[onnx]" in (caught.value.hint or "")


def test_without_onnxruntime_it_is_said_that_nothing_was_compared(ltzoo, tmp_path, monkeypatch):
    save_bridge(tmp_path / "ab")
    own = onnx_graph.find_spec
    monkeypatch.setattr(
        onnx_graph, "find_spec", lambda module: None if module == "onnxruntime" else own(module)
    )
    words = ["export", f"local:{tmp_path}/ab", "--onnx", str(tmp_path / "g.onnx"), "--from", "toy/a"]
    code, _, err = ltzoo(*words)
    assert code == 0
    assert "not compared with torch" in err
