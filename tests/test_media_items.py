"""Data sets item by item: folders, files, array files, text files."""

from __future__ import annotations

import hashlib
import io
import os

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ltzoo.errors import LtzooError, MediaError
from ltzoo.media import ArrayItems, FileItems, MemoryItems, TextLines, open_items
from ltzoo.spec import DataSpec

GREY = DataSpec(modality="image", shape=(1, 8, 8), fit="contain")
COLOUR = DataSpec(modality="image", shape=(3, 8, 8), fit="contain")
SOUND = DataSpec(modality="audio", shape=(1, 800), sample_rate=8000, fit="loudest")
TEXT = DataSpec(modality="text")
LABELS = ("cat", "dog")


def rows_of(items, start=0, size=3):
    return [row for batch in items.batches(start, size) for row in batch.data]


def pixels(n, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


# Folders


def make_folder(folder, names):
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 10 * index).save(path)


def test_a_folder_gives_labels_by_its_sub_folders(tmp_path):
    make_folder(
        tmp_path, ["dog/b.png", "cat/a.png", "cat/deep/c.PNG", "0.png", ".hidden/x.png", "dog/.y.png"]
    )
    (tmp_path / "README.txt").write_text("about")
    (tmp_path / "dog" / "Thumbs.db").write_bytes(b"\0")
    said = []
    items = open_items([tmp_path], GREY, label_names=LABELS, say=said.append)
    assert [os.path.relpath(path, tmp_path) for path in items.paths] == [
        "0.png",
        "cat/a.png",
        "cat/deep/c.PNG",
        "dog/b.png",
    ]
    assert items.fields == {"keys", "labels"}
    batches = list(items.batches(0, 3))
    assert [batch.labels.tolist() for batch in batches] == [[-1, 0, 0], [1]]
    assert [round(float(row.max()) * 255) for batch in batches for row in batch.data] == [30, 10, 20, 0]
    assert said == [f"{tmp_path}: 2 other files were passed over"]
    assert items.describe(3) == str(tmp_path / "dog" / "b.png")


def test_a_folder_of_splits(tmp_path):
    make_folder(tmp_path, ["train/cat/a.png", "test/dog/a.png", "validation/cat/a.png"])
    (batch,) = open_items([tmp_path], GREY, label_names=LABELS).batches(0, 9)
    assert batch.split.tolist() == [2, 0, 1]
    assert batch.labels.tolist() == [1, 0, 0]


def test_sub_folders_that_are_no_labels(tmp_path):
    make_folder(tmp_path, ["one/a.png", "two/a.png"])
    assert open_items([tmp_path], GREY, label_names=LABELS).fields == {"keys"}
    make_folder(tmp_path, ["cat/a.png", "dogs/a.png"])
    (tmp_path / "one" / "a.png").unlink()
    (tmp_path / "two" / "a.png").unlink()
    with pytest.raises(MediaError, match="'dogs' is not a label, though other folders are") as caught:
        open_items([tmp_path], GREY, label_names=LABELS)
    assert caught.value.hint == "did you mean 'dog'?"


def test_a_folder_with_nothing_to_read(tmp_path):
    (tmp_path / "x.wav").touch()
    with pytest.raises(
        MediaError, match="holds no files that can be read for it; a/b takes an image"
    ) as caught:
        open_items([tmp_path], GREY, model="a/b")
    assert ".png" in caught.value.hint
    with pytest.raises(MediaError, match="no files were given"):
        open_items([], GREY)
    with pytest.raises(MediaError, match="no such file"):
        open_items([tmp_path / "x"], GREY)


# Files


def test_files_of_varying_size_come_in_batches_of_one_size(tmp_path):
    data = DataSpec(modality="image", shape=(1, None, None), fit="contain")
    sizes = [8, 8, 8, 5, 5, 8, 8]
    for index, size in enumerate(sizes):
        Image.new("L", (size, size)).save(tmp_path / f"{index}.png")
    items = open_items([tmp_path], data)
    batches = [tuple(batch.data.shape) for batch in items.batches(0, 2)]
    assert batches == [(2, 1, 8, 8), (1, 1, 8, 8), (1, 1, 5, 5), (1, 1, 5, 5), (1, 1, 8, 8), (1, 1, 8, 8)]
    assert [tuple(batch.data.shape) for batch in items.batches(3, 2)] == batches[2:]
    assert list(items.starts(2)) == [0, 2, 4, 6]


def test_conversions_are_said(tmp_path):
    Image.new("L", (16, 16)).save(tmp_path / "a.png")
    said = []
    list(FileItems([str(tmp_path / "a.png")], GREY, say=said.append).batches(0, 1))
    assert said == [f"{tmp_path / 'a.png'}: 16 x 16 greyscale -> 8 x 8 greyscale"]


def test_only_the_first_conversions_are_listed(tmp_path):
    for index in range(9):
        Image.new("L", (16, 16)).save(tmp_path / f"{index}.png")
    said = []
    list(open_items([tmp_path], GREY, say=said.append).batches(0, 4))
    assert len(said) == 6
    assert said[-1] == "further conversions are not listed"


def test_the_digest_follows_the_files(tmp_path):
    make_folder(tmp_path, ["cat/a.png", "dog/b.png"])

    def digest(data=GREY, **options):
        return open_items([tmp_path], data, **options).digest

    first = digest()
    assert digest() == first
    assert digest(COLOUR) != first
    assert digest(label_names=LABELS) != first
    os.utime(tmp_path / "dog" / "b.png", ns=(5, 5))
    assert digest() != first


# Array files


@pytest.mark.parametrize("kind", ["npy", "npz", "compressed"])
def test_an_array_file_is_read_from_any_row(tmp_path, kind):
    x = pixels(10, 8, 8)
    path = tmp_path / ("x.npy" if kind == "npy" else "x.npz")
    save = {"npy": np.save, "npz": np.savez, "compressed": np.savez_compressed}[kind]
    save(path, x) if kind == "npy" else save(path, x=x)
    items = open_items([path], GREY)
    assert isinstance(items, ArrayItems)
    assert len(items) == 10
    for start in (0, 3, 9):
        rows = rows_of(items, start)
        assert len(rows) == 10 - start
        for row, expected in zip(rows, x[start:], strict=True):
            assert torch.equal(row[0], torch.from_numpy(expected).float() / 255)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (3, 8, 8), (8, 8, 4), (20, 30, 3)])
def test_images_lie_in_arrays_in_many_ways(tmp_path, shape):
    np.save(tmp_path / "x.npy", pixels(4, *shape))
    for data in (GREY, COLOUR):
        rows = rows_of(open_items([tmp_path / "x.npy"], data))
        assert [row.shape for row in rows] == [data.shape] * 4
    if shape == (8, 8, 3):
        expected = torch.from_numpy(pixels(4, *shape)).permute(0, 3, 1, 2).float() / 255
        assert torch.equal(torch.stack(rows), expected)


@pytest.mark.parametrize(
    ("dtype", "full"),
    [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1), (np.float64, 1), (bool, 1), (">u2", 65535)],
)
def test_every_dtype_has_its_full_scale(tmp_path, dtype, full):
    x = np.zeros((2, 8, 8), dtype=dtype)
    x[1] = full
    np.save(tmp_path / "x.npy", x)
    assert [float(row.mean()) for row in rows_of(open_items([tmp_path / "x.npy"], GREY))] == [0, 1]


def test_images_that_cannot_be_meant(tmp_path):
    def refuse(x, message, data=GREY):
        np.save(tmp_path / "x.npy", x)
        with pytest.raises(MediaError, match=message) as caught:
            rows_of(open_items([tmp_path / "x.npy"], data, model="a/b"))
        return caught.value.hint

    assert "divide them by 255" in refuse(np.full((4, 8, 8), 200.0), "row 0: has values from 200 to 200")
    refuse(np.full((4, 8, 8), np.nan), "row 0: has values that are NaN")
    assert "uint8" in refuse(np.zeros((4, 8, 8), dtype=np.int64), "holds int64 values")
    refuse(np.zeros((4, 8), dtype=np.uint8), "has shape 8, but a/b takes images of 1 x 8 x 8")
    refuse(np.zeros((4, 5, 6, 7), dtype=np.uint8), "has shape 5 x 6 x 7")
    refuse(np.asfortranarray(pixels(4, 8, 8)), "stored column by column")
    refuse(np.zeros((4, 0, 8), dtype=np.uint8), "rows have 0 bytes")


def test_labels_keys_and_split_come_along(tmp_path):
    np.savez(
        tmp_path / "x.npz",
        x=pixels(5, 8, 8),
        y=np.array([0, 1, 1, 0, 1], dtype=np.uint8),
        keys=np.arange(5) * 7,
        split=np.array([0, 0, 1, 2, 2], dtype=np.uint8),
        other=np.zeros(3),
    )
    items = open_items([tmp_path / "x.npz"], GREY)
    assert items.fields == {"labels", "keys", "split"}
    (batch,) = items.batches(2, 9)
    assert batch.labels.tolist() == [1, 0, 1]
    assert batch.keys.tolist() == [14, 21, 28]
    assert batch.split.tolist() == [1, 2, 2]


def test_files_of_equal_names_have_equal_keys(tmp_path):
    """Below the folder and without suffix; what they number differs, as the files do."""
    for folder, suffix in (("one", ".png"), ("two", ".bmp")):
        make_folder(tmp_path / folder, [f"{name}{suffix}" for name in ("dark/b", "dark/a", "light/a")])
    one, two = (open_items([tmp_path / folder], GREY) for folder in ("one", "two"))
    (first,), (second,) = one.batches(0, 9), two.batches(0, 9)
    assert first.keys.tolist() == second.keys.tolist()
    assert len(set(first.keys.tolist())) == 3
    assert one.keys_of != two.keys_of
    assert one.keys_of == open_items([tmp_path / "one"], DataSpec(modality="image", shape=(3, 4, 4))).keys_of
    expected = int.from_bytes(hashlib.sha256(b"dark/a").digest()[:8], "big", signed=True)
    assert int(first.keys[0]) == expected
    (listed,) = open_items(
        [str(path) for path in sorted((tmp_path / "one" / "dark").iterdir())], GREY
    ).batches(0, 9)
    assert listed.keys.tolist() != first.keys.tolist()[:2]  # they count from the folder that holds them all


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(3)}, "holds the arrays a, but no 'x'"),
        (
            {"x": pixels(3, 8, 8), "y": np.zeros(2, dtype=int)},
            r"must be whole numbers, one for each of the 3 rows",
        ),
        ({"x": pixels(3, 8, 8), "y": np.zeros(3)}, r"\[y\]: is float64"),
        (
            {"x_train": pixels(3, 8, 8), "y_train": np.zeros(3, int), "x_test": pixels(3, 8, 8)},
            "same companions",
        ),
        ({"x_train": pixels(3, 8, 8), "x_test": pixels(3, 9, 9)}, "its items have shape"),
        ({"x": np.array([{}], dtype=object)}, "holds object"),
        ({"x": np.uint8(3)}, "is a single value"),
    ],
)
def test_archives_that_do_not_go_together(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(MediaError, match=message):
        open_items([tmp_path / "x.npz"], GREY)


def test_damage_is_found_where_it_is(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=pixels(500, 8, 8))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[20_000:20_020] = bytes(20)
    (tmp_path / "x.npz").write_bytes(content)
    items = open_items([tmp_path / "x.npz"], GREY)
    with pytest.raises(MediaError, match=r"x\.npz \[x\]: cannot be read"):
        rows_of(items)
    (tmp_path / "no.npz").write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(MediaError, match=r"no\.npz"):
        open_items([tmp_path / "no.npz"], GREY)
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(MediaError, match=r"empty\.npz: is a ZIP archive without arrays"):
        open_items([tmp_path / "empty.npz"], GREY)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_array_file_is_read_or_refused(tmp_path_factory, data):
    buffer = io.BytesIO()
    save = data.draw(st.sampled_from([np.save, np.savez, np.savez_compressed]))
    x = np.arange(24.0).reshape(4, 2, 3)
    save(buffer, x) if save is np.save else save(buffer, x=x, y=np.arange(4))
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 130))
        kind = data.draw(st.sampled_from(["change", "insert", "delete"]))
        if kind == "change":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            content[at:at] = data.draw(st.binary(min_size=1, max_size=6))
        else:
            del content[at : at + data.draw(st.integers(1, 6))]
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    try:
        rows = rows_of(open_items([path], DataSpec(modality="array", shape=(2, 3))))
    except LtzooError as error:
        assert str(path) in error.message
        assert "\n" not in error.message
    else:
        assert all(row.shape == (2, 3) and row.isfinite().all() for row in rows)


def test_sound_in_arrays(tmp_path):
    wave = (8000 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).astype(np.int16)
    np.savez(tmp_path / "x.npz", x=np.stack([wave, wave // 2]), sample_rate=np.array([16000], dtype=np.int32))
    data = DataSpec(modality="audio", shape=(1, 8000), sample_rate=8000, fit="loudest", normalize=0.5)
    rows = rows_of(open_items([tmp_path / "x.npz"], data))
    for row in rows:
        assert row.shape == (1, 8000)
        assert int(torch.fft.rfft(row[0]).abs().argmax()) == 440
        assert float(row.abs().max()) == pytest.approx(0.5, abs=1e-4)
    np.savez(tmp_path / "x.npz", x=np.stack([wave, 0 * wave]))
    with pytest.raises(MediaError, match=r"x\.npz \[x\] row 1: is silent"):
        rows_of(open_items([tmp_path / "x.npz"], data))
    np.savez(tmp_path / "x.npz", x=np.stack([wave]), sample_rate=np.zeros(2))
    with pytest.raises(MediaError, match="sample_rate must be one number"):
        open_items([tmp_path / "x.npz"], data)


@pytest.mark.data
def test_the_shared_data_sets_are_read(shared_data):
    with np.load(shared_data / "mnist.npz") as file:
        x, y = file["x_test"], file["y_test"]
    items = ArrayItems(shared_data / "mnist.npz", DataSpec(modality="image", shape=(1, 28, 28), fit="ink"))
    assert len(items) == 70_000
    batch = next(items.batches(60_000, 100))
    assert torch.equal((batch.data[:, 0] * 255).round().to(torch.uint8), torch.from_numpy(x[:100]))
    assert batch.labels.tolist() == y[:100].tolist()
    assert batch.split.tolist() == [2] * 100
    sound = DataSpec(modality="audio", shape=(1, 8000), sample_rate=8000, fit="loudest", normalize=1.0)
    spoken = ArrayItems(shared_data / "spoken_digits.npz", sound)
    assert len(spoken) == 3000
    assert float(next(spoken.batches(2700, 50)).data.abs().amax(dim=2).min()) == pytest.approx(1)


# Text


def test_lines_of_text(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeffone\r\nzwei Wörter\nthree".encode())
    items = open_items([path], TEXT)
    assert isinstance(items, TextLines)
    assert len(items) == 3
    assert rows_of(items, size=2) == ["one", "zwei Wörter", "three"]
    assert rows_of(items, start=2) == ["three"]
    path.write_text("one\n\nthree\n")
    with pytest.raises(MediaError, match=r"x\.txt line 2: holds no text"):
        rows_of(open_items([path], TEXT))
    np.save(tmp_path / "x.npy", np.array(["one", "two"]))
    assert rows_of(open_items([tmp_path / "x.npy"], TEXT)) == ["one", "two"]
    np.save(tmp_path / "x.npy", np.array(["one", " "]))
    with pytest.raises(MediaError, match="row 1: holds no text"):
        rows_of(open_items([tmp_path / "x.npy"], TEXT))


def test_several_text_files_are_items_each(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"{name}\n{name}\n")
    assert rows_of(open_items([tmp_path / "a.txt", tmp_path / "b.txt"], TEXT)) == ["a\na", "b\nb"]


def test_sound_files(tmp_path):
    for index in range(3):
        soundfile.write(tmp_path / f"{index}.wav", np.full(800, 0.1 * (index + 1)), 8000)
    rows = rows_of(open_items([tmp_path], SOUND), size=2)
    assert [round(float(row.mean()), 2) for row in rows] == [0.1, 0.2, 0.3]


# Memory


def test_items_in_memory():
    items = MemoryItems(torch.arange(5.0)[:, None], labels=torch.arange(5))
    assert [batch.labels.tolist() for batch in items.batches(2, 2)] == [[2, 3], [4]]
    assert items.fields == {"labels"}
    assert items.digest != MemoryItems(torch.arange(5.0)[:, None]).digest
    assert items.digest == MemoryItems(torch.arange(5.0)[:, None], labels=torch.arange(5)).digest
    with pytest.raises(MediaError, match="5 items, but labels of shape"):
        MemoryItems(torch.arange(5.0)[:, None], labels=torch.arange(4))


def test_the_starts_of_batches_are_known_without_reading(tmp_path):
    x = pixels(11, 8, 8)
    np.savez(tmp_path / "parts.npz", x_train=x[:6], x_test=x[6:])
    np.save(tmp_path / "rows.npy", x)
    (tmp_path / "lines.txt").write_text("line\n" * 11)
    for index in range(11):
        Image.fromarray(x[index]).save(tmp_path / f"{index:02d}.png")
    sources = {
        "parts": (open_items([tmp_path / "parts.npz"], GREY), [0, 4, 6, 10]),
        "rows": (open_items([tmp_path / "rows.npy"], GREY), [0, 4, 8]),
        "lines": (open_items([tmp_path / "lines.txt"], TEXT), [0, 4, 8]),
        "files": (open_items([tmp_path], GREY), [0, 4, 8]),
        "memory": (MemoryItems(torch.arange(11.0)[:, None]), [0, 4, 8]),
    }
    for name, (items, starts) in sources.items():
        assert list(items.starts(4)) == starts, name
        lengths = [len(batch.data) for batch in items.batches(0, 4)]
        assert [sum(lengths[:index]) for index in range(len(lengths))] == starts, name
        for index, start in enumerate(starts):
            assert [len(batch.data) for batch in items.batches(start, 4)] == lengths[index:], name
