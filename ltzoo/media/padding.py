"""Sizes that a model pads, and results cut back to what was given."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ltzoo.model import Data
from ltzoo.spec import DataSpec

__all__ = ["cut_back", "cut_to_size", "padding_note"]


def padding_note(item: Tensor, data: DataSpec) -> list[str]:
    """Says to what size the model pads an image, if it does. The few milliseconds of a sound are not worth a word.

    Args:
        item: float32 ``(channels, height, width)``.
        data: What the model takes.
    """
    _, height, width = data.padded(tuple(item.shape))
    return [] if (height, width) == item.shape[1:] else [f"padded to {width} x {height}"]


def cut_back(results: Tensor, items: Data, source: DataSpec, target: DataSpec) -> Tensor:
    """Translations without what the models' padding added to them: of the size of the items that they are made of.

    Args:
        results: Data of the target, ``(n, *data_shape)``.
        items: Data of the source that was translated.
        source: What the items are.
        target: What the results are.

    Returns:
        The results, cut at the end of each size; unchanged where the models' data is of different kinds, where
        the target's size is fixed, or where they differ from the items by more than padding adds.
    """
    step = max(source.multiple, target.multiple)
    if (
        not isinstance(items, Tensor)
        or step == 1
        or source.modality != target.modality
        or None not in target.shape
    ):
        return results
    ratio = (target.sample_rate or 1) / (source.sample_rate or 1)
    wanted = [round(size * ratio) for size in items.shape[2:]]
    # Padded by the source, counted in the target's places, then once more by the target.
    spare = source.multiple * ratio + target.multiple
    if not all(want <= have < want + spare for want, have in zip(wanted, results.shape[2:], strict=True)):
        return results
    return results[(slice(None), slice(None), *(slice(size) for size in wanted))]


def cut_to_size(item: Tensor, size: Sequence[int], data: DataSpec) -> Tensor:
    """One decoded item without what padding added to it before it was encoded.

    Args:
        item: ``(*data_shape)``.
        size: Its sizes before padding.
        data: What the item is.

    Returns:
        The item, cut; unchanged if it differs from that size by more than padding adds.
    """
    spare = [have - want for have, want in zip(item.shape[1:], size, strict=True)]
    if not all(0 <= rest < data.multiple for rest in spare):
        return item
    return item[(slice(None), *(slice(want) for want in size))]
