"""Images: modes, sizes, orientation and drawings."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from ltzoo.errors import LtzooError, MediaError
from ltzoo.media import image as image_module
from ltzoo.media import read_media, write_media
from ltzoo.media.ink import ink_drawing
from ltzoo.spec import DataSpec

INK = DataSpec(modality="image", shape=(1, 28, 28), fit="ink")


def spec(channels=3, height=8, width=8, *, fit="contain", background=0.0) -> DataSpec:
    return DataSpec(modality="image", shape=(channels, height, width), fit=fit, background=background)


def digit(size=28, *, box=20, stroke=2) -> Image.Image:
    """A white 7 on black, as MNIST would hold it, at any size."""
    scale = size / 28
    image = Image.new("L", (size, size))
    left, right = (28 - box) / 2 * scale, (28 + box) / 2 * scale - 1
    ImageDraw.Draw(image).line(
        [(left + 3 * scale, left), (right - 3 * scale, left), (size / 2, right)],
        fill=255,
        width=round(stroke * scale),
    )
    return image


def read(image: Image.Image, data: DataSpec, tmp_path, *, name="x.png", **options):
    image.save(tmp_path / name, **options)
    return read_media(tmp_path / name, data)


# Drawings


def test_an_image_of_the_exact_form_passes_bit_exact(tmp_path):
    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[4:24, 4:24] = np.random.default_rng(0).integers(0, 256, (20, 20))
    item, notes = read(Image.fromarray(pixels), INK, tmp_path)
    assert notes == []
    assert item.dtype == torch.float32
    assert torch.equal(item[0], torch.from_numpy(pixels).float() / 255)
    write_media(tmp_path / "again.png", item, INK)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "again.png")), pixels)


def test_greys_stored_as_colours_pass_bit_exact(tmp_path):
    grey = digit()
    for name in ("x.png", "x.webp"):
        item, notes = read(grey.convert("RGB"), INK, tmp_path, name=name, lossless=True)
        assert np.array_equal((item[0] * 255).round().numpy(), np.asarray(grey))
        assert notes == [f"{tmp_path / name}: 28 x 28 RGB -> 28 x 28 greyscale"]


@pytest.mark.data
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_data_sets_pass_bit_exact(tmp_path, shared_data, name):
    x = np.load(shared_data / f"{name}.npz")["x_test"]
    # Garments that reach the border are the hard ones.
    ring = np.concatenate([x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]], axis=1)
    rows = [*range(100), *np.argsort(ring.mean(axis=1))[-100:]]
    for row in rows:
        item, notes = read(Image.fromarray(x[row]), INK, tmp_path)
        assert notes == []
        assert np.array_equal((item[0] * 255).round().numpy().astype(np.uint8), x[row])


@pytest.mark.data
def test_digits_are_recovered_from_large_inverted_noisy_photos(tmp_path, shared_data):
    rng = np.random.default_rng(0)
    errors = []
    for digit_pixels in np.load(shared_data / "mnist.npz")["x_test"][:10]:
        large = np.asarray(Image.fromarray(digit_pixels).resize((560, 560), Image.Resampling.BICUBIC)) / 255
        photo = np.full((800, 1200), 0.8) * np.linspace(1, 0.9, 1200)
        photo[150:710, 400:960] -= 0.6 * large
        photo = (photo + rng.normal(0, 0.02, photo.shape)).clip(0, 1)
        image = Image.fromarray((photo * 255).astype(np.uint8)).convert("RGB")
        item, notes = read(image, INK, tmp_path, name="photo.jpg", quality=85)
        assert notes == [f"{tmp_path / 'photo.jpg'}: 1200 x 800 RGB -> 28 x 28 greyscale, ink centred"]
        errors.append(float(((item[0].numpy() - digit_pixels / 255) ** 2).mean()))
    # A blank frame is off by 0.1, another digit by about as much.
    assert np.mean(errors) < 0.03


@pytest.mark.parametrize(
    "make", ["inverted", "large", "shifted", "grey", "dark on clear", "bright on clear", "rgb"]
)
def test_a_drawing_is_brought_into_form_whatever_it_looks_like(tmp_path, make):
    pixels = np.asarray(digit(280)).astype(int)
    alpha = {"dark on clear": 0, "bright on clear": 255}
    if make == "inverted":
        image = Image.fromarray((255 - pixels).astype(np.uint8))
    elif make == "large":
        image = digit(2800)
    elif make == "shifted":
        image = Image.new("L", (700, 500))
        image.paste(digit(280), (390, 5))
    elif make == "grey":
        image = Image.fromarray((180 - pixels * 90 // 255).astype(np.uint8))
    elif make == "rgb":
        image = digit(280).convert("RGB")
    else:
        image = Image.new("RGBA", (280, 280), (alpha[make],) * 3 + (0,))
        image.putalpha(digit(280))
    item, _ = read(image, INK, tmp_path)
    frame = item[0].numpy()
    assert frame.min() == 0
    assert frame.max() == 1
    rows, columns = (frame > 0.1).any(axis=1).nonzero()[0], (frame > 0.1).any(axis=0).nonzero()[0]
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (20, 21)
    mass = frame.sum()
    assert abs((frame.sum(axis=1) * np.arange(28)).sum() / mass - 14) <= 0.6
    assert abs((frame.sum(axis=0) * np.arange(28)).sum() / mass - 14) <= 0.6
    reference = ink_drawing(digit(280), (28, 28), 0.0, "x")
    assert ((frame - reference) ** 2).mean() < 0.01


def test_ink_on_a_white_background_is_black():
    white = ink_drawing(digit(280), (28, 28), 1.0, "x")
    np.testing.assert_allclose(white, 1 - ink_drawing(digit(280), (28, 28), 0.0, "x"), atol=1e-6)


@pytest.mark.parametrize("size", [(28, 28), (300, 200), (1, 1), (2, 900)])
@pytest.mark.parametrize("level", [0, 130, 255])
def test_a_blank_drawing_is_refused(tmp_path, size, level):
    with pytest.raises(MediaError, match="is blank"):
        read(Image.new("L", size, level), INK, tmp_path)


def test_blank_noisy_paper_is_refused_and_a_restless_photo_is_not(tmp_path):
    rng = np.random.default_rng(0)
    paper = (rng.normal(0.8, 0.03, (600, 800)).clip(0, 1) * 255).astype(np.uint8)
    with pytest.raises(MediaError, match="is blank"):
        read(Image.fromarray(paper), INK, tmp_path)
    colours = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    item, _ = read(colours.resize((800, 600), Image.Resampling.BICUBIC), INK, tmp_path)
    assert float(item.std()) > 0.1


def test_a_drawing_that_is_transparent_all_over_is_refused(tmp_path):
    with pytest.raises(MediaError, match="is blank"):
        read(Image.new("RGBA", (64, 64), (200, 10, 10, 0)), INK, tmp_path)


# Modes


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 51, (0.2, 0.2, 0.2)),
        ("RGB", (255, 0, 51), (1, 0, 0.2)),
        ("1", 1, (1, 1, 1)),
        ("CMYK", (0, 255, 255, 0), (1, 0, 0)),
        ("I;16", 13107, (0.2, 0.2, 0.2)),
        ("LA", (51, 255), (0.2, 0.2, 0.2)),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, colour, expected):
    name = "x.tiff" if mode == "CMYK" else "x.png"
    item, notes = read(Image.new(mode, (8, 8), colour), spec(), tmp_path, name=name)
    assert item.shape == (3, 8, 8)
    torch.testing.assert_close(item[:, 4, 4], torch.tensor(expected).float(), atol=0.004, rtol=0)
    assert (mode == "RGB") == (notes == [])


def test_a_16_bit_image_keeps_its_greys(tmp_path):
    ramp = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    item, notes = read(Image.fromarray(ramp), spec(1), tmp_path)
    torch.testing.assert_close(item[0], torch.from_numpy(ramp / 65535).float(), atol=0.002, rtol=0)
    assert notes == [f"{tmp_path / 'x.png'}: 8 x 8 16-bit greyscale -> 8 x 8 greyscale"]


def test_a_palette_with_transparency(tmp_path):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (0, 0, 4, 8))
    item, _ = read(image, spec(background=1.0), tmp_path, name="x.gif", transparency=1)
    assert item[:, 0, 6].tolist() == [1, 0, 0]
    assert item[:, 0, 1].tolist() == [1, 1, 1]


@pytest.mark.parametrize(("background", "seen"), [(0.0, 0.5), (1.0, 1.0)])
def test_transparent_parts_show_the_background(tmp_path, background, seen):
    image = Image.new("RGBA", (8, 8), (255, 255, 255, 128))
    item, notes = read(image, spec(background=background), tmp_path)
    torch.testing.assert_close(item, torch.full((3, 8, 8), seen), atol=0.005, rtol=0)
    assert f"transparency on {'white' if background else 'black'}" in notes[0]


def test_a_model_with_an_alpha_channel_gets_it(tmp_path):
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 51))
    item, notes = read(image, spec(4), tmp_path)
    assert item[:, 0, 0].tolist() == pytest.approx([1, 0, 0, 0.2])
    assert notes == []


def test_orientation_is_undone(tmp_path):
    image = Image.new("RGB", (8, 8))
    image.paste((255, 255, 255), (0, 0, 8, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be seen turned by 90 degrees clockwise
    item, notes = read(image, spec(), tmp_path, name="x.jpg", exif=exif, quality=100)
    assert item[:, :, 7].min() > 0.9
    assert item[:, 6, :4].max() < 0.1
    assert notes == [f"{tmp_path / 'x.jpg'}: 8 x 8 RGB -> 8 x 8 RGB, turned upright"]


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    item, notes = read(frames[0], spec(), tmp_path, name="x.gif", save_all=True, append_images=frames[1:])
    assert item[:, 0, 0].tolist() == [1, 0, 0]
    assert "first of 2 frames" in notes[0]


# Sizes


def test_contain_pads_and_cover_crops(tmp_path):
    image = Image.new("RGB", (40, 20), "white")
    contained, notes = read(image, spec(background=0.2), tmp_path)
    assert contained[:, 2:6].min() > 0.99
    torch.testing.assert_close(contained[:, :2], torch.full((3, 2, 8), 0.2), atol=0.001, rtol=0)
    assert notes == [f"{tmp_path / 'x.png'}: 40 x 20 RGB -> 8 x 8 RGB, padded"]
    covered, notes = read(image, spec(fit="cover"), tmp_path)
    assert covered.min() > 0.99
    assert notes == [f"{tmp_path / 'x.png'}: 40 x 20 RGB -> 8 x 8 RGB, cropped"]


def test_cover_keeps_the_centre(tmp_path):
    image = Image.new("RGB", (24, 8), "black")
    image.paste("white", (8, 0, 16, 8))
    assert read(image, spec(fit="cover"), tmp_path)[0].min() == 1


def test_sizes_that_may_vary_stay(tmp_path):
    image = Image.new("L", (13, 7), 255)
    item, _ = read(image, spec(3, None, None), tmp_path)
    assert item.shape == (3, 7, 13)
    item, _ = read(image, spec(3, 14, None), tmp_path)
    assert item.shape == (3, 14, 26)
    item, _ = read(image, spec(3, None, None, fit="refuse"), tmp_path)
    assert item.shape == (3, 7, 13)


def test_another_size_is_refused_where_the_spec_refuses(tmp_path):
    Image.new("L", (40, 20)).save(tmp_path / "x.png")
    with pytest.raises(MediaError, match=r"x\.png: is 40 x 20 pixels, but a/b takes any x 8"):
        read_media(tmp_path / "x.png", spec(1, 8, None, fit="refuse"), model="a/b")


def test_a_huge_photo_is_reduced(tmp_path):
    item, notes = read(Image.new("RGB", (4000, 3000), (10, 200, 30)), spec(fit="cover"), tmp_path)
    torch.testing.assert_close(item[:, 0, 0], torch.tensor([10.0, 200, 30]) / 255)
    assert "4000 x 3000 RGB -> 8 x 8 RGB" in notes[0]


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    Image.new("1", (30_000, 7_000)).save(tmp_path / "bomb.png")
    with pytest.raises(MediaError, match=r"too many pixels.*at most 200 million"):
        read_media(tmp_path / "bomb.png", spec())
    monkeypatch.setattr(image_module, "MAX_PIXELS", 20_000_000_000)
    Image.new("1", (30_000, 13_000)).save(tmp_path / "bomb.png")
    with pytest.raises(MediaError, match="too many pixels"):
        read_media(tmp_path / "bomb.png", spec())


def test_a_model_of_other_channels_takes_no_files(tmp_path):
    with pytest.raises(MediaError, match="1, 3 or 4 channels; this model takes 2"):
        read(Image.new("RGB", (8, 8)), spec(2), tmp_path)


# Damage


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp", "x.tiff", "x.gif", "x.bmp"])
def test_a_truncated_image_is_refused(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(MediaError, match=f"{name}: is (a damaged image|not an image)") as caught:
        read_media(tmp_path / name, spec())
    assert "\n" not in caught.value.message


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_a_damaged_image_is_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    buffer = io.BytesIO()
    format = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "ICO"]))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(
        buffer, format
    )
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged"
    path.write_bytes(content)
    try:
        item, _ = read_media(path, spec())
    except LtzooError as error:
        assert str(path) in error.message
    else:
        assert item.shape == (3, 8, 8)
        assert 0 <= item.min() <= item.max() <= 1


# Writing


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".npy"])
def test_an_image_comes_back_from_its_file(tmp_path, channels, suffix):
    data = spec(channels)
    item = torch.randint(0, 256, (channels, 8, 8), generator=torch.Generator().manual_seed(0)) / 255
    write_media(tmp_path / f"x{suffix}", item, data)
    back, _ = read_media(tmp_path / f"x{suffix}", data)
    torch.testing.assert_close(back, item, atol=1e-6, rtol=0)


def test_values_outside_the_range_are_cut_off_and_nan_refused(tmp_path):
    write_media(tmp_path / "x.png", torch.tensor([[[-0.5, 1.5]]]), spec(1, 1, 2))
    assert np.asarray(Image.open(tmp_path / "x.png")).tolist() == [[0, 255]]
    with pytest.raises(MediaError, match=r"x\.png: the result has NaN"):
        write_media(tmp_path / "x.png", torch.tensor([[[float("nan"), 1.5]]]), spec(1, 1, 2))
    assert np.asarray(Image.open(tmp_path / "x.png")).tolist() == [[0, 255]]


def test_transparency_is_not_lost_in_silence(tmp_path):
    with pytest.raises(MediaError, match="JPEG has no transparency"):
        write_media(tmp_path / "x.jpg", torch.rand(4, 8, 8), spec(4))
    with pytest.raises(MediaError, match="1, 3 or 4 channels, not 2"):
        write_media(tmp_path / "x.png", torch.rand(2, 8, 8), spec(2))
