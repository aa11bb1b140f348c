"""Measuring a bridge between installed models, from Python and from the command line."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

import evaluation_plugin
import pytest
import torch
from bridge_samples import tiny_recipe
from evaluation_world import A, B, make_latents, make_spec

from ltzoo.bridge import Bridge, train_bridge
from ltzoo.errors import FingerprintError, LtzooError, UsageError
from ltzoo.evaluation import MEASURES, Evaluation, Protocol, evaluate_bridge
from ltzoo.evaluation.recording import record
from ltzoo.zoo import set_default_zoo

PROTOCOL = Protocol(seeds=(0, 1), paths=10, draws=20, frechet_draws=10)
WITHOUT = {"psnr", "ssim", "log_spectral_distance"}  # the data are arrays


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("ltzoo.evaluation.classifier.STEPS", 40)


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    zoo = evaluation_plugin.ship(tmp_path)
    set_default_zoo(zoo)
    return zoo


def trained(**options) -> Bridge:
    return train_bridge(
        [make_latents(A), make_latents(B)],
        models=[make_spec(A), make_spec(B)],
        recipe=tiny_recipe(),
        **options,
    )[0]


@pytest.fixture(scope="module")
def bridge() -> Bridge:
    return trained()


@pytest.fixture
def folder(bridge, tmp_path) -> Path:
    bridge.save_pretrained(tmp_path / "bridge", dtype=torch.float16)
    return tmp_path / "bridge"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without_times(document: str) -> str:
    data = json.loads(document)
    del data["seconds"]
    for direction in data["directions"]:
        del direction["seconds"]
    return json.dumps(data)


def test_every_direction_is_measured(zoo, bridge):
    told = []
    found = evaluate_bridge(
        bridge, name="local:x", zoo=zoo, protocol=PROTOCOL, progress=lambda share, what: told.append(share)
    )
    assert [(one.source, one.target) for one in found.directions] == [(A, B), (B, A)]
    for direction in found.directions:
        assert {figure.name for figure in direction.figures} == {m.name for m in MEASURES} - WITHOUT
    assert found.notes == ()
    assert Evaluation.from_json(found.to_json()) == found
    assert told == sorted(told)
    assert told[-1] < 1
    again = evaluate_bridge(bridge, name="local:x", zoo=zoo, protocol=PROTOCOL)
    assert without_times(again.to_json()) == without_times(found.to_json())


def test_a_bridge_without_classes_is_scored_by_equal_names(zoo):
    found = evaluate_bridge(trained(labels="none"), name="local:x", zoo=zoo, protocol=PROTOCOL)
    assert "trained without labels; classes of equal names are scored" in found.notes[0]
    assert found.directions[0].value("transfer_accuracy") is not None


def test_other_weights_are_refused(zoo, bridge, monkeypatch):
    other = [make_spec(A, adapter_version=2, loader="evaluation_plugin:load"), make_spec(B)]
    monkeypatch.setattr(zoo, "_models", {spec.id: spec for spec in other})
    with pytest.raises(FingerprintError, match="other weights of toy/a"):
        evaluate_bridge(bridge, name="local:x", zoo=zoo)


def test_without_shipped_latents_some_must_be_given(zoo, bridge):
    evaluation_plugin.datasets.clear()  # before the zoo has asked for them
    with pytest.raises(UsageError, match="no installed data set ships latents of toy/a"):
        evaluate_bridge(bridge, name="local:x", zoo=zoo)


def test_without_a_judge_and_pairs_nothing_can_be_said(tmp_path, monkeypatch, bridge):
    monkeypatch.syspath_prepend(tmp_path)
    zoo = evaluation_plugin.ship(tmp_path, judge=False, keys=None, keys_of=None)
    with pytest.raises(LtzooError, match="cannot be measured: there is no judge for the data of toy/b"):
        evaluate_bridge(bridge, name="local:x", zoo=zoo)


def test_figures_are_recorded_and_weights_kept(zoo, bridge, folder):
    loaded = Bridge.from_pretrained(folder)
    found = evaluate_bridge(loaded, name="local:x", zoo=zoo, protocol=PROTOCOL)
    weights = digest(folder / "model.safetensors")
    record(loaded, found, folder, command="ltzoo eval local:x --write")
    record(Bridge.from_pretrained(folder), found, folder, command="ltzoo eval local:x --write")
    assert digest(folder / "model.safetensors") == weights
    metrics = Bridge.from_pretrained(folder).config.metrics
    assert [(m.name, m.source, m.target, m.value, m.std) for m in metrics] == [
        (f.name, f.source, f.target, f.value, f.std) for f in found.figures
    ]
    assert {m.command for m in metrics} == {"ltzoo eval local:x --write"}
    assert "transfer_accuracy" in (folder / "README.md").read_text("utf-8")


def test_rows_for_the_registry(zoo, bridge):
    found = evaluate_bridge(bridge, name="local:x", zoo=zoo, protocol=PROTOCOL)
    row = found.figures[0].row()
    assert (row.name, row.source, row.target) == ("transfer_accuracy", A, B)
    assert row.value == found.directions[0].value("transfer_accuracy")


# The command


@pytest.fixture
def quick_protocol(monkeypatch):
    """The command's own protocol, with fewer draws."""
    few = functools.partial(Protocol, paths=10, draws=20, frechet_draws=10)
    monkeypatch.setattr("ltzoo.evaluation.protocol.Protocol", few)


def test_the_table(zoo, folder, ltzoo, quick_protocol):
    code, out, err = ltzoo("eval", f"local:{folder}", "--items", "80")
    assert code == 0
    header, *rows = out.splitlines()
    assert header.split("  ")[0] == "MEASURE"
    assert len(rows) == 2 * (len(MEASURES) - len(WITHOUT))
    assert rows[0].split()[:4] == ["transfer_accuracy", A, "->", B]
    assert " 80 " in rows[0]
    assert "not measured: psnr, ssim (toy/b does not decode to image)" in err


def test_the_json(zoo, folder, ltzoo, quick_protocol):
    code, out, _ = ltzoo("eval", f"local:{folder}", "--json", "--seed", "5")
    assert code == 0
    document = json.loads(out)
    assert document.pop("schema") == "ltzoo/evaluation/1"
    found = Evaluation.from_dict(document)
    assert found.protocol.seeds == (5, 6, 7)
    assert found.bridge == f"local:{folder}"


def test_a_gate_that_is_kept_and_one_that_is_not(zoo, folder, ltzoo, quick_protocol):
    code, _, _ = ltzoo("eval", f"local:{folder}", "--require", "transfer_accuracy>=0,fid>=0")
    assert code == 0
    code, out, err = ltzoo("eval", f"local:{folder}", "--require", "transfer_accuracy>=0,recall>1")
    assert code == 1
    assert out.startswith("MEASURE")
    assert "toy/a -> toy/b: recall is" in err
    assert "toy/b -> toy/a: recall is" in err
    assert "transfer_accuracy is" not in err


def test_writing(zoo, folder, ltzoo, quick_protocol):
    weights = digest(folder / "model.safetensors")
    code, _, _ = ltzoo("eval", f"local:{folder}", "--write")
    assert code == 0
    assert digest(folder / "model.safetensors") == weights
    assert Bridge.from_pretrained(folder).config.metrics[0].name == "transfer_accuracy"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--require", "nothing"), "'nothing' is not a requirement"),
        (("--require", "fit>1"), "did you mean fid?"),
        (("--data", "toy/c=x"), "not MODEL=FILE"),
        (("--items", "1"), "--items"),
    ],
)
def test_usage_errors(zoo, folder, ltzoo, arguments, message):
    code, out, err = ltzoo("eval", f"local:{folder}", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_only_local_bridges_are_written(zoo, ltzoo):
    code, _, err = ltzoo("eval", "hf:org/repo@" + "0" * 40, "--write")
    assert code == 2
    assert "--write changes the bridge's files" in err


def test_a_missing_bridge(zoo, ltzoo, tmp_path):
    code, _, err = ltzoo("eval", f"local:{tmp_path / 'none'}")
    assert code == 2
    assert "no bridge there" in err
