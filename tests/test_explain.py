"""`ltzoo explain`: a bridge in words and in a picture, from what is at hand."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from bridge_samples import build_network, make_config, make_spec
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from published_bridge import save_bridge
from test_download import list_row, row

from ltzoo.bridge import Bridge, list_recipes
from ltzoo.bridge.config import Metric
from ltzoo.bridge.explanation import explain_bridge
from ltzoo.bridge.picture import draw_bridge
from ltzoo.bridge.row import make_row
from ltzoo.bridge.wording import RECIPES, accuracy_words, direction_words, explanation_lines, size_words
from ltzoo.drawing import Drawing, text_width
from ltzoo.plugins import PluginHost
from ltzoo.published import PublishedBridge
from ltzoo.registry import Registry, RegistrySource, bundled_registry
from ltzoo.zoo import Zoo, set_default_zoo

BUNDLED = {row.id: row for row in Registry.load(bundled_registry()).bridges}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A bridge between toy models, with figures."""
    save_bridge(tmp_path / "ab")
    return tmp_path / "ab"


def texts(svg: str) -> list[str]:
    """What can be read in a drawing."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


# Words


@pytest.mark.parametrize("id", BUNDLED)
def test_every_bundled_bridge_is_explained_from_its_row(ltzoo, no_connections, id):
    code, out, err = ltzoo("explain", id)
    assert (code, err) == (0, "")
    row = BUNDLED[id]
    for text in (
        *row.models,
        row.license,
        row.command,
        row.metrics_command,
        row.date,
        f"recipe {row.recipe}",
    ):
        assert text in out
    for requirement in row.plugins:
        assert f"{requirement}: installed" in out
    for source, target in ((row.models[0], row.models[1]), (row.models[1], row.models[0])):
        accuracy = row.metric("transfer_accuracy", source, target)
        part = out.split(f"  {source} -> {target}\n")[1]
        assert re.match(rf"    Of 100 \w+, {round(100 * accuracy)} become \w+ of the right class", part)
    assert f"--bridge {id} -o OUTPUT" in out


def test_an_id_needs_neither_torch_nor_the_client_of_the_hub():
    code = (
        "import sys; from ltzoo.cli.main import run; assert run(['explain', 'mnist-fashion']) == 0; "
        "heavy = {'torch', 'numpy', 'huggingface_hub', 'PIL'} & set(sys.modules); assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_recipe_is_described():
    assert set(RECIPES) == set(list_recipes())


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({}, "Nobody has measured it."),
        ({"transfer_accuracy": 0.9}, "Of 100 images, 90 become images of the right class."),
        ({"transfer_accuracy": 0.9965}, "Of 1000 images, 996 become images"),
        ({"transfer_accuracy": 1.0}, "Of 100 images, 100 become"),
        (
            {"transfer_accuracy": 0.9, "transfer_accuracy_share": 1.2},
            "own images, the judge reads 75 in 100 right",
        ),
        ({"cycle_accuracy": 0.5}, "there and back, 50 of 100 keep their class"),
        ({"cycle_r2": 0.9, "noisy_cycle_r2": 0.7}, "each one different from the others, 70 % comes back"),
        ({"noisy_cycle_r2": -3.0}, " 0 % comes back"),
        ({"spread": 1.1}, "vary as much as the model's own images do"),
        ({"spread": 3.0}, "vary 3.0 times as much as the model's own"),
        ({"spread": 0.1}, "vary less (0.10 times as much) than the model's own"),
        ({"neighbourhood_overlap": 0.11}, "nearest neighbours, 1 is still"),
        ({"neighbourhood_overlap": 0.67}, "nearest neighbours, 7 are still"),
        ({"paired_r2": 0.8}, "foretells 80 %"),
        ({"top1_retrieval": 0.45}, "In 45 of 100 cases"),
    ],
)
def test_figures_become_sentences(folder, figures, expected):
    explained = explain_bridge(f"local:{folder}")
    direction = replace(explained.directions[0], figures=figures)
    assert any(expected in line for line in direction_words(explained, direction))


@given(st.floats(0, 1))
def test_a_share_is_near_what_is_said_and_neither_all_nor_nothing_is_said_of_less(value):
    right, total = accuracy_words(value)
    assert abs(right / total - value) <= 0.5 / total + 1e-9
    if 0.9995 > value > 0.0005:
        assert 0 < right < total or total == 100


def test_sizes_for_people():
    assert [size_words(size) for size in (None, 900, 2_000_000)] == ["size unknown", "0.9 kB", "2.0 MB"]


def test_a_folder_is_explained_from_its_config(ltzoo, folder):
    code, out, err = ltzoo("explain", f"local:{folder}")
    assert code == 0, err
    for text in (
        "Of 100 images, 90 become images of the right class.",
        "Of 100 images, 80 become",
        "measured on held-out latents by: ltzoo eval local:ab --write",
        "by: ltzoo train toy/a toy/b",
        "on 60 latents of toy/a, 60 latents of toy/b",
        "the bridge: see its card",
        "toy/a: toy model a",
    ):
        assert text in out
    assert sum(path.stat().st_size for path in folder.iterdir()) == explain_bridge(f"local:{folder}").size


def test_models_that_cannot_take_part_are_said_and_commands_lead_where_they_can(tmp_path):
    specs = (make_spec("a"), replace(make_spec("b"), capabilities=frozenset({"decode", "sample"})))
    config = make_config(specs=specs)
    Bridge(config, build_network(config)).save_pretrained(tmp_path / "my bridge")
    explained = explain_bridge(f"local:{tmp_path}/my bridge")
    there, back = explained.directions
    assert (
        there.command
        == f"ltzoo translate INPUT --from toy/a --to toy/b --bridge 'local:{tmp_path}/my bridge' -o OUTPUT"
    )
    assert back.command is None
    assert direction_words(explained, back)[-1] == "toy/b cannot encode: latents only, or --invert."
    assert "to measure it: ltzoo eval" in "\n".join(explanation_lines(explained))


def test_of_a_bridge_on_the_hub_an_id_downloads_nothing_and_a_reference_its_config_alone(
    ltzoo, hub, hub_environment, folder, tmp_path, monkeypatch
):
    commit = hub.add("org/ab", {path.name: path.read_bytes() for path in folder.iterdir()})
    registry = tmp_path / "registry.toml"
    registry.write_text("schema = 1\n")
    list_row(registry, row(folder, commit))
    monkeypatch.setenv("LTZOO_REGISTRY", str(registry))
    set_default_zoo(Zoo(PluginHost([])))
    code, out, err = ltzoo("explain", "ab")
    assert (code, err) == (0, "")
    assert not hub_environment.cache.exists() or not list(hub_environment.cache.rglob("config.json"))
    for text in (
        "Of 100 items, 90 become items of the right class",
        "toy/a: its plugin is not installed",
        "ltzoo-toy>=1: not installed",
        "ltzoo install 'ltzoo-toy>=1'",
        "the bridge: MIT",
    ):
        assert text in out
    code, out, err = ltzoo("explain", "hf:org/ab", "--json")
    assert code == 0, err
    assert f"hf:org/ab is hf:org/ab@{commit}" in err
    bridge = json.loads(out)["bridge"]
    assert bridge["reference"] == f"hf:org/ab@{commit}"
    assert bridge["size"] == sum(path.stat().st_size for path in folder.iterdir())
    assert bridge["models"][0]["title"] == "toy model a"
    assert bridge["directions"][0]["words"][0].startswith("Of 100 images, 90")
    assert hub.bytes_sent("org/ab", "config.json") > 0
    assert hub.bytes_sent("org/ab", "model.safetensors") == 0
    # Now that the config is here, the row is told with what it says.
    code, out, _ = ltzoo("explain", "ab", "--offline")
    assert code == 0
    assert "toy model a" in out


def test_a_member_of_an_open_family_is_not_looked_up(tmp_path, no_connections):
    place = tmp_path / "registry.toml"
    save_bridge(tmp_path / "ab")
    listed = make_row(tmp_path / "ab", id="ab", license="MIT", requirement=lambda spec: "x", place=place)
    row = replace(
        listed, models=("toy/a", "far:org/name@1"), metrics=(), path=None, repo="o/n", revision="0" * 40
    )
    published = PublishedBridge(row=row, registry=RegistrySource(name="x", path=place))
    zoo = Zoo(PluginHost([]))
    set_default_zoo(zoo)
    zoo.published.by_id["ab"] = published
    text = "\n".join(explanation_lines(explain_bridge("ab")))
    assert "far:org/name@1: a member of an open family" in text
    assert "the plugin of far: not installed" in text
    assert "ltzoo install" not in text


def test_show_says_in_words_what_the_figures_say(ltzoo):
    code, out, _ = ltzoo("bridges", "show", "mnist-fashion")
    assert code == 0
    assert "Of 100 digits, 90 become garments of the right class" in out
    assert "noisy_cycle_r2" in out


def test_a_config_that_is_not_the_listed_one_is_not_believed(ltzoo, tmp_path, monkeypatch):
    save_bridge(tmp_path / "ab")
    place = tmp_path / "registry.toml"
    place.write_text("schema = 1\n")
    listed = make_row(
        tmp_path / "ab", id="ab", license="MIT", requirement=lambda spec: "ltzoo-toy>=1", place=place
    )
    list_row(place, listed)
    monkeypatch.setenv("LTZOO_REGISTRY", str(place))
    set_default_zoo(Zoo(PluginHost([])))
    assert "toy model a" in ltzoo("explain", "ab")[1]
    config = tmp_path / "ab" / "config.json"
    config.write_text(config.read_text().replace("toy model a", "toy model z"))
    for spoilt in (config.read_text(), "{"):
        config.write_text(spoilt)
        for words in (("explain", "ab"), ("bridges", "show", "ab")):
            code, out, err = ltzoo(*words)
            assert code == 0, err
            assert "Of 100 items, 90 become items of the right class" in out
            assert "toy model" not in out


@pytest.mark.parametrize(
    ("reference", "expected", "message"),
    [
        ("mnist-fasion", 2, "did you mean mnist-fashion"),
        ("local:nowhere", 2, "no bridge there"),
        ("hf:org", 2, "is not a reference"),
    ],
)
def test_what_is_no_bridge_is_said(ltzoo, reference, expected, message):
    code, out, err = ltzoo("explain", reference)
    assert (code, out) == (expected, "")
    assert message in err


# Pictures


def test_the_picture_in_the_docs_is_the_one_that_is_drawn():
    root = Path(__file__).parents[1]
    drawn = draw_bridge(explain_bridge("mnist-spoken-gan")).svg()
    assert (root / "docs" / "images" / "explain.svg").read_text() == drawn, "make docs"


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_picture_of_two_models(ltzoo, tmp_path, suffix):
    path = tmp_path / f"bridge.{suffix}"
    code, _, err = ltzoo("explain", "mnist-spoken-gan", "-o", str(path))
    assert code == 0, err
    if suffix == "svg":
        said = texts(path.read_text())
        for text in ("mnist-spoken-gan", "mnist/vae", "spoken-digits/gan", "image", "audio", "96 of 100"):
            assert text in said
        assert "draws become the right digits; from latents only" in said
        assert "http" not in path.read_text().replace("http://www.w3.org/2000/svg", "")
    else:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        drawing = draw_bridge(explain_bridge("mnist-spoken-gan"))
        assert pixels.shape == (2 * drawing.height, 2 * drawing.width, 3)
        # White around, and something in each quarter.
        assert (pixels[:20] == 255).all()
        assert (pixels[:, :40] == 255).all()
        for half in np.array_split(pixels, 2):
            for quarter in np.array_split(half, 2, axis=1):
                assert quarter.std() > 5


def test_many_models_and_nothing_measured(tmp_path):
    specs = tuple(make_spec(name, 4) for name in "abcdef")
    config = make_config((4,) * 6, specs=specs)
    Bridge(config, build_network(config)).save_pretrained(tmp_path / "six")
    explained = explain_bridge(f"local:{tmp_path}/six")
    said = texts(draw_bridge(explained).svg())
    assert {f"toy/{name}" for name in "abcdef"} <= set(said)
    assert any("Nobody has measured it" in text for text in said)
    one = (Metric(name="transfer_accuracy", source="toy/a", target="toy/b", value=0.995),)
    Bridge(replace(config, metrics=one), build_network(config)).save_pretrained(tmp_path / "six")
    said = texts(draw_bridge(explain_bridge(f"local:{tmp_path}/six")).svg())
    assert "99.5 %" in said
    assert "and 10 more directions" in said


def test_a_picture_of_another_kind_is_refused(ltzoo, tmp_path):
    code, out, err = ltzoo("explain", "mnist-fashion", "-o", str(tmp_path / "bridge.pdf"))
    assert (code, out) == (1, "")
    assert ".svg or .png" in err
    assert not list(tmp_path.iterdir())


def test_names_of_strangers_stay_text(tmp_path):
    """Markup, control characters and endless names in a config that somebody else wrote."""
    title = '</text><script>alert(1)</script>\x1b[31m\x00 & "x" ' + "w" * 3000
    specs = (replace(make_spec("a"), title=title), make_spec("b"))
    config = make_config(specs=specs)
    Bridge(config, build_network(config)).save_pretrained(tmp_path / "ab")
    svg = draw_bridge(explain_bridge(f"local:{tmp_path}/ab")).svg()
    root = ElementTree.fromstring(svg)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "desc", "rect", "text", "polygon", "polyline",
    }  # fmt: skip
    assert max(map(len, texts(svg))) < 200


def test_control_characters_of_strangers_reach_no_terminal(ltzoo, tmp_path):
    specs = (replace(make_spec("a"), title="red\x1b[31m"), make_spec("b"))
    config = make_config(specs=specs)
    Bridge(config, build_network(config)).save_pretrained(tmp_path / "ab")
    code, out, _ = ltzoo("explain", f"local:{tmp_path}/ab")
    assert code == 0
    assert "\x1b" not in out


@given(st.text(max_size=80), st.floats(20, 400))
def test_any_text_can_be_drawn_and_fits(text, fit):
    drawing = Drawing(500, 40, title=text, description=text)
    drawing.text(5, 20, text, size=13, fit=fit)
    (drawn,) = texts(drawing.svg())
    assert text_width(drawn, 13) <= fit or drawn == "…"


def test_shapes_are_where_they_were_drawn():
    drawing = Drawing(60, 40, title="shapes")
    drawing.box(10, 10, 20, 20, fill="#ff0000")
    drawing.line([(40, 5), (40, 35)], stroke="#0000ff", width=4)
    drawing.polygon([(50, 5), (58, 5), (50, 35)], fill="#00ff00")
    with Image.open(io.BytesIO(drawing.png())) as image:
        assert image.size == (120, 80)
        colours = [image.getpixel((2 * x, 2 * y)) for x, y in ((20, 20), (40, 20), (51, 10), (35, 20))]
    # Reducing the picture smooths by a shade.
    expected = [(255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 255, 255)]
    np.testing.assert_allclose(colours, expected, atol=3)
