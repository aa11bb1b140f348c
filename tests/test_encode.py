"""Encoding data sets: constant memory, exact resume, and nothing left behind by bad input."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import IMAGE, FakeModel, model_spec

from ltzoo.errors import CapabilityError, LatentsError, MediaError
from ltzoo.latents import LatentSet, encode_to_file, paired_rows, partial
from ltzoo.media import ArrayItems, MemoryItems, open_items
from ltzoo.spec import DataSpec

TESTS = Path(__file__).parent
BENCHMARK = TESTS.parent / "benchmarks" / "encode_memory.py"


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 8, 8), dtype=np.uint8)


def write_npz(path: Path, n_train: int = 50, n_test: int = 21) -> Path:
    labels = np.arange(n_train + n_test, dtype=np.uint8) % 3
    x = images(n_train + n_test)
    np.savez_compressed(
        path,
        x_train=x[:n_train],
        y_train=labels[:n_train],
        x_test=x[n_train:],
        y_test=labels[n_train:],
        note=np.array(["not read"]),
    )
    return path


def test_an_npz_file_becomes_a_latent_set(tmp_path):
    items = ArrayItems(write_npz(tmp_path / "data.npz"), IMAGE)
    model = FakeModel(model_spec(stochastic=True))
    seen = []
    path = tmp_path / "set.safetensors"
    encode_to_file(
        model,
        items,
        path,
        batch_size=16,
        license="CC0-1.0",
        progress=lambda done, total: seen.append((done, total)),
    )
    latents = LatentSet.load(path, model=model.spec)
    x = torch.from_numpy(images(71))[:, None].float() / 255
    mean, std = model.posterior(x)
    torch.testing.assert_close(latents.latents, mean)
    torch.testing.assert_close(latents.std, std)
    assert latents.labels.tolist() == [row % 3 for row in range(71)]
    assert latents.split.tolist() == [0] * 50 + [2] * 21
    assert latents.label_names == model.spec.labels
    assert latents.license == "CC0-1.0"
    # Rows of the whole file are numbered through, and the file itself says what the numbers are of.
    assert latents.keys.tolist() == list(range(71))
    content = hashlib.sha256((tmp_path / "data.npz").read_bytes()).hexdigest()
    assert latents.keys_of == f"sha256:{content}"
    assert seen == [(done, 71) for done in (0, 16, 32, 48, 50, 66, 71)]
    assert sorted(os.listdir(tmp_path)) == ["data.npz", "set.safetensors"]


def test_the_same_input_pairs_and_a_name_joins_different_ones(tmp_path):
    """Two files of the same content number the same items; of other content they do so if a name says it."""
    for name, rows in (("a", 50), ("copy", 50), ("other", 40)):
        write_npz(tmp_path / f"{name}.npz", rows)

    def encoded(name: str, keys_of: str | None = None) -> LatentSet:
        items = ArrayItems(tmp_path / f"{name}.npz", IMAGE)
        encode_to_file(FakeModel(model_spec()), items, tmp_path / "set", keys_of=keys_of)
        return LatentSet.load(tmp_path / "set")

    a = encoded("a")
    assert len(paired_rows(a, encoded("copy"))) == 71
    assert len(paired_rows(a, encoded("other"))) == 0
    assert len(paired_rows(encoded("a", "digits"), encoded("other", "digits"))) == 61
    # In memory there is nothing to tell by.
    encode_to_file(
        FakeModel(model_spec()), MemoryItems(torch.rand(3, 1, 8, 8)), tmp_path / "set", keys_of="x"
    )
    assert LatentSet.load(tmp_path / "set").keys_of is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_the_file_is_the_one_that_the_safetensors_library_writes(tmp_path, dtype):
    n = 30
    items = MemoryItems(
        torch.rand(n, 1, 8, 8),
        labels=torch.arange(n) % 3,
        keys=torch.arange(n) - 7,
        split=torch.zeros(n, dtype=torch.uint8),
    )
    encode_to_file(FakeModel(model_spec(stochastic=True)), items, tmp_path / "a", batch_size=7, dtype=dtype)
    LatentSet.load(tmp_path / "a").save(tmp_path / "b", dtype=dtype)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


class Interrupted(FakeModel):
    """Is interrupted after some batches."""

    def __init__(self, spec, batches: int, error: BaseException) -> None:
        super().__init__(spec)
        self.left = batches
        self.error = error

    def encode(self, x):
        if not self.left:
            raise self.error
        self.left -= 1
        return super().encode(x)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "the network drive has gone")])
def test_an_interrupted_run_goes_on_where_it_was(tmp_path, error):
    items = ArrayItems(write_npz(tmp_path / "data.npz"), IMAGE)
    spec = model_spec(stochastic=True)
    whole, path = tmp_path / "whole", tmp_path / "set"
    encode_to_file(FakeModel(spec), items, whole, batch_size=8)
    path.write_bytes(b"what was there before")
    with pytest.raises(type(error)):
        encode_to_file(Interrupted(spec, 3, error), items, path, batch_size=8)
    assert path.read_bytes() == b"what was there before"
    assert json.loads(Path(f"{path}.partial.json").read_text())["done"] == [[0, 24]]
    said = []
    model = FakeModel(spec)
    encode_to_file(model, items, path, batch_size=8, say=said.append)
    assert said == [f"{path}.partial: going on after 24 of 71 items"]
    assert sum(model.batch_sizes) == 71 - 24
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["data.npz", "set", "whole"]


CHANGES = {
    "model": "begun with another model and fingerprint",
    "weights": "begun with another fingerprint",
    "source": "begun with another source",
    "items": "begun with another items and source",
    "dtype": "begun with another dtype",
    "license": "begun with another dtype, labels or licence",
    "record": "its record is not readable",
    "fresh": None,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_half_done_file_of_something_else_is_started_again(tmp_path, change):
    data = write_npz(tmp_path / "data.npz")
    path = tmp_path / "set"
    with pytest.raises(KeyboardInterrupt):
        encode_to_file(
            Interrupted(model_spec(), 3, KeyboardInterrupt()), ArrayItems(data, IMAGE), path, batch_size=8
        )
    model, options = FakeModel(model_spec()), {}
    if change == "model":
        model = FakeModel(model_spec("fake/other"))
    elif change == "weights":
        model = FakeModel(model_spec(adapter_version=2))
    elif change == "source":
        os.utime(data, ns=(1, 1))
    elif change == "items":
        write_npz(data, n_test=20)
    elif change == "dtype":
        options["dtype"] = torch.float16
    elif change == "license":
        options["license"] = "MIT"
    elif change == "record":
        Path(f"{path}.partial.json").write_text('{"done": ')
    else:
        options["resume"] = False
    said = []
    encode_to_file(model, ArrayItems(data, IMAGE), path, batch_size=8, say=said.append, **options)
    assert sum(model.batch_sizes) == len(ArrayItems(data, IMAGE))
    if CHANGES[change]:
        assert said[0].startswith(f"{path}.partial: {CHANGES[change]}")
        assert said[0].endswith("starting again")
    encode_to_file(model, ArrayItems(data, IMAGE), tmp_path / "whole", batch_size=8, **options)
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()
    assert not list(tmp_path.glob("*.partial*"))


CHILD = """
import sys, time
sys.path.insert(0, {tests!r})
from fakes import FakeModel, IMAGE, model_spec
from ltzoo.latents import encode_to_file, partial
from ltzoo.media import ArrayItems
class Slow(FakeModel):
    def encode(self, x):
        time.sleep(0.004)
        return super().encode(x)
partial.CHECKPOINT_SECONDS = 0.01
encode_to_file(Slow(model_spec(stochastic=True)), ArrayItems({data!r}, IMAGE), {path!r}, batch_size=4)
"""


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_gives_the_same_file(tmp_path):
    data = write_npz(tmp_path / "data.npz", 600, 203)
    path, whole = tmp_path / "set", tmp_path / "whole"
    encode_to_file(FakeModel(model_spec(stochastic=True)), ArrayItems(data, IMAGE), whole, batch_size=4)
    child = [sys.executable, "-c", CHILD.format(tests=str(TESTS), data=str(data), path=str(path))]
    record = Path(f"{path}.partial.json")
    chance = random.Random(0)
    for _ in range(4):
        before = record.read_bytes() if record.exists() else b""
        with subprocess.Popen(child, cwd=TESTS.parent) as process:
            # Let it get further, then kill it at a moment of no importance.
            while process.poll() is None and (record.read_bytes() if record.exists() else b"") == before:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.15))
            assert process.poll() is None
            process.send_signal(signal.SIGKILL)
        assert record.exists()
    subprocess.run(child, cwd=TESTS.parent, check=True)
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["data.npz", "set", "whole"]


@pytest.mark.parametrize(
    ("gain", "dtype", "message"),
    [
        (float("nan"), torch.float32, "fake/model: 'latents' of row 0 has NaN or infinite"),
        (1e6, torch.float16, "beyond float16"),
    ],
)
def test_latents_that_cannot_be_stored_leave_nothing_behind(tmp_path, gain, dtype, message):
    class Late(FakeModel):
        def encode(self, x):
            self.gain = 1.0 if len(self.batch_sizes) < 3 else gain
            return super().encode(x)

    items = MemoryItems(torch.rand(64, 1, 8, 8))
    match = message.replace("row 0", "row 24")
    with pytest.raises(LatentsError, match=match):
        encode_to_file(Late(), items, tmp_path / "set", batch_size=8, dtype=dtype)
    assert not os.listdir(tmp_path)


def test_labels_out_of_range_name_their_item(tmp_path):
    items = MemoryItems(torch.rand(4, 1, 8, 8), labels=torch.tensor([0, 1, 2, 3]))
    with pytest.raises(LatentsError, match="item 3: label 3 must be at least -1 and below 3"):
        encode_to_file(FakeModel(), items, tmp_path / "set")
    encode_to_file(FakeModel(), items, tmp_path / "set", label_names=("a", "b", "c", "d"))
    assert LatentSet.load(tmp_path / "set").label_names == ("a", "b", "c", "d")


def test_latents_that_vary_in_shape_must_agree(tmp_path):
    from PIL import Image

    data = DataSpec(modality="image", shape=(3, None, None), fit="contain")
    model = FakeModel(model_spec(data=data, latent=(3, None, None)))
    for name, size in (("a", (8, 6)), ("b", (7, 5)), ("c", (10, 6))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    paths = [str(tmp_path / f"{name}.png") for name in "abc"]
    # 8 x 6 and 7 x 5 pixels give latents of one shape.
    encode_to_file(model, open_items(paths[:2], data), tmp_path / "set")
    assert LatentSet.load(tmp_path / "set").latent_shape == (3, 3, 4)
    with pytest.raises(LatentsError, match=r"c\.png: its latent has shape 3 x 3 x 5, .*a\.png has 3 x 3 x 4"):
        encode_to_file(model, open_items(paths, data), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_an_item_that_cannot_be_read_ends_the_run(tmp_path):
    from PIL import Image

    for index in range(6):
        Image.new("L", (8, 8)).save(tmp_path / f"{index}.png")
    (tmp_path / "4.png").write_text("not an image")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(MediaError, match=r"4\.png: is a text file; fake/model takes an image"):
        encode_to_file(
            FakeModel(), open_items([tmp_path], IMAGE, model="fake/model"), out / "set", batch_size=10
        )
    assert not os.listdir(out)


def test_requests_that_make_no_sense(tmp_path):
    decoder = FakeModel(model_spec())
    object.__setattr__(decoder.spec, "capabilities", frozenset({"decode"}))
    with pytest.raises(CapabilityError, match="fake/model cannot encode"):
        encode_to_file(decoder, MemoryItems(torch.rand(1, 1, 8, 8)), tmp_path / "set")
    with pytest.raises(LatentsError, match="nothing to encode"):
        encode_to_file(FakeModel(), MemoryItems(torch.rand(0, 1, 8, 8)), tmp_path / "set")
    with pytest.raises(LatentsError, match="cannot be written: no folder"):
        encode_to_file(FakeModel(), MemoryItems(torch.rand(1, 1, 8, 8)), tmp_path / "no" / "set")
    with pytest.raises(LatentsError, match="cannot be written: Is a directory"):
        encode_to_file(FakeModel(), MemoryItems(torch.rand(1, 1, 8, 8)), tmp_path)


def test_checkpoints_are_written_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(partial, "CHECKPOINT_SECONDS", 0.0)
    path = tmp_path / "set"
    seen = []

    def progress(done: int, total: int) -> None:
        record = Path(f"{path}.partial.json")
        seen.append((done, json.loads(record.read_text())["done"] if record.exists() else []))

    encode_to_file(FakeModel(), MemoryItems(torch.rand(20, 1, 8, 8)), path, batch_size=8, progress=progress)
    assert seen == [(0, []), (8, [[0, 8]]), (16, [[0, 16]]), (20, [[0, 20]])]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_items():
    run = subprocess.run(
        [
            sys.executable,
            BENCHMARK,
            "--small",
            "2000",
            "--large",
            "40000",
            "--kinds",
            "compressed.npz",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    for report in json.loads(run.stdout)["sources"]:
        assert report["ratio"] <= 1.2, report
