"""Bad input, written files, texts, arrays and contact sheets."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from ltzoo.errors import MediaError
from ltzoo.media import (
    SHEET,
    SheetRow,
    check_suffix,
    contact_sheet,
    encode_media,
    read_media,
    suffixes_of,
    write_media,
)
from ltzoo.media.sheet import spectrogram
from ltzoo.spec import DataSpec

IMAGE = DataSpec(modality="image", shape=(1, 28, 28), fit="ink")
SOUND = DataSpec(modality="audio", shape=(1, 800), sample_rate=8000, fit="loudest")
TEXT = DataSpec(modality="text")
ARRAY = DataSpec(modality="array", shape=(2, 3))
SPECS = {"image": IMAGE, "audio": SOUND, "text": TEXT, "array": ARRAY}
TAKES = {"image": "an image", "audio": "a sound", "text": "a text", "array": "an array"}
ITEMS = {
    "image": torch.rand(1, 28, 28),
    "audio": torch.rand(1, 800),
    "text": "hello",
    "array": torch.rand(2, 3),
}


def write_examples(folder) -> None:
    soundfile.write(folder / "sound.wav", np.linspace(-0.5, 0.5, 800), 8000)
    soundfile.write(folder / "sound.flac", np.linspace(-0.5, 0.5, 800), 8000)
    soundfile.write(folder / "sound.ogg", np.linspace(-0.5, 0.5, 800), 8000)
    for suffix in ("png", "jpg", "gif", "webp", "bmp", "tiff"):
        Image.new("L", (28, 28)).save(folder / f"image.{suffix}")
    (folder / "text.txt").write_text("hello\n")
    (folder / "drawing.svg").write_text('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>\n')
    (folder / "document.pdf").write_bytes(b"%PDF-1.7\n...")
    (folder / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    (folder / "unknown.bin").write_bytes(bytes(range(200, 256)) + b"\0" * 99)
    np.save(folder / "array.npy", np.zeros((2, 3)))


WRONG_KIND = [
    ("image", "sound.wav", "is a WAV sound"),
    ("image", "sound.flac", "is a FLAC sound"),
    ("image", "sound.ogg", "is an OGG sound"),
    ("image", "text.txt", "is a text file"),
    ("image", "drawing.svg", "is an SVG drawing"),
    ("image", "document.pdf", "is a PDF document"),
    ("image", "photo.heic", "is a HEIC photo"),
    ("image", "unknown.bin", "is not an image in a known format"),
    ("audio", "image.png", "is a PNG image"),
    ("audio", "image.jpg", "is a JPEG image"),
    ("audio", "image.gif", "is a GIF image"),
    ("audio", "image.webp", "is a WebP image"),
    ("audio", "image.bmp", "is a BMP image"),
    ("audio", "image.tiff", "is a TIFF image"),
    ("audio", "text.txt", "is a text file"),
    ("audio", "unknown.bin", "is a damaged sound or one in an unknown format"),
    ("text", "image.png", "is a PNG image"),
    ("text", "sound.wav", "is a WAV sound"),
    ("text", "array.npy", "is a NumPy array"),
    ("text", "unknown.bin", "is a file of unknown format"),
    ("array", "image.png", "is a PNG image"),
    ("array", "text.txt", "is a text file"),
]


def refused(path, modality: str) -> MediaError:
    """The error of reading a file; it is one line that names the file."""
    with pytest.raises(MediaError) as caught:
        read_media(path, SPECS[modality], model="a/b")
    assert caught.value.message.startswith((f"{path}: ", f"{path} [x]: "))
    assert "\n" not in f"{caught.value.message}{caught.value.hint}"
    return caught.value


@pytest.mark.parametrize(("modality", "name", "message"), WRONG_KIND)
@pytest.mark.parametrize("disguise", [False, True])
def test_a_file_of_another_kind_is_named_by_its_content(tmp_path, modality, name, message, disguise):
    write_examples(tmp_path)
    path = tmp_path / name
    if disguise:
        path = path.rename(tmp_path / f"disguised{suffixes_of(modality)[0]}")
    error = refused(path, modality)
    assert message in error.message
    if "unknown" not in name:
        assert error.message.endswith(f"a/b takes {TAKES[modality]}")


@pytest.mark.parametrize("modality", SPECS)
def test_files_that_are_not_there_or_hold_nothing(tmp_path, modality):
    (tmp_path / "empty.png").touch()
    assert "is empty (0 bytes)" in refused(tmp_path / "empty.png", modality).message
    assert "no such file" in refused(tmp_path / "missing.png", modality).message
    assert "no folder" in refused(tmp_path / "no" / "missing.png", modality).hint
    assert "is a folder" in refused(tmp_path, modality).message
    assert "cannot be read" in refused(f"{tmp_path}/\0.png", modality).message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    write_examples(tmp_path)
    (tmp_path / "image.png").chmod(0)
    assert "cannot be read: Permission denied" in refused(tmp_path / "image.png", "image").message


def test_a_file_that_may_not_be_read_even_for_root(tmp_path, monkeypatch):
    write_examples(tmp_path)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    assert (
        "cannot be read: Permission denied; a/b takes an image"
        in refused(tmp_path / "image.png", "image").message
    )


# Text


def test_text_is_read_whole(tmp_path):
    path = tmp_path / "x"
    path.write_bytes("\ufeffgrüß dich,\nWelt\n\n".encode())
    assert read_media(path, TEXT) == ("grüß dich,\nWelt", [])
    write_media(tmp_path / "y.txt", "grüß dich", TEXT)
    assert (tmp_path / "y.txt").read_text(encoding="utf-8") == "grüß dich\n"


@pytest.mark.parametrize(
    "text", ["BMW makes cars", "ID3 is a tag", "P1 is first", "icns, II*, RIFF", "%PDF is a mark"]
)
def test_text_that_looks_like_a_signature_is_text(tmp_path, text):
    (tmp_path / "x.txt").write_text(text)
    assert read_media(tmp_path / "x.txt", TEXT)[0] == text


@pytest.mark.parametrize("head", [b"P2\n# made by hand\n4 4\n255\n", b"P5 4 4 255\n"])
def test_pnm_images_are_images(tmp_path, head):
    body = b"0 " * 15 + b"255" if head[1:2] == b"2" else bytes(15) + b"\xff"
    (tmp_path / "x.pgm").write_bytes(head + body)
    data = DataSpec(modality="image", shape=(1, 4, 4), fit="refuse")
    assert float(read_media(tmp_path / "x.pgm", data)[0].sum()) == 1


def test_text_that_is_none(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(" \n\n")
    assert "holds no text" in refused(path, "text").message
    path.write_bytes(b"a" * 5000 + b"\xff")
    assert "is not UTF-8 text (byte 5000)" in refused(path, "text").message
    path.write_bytes(b"a" * 5000 + b"\0b")
    assert "holds zero bytes" in refused(path, "text").message
    path.write_bytes(b"a" * 2_000_000)
    assert "has 2000000 bytes of text; at most 1000000" in refused(path, "text").message


# Arrays


def test_an_array_is_one_item(tmp_path):
    values = np.arange(6).reshape(2, 3)
    np.save(tmp_path / "x.npy", values)
    item, notes = read_media(tmp_path / "x.npy", ARRAY)
    assert item.dtype == torch.float32
    assert item.tolist() == values.tolist()
    assert notes == []
    np.savez_compressed(tmp_path / "x.npz", values)
    assert torch.equal(read_media(tmp_path / "x.npz", ARRAY)[0], item)


def test_an_array_may_hold_an_image_or_a_sound(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    assert torch.equal(read_media(tmp_path / "x.npy", IMAGE)[0][0], torch.from_numpy(pixels).float() / 255)
    np.save(tmp_path / "y.npy", np.arange(800, dtype=np.int16))
    assert torch.equal(read_media(tmp_path / "y.npy", SOUND)[0][0], torch.arange(800) / 32768)


def test_arrays_that_do_not_fit(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((3, 2)))
    assert "has shape 3 x 2, but a/b takes 2 x 3" in refused(path, "array").message
    np.save(path, np.full((2, 3), np.nan))
    assert "NaN, infinite or too large" in refused(path, "array").message
    np.save(path, np.full((2, 3), 1e300))
    assert "NaN, infinite or too large" in refused(path, "array").message
    np.save(path, np.array(["a", "b"]))
    assert "holds <U1 values; a/b takes numbers" in refused(path, "array").message
    np.save(path, np.zeros((2, 3), dtype=complex))
    assert "holds complex128 values" in refused(path, "array").message
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "holds object, which ltzoo does not read" in refused(path, "array").message
    np.save(path, np.zeros(2, dtype=[("a", "f4")]))
    assert "which ltzoo does not read" in refused(path, "array").message
    np.save(path, np.float32(3))
    assert "is a single number" in refused(path, "array").message
    np.save(path, np.zeros((2, 0)))
    assert (
        "has 0 bytes" in refused(path, "array").message
        or "its rows have 0 bytes" in refused(path, "array").message
    )
    np.savez(tmp_path / "x.npz", a=np.zeros(1), b=np.zeros(1))
    assert "holds the arrays a, b" in refused(tmp_path / "x.npz", "array").message


def test_an_array_cut_short_or_garbled(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((2, 3)))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert "is cut short" in refused(path, "array").message
    path.write_bytes(content[:30])
    assert "is not a readable NumPy array" in refused(path, "array").message
    path.write_bytes(content.replace(b"'shape'", b"'shope'"))
    assert "is not a readable NumPy array" in refused(path, "array").message
    np.savez_compressed(tmp_path / "x.npz", x=np.random.default_rng(0).random((200, 300)))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[5000:5010] = b"\0" * 10
    (tmp_path / "x.npz").write_bytes(content)
    assert "cannot be read" in refused(tmp_path / "x.npz", "array").message
    (tmp_path / "x.npz").write_bytes(content[:9000])
    refused(tmp_path / "x.npz", "array")


# Writing


@pytest.mark.parametrize("modality", SPECS)
def test_every_suffix_is_written_and_read_again(tmp_path, modality):
    for suffix in suffixes_of(modality):
        path = tmp_path / f"x{suffix.upper()}"
        write_media(path, ITEMS[modality], SPECS[modality])
        if suffix != ".ogg":  # which has a random serial number
            assert path.read_bytes() == encode_media(ITEMS[modality], SPECS[modality], suffix)
        item, _ = read_media(path, SPECS[modality])
        assert item == "hello" if modality == "text" else item.shape == ITEMS[modality].shape
        path.unlink()
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("modality", "name"),
    [
        ("image", "x.wav"),
        ("image", "x"),
        ("image", "x.exe"),
        ("audio", "x.png"),
        ("text", "x.npy"),
        ("array", "x.png"),
    ],
)
def test_a_suffix_that_does_not_fit_is_refused(tmp_path, modality, name):
    path = tmp_path / name
    with pytest.raises(MediaError, match=f"{name}: the result is {modality}") as caught:
        write_media(path, ITEMS[modality], SPECS[modality])
    assert caught.value.hint == f"possible: {' '.join(suffixes_of(modality))}"
    assert not os.listdir(tmp_path)
    assert check_suffix("A.PNG", IMAGE) == ".png"


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(MediaError, match=r"folder\.png: cannot be written: Is a directory"):
        write_media(tmp_path / "folder.png", ITEMS["image"], IMAGE)
    with pytest.raises(MediaError, match="cannot be written: no folder"):
        write_media(tmp_path / "no" / "x.png", ITEMS["image"], IMAGE)
    with pytest.raises(MediaError, match="cannot be written"):
        write_media("/proc/x.png", ITEMS["image"], IMAGE)
    assert os.listdir(tmp_path) == ["folder.png"]
    assert os.listdir(tmp_path / "folder.png") == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    write_media(path, ITEMS["image"], IMAGE)
    before = path.read_bytes()

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(MediaError, match=r"x\.png: cannot be written: No space left on device"):
        write_media(path, torch.zeros(1, 28, 28), IMAGE)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.png"]


def test_a_device_is_written_to_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with subprocess.Popen(["cat", tmp_path / "pipe.txt"], stdout=subprocess.PIPE) as reader:
        write_media(tmp_path / "pipe.txt", "through the pipe", TEXT)
        assert reader.stdout.read() == b"through the pipe\n"
    assert os.listdir(tmp_path) == ["pipe.txt"]


# Contact sheets


def test_a_sheet_shows_inputs_above_outputs(tmp_path):
    black, white = torch.zeros(1, 28, 28), torch.ones(1, 28, 28)
    rgb = DataSpec(modality="image", shape=(3, 300, 200))
    sheet = contact_sheet(
        [
            SheetRow([black] * 12, IMAGE, "mnist/vae"),
            SheetRow([white] * 12, IMAGE),
            SheetRow([torch.rand(3, 300, 200)] * 12, rgb),
        ],
        captions=[f"number {index}" for index in range(12)],
    )
    # Two bands of ten and two columns, three rows of 112 pixels each, and captions.
    assert sheet.shape == (3, 4 + 2 * (3 * 116 + 2 * 14) + 16, 4 + 10 * 116)
    first = sheet[:, 4 + 14 : 4 + 14 + 112, 4 : 4 + 112]
    assert float(first.max()) == 0
    assert float(sheet[:, 4 + 14 + 116 : 4 + 14 + 116 + 112, 4 : 4 + 112].min()) == 1
    assert float(sheet[:, 4 + 14 : 130, 4 + 116 : 116 + 116].max()) == 0
    write_media(tmp_path / "sheet.png", sheet, SHEET)
    torch.testing.assert_close(read_media(tmp_path / "sheet.png", SHEET)[0], sheet)


def test_a_sheet_mixes_modalities():
    rows = [SheetRow([ITEMS[name]], SPECS[name], name) for name in ("image", "audio", "text")]
    sheet = contact_sheet(rows)
    assert sheet.shape[0] == 3
    for index in range(3):
        top = 4 + index * (116 + 14) + 14
        assert float(sheet[:, top : top + 112, 4:116].std()) > 0.01


def test_rows_that_cannot_be_drawn():
    with pytest.raises(MediaError, match="same number of items"):
        contact_sheet([SheetRow([ITEMS["image"]], IMAGE), SheetRow([], IMAGE)])
    with pytest.raises(MediaError, match="same number of items"):
        contact_sheet([])
    with pytest.raises(MediaError, match=r"array of shape \(2, 3\) cannot be drawn"):
        contact_sheet([SheetRow([ITEMS["array"]], ARRAY)])


@pytest.mark.parametrize("samples", [1, 100, 8000, 400_000])
def test_a_spectrogram_shows_pitch_upwards(samples):
    time = torch.arange(samples) / 8000
    image = spectrogram(torch.sin(2 * torch.pi * 3000 * time)[None])
    assert image.shape == (1, 112, 112)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1
    if samples >= 8000:
        # 3 of 4 kHz from the bottom.
        assert int(image[0].mean(dim=1).argmax()) == pytest.approx(28, abs=2)
    assert float(spectrogram(torch.zeros(1, samples)).max()) == 0


# Cold start


def test_reading_an_image_loads_no_sound_library(tmp_path):
    write_media(tmp_path / "x.png", torch.rand(1, 28, 28), IMAGE)
    code = (
        "import sys; from ltzoo.spec import DataSpec; from ltzoo.media import read_media, write_media\n"
        "data = DataSpec(modality='image', shape=(1, 28, 28), fit='ink')\n"
        f"write_media({str(tmp_path / 'y.png')!r}, read_media({str(tmp_path / 'x.png')!r}, data)[0], data)\n"
        "assert not {'soundfile', 'soxr'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
