"""Bridges as objects and as folders: what they give, and what is refused."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from bridge_samples import build_network, make_config, make_spec, plain_recipe, tiny_recipe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from ltzoo.bridge import Bridge, Metric, load_bridge
from ltzoo.bridge import bridge as bridge_module
from ltzoo.bridge.config import BridgeConfig
from ltzoo.bridge.folder import CARD, CONFIG, FILES, WEIGHTS
from ltzoo.errors import (
    BridgeError,
    FingerprintError,
    LatentsError,
    LtzooError,
    SpecError,
    UnknownBridgeError,
)


def make_bridge(config: BridgeConfig | None = None, seed: int = 0) -> Bridge:
    config = config or make_config()
    network = build_network(config, seed)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():  # what starts at zero or at one would hide mistakes
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
    for end, size in enumerate(config.architecture.sizes):
        network.set_normalization(end, torch.linspace(-1, 1, size), torch.linspace(0.5, 2, size))
    return Bridge(config, network)


@pytest.fixture(params=["plain", "based"])
def bridge(request) -> Bridge:
    """One bridge of each kind of network."""
    recipe = {"plain": plain_recipe, "based": tiny_recipe}[request.param]()
    return make_bridge(make_config(recipe=recipe))


@pytest.fixture
def folder(bridge, tmp_path) -> Path:
    bridge.save_pretrained(tmp_path / "bridge")
    return tmp_path / "bridge"


def latents(items: int = 5, size: int = 4) -> torch.Tensor:
    return torch.randn(items, size, generator=torch.Generator().manual_seed(items))


# translate


def test_translate_goes_through_the_posterior_mean(bridge):
    z = latents()
    shared = bridge.shared(z, source="toy/a")
    assert shared.shape == (5, bridge.config.architecture.shared_dim)
    there = bridge.translate(z, source="toy/a", target="toy/b")
    assert torch.equal(there, bridge.decode_shared(shared, target="toy/b"))
    assert not torch.equal(there, bridge.translate(z, source="toy/a", target="toy/a"))
    assert not there.requires_grad


def test_translate_undoes_the_normalization():
    """With a network that passes on its input, a translation keeps the normalised value."""
    bridge = make_bridge(make_config(recipe=plain_recipe(width=4, layers=1, shared_dim=4)))
    bridge.network.set_normalization(0, torch.full((4,), 10.0), torch.full((4,), 2.0))
    bridge.network.set_normalization(1, torch.full((4,), -1.0), torch.full((4,), 0.5))
    with torch.no_grad():
        for head in (bridge.network.encoder_mean, bridge.network.decoder_mean):
            head.deep.weight.zero_()
            head.deep.bias[4:] = -100  # the gate is shut: only the linear path is left
            head.skip.weight.copy_(torch.eye(4))
            for bias in (head.skip.bias, *head.skip.rows):
                bias.zero_()
    z = torch.tensor([[12.0, 8.0, 10.0, 14.0]])
    assert torch.allclose(
        bridge.translate(z, source="toy/a", target="toy/b"), torch.tensor([[-0.5, -1.5, -1.0, 0.0]])
    )


def test_samples_depend_on_the_seed(bridge):
    def sample(seed):
        return bridge.translate(latents(), source="toy/a", target="toy/b", sample=True, seed=seed)

    assert torch.equal(sample(1), sample(1))
    assert not torch.equal(sample(1), sample(2))
    assert not torch.equal(sample(None), sample(None))
    assert not torch.equal(sample(1), bridge.translate(latents(), source="toy/a", target="toy/b"))


@pytest.mark.parametrize("sample", [False, True])
def test_chunks_do_not_show(bridge, monkeypatch, sample):
    def translate():
        return bridge.translate(latents(20), source="toy/a", target="toy/b", sample=sample, seed=0)

    whole = translate()
    monkeypatch.setattr(bridge_module, "CHUNK", 7)
    assert torch.allclose(whole, translate(), atol=1e-6)


def test_an_empty_batch_stays_empty():
    bridge = make_bridge(make_config((4, 6)))
    assert bridge.translate(torch.zeros(0, 4), source="toy/a", target="toy/b").shape == (0, 6)


def test_unequal_sizes():
    bridge = make_bridge(make_config((4, 6, 2)))
    assert bridge.translate(latents(), source="toy/a", target="toy/c").shape == (5, 2)
    assert bridge.classify(latents(5, 2), source="toy/c").shape == (5, 3)


@pytest.mark.parametrize(
    "z",
    [
        torch.zeros(5, 3),
        torch.zeros(4),
        torch.zeros(5, 4, 1),
        torch.zeros(5, 4, dtype=torch.int64),
        torch.tensor([[0.0, 1.0, math.nan, 0.0]]),
        torch.tensor([[0.0, 1.0, math.inf, 0.0]]),
    ],
)
def test_latents_that_do_not_fit_are_refused(bridge, z):
    for call in (
        lambda: bridge.translate(z, source="toy/a", target="toy/b"),
        lambda: bridge.shared(z, source="toy/a"),
        lambda: bridge.classify(z, source="toy/a"),
    ):
        with pytest.raises(LatentsError, match="toy/a"):
            call()
    with pytest.raises(LatentsError, match="shared space"):
        bridge.decode_shared(torch.zeros(5, 4), target="toy/b")


def test_unknown_models_get_a_suggestion(bridge):
    with pytest.raises(BridgeError, match="does not join toy/aa") as caught:
        bridge.translate(latents(), source="toy/aa", target="toy/b")
    assert caught.value.hint == "did you mean 'toy/a'?"


def test_without_labels_nothing_can_be_classified():
    with pytest.raises(BridgeError, match="without labels"):
        make_bridge(make_config(classes=0)).classify(latents(), source="toy/a")


def test_check_models(bridge):
    specs = [end.spec for end in bridge.config.models]
    bridge.check_models(specs)
    with pytest.raises(FingerprintError, match="other weights of toy/b") as caught:
        bridge.check_models([specs[0], replace(specs[1], adapter_version=2)])
    assert caught.value.exit_code == 5
    with pytest.raises(BridgeError, match="does not join toy/x"):
        bridge.check_models([make_spec("x")])


# folders


def test_a_saved_bridge_comes_back_bit_by_bit(bridge, folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["bridge"]
    for reference in (folder, f"local:{folder}"):
        loaded = Bridge.from_pretrained(reference)
        assert loaded.config == bridge.config
        ours = bridge.network.state_dict()
        assert all(torch.equal(t, ours[name]) for name, t in loaded.network.state_dict().items())
        for source, target in (("toy/a", "toy/b"), ("toy/b", "toy/a")):
            assert torch.equal(
                loaded.translate(latents(), source=source, target=target),
                bridge.translate(latents(), source=source, target=target),
            )


def test_files_are_readable_as_others_are(folder):
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert len(modes) == 1


def test_half_precision(bridge, tmp_path):
    bridge.save_pretrained(tmp_path / "half", dtype=torch.float16)
    for name, tensor in load_file(tmp_path / "half" / WEIGHTS).items():
        assert tensor.dtype == (torch.float32 if name.startswith("novelty.") else torch.float16)
    z = Bridge.from_pretrained(tmp_path / "half").translate(latents(), source="toy/a", target="toy/b")
    assert z.dtype == torch.float32
    assert torch.allclose(z, bridge.translate(latents(), source="toy/a", target="toy/b"), atol=2e-2)


@pytest.mark.parametrize("value", [1e9, 1e-30])
def test_what_half_precision_cannot_hold_is_refused(bridge, tmp_path, value):
    bridge.network.get_buffer("scale_1")[2] = value
    with pytest.raises(BridgeError, match="scale_1"):
        bridge.save_pretrained(tmp_path / "half", dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_not_saved(bridge, tmp_path):
    next(bridge.network.parameters())[0, 0] = math.nan
    with pytest.raises(BridgeError, match="not finite"):
        bridge.save_pretrained(tmp_path / "bridge")
    assert list(tmp_path.iterdir()) == []


def test_a_bridge_is_replaced_and_nothing_else_is(folder, tmp_path):
    other = make_bridge(seed=1)
    other.save_pretrained(folder)
    assert torch.equal(
        Bridge.from_pretrained(folder).network.encoder.first.weight, other.network.encoder.first.weight
    )
    (folder / "thesis.tex").write_text("all of it")
    with pytest.raises(BridgeError, match=r"thesis\.tex"):
        other.save_pretrained(folder)
    assert (folder / "thesis.tex").exists()

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / CARD).write_text("mine")
    with pytest.raises(BridgeError, match="not a bridge's folder"):
        other.save_pretrained(tmp_path / "docs")
    assert (tmp_path / "docs" / CARD).read_text() == "mine"

    (tmp_path / "file").write_text("mine")
    with pytest.raises(BridgeError, match="no folder"):
        other.save_pretrained(tmp_path / "file")
    with pytest.raises(BridgeError, match="cannot be written"):
        other.save_pretrained(tmp_path / "file" / "below")

    (tmp_path / "empty").mkdir()
    other.save_pretrained(tmp_path / "empty")
    other.save_pretrained(tmp_path / "new" / "and" / "deep")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bridge", "docs", "empty", "file", "new"]


def test_a_failing_write_leaves_the_old_bridge(folder, bridge, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    before = (folder / WEIGHTS).read_bytes()
    monkeypatch.setattr("ltzoo.bridge.folder.save_file", fail)
    with pytest.raises(BridgeError, match="No space left"):
        make_bridge(seed=1).save_pretrained(folder)
    assert (folder / WEIGHTS).read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["bridge"]


def test_references_are_explicit(folder):
    with pytest.raises(UnknownBridgeError, match="no bridge") as caught:
        Bridge.from_pretrained(str(folder))
    assert f"local:{folder}" in caught.value.hint
    with pytest.raises(UnknownBridgeError, match="no bridge there"):
        Bridge.from_pretrained(f"local:{folder / 'nowhere'}")
    with pytest.raises(UnknownBridgeError, match="no such folder"):
        Bridge.from_pretrained(folder / "nowhere")


def test_loading_checks_the_models_that_are_installed(bridge, folder, monkeypatch):
    class Installed:
        models: ClassVar = {"toy/b": bridge.config.models[1].spec}

    monkeypatch.setattr("ltzoo.bridge.loading.default_zoo", Installed)
    assert load_bridge(f"local:{folder}").config == bridge.config
    Installed.models = {"toy/b": replace(bridge.config.models[1].spec, adapter_version=2)}
    with pytest.raises(FingerprintError, match="other weights of toy/b"):
        load_bridge(folder)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BridgeError, match=name):
        Bridge.from_pretrained(folder)


def test_the_card_is_not_needed(folder):
    (folder / CARD).unlink()
    Bridge.from_pretrained(folder)


def edit(folder: Path, change) -> None:
    data = json.loads((folder / CONFIG).read_text())
    change(data)
    (folder / CONFIG).write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda c: c.update(format_version=2), BridgeError, "format version 2"),
        (lambda c: c.pop("format_version"), BridgeError, "format version None"),
        (lambda c: c.update(flavour=1), SpecError, "unknown key 'flavour'"),
        (lambda c: c["models"].pop(), SpecError, "models"),
        (lambda c: c["models"][0].update(fingerprint="0" * 64), SpecError, "fingerprint"),
        (lambda c: c["models"].append(c["models"][0]), SpecError, "listed twice"),
        (lambda c: c["architecture"].update(sizes=[4, 5]), SpecError, "does not become 5"),
        (lambda c: c["architecture"].update(classes=4), SpecError, "classes"),
        (lambda c: c["architecture"].update(width=2**30), SpecError, "width"),
        (lambda c: c["architecture"].update(layers=10**6), SpecError, "layers"),
        (lambda c: c["architecture"].update(width=8192), BridgeError, "has shape"),
        (lambda c: c["architecture"].update(layers=64), BridgeError, "has no tensor"),
        (lambda c: c["architecture"].update(layers=1), BridgeError, "unknown tensor"),
        (lambda c: c["architecture"].update(classifier="gated"), (BridgeError, SpecError), "has no"),
        (lambda c: c["labels"]["models"].pop("toy/a"), SpecError, "label map"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(folder, change, error, message):
    edit(folder, change)
    with pytest.raises(error, match=message):
        Bridge.from_pretrained(folder)


def test_a_newer_format_says_what_to_do(folder):
    edit(folder, lambda config: config.update(format_version=7))
    with pytest.raises(BridgeError) as caught:
        Bridge.from_pretrained(folder)
    assert caught.value.hint == "pip install -U ltzoo"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update(mean_0=torch.tensor([0.0, math.nan, 0.0, 0.0])), "'mean_0' has NaN"),
        (lambda t: t.update(scale_1=torch.zeros(4)), "'scale_1' must be above zero"),
        (lambda t: t.update(mean_0=torch.zeros(5)), "'mean_0' has shape"),
        (lambda t: t.update(mean_0=torch.zeros(4, dtype=torch.float64)), "of type F64"),
        (lambda t: t.update(mean_0=torch.zeros(4, dtype=torch.int32)), "of type I32"),
        (lambda t: t.pop("mean_0"), "no tensor 'mean_0'"),
        (lambda t: t.update(extra=torch.zeros(1)), "unknown tensor 'extra'"),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, change, message):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(BridgeError, match=message):
        Bridge.from_pretrained(folder)


def test_a_huge_config_is_not_read(folder):
    (folder / CONFIG).write_bytes(b" " * (17 * 2**20))
    with pytest.raises(BridgeError, match="larger than 16 MiB"):
        Bridge.from_pretrained(folder)


def loads_or_refuses(folder: Path) -> None:
    try:
        bridge = Bridge.from_pretrained(folder)
    except LtzooError:
        return
    z = bridge.translate(latents(), source=bridge.models[0], target=bridge.models[1])
    assert z.shape == (5, bridge.config.architecture.sizes[1])


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def paths(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(item, (*path, key))


@FUZZ
@given(data=st.data())
def test_any_value_anywhere_in_the_config_loads_or_is_refused(folder, bridge, data):
    config = {"root": bridge.config.to_dict()}
    *parents, key = ("root", *data.draw(st.sampled_from(list(paths(config["root"])))))
    place = config
    for parent in parents:
        place = place[parent]
    place[key] = data.draw(JSON)
    (folder / CONFIG).write_text(json.dumps(config["root"]))
    loads_or_refuses(folder)


@FUZZ
@given(data=st.data())
def test_any_change_of_bytes_loads_or_is_refused(folder, bridge, data):
    name = data.draw(st.sampled_from([CONFIG, WEIGHTS]))
    bridge.save_pretrained(folder)
    content = bytearray((folder / name).read_bytes())
    # Mostly in the header: the weights themselves are any numbers.
    place = data.draw(st.integers(0, min(len(content), 4000) - 1))
    content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    (folder / name).write_bytes(content[: data.draw(st.sampled_from([len(content), place]))])
    loads_or_refuses(folder)


# config and card


def test_metrics_are_finite():
    with pytest.raises(SpecError, match="not finite"):
        Metric(name="transfer accuracy", source="toy/a", target="toy/b", value=math.nan)


def test_the_card_says_what_is_known(bridge, tmp_path):
    metric = Metric(
        name="transfer | accuracy",
        source="toy/a",
        target="toy/b",
        value=0.87654,
        std=0.0123,
        seeds=3,
        n=2000,
        command="ltzoo eval local:x",
    )
    config = replace(bridge.config, metrics=(metric,))
    assert BridgeConfig.from_json(config.to_json()) == config
    Bridge(config, bridge.network).save_pretrained(tmp_path / "bridge")
    card = (tmp_path / "bridge" / CARD).read_text("utf-8")
    assert card.startswith("---\nlibrary_name: ltzoo\n")
    for text in (
        "# Bridge: toy/a ↔ toy/b",
        "| transfer \\| accuracy | toy/a → toy/b | 0.8765 ± 0.012 | 3 | 2000 | `ltzoo eval local:x` |",
        "| class 1 | class 1 | class 1 |",
        "Labels were joined by equal names",
        'source="toy/a", target="toy/b"',
        f"| recipe | {bridge.config.recipe.name} |",
    ):
        assert text in card


def test_the_cards_front_matter_is_yaml():
    import yaml

    from ltzoo.bridge.card import card_text

    config = make_config()
    front = yaml.safe_load(card_text(config).split("---\n")[1])
    joins = [f"joins:{end.spec.id}" for end in config.models]
    assert front == {"library_name": "ltzoo", "tags": ["ltzoo", "latent-translation", "array", *joins]}


@pytest.mark.parametrize(
    "text", ["\x7f", "\x85", "\x9b1m", "a\u2028b", "\ufffe", "a: b\n---\n", "\"'", "\U0001f600", "# x"]
)
def test_no_text_of_a_metric_breaks_the_front_matter(text):
    import yaml

    from ltzoo.bridge.card import card_text
    from ltzoo.bridge.config import Metric

    config = make_config()
    metrics = (Metric(name=text, source=text, target="toy/b", value=1.0),)
    front = yaml.safe_load(card_text(replace(config, metrics=metrics)).split("---\n", 2)[1])
    (result,) = front["model-index"][0]["results"]
    assert result["metrics"][0]["type"] == result["dataset"]["type"] == text


def test_listing_needs_no_torch():
    code = (
        "import sys, ltzoo.bridge as b; from ltzoo.bridge import card, report;"
        "b.list_recipes(); b.get_recipe(); b.BridgeConfig; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_everything_that_is_exported_is_there():
    import ltzoo.bridge

    for name in ltzoo.bridge.__all__:
        assert getattr(ltzoo.bridge, name).__module__.startswith("ltzoo.bridge.")
    with pytest.raises(AttributeError):
        getattr(ltzoo.bridge, "nothing")  # noqa: B009
