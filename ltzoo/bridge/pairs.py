"""Pairs: which latents of a bridge's models are of the same item, and what is fitted to them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch

from ltzoo.bridge.based import BasedAutoencoder
from ltzoo.bridge.bases import FrameValues, JointMoments, Moments, solve_paired_base, turned_onto
from ltzoo.bridge.config import PairedOn
from ltzoo.bridge.entrances import rows_of
from ltzoo.bridge.randomness import Purpose, generator
from ltzoo.bridge.recipe import Recipe
from ltzoo.bridge.sampling import VALIDATION_SHARE, TrainingSet, held_out_rows, training_part
from ltzoo.errors import TrainingError, UsageError
from ltzoo.latents import SPLITS, LatentSet, paired_rows

__all__ = [
    "MIN_PAIRS",
    "PairLimit",
    "Pairs",
    "aligned_frames",
    "check_limit",
    "find_pairs",
    "have_pairs",
    "hold_out_together",
    "may_pair",
    "paired_frames",
]

MIN_PAIRS = 16
"""Fewer pairs of two models say too little to be used."""

CHUNK = 8192
TRAIN, VALIDATION, TEST = (SPLITS.index(name) for name in ("train", "validation", "test"))
PAIRS_HINT = (
    "encode the same input with all models, or inputs with the same file names or rows with one --keys NAME; "
    "then --data MODEL=FILE"
)

PairLimit: TypeAlias = Literal["auto", "none"] | int
"""``"auto"``: all pairs that there are; ``"none"``: none; a number: only so many items, drawn by the seed."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs that are trained on.

    Attributes:
        rows: For two models by index, the lower one first: int64 ``(pairs, 2)``, row numbers in their training
            sets. Models without pairs are left out.
    """

    rows: Mapping[tuple[int, int], np.ndarray]

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))

    def between(self, a: int, b: int) -> np.ndarray | None:
        """Rows of ``a`` and ``b``, int64 ``(pairs, 2)``; None without pairs."""
        if a > b:
            found = self.rows.get((b, a))
            return None if found is None else found[:, ::-1]
        return self.rows.get((a, b))

    def hub(self, models: int) -> int | None:
        """The first model that has pairs with all others."""
        for end in range(models):
            if all(self.between(end, other) is not None for other in range(models) if other != end):
                return end
        return None

    def split(self, sets: Sequence[TrainingSet], seed: int) -> tuple[Pairs, Pairs]:
        """Those to learn from, and a tenth of the items to make choices on."""
        keys = {ends: _keys(sets[ends[0]])[rows[:, 0]] for ends, rows in self.rows.items()}
        names = {ends: sets[ends[0]].keys_of or "" for ends in self.rows}
        items = sorted({(names[ends], key) for ends, of_pair in keys.items() for key in of_pair.tolist()})
        order = generator(seed, Purpose.PAIRS, 1).permutation(len(items))
        chosen = {items[index] for index in order[: len(items) // VALIDATION_SHARE]}
        held = {
            ends: np.array([(names[ends], key) in chosen for key in of_pair.tolist()], dtype=bool)
            for ends, of_pair in keys.items()
        }
        return (
            Pairs({ends: rows[~held[ends]] for ends, rows in self.rows.items()}),
            Pairs({ends: rows[held[ends]] for ends, rows in self.rows.items()}),
        )

    def trained_on(self, sets: Sequence[TrainingSet]) -> tuple[PairedOn, ...]:
        """What a bridge's config says about them."""
        return tuple(
            PairedOn(
                models=(sets[a].model, sets[b].model),
                items=len(rows),
                sha256=hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest(),
            )
            for (a, b), rows in self.rows.items()
        )


def check_limit(limit: PairLimit, recipe: Recipe) -> None:
    """Refuses a limit that is none, or would have no effect.

    Raises:
        UsageError: It is neither ``auto`` nor ``none`` nor a number from 1, or the recipe makes no use of pairs.
    """
    if limit not in ("auto", "none") and not (isinstance(limit, int) and limit > 0):
        raise UsageError(f"pairs must be 'auto', 'none' or a number from 1, not {limit!r}")
    if isinstance(limit, int) and not recipe.uses_pairs:
        raise UsageError(f"recipe '{recipe.name}' makes no use of pairs", hint="--recipe ridge")


def may_pair(sets: Sequence[LatentSet], limit: PairLimit, recipe: Recipe) -> bool:
    """Whether pairs are looked for, and the sets' keys number the same items."""
    names = {one.keys_of for one in sets}
    return recipe.uses_pairs and limit != "none" and len(names) == 1 and None not in names


def hold_out_together(sets: Sequence[LatentSet]) -> list[LatentSet]:
    """Sets whose items are on one side of the split in all of them.

    What one set holds out, for testing or for choosing, no other set has in its ``train`` part. Where the
    rows to choose on are drawn, an item goes as the first set that has it draws it.

    Returns:
        The sets, in the same order; one whose keys number nothing that another's do comes back as it is.
    """
    names = [one.keys_of for one in sets]
    found = list(sets)
    for name in dict.fromkeys(names):
        members = [index for index, other in enumerate(names) if other == name]
        if name is not None and len(members) > 1:
            roles = _roles([sets[index] for index in members])
            for index, role in zip(members, roles, strict=True):
                found[index] = replace(sets[index], split=torch.from_numpy(role))
    return found


def have_pairs(sets: Sequence[LatentSet]) -> bool:
    """Whether one of the sets has enough pairs to train on with all others."""
    parts = [training_part(one) for one in hold_out_together(sets)]
    return any(
        all(len(paired_rows(one, other)) >= MIN_PAIRS for other in parts if other is not one) for one in parts
    )


def find_pairs(
    sets: Sequence[TrainingSet], limit: PairLimit, recipe: Recipe, seed: int
) -> tuple[Pairs, tuple[str, ...]]:
    """The pairs among what is trained on.

    Args:
        sets: One a model.
        limit: How many items count as known to be the same; see `PairLimit`.
        recipe: Says what pairs are needed.
        seed: Of the draw.

    Returns:
        The pairs, and notes for the user: what is used, and what is not.

    Raises:
        TrainingError: The recipe needs pairs that are not there.
    """
    rows: dict[tuple[int, int], np.ndarray] = {}
    notes: list[str] = []
    classes = len(sets[0].groups)
    known = f"and {classes} classes" if classes > 1 else "without classes"
    if limit != "none" and recipe.uses_pairs:
        kept = None if isinstance(limit, str) else _drawn(sets, limit, seed)
        for b in range(len(sets)):
            for a in range(b):
                found = paired_rows(sets[a], sets[b])
                if kept is not None:
                    found = found[kept[a][found[:, 0]]]
                where = f"{len(found)} pairs of {sets[a].model} and {sets[b].model}"
                if 0 < len(found) < MIN_PAIRS:
                    notes.append(f"{where} are too few and not used; at least {MIN_PAIRS} are needed")
                elif len(found):
                    rows[a, b] = found
                    notes.append(f"trained with {where}, {known}")
    pairs = Pairs(rows)
    if recipe.needs_pairs and pairs.hub(len(sets)) is None:
        lacking = next((a, b) for b in range(len(sets)) for a in range(b) if pairs.between(a, b) is None)
        few = f" ({'; '.join(notes)})" if notes else ""
        raise TrainingError(
            f"recipe '{recipe.name}' needs one model that has pairs with all others, but "
            f"{sets[lacking[0]].model} and {sets[lacking[1]].model} have none to train on{few}",
            hint="leave out --pairs none" if limit == "none" else PAIRS_HINT,
        )
    return pairs, tuple(notes)


def paired_frames(
    network: BasedAutoencoder, sets: Sequence[TrainingSet], pairs: Pairs, recipe: Recipe
) -> list[FrameValues]:
    """The frames of a base that is fitted to pairs.

    Args:
        network: Its normalisation is set already.
        sets: One a model.
        pairs: One model has pairs with all others.
        recipe: Which base.
    """
    hub = pairs.hub(len(sets))
    assert hub is not None
    sizes = network.architecture.sizes
    whole = Moments(sizes[hub], 1)
    for part in _chunks(np.arange(len(sets[hub]))):
        std = sets[hub].std
        index = torch.from_numpy(part).to(sets[hub].mean.device)
        whole.add(
            _rows(network, sets, hub, part),
            None if std is None else rows_of(network.normalize_std(std[index], hub)),
            0,
        )
    # Of draws from the posteriors: a dimension that only noise fills must not be blown up.
    covariance = whole.covariances[0] + whole.noise[0].diag()
    joints: dict[int, JointMoments] = {}
    for end in range(len(sets)):
        if end != hub:
            found = pairs.between(hub, end)
            assert found is not None
            joints[end] = _joint(network, sets, (hub, end), found)
    return solve_paired_base(joints, hub, covariance, network.architecture.code_dim, recipe)


def aligned_frames(
    network: BasedAutoencoder, sets: Sequence[TrainingSet], pairs: Pairs, frames: Sequence[FrameValues]
) -> list[FrameValues]:
    """Frames of a base that knows of no pairs, turned so that the codes of pairs agree, class by class.

    Each model that has pairs with one before it in the bridge is turned onto the first such.

    Args:
        network: Its normalisation is set already.
        sets: One a model.
        pairs: Between any of the models.
        frames: One a model.
    """
    found = list(frames)
    for end, data in enumerate(sets):
        first = next((other for other in range(end) if pairs.between(other, end) is not None), None)
        if first is None:
            continue
        rows = pairs.between(first, end)
        assert rows is not None
        joints = [
            _joint(network, sets, (first, end), rows[np.isin(rows[:, 1], group)]) for group in data.groups
        ]
        found[end] = turned_onto(found[first], found[end], joints)
    return found


def _joint(
    network: BasedAutoencoder, sets: Sequence[TrainingSet], ends: tuple[int, int], rows: np.ndarray
) -> JointMoments:
    """Sums over pairs of two models' normalised latents."""
    a, b = ends
    joint = JointMoments(network.architecture.sizes[a], network.architecture.sizes[b])
    for part in _chunks(rows):
        joint.add(_rows(network, sets, a, part[:, 0]), _rows(network, sets, b, part[:, 1]))
    return joint


def _chunks(rows: np.ndarray) -> list[np.ndarray]:
    return np.split(rows, range(CHUNK, len(rows), CHUNK))


def _rows(network: BasedAutoencoder, sets: Sequence[TrainingSet], end: int, rows: np.ndarray) -> torch.Tensor:
    """Normalised latents of a model, ``(n, size)``; of those with positions, each is a row."""
    mean = sets[end].mean
    chosen = mean[torch.from_numpy(np.ascontiguousarray(rows)).to(mean.device)]
    return rows_of(network.normalize(chosen, end))


def _drawn(sets: Sequence[TrainingSet], count: int, seed: int) -> list[np.ndarray]:
    """A mask of each set's rows: those of the items that were drawn out of all that have pairs."""
    has_pair = [np.zeros(len(one), dtype=bool) for one in sets]
    for b in range(len(sets)):
        for a in range(b):
            found = paired_rows(sets[a], sets[b])
            has_pair[a][found[:, 0]] = has_pair[b][found[:, 1]] = True
    items = sorted(
        {
            (one.keys_of or "", key)
            for one, paired in zip(sets, has_pair, strict=True)
            for key in _keys(one)[paired].tolist()
        }
    )
    order = generator(seed, Purpose.PAIRS).permutation(len(items))[:count]
    chosen = {items[index] for index in order}
    return [
        np.array([(one.keys_of or "", key) in chosen for key in _keys(one).tolist()], dtype=bool)
        for one in sets
    ]


def _keys(one: LatentSet | TrainingSet) -> np.ndarray:
    return np.zeros(len(one), dtype=np.int64) if one.keys is None else one.keys.cpu().numpy()


def _roles(sets: Sequence[LatentSet]) -> list[np.ndarray]:
    """Of sets whose keys number the same items, the index in `SPLITS` of each row, uint8."""
    roles, drawn = [], []
    for one in sets:
        role = np.zeros(len(one), np.uint8) if one.split is None else one.split.cpu().numpy().copy()
        draws = not (role == VALIDATION).any()
        if draws:
            train = np.flatnonzero(role == TRAIN)
            role[train[held_out_rows(len(train))]] = VALIDATION
        roles.append(role)
        drawn.append(draws)
    keys = [_keys(one) for one in sets]
    first: dict[int, int] = {}
    for of_set, role, draws in zip(keys, roles, drawn, strict=True):
        for row in np.flatnonzero(role != TEST):
            decided = first.setdefault(int(of_set[row]), int(role[row]))
            if draws:
                role[row] = decided
        if draws and not (role == VALIDATION).any():
            # Each set has latents of its own to choose on; these items go with them everywhere.
            train = np.flatnonzero(role == TRAIN)
            role[train[held_out_rows(len(train))]] = VALIDATION
    for outside in (VALIDATION, TEST):
        held = np.concatenate([of_set[role == outside] for of_set, role in zip(keys, roles, strict=True)])
        for of_set, role in zip(keys, roles, strict=True):
            role[(role < outside) & np.isin(of_set, held)] = outside
    return roles
