"""Training: what comes out, what is refused, and going on after an interruption."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bridge_samples import make_latents, make_spec, plain_recipe, tiny_recipe

from ltzoo.bridge import Bridge, TrainingReport, train_bridge
from ltzoo.bridge.run import Run, learning_rate
from ltzoo.errors import FingerprintError, LatentsError, TrainingError, UsageError

pytestmark = pytest.mark.usefixtures("one_thread")

A, B, C = make_spec("a"), make_spec("b"), make_spec("c", size=6)
PAIR = [make_latents(A), make_latents(B, seed=1)]


def train(latents=PAIR, models=(A, B), **options):
    options.setdefault("recipe", tiny_recipe())
    return train_bridge(latents, models=models, **options)


BOTH = pytest.mark.parametrize("recipe", [tiny_recipe, plain_recipe])


def same_weights(one: Bridge, other: Bridge) -> bool:
    theirs = other.network.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.network.state_dict().items())


@BOTH
def test_a_bridge_learns_the_classes(recipe):
    """Three clusters in 4 dimensions, elsewhere for each model: translations land in the right one."""
    bridge, report = train(recipe=recipe(steps=300, width=32, batch=30, learning_rate=5e-3))
    for source, target in ((0, 1), (1, 0)):
        fresh = PAIR[source]
        z = bridge.translate(fresh.latents, source=fresh.model, target=PAIR[target].model)
        centres = torch.stack([PAIR[target].latents[PAIR[target].labels == c].mean(dim=0) for c in range(3)])
        assert (torch.cdist(z, centres).argmin(dim=1) == fresh.labels).double().mean() > 0.95
        guesses = bridge.classify(fresh.latents, source=fresh.model).argmax(dim=1)
        assert (guesses == fresh.labels).double().mean() > 0.95
    assert report.losses[-1].loss < report.losses[0].loss
    assert [row.model for row in report.held_out] == ["toy/a", "toy/b"]
    assert all(row.items == 6 and row.reconstruction_r2 > 0.5 for row in report.held_out)


def test_the_report_is_a_record():
    bridge, report = train(seed=4, labels="none")
    assert (report.steps, report.seed, report.device, report.resumed_at) == (30, 4, "cpu", None)
    assert [row.step for row in report.losses] == list(range(1, 31))
    assert "without labels" in report.notes[0]
    assert TrainingReport.from_json(report.to_json()) == report
    assert bridge.config.trained.seed == 4
    assert [one.items for one in bridge.config.trained.latents] == [54, 54]
    assert bridge.config.trained.latents[0].license == "CC0-1.0"


@BOTH
def test_training_depends_on_the_seed_alone(recipe):
    torch.manual_seed(0)
    first, _ = train(seed=1, recipe=recipe())
    torch.manual_seed(9)
    assert same_weights(first, train(seed=1, recipe=recipe())[0])
    assert not same_weights(first, train(seed=2, recipe=recipe())[0])


@BOTH
def test_three_models_of_unequal_sizes(recipe):
    sets = [*PAIR, make_latents(C, seed=2)]
    bridge, report = train(sets, (A, B, C), recipe=recipe())
    assert bridge.models == ("toy/a", "toy/b", "toy/c")
    for source in sets:
        for target in sets:
            z = bridge.translate(source.latents, source=source.model, target=target.model)
            assert z.shape == target.latents.shape
            assert bool(z.isfinite().all())
    assert len(report.held_out) == 3


@BOTH
def test_unlabelled_models_train_without_classes(recipe):
    bridge, report = train([PAIR[0], make_latents(B, labelled=False)], recipe=recipe())
    assert bridge.config.labels.classes == ()
    assert bridge.config.architecture.classes == 0
    assert not {"classifier", "recognition", "inference"} & set(report.losses[0].terms)


@pytest.mark.parametrize("head", ["trained", "frozen"])
def test_the_head_is_trained_or_frozen(head):
    start, _ = train(recipe=plain_recipe(steps=1, classifier_head=head))
    end, _ = train(recipe=plain_recipe(steps=10, classifier_head=head))
    unchanged = torch.equal(start.network.classifier.weight, end.network.classifier.weight)
    assert unchanged == (head == "frozen")


def test_the_papers_recipe_trains():
    from ltzoo.bridge import get_recipe

    recipe = get_recipe("tian-engel-2019", steps=2, width=16, projections=16, batch=32)
    bridge, _ = train(recipe=recipe)
    assert torch.equal(bridge.network.get_buffer("scale_0"), torch.ones(4))
    assert bridge.config.architecture.classifier == "gated"


def test_rates():
    recipe = tiny_recipe(steps=100, learning_rate=1.0)
    rates = [learning_rate(recipe, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.04)
    assert max(rates) == rates[10] == 1.0
    assert rates[99] < 0.001
    assert learning_rate(tiny_recipe(schedule="constant", learning_rate=0.5), 77) == 0.5
    assert learning_rate(tiny_recipe(steps=1), 0) > 0


def spoilt(row: int, value: float):
    latents = PAIR[0].latents.clone()
    latents[row, 2] = value
    return replace(PAIR[0], latents=latents)


ONE_CLASS = [make_latents(A, classes=1), make_latents(B, classes=1)]
CONSTANT = replace(PAIR[0], latents=torch.ones(60, 4), std=None)


@pytest.mark.parametrize(
    ("latents", "models", "options", "error", "message"),
    [
        (PAIR[:1], (A,), {}, TrainingError, "at least two models"),
        (PAIR[:1], (A, B), {}, TrainingError, "2 models need as many latent sets"),
        ([PAIR[0], PAIR[0]], (A, A), {}, TrainingError, "named twice"),
        (PAIR[::-1], (A, B), {}, FingerprintError, "are not those of toy/a"),
        ([spoilt(7, float("nan")), PAIR[1]], (A, B), {}, LatentsError, "row 7 has NaN"),
        ([spoilt(3, float("inf")), PAIR[1]], (A, B), {}, LatentsError, "row 3 has NaN"),
        ([make_latents(A, items=3), PAIR[1]], (A, B), {}, TrainingError, "too few"),
        (
            [make_latents(A, names=("x", "y", "z", "w")), PAIR[1]],
            (A, B),
            {},
            TrainingError,
            "cannot be joined",
        ),
        (
            ONE_CLASS,
            (A, B),
            {"labels": {s.id: {"class 0": "c"} for s in (A, B)}},
            TrainingError,
            "one class only",
        ),
        (PAIR, (A, B), {"seed": -1}, UsageError, "seed"),
        (PAIR, (A, B), {"recipe": "defualt"}, UsageError, "no recipe"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(latents, models, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        train(latents, models, checkpoint=tmp_path / "run", **options)
    assert list(tmp_path.iterdir()) == []


@BOTH
def test_constant_latents_train_to_something_finite(recipe):
    bridge, _ = train([CONSTANT, PAIR[1]], recipe=recipe())
    z = bridge.translate(PAIR[1].latents, source="toy/b", target="toy/a")
    assert bool(z.isfinite().all())


def test_divergence_saves_nothing(tmp_path):
    recipe = plain_recipe(learning_rate=10.0, steps=2000, normalization="none", schedule="constant")
    huge = [replace(one, latents=one.latents * 1e18) for one in PAIR]
    with pytest.raises(TrainingError, match="diverged") as caught:
        train(huge, recipe=recipe, checkpoint=tmp_path / "run", checkpoint_seconds=0)
    assert "learning_rate" in caught.value.hint
    for path in tmp_path.iterdir():
        from safetensors.torch import load_file

        assert all(bool(tensor.isfinite().all()) for tensor in load_file(path).values())


class Stop(Exception):
    pass


def stop_at(monkeypatch, step: int) -> None:
    advance = Run.advance

    def advance_or_stop(run):
        if run.step == step:
            raise Stop
        advance(run)

    monkeypatch.setattr(Run, "advance", advance_or_stop)


@pytest.fixture
def stopped(tmp_path, monkeypatch) -> Path:
    """The checkpoint of a run that stopped after 17 of 30 steps."""
    path = tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch:
        stop_at(patch, 17)
        with pytest.raises(Stop):
            train(checkpoint=path, checkpoint_seconds=0)
    return path


def test_a_stopped_run_goes_on_to_the_same_weights_and_losses(stopped):
    whole, report = train()
    resumed, again = train(checkpoint=stopped)
    assert again.resumed_at == 17
    assert same_weights(whole, resumed)
    assert report.losses == again.losses
    finished, third = train(checkpoint=stopped)
    assert third.resumed_at == 30
    assert same_weights(whole, finished)


def test_not_resuming_starts_anew(stopped):
    bridge, report = train(checkpoint=stopped, resume=False)
    assert report.resumed_at is None
    assert same_weights(bridge, train()[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "seed"),
        ({"recipe": tiny_recipe(steps=31)}, "recipe differ.*steps 30 there"),
        ({"labels": "none"}, "latents differ"),
        ({"latents": [PAIR[0], make_latents(B, seed=5)]}, "latents differ"),
        ({"latents": [PAIR[0], make_latents(C)], "models": (A, C)}, "models differ"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_kept(stopped, options, message):
    before = stopped.read_bytes()
    with pytest.raises(TrainingError, match=message) as caught:
        train(checkpoint=stopped, **options)
    assert str(stopped) in caught.value.hint
    assert stopped.read_bytes() == before


@pytest.mark.parametrize("spoil", ["cut", "empty", "text", "flip", "foreign"])
def test_a_damaged_checkpoint_is_refused(stopped, spoil):
    data = stopped.read_bytes()
    if spoil == "foreign":
        from safetensors.torch import save_file

        save_file({"x": torch.zeros(1)}, stopped)
    else:
        changed = {"cut": data[:-9], "empty": b"", "text": b"hello" * 100, "flip": data[:8] + b"[" + data[9:]}
        stopped.write_bytes(changed[spoil])
    with pytest.raises(TrainingError, match=r"run\.checkpoint"):
        train(checkpoint=stopped)


def test_a_checkpoint_that_cannot_be_written_ends_the_run_clearly(tmp_path):
    with pytest.raises(TrainingError, match="cannot be written"):
        train(checkpoint=tmp_path / "no" / "such" / "folder", checkpoint_seconds=0)


def test_ctrl_c_leaves_a_checkpoint_and_resuming_ends_the_same(tmp_path, monkeypatch):
    path, advance = tmp_path / "run", Run.advance

    def advance_and_press(run):
        if run.step == 11:
            os.kill(os.getpid(), signal.SIGINT)
        advance(run)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", advance_and_press)
        with pytest.raises(KeyboardInterrupt):
            train(checkpoint=path, checkpoint_seconds=1e9)
        with pytest.raises(KeyboardInterrupt):
            train()  # without a checkpoint there is nothing to keep
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    bridge, report = train(checkpoint=path)
    assert report.resumed_at == 12
    assert same_weights(bridge, train()[0])


def test_another_thread_may_train():
    found = []
    thread = threading.Thread(target=lambda: found.append(train()[0]))
    thread.start()
    thread.join()
    assert same_weights(found[0], train()[0])


SCRIPT = """
import sys
import torch
torch.set_num_threads(1)
from bridge_samples import make_latents, make_spec, tiny_recipe
from ltzoo.bridge import train_bridge
specs = [make_spec("a"), make_spec("b")]
sets = [make_latents(specs[0]), make_latents(specs[1], seed=1)]
print("ready", flush=True)
bridge, report = train_bridge(
    sets, models=specs, recipe=tiny_recipe(steps=400), checkpoint=sys.argv[1], checkpoint_seconds=0
)
bridge.save_pretrained(sys.argv[2])
"""


def start(checkpoint: Path, out: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", SCRIPT, str(checkpoint), str(out)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen) -> int:
    process.stdout.close()
    return process.wait(timeout=120)


@pytest.mark.slow
def test_killing_at_ten_random_moments_changes_nothing(tmp_path):
    assert finish(start(tmp_path / "undisturbed", tmp_path / "whole")) == 0
    rng, kills, span = random.Random(0), 0, 0.25
    while kills < 10:
        process = start(tmp_path / "run", tmp_path / "resumed")
        time.sleep(rng.uniform(0, span))
        if process.poll() is None:
            process.kill()
            kills += finish(process) == -signal.SIGKILL
        else:  # it got to its end before it could be killed: begin again, and kill sooner
            finish(process)
            (tmp_path / "run").unlink()
            span /= 2
    assert finish(start(tmp_path / "run", tmp_path / "resumed")) == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "resumed")]
    assert weights[0] == weights[1]
