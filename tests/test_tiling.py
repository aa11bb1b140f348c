"""A network applied piece by piece gives what it gives at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltzoo.tiling import Tiling, apply_in_parts, apply_tiled

lengths = st.integers(1, 60)


@st.composite
def tilings(draw) -> Tiling:
    halo = draw(st.integers(0, 3))
    overlap = draw(st.integers(2 * halo, 2 * halo + 4))
    return Tiling(tile=draw(st.integers(overlap + 1, overlap + 12)), overlap=overlap, halo=halo)


@settings(deadline=None)
@given(tilings(), lengths, st.integers(1, 5))
def test_weights_add_up_to_one_and_halos_have_none(tiling, length, unit):
    starts, weights = tiling.starts(length), tiling.weights(length, unit)
    total = torch.zeros(length * unit)
    for start, row in zip(starts, weights, strict=True):
        total[start * unit : start * unit + len(row)] += row
        if start > 0:
            assert not row[: tiling.halo * unit].any()
        if start + tiling.tile < length:
            assert not row[len(row) - tiling.halo * unit :].any()
    torch.testing.assert_close(total, torch.ones_like(total))
    assert all(after - before <= tiling.tile - tiling.overlap for before, after in pairwise(starts))
    assert starts[-1] + min(tiling.tile, length) == length


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20), st.integers(1, 20), tilings())
def test_with_a_halo_of_the_receptive_radius_nothing_differs(height, width, tiling):
    """A convolution of stride 2 that looks one unit far, and its way back."""
    if tiling.halo < 1:
        return
    rng = torch.Generator().manual_seed(0)
    kernel = torch.randn(3, 1, 3, 3, generator=rng, dtype=torch.float64)
    x = torch.randn(1, 1, 2 * height, 2 * width, generator=rng, dtype=torch.float64)

    def down(part):
        return torch.nn.functional.conv2d(part, kernel, stride=2, padding=1)

    def up(part):
        return torch.nn.functional.conv_transpose2d(part, kernel, stride=2, padding=1, output_padding=1)

    z = down(x)
    torch.testing.assert_close(apply_tiled(down, x, tiling, unit=2, unit_out=1), z, atol=1e-5, rtol=0)
    torch.testing.assert_close(apply_tiled(up, z, tiling, unit=1, unit_out=2), up(z), atol=1e-5, rtol=0)


def test_without_a_halo_pieces_fade_into_each_other():
    """Pieces that differ in brightness give a slope, not a step."""
    pieces = iter([0.0, 1.0])
    x = torch.zeros(1, 1, 30)
    faded = apply_tiled(lambda part: part + next(pieces), x, Tiling(tile=20, overlap=10), unit=1, unit_out=1)
    assert faded[0, 0, :10].eq(0).all()
    assert faded[0, 0, 20:].eq(1).all()
    assert faded.diff().max() < 0.15


def test_gradients_go_through():
    x = torch.ones(1, 2, 9, requires_grad=True)
    apply_tiled(lambda part: part**2, x, Tiling(tile=4, overlap=2), unit=1, unit_out=1).sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 2.0))


def test_impossible_tilings_are_refused():
    for sizes in ((4, 4, 0), (4, 2, 2), (4, 2, -1)):
        with pytest.raises(ValueError, match="the halo fits twice"):
            Tiling(tile=sizes[0], overlap=sizes[1], halo=sizes[2])


def test_items_go_together_as_far_as_they_fit_and_larger_ones_in_pieces():
    seen: list[tuple[int, ...]] = []

    def noted(x: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(x.shape))
        return 2 * x

    x = torch.rand(5, 1, 8, generator=torch.Generator().manual_seed(0))
    tiling = Tiling(tile=4, overlap=2)
    for at_once, expected in (
        (40, [(5, 1, 8)]),
        (8, [(2, 1, 8), (2, 1, 8), (1, 1, 8)]),
        (4, [(1, 1, 8)] * 5),
        (3, [(1, 1, 4)] * 15),
    ):
        seen.clear()
        # Two places a unit: items of four units.
        unit = 2 if at_once != 3 else 1
        found = apply_in_parts(noted, x, tiling, unit=unit, unit_out=unit, at_once=at_once)
        torch.testing.assert_close(found, 2 * x)
        assert seen == expected, at_once
