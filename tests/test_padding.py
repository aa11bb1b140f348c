"""Models that take sizes of a multiple: others are padded, which is said, and results cut back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ltzoo.errors import LatentsError, SpecError
from ltzoo.latents import LatentSet, encode_to_file
from ltzoo.media import FileItems, read_media
from ltzoo.media.padding import cut_back, cut_to_size
from ltzoo.spec import DataSpec, LatentSpec, ModelSpec


def image(multiple: int = 1, size: int | None = None) -> DataSpec:
    return DataSpec(modality="image", shape=(3, size, size), multiple=multiple)


def sound(rate: int, multiple: int) -> DataSpec:
    return DataSpec(modality="audio", shape=(1, None), sample_rate=rate, multiple=multiple)


def test_padding_is_said_and_left_to_the_model(tmp_path):
    Image.fromarray(np.zeros((37, 50, 3), np.uint8)).save(tmp_path / "a.png")
    item, notes = read_media(tmp_path / "a.png", image(8))
    assert item.shape == (3, 37, 50)
    assert notes == [f"{tmp_path / 'a.png'}: 50 x 37 RGB -> 50 x 37 RGB, padded to 56 x 40"]
    assert read_media(tmp_path / "a.png", image())[1] == []


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 16), st.integers(1, 16))
def test_a_result_is_as_large_as_its_input(height, width, ours, theirs):
    """Whatever the two strides: padded by the one, then as a whole number of the other's."""
    source, target = image(ours), image(theirs)
    padded = target.padded(source.padded((3, height, width)))
    results = torch.zeros(2, *padded)
    assert cut_back(results, torch.zeros(2, 3, height, width), source, target).shape == (2, 3, height, width)


def test_sound_is_cut_in_its_own_rate():
    source, target = sound(24000, 320), sound(16000, 512)
    results = torch.zeros(1, 1, 16384)
    assert cut_back(results, torch.zeros(1, 1, 24001), source, target).shape == (1, 1, 16001)


def test_what_padding_does_not_explain_stays():
    items = torch.zeros(1, 3, 30, 30)
    for results, source, target in (
        (torch.zeros(1, 3, 64, 64), image(8), image(8)),
        (torch.zeros(1, 3, 24, 32), image(8), image(8)),
        (torch.zeros(1, 3, 32, 32), image(8), image(1, 32)),
        (torch.zeros(1, 3, 32, 32), image(), image()),
        (torch.zeros(1, 1, 32), image(8), sound(8000, 8)),
    ):
        assert cut_back(results, items, source, target) is results
    assert cut_back(torch.zeros(1, 3, 32, 32), ["text"], DataSpec(modality="text"), image(8)).shape[2] == 32


def test_fixed_sizes_have_no_multiple():
    for make in (
        lambda: image(8, 32),
        lambda: DataSpec(modality="text", multiple=2),
        lambda: DataSpec(modality="array", shape=(None,), multiple=2),
    ):
        with pytest.raises(SpecError, match="multiple goes with images and sound whose sizes vary"):
            make()


# Latent sets keep the sizes


class Halving:
    """Takes images as its own latents, padded to even sides."""

    spec = ModelSpec(
        id="net/halving",
        title="-",
        data=DataSpec(modality="image", shape=(3, None, None), multiple=8),
        latent=LatentSpec(shape=(3, None, None)),
        capabilities=frozenset({"encode", "decode"}),
        license="MIT",
        loader="no:thing",
    )

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        spare = (0, -x.shape[3] % 8, 0, -x.shape[2] % 8)
        return torch.nn.functional.pad(x, spare, mode="replicate")

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return z


def test_a_latent_set_keeps_the_sizes_before_padding(tmp_path):
    for name, size in (("a", (13, 9)), ("b", (16, 16)), ("c", (14, 11))):
        Image.new("RGB", size, (9, 99, 199)).save(tmp_path / f"{name}.png")
    items = FileItems([str(tmp_path / f"{name}.png") for name in "abc"], Halving.spec.data)
    encode_to_file(Halving(), items, tmp_path / "z.safetensors")
    found = LatentSet.load(tmp_path / "z.safetensors", model=Halving.spec)
    assert found.latent_shape == (3, 16, 16)
    assert found.sizes.tolist() == [[9, 13], [16, 16], [11, 14]]
    some = found.select(torch.tensor([2, 0]))
    some.save(tmp_path / "some.safetensors")
    assert LatentSet.load(tmp_path / "some.safetensors").sizes.tolist() == [[11, 14], [9, 13]]
    for wrong in (torch.zeros(3, 2, dtype=torch.int64), torch.ones(2, 2, dtype=torch.int64), torch.ones(3)):
        with pytest.raises(LatentsError, match="'sizes'"):
            replace(found, sizes=wrong)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9))
def test_a_decoded_item_is_as_large_as_it_was(height, width, multiple):
    data = image(multiple)
    item = torch.zeros(data.padded((3, height, width)))
    assert cut_to_size(item, (height, width), data).shape == (3, height, width)
    assert cut_to_size(item, (height + multiple, width), data) is item
