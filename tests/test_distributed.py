"""Several processes that do one job: what they tell each other, and encoding as one process does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import launching
import numpy as np
import pytest
import torch
from fakes import IMAGE, VARYING, FakeModel, model_spec
from hypothesis import given
from hypothesis import strategies as st
from launching import found, ours
from PIL import Image
from toy_plugin import toy_zoo

from ltzoo.distributed import World, first_to_say, is_main, process_group
from ltzoo.errors import ElsewhereError, UsageError
from ltzoo.latents import encode_to_file
from ltzoo.latents.spans import count, missing, shares, union
from ltzoo.media import ArrayItems, open_items
from ltzoo.zoo import set_default_zoo

pytestmark = pytest.mark.usefixtures("one_thread")

# Waiting


def test_a_barrier_lets_through_whoever_comes_before_a_failure():
    store = torch.distributed.HashStore()
    world = World(0, 2, store=store)

    def the_other_comes_goes_on_and_fails() -> None:
        store.add("barriers/1", 1)
        store.add("failures", 1)

    world.barrier(the_other_comes_goes_on_and_fails)
    with pytest.raises(ElsewhereError):
        world.barrier()


# Spans

TOTAL = 30
SPANS = st.lists(
    st.tuples(st.integers(0, TOTAL - 1), st.integers(1, 8)).map(
        lambda pair: (pair[0], min(TOTAL, sum(pair)))
    ),
    max_size=6,
)


def rows(spans) -> set[int]:
    return {row for first, stop in spans for row in range(first, stop)}


@given(SPANS)
def test_spans_are_sets_of_rows(spans):
    joined = union(spans)
    assert rows(joined) == rows(spans)
    assert all(before[1] < after[0] for before, after in pairwise(joined))
    assert count(spans) == len(rows(spans))
    gaps = missing(spans, TOTAL)
    assert rows(gaps) == set(range(TOTAL)) - rows(spans)
    assert gaps == union(gaps)


@given(SPANS, st.sets(st.integers(1, TOTAL - 1)), st.integers(1, 5))
def test_shares_are_even_and_cut_where_they_may_be(spans, cuts, size):
    starts = sorted({0, *cuts})
    dealt = shares(spans, starts, size)
    assert len(dealt) == size
    everything = [row for share in dealt for first, stop in share for row in range(first, stop)]
    assert everything == sorted(rows(spans))
    edges = {edge for span in union(spans) for edge in span}
    assert {edge for share in dealt for span in share for edge in span} <= edges | set(starts)
    # No piece is longer than the longest way between two cuts.
    longest = max(b - a for a, b in zip([*starts, TOTAL], [*starts[1:], TOTAL, TOTAL], strict=False))
    assert all(count(share) <= count(spans) / size + longest for share in dealt)


# One process


def test_alone_there_is_nobody_to_wait_for(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with process_group() as world:
        assert (world.rank, world.size, world.is_main) == (0, 1, True)
        world.barrier()
        world.check()
        world.publish("x", "y")
        assert world.published("x") == {}
        tensor = torch.ones(2)
        world.sum_([tensor])
        assert tensor.tolist() == [1, 1]
        assert world.device("cuda") == "cuda"
    assert is_main()
    assert first_to_say("x")
    assert first_to_say("x")


def test_alone_torch_is_not_imported():
    code = (
        "import sys\nfrom ltzoo.distributed import process_group\n"
        "with process_group() as world: world.barrier()\nsys.exit('torch' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


@pytest.mark.parametrize(
    ("rank", "size", "local"),
    [("2", "2", "0"), ("-1", "2", "0"), ("one", "2", "0"), ("0", "0", "0"), ("0", "2", "x")],
)
def test_an_environment_that_makes_no_sense(monkeypatch, rank, size, local):
    for name, value in (("RANK", rank), ("WORLD_SIZE", size), ("LOCAL_RANK", local)):
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"RANK={rank}, WORLD_SIZE={size}, LOCAL_RANK={local}"):
        World.from_environment()


def test_only_the_main_process_speaks(monkeypatch, capsys):
    from ltzoo.cli.output import complain, note, print_ids, print_json, print_table

    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        note("a note")
        print_ids(["id"])
        print_json("x", {})
        print_table(["TABLE"], [])
        if rank == "1":
            assert capsys.readouterr() == ("", "")
            complain("what only this one knows")
            assert capsys.readouterr().err == "ltzoo: what only this one knows\n"
    out, err = capsys.readouterr()
    assert out.split() == ["id", "{", '"schema":', '"ltzoo/x/1"', "}", "TABLE"]
    assert err == "ltzoo: a note\n"


# Two processes


def launch(scenario: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a scenario of two_processes.py in two processes."""
    return launching.launch("two_processes.py", scenario, folder, *arguments)


def test_processes_talk_sum_and_fail_together(tmp_path):
    main, other = found(launch("talk", tmp_path), tmp_path)
    assert main["world"] == [0, 2, True, "cuda:0", "cpu"]
    assert other["world"] == [1, 2, False, "cuda:1", "cpu"]
    assert (main["published"], other["published"]) == ({"1": "blue"}, {"0": "red"})
    for one in (main, other):
        assert one["early"] == []
        assert one["sums"] == [[[3.0] * 3] * 2, [0.0, 2.0, 4.0, 6.0]]
        assert (one["initialized"], one["afterwards"]) == (True, False)
        # Another group has forgotten what an earlier one was told.
        assert one["again"] == {}
        assert one["waited"] > 0.25
    assert main["polls"] > 2
    # Where both fail, the first one's error stays.
    assert sorted([main["together"][0], other["together"][0]]) == ["ElsewhereError", "LatentsError"]
    assert (main["alone"][0], other["alone"]) == ("ElsewhereError", ["LatentsError", "one"])
    assert (main["before a barrier"], other["before a barrier"][0]) == (
        ["LatentsError", "main"],
        "ElsewhereError",
    )


@pytest.fixture
def data(tmp_path):
    """An archive of 50 and 21 images, and a folder of images of varying sizes whose latents have one shape."""
    x = np.random.default_rng(0).integers(0, 256, (71, 8, 8), dtype=np.uint8)
    y = np.arange(71) % 2
    np.savez(tmp_path / "data.npz", x_train=x[:50], y_train=y[:50], x_test=x[50:], y_test=y[50:])
    (tmp_path / "images").mkdir()
    for index in range(45):
        size = (7, 5) if index in (3, 4, 5, 20, 21, 40) else (8, 6)
        pixels = np.random.default_rng(index).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{index:02d}.png")
    return tmp_path


class Interrupted(FakeModel):
    def encode(self, x):
        if len(self.batch_sizes) == 3:
            raise KeyboardInterrupt
        return super().encode(x)


def test_two_processes_encode_as_one_does(data):
    items, spec = ArrayItems(data / "data.npz", IMAGE), model_spec(stochastic=True)
    encode_to_file(FakeModel(spec), items, data / "whole", batch_size=8)
    encode_to_file(FakeModel(spec), items, data / "licensed", batch_size=8, license="MIT")
    varying = FakeModel(model_spec(data=VARYING, latent=(3, None, None)))
    encode_to_file(varying, open_items([data / "images"], VARYING), data / "varying", batch_size=8)
    with pytest.raises(KeyboardInterrupt):
        encode_to_file(Interrupted(spec), items, data / "begun by one", batch_size=8)
    before = set(os.listdir(data))

    main, other = found(launch("encode", data), data)
    assert (data / "array").read_bytes() == (data / "licensed").read_bytes()
    assert (data / "files").read_bytes() == (data / "varying").read_bytes()
    assert (data / "begun by one").read_bytes() == (data / "whole").read_bytes()
    # Each encoded about the half, and every item once.
    assert main["encoded"] + other["encoded"] == 71
    assert abs(main["encoded"] - other["encoded"]) <= 8
    assert main["progress"] == [[0, 71], [71, 71]]
    assert main["said"] == [f"{data}/begun by one.partial: going on after 24 of 71 items"]
    assert other["said"] == []

    assert (main["interrupted"][0], other["interrupted"][0]) == ("ElsewhereError", "KeyboardInterrupt")
    assert (main["broken"][0], other["broken"][0]) == ("OSError", "ElsewhereError")
    for name in ("begun by two", "broken"):
        done = json.loads((data / f"{name}.partial.json").read_text())["done"]
        # The other process's share begins at row 32.
        assert {0, 32} <= rows(done), done
        said = []
        model = FakeModel(spec)
        encode_to_file(model, items, data / name, batch_size=8, say=said.append)
        assert "going on after" in said[0]
        assert sum(model.batch_sizes) == 71 - count(map(tuple, done))
        assert (data / name).read_bytes() == (data / "whole").read_bytes()

    assert (main["unusable"][0], other["unusable"][0]) == ("ElsewhereError", "LatentsError")
    assert "NaN or infinite" in other["unusable"][1]
    assert (main["unusable at main"][0], other["unusable at main"][0]) == ("LatentsError", "ElsewhereError")
    assert sorted([main["differ"][0], other["differ"][0]]) == ["ElsewhereError", "LatentsError"]
    assert any("do not see the same items" in one["differ"][1] for one in (main, other))
    after = set(os.listdir(data)) - before - {"0.json", "1.json"}
    assert after == {"array", "files", "begun by one", "begun by two", "broken"}


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_other_and_costs_nothing_that_was_recorded(data):
    run = launch("killed", data)
    assert run.returncode != 0
    assert not (data / "killed").exists()
    items, spec = ArrayItems(data / "data.npz", IMAGE), model_spec(stochastic=True)
    encode_to_file(FakeModel(spec), items, data / "whole", batch_size=8)
    said = []
    encode_to_file(FakeModel(spec), items, data / "killed", batch_size=8, say=said.append)
    assert "going on after" in said[0]
    assert (data / "killed").read_bytes() == (data / "whole").read_bytes()


def test_the_command_says_and_writes_once(data, ltzoo):
    set_default_zoo(toy_zoo())
    source = str(data / "data.npz")
    assert ltzoo("encode", "toy/a", source, "-o", str(data / "one"))[0] == 0
    run = launch("command", data, "encode", "toy/a", source, "-o", str(data / "two"), "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["items"] == 71
    assert ours(run.stderr) == []
    assert (data / "two").read_bytes() == (data / "one").read_bytes()


@pytest.mark.slow
def test_the_command_says_once_why_it_failed(data):
    np.savez(data / "bad.npz", x=np.zeros((9, 8, 8), np.uint8), y=np.array([0] * 8 + [7]))
    for model, source, message in (
        ("toy/c", "data.npz", "no model 'toy/c'"),
        ("toy/a", "missing.npz", "missing.npz: no such file"),
        ("toy/a", "bad.npz", "row 8: label 7 must be at least -1 and below 2"),
    ):
        run = launch("command", data, "encode", model, str(data / source), "-o", str(data / "out"))
        assert run.returncode != 0
        assert run.stdout == ""
        (line,) = ours(run.stderr)
        assert message in line
    assert sorted(os.listdir(data)) == ["bad.npz", "data.npz", "images"]
