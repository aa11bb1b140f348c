"""Several processes that train one bridge: as one process does, with one checkpoint, one folder and one voice."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from launching import found, launch, ours
from safetensors import safe_open
from safetensors.torch import load_file
from toy_plugin import toy_zoo
from training_processes import RUNS, Patched, gradients, train

from ltzoo.bridge.interruption import Interruption
from ltzoo.bridge.sharding import share_of_rows
from ltzoo.distributed import World
from ltzoo.zoo import set_default_zoo

pytestmark = pytest.mark.usefixtures("one_thread")

SCRIPT = "training_processes.py"
CLOSE = 1e-5
"""Products of matrices with fewer rows are summed in another order: losses agree to about 2e-7 of their size."""


@pytest.mark.parametrize(("rows", "classes"), [(500, 10), (15, 3), (6, 3), (32, 3), (7, 0), (1, 0)])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_rows_are_shared_in_whole_turns(rows, classes, size):
    shares = [share_of_rows(rows, classes, World(rank, size)) for rank in range(size)]
    assert [row for first, stop in shares for row in range(first, stop)] == list(range(rows))
    turn = classes if classes and rows % classes == 0 else 1
    assert all(edge % turn == 0 for share in shares for edge in share)
    counts = [stop - first for first, stop in shares]
    assert max(counts) - min(counts) <= turn


def same_losses(one: dict, other: dict) -> bool:
    assert [row["step"] for row in one["losses"]] == [row["step"] for row in other["losses"]]
    return all(
        a["terms"].keys() == b["terms"].keys()
        and math.isclose(a["loss"], b["loss"], rel_tol=CLOSE)
        and all(math.isclose(a["terms"][term], b["terms"][term], rel_tol=CLOSE) for term in a["terms"])
        for a, b in zip(one["losses"], other["losses"], strict=True)
    )


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.allclose(one[name], other[name], rtol=CLOSE, atol=CLOSE) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_train_as_one_does(tmp_path, processes):
    results = found(launch(SCRIPT, "same", tmp_path, processes=processes), tmp_path, processes)
    for name in RUNS:
        bridge, report = train(name)
        reports = [result[name]["report"] for result in results]
        assert same_losses(report.to_dict(), reports[0]), name
        # To the last bit, or their weights would drift apart.
        assert all(one["losses"] == reports[0]["losses"] for one in reports)
        weights = [load_file(tmp_path / f"{name}.{rank}") for rank in range(processes)]
        assert same_tensors(bridge.network.state_dict(), weights[0]), name
        assert all(torch.equal(weights[0][key], one[key]) for one in weights for key in weights[0])
        assert bridge.config.trained.processes is None
        assert {result[name]["trained"]["processes"] for result in results} == {processes}
    alone = gradients()
    for rank in range(processes):
        theirs = load_file(tmp_path / f"gradients.{rank}")
        assert all(torch.allclose(alone[name], theirs[name], rtol=1e-9) for name in alone)


def test_alone_only_ctrl_c_is_deferred():
    def handlers() -> list:
        return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    before = handlers()
    for size, differ in ((1, [True, False]), (2, [True, True])):
        with Interruption(World(size=size)).deferred():
            assert [now is not then for now, then in zip(handlers(), before, strict=True)] == differ
        assert handlers() == before


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def steps_done(checkpoint: Path) -> int:
    with safe_open(checkpoint, framework="pt") as file:
        return json.loads(file.metadata()["ltzoo_checkpoint"])["state"]["step"]


@pytest.mark.slow
def test_an_interrupted_run_stops_everywhere_and_goes_on_with_any_number_of_processes(tmp_path):
    begun = tmp_path / "begun by one.checkpoint"
    with Patched(0, 7, press), pytest.raises(KeyboardInterrupt):
        train("default", checkpoint=begun)
    main, other = found(launch(SCRIPT, "interrupted", tmp_path), tmp_path)
    for name in ("term", "ctrl-c"):
        # Which of them is the first to end is a matter of chance.
        assert sorted([main[name][0], other[name][0]]) == ["ElsewhereError", "KeyboardInterrupt"]
        assert main[f"{name} kept"]
    assert main["handlers"] == other["handlers"] == [True, True]
    whole, report = train("default")
    for name, step in (("resumed", 12), ("begun by one", 8)):
        assert main[name]["resumed_at"] == other[name]["resumed_at"] == step
        assert main[name]["losses"] == other[name]["losses"]
        assert same_losses(report.to_dict(), main[name])
        for rank in range(2):
            assert same_tensors(whole.network.state_dict(), load_file(tmp_path / f"{name}.{rank}"))
    assert not (tmp_path / "elsewhere").exists()
    resumed, again = train("default", checkpoint=tmp_path / "ctrl-c.checkpoint")
    assert again.resumed_at == 12
    assert same_losses(report.to_dict(), again.to_dict())
    assert same_tensors(whole.network.state_dict(), resumed.network.state_dict())


@pytest.mark.slow
def test_if_one_fails_all_do(tmp_path):
    results = found(launch(SCRIPT, "failing", tmp_path), tmp_path)
    for rank in (0, 1):
        assert results[rank][f"failing {rank}"] == ["TrainingError", "this one fails"]
        assert results[1 - rank][f"failing {rank}"][0] == "ElsewhereError"
    main, other = results
    assert other["differ"] == ["TrainingError", "process 1 would train another bridge than process 0"]
    assert (main["damaged"][0], other["damaged"][0]) == ("TrainingError", "ElsewhereError")
    assert (tmp_path / "run").read_text() == "no checkpoint"


@pytest.fixture
def data(tmp_path, ltzoo):
    """Latents of two toy models."""
    set_default_zoo(toy_zoo())
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(60) % 2)
    for name in ("a", "b"):
        assert ltzoo("encode", f"toy/{name}", str(tmp_path / "data.npz"), "-o", str(tmp_path / name))[0] == 0
    return tmp_path


def arguments(folder, output: str, **changes) -> list[str]:
    fields = {"steps": 10, "batch": 12, "width": 16, "projections": 8, **changes}
    sets = [word for name in ("a", "b") for word in ("--data", f"toy/{name}={folder / name}")]
    recipe = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
    models = ["toy/a", "toy/b", "--recipe", "tian-engel-2019"]
    return ["train", *models, *sets, *recipe, "-o", str(folder / output)]


@pytest.mark.slow
def test_the_command_trains_writes_and_says_once(data, ltzoo):
    assert ltzoo(*arguments(data, "one"))[0] == 0
    before = set(os.listdir(data))
    run = launch(SCRIPT, "command", data, *arguments(data, "two"), "--json")
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert document["output"] == str(data / "two")
    assert ours(run.stderr) == []
    assert set(os.listdir(data)) - before == {"two"}
    assert same_tensors(load_file(data / "one/model.safetensors"), load_file(data / "two/model.safetensors"))
    assert json.loads((data / "two/config.json").read_text())["trained"]["processes"] == 2
    assert "2 processes of 1 threads" in (data / "two/README.md").read_text()


@pytest.mark.slow
def test_ctrl_c_on_the_launcher_leaves_a_checkpoint_that_one_process_may_take_up(data, ltzoo, monkeypatch):
    monkeypatch.setenv("PRESS", "5")
    endless = arguments(data, "two", steps=10**6)
    run = launch(SCRIPT, "command", data, *endless)
    assert run.returncode != 0
    assert run.stdout == ""
    note, error = ours(run.stderr)
    assert (
        note
        == f"ltzoo: the checkpoint is {data}/two.checkpoint.safetensors; give the same command again to go on"
    )
    assert error == "ltzoo: interrupted"
    assert not (data / "two").exists()
    before = steps_done(data / "two.checkpoint.safetensors")
    assert before > 5
    with Patched(0, None, press):
        assert ltzoo(*endless)[0] == 130
    assert steps_done(data / "two.checkpoint.safetensors") == before + 1
