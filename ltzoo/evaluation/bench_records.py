"""The records of a bench: one run of a way, a way over its seeds, and the whole. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from ltzoo.bridge.report import TrainingReport
from ltzoo.evaluation.protocol import DirectionResult, Protocol, Seed, Text
from ltzoo.records import Record

__all__ = ["Bench", "Kind", "Ranking", "Run", "Standing", "Way"]

Kind = Literal["recipe", "reference"]
Place = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]


@dataclass(frozen=True, kw_only=True)
class Run(Record):
    """One way, made and measured with one seed.

    Attributes:
        identity: Digest of all that decides the outcome; a run is used again only where it is equal.
        way: Name of the way.
        seed: Of training and of measuring.
        directions: One result a direction that the way applies to.
        unavailable: ``source -> target`` of the others, and why.
        training: How a bridge's training went.
        seconds: Time until the way could translate: training, or a reference's latent classifiers.
    """

    identity: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    way: Text
    seed: Seed
    directions: tuple[DirectionResult, ...]
    unavailable: dict[str, str] = field(default_factory=dict)
    training: TrainingReport | None = None
    seconds: Seconds


@dataclass(frozen=True, kw_only=True)
class Way(Record):
    """One way to bridge the models, over all seeds.

    Attributes:
        name: The recipe's or the reference's.
        kind: Which of the two it is.
        title: For people.
        saturates: Measures that a reference is as good at as can be, by construction.
        directions: One result a direction: means over the seeds, deviations over training and measuring.
        unavailable: ``source -> target`` of directions that it does not apply to, and why.
        seconds: Time until it could translate, mean over the seeds.
    """

    name: Text
    kind: Kind
    title: Text
    saturates: tuple[Text, ...] = ()
    directions: tuple[DirectionResult, ...]
    unavailable: dict[str, str] = field(default_factory=dict)
    seconds: Seconds

    def direction(self, source: str, target: str) -> DirectionResult | None:
        """The result of one direction, if there is one."""
        return next((one for one in self.directions if (one.source, one.target) == (source, target)), None)


@dataclass(frozen=True, kw_only=True)
class Standing(Record):
    """Where one way stands.

    Attributes:
        way: Its name.
        rank: 1 for the best; ways of equal place share a rank.
        place: Mean of ``places``: 0 if it is first in every measure, 1 if last in every measure.
        places: Its place in each measure that counts for it, mean over the directions.
        left_out: Measures that do not count for it, because it saturates them.
        why: What sets it apart from the best way, in words.
    """

    way: Text
    rank: Annotated[int, Meta(ge=1)]
    place: Place
    places: dict[str, Place]
    left_out: tuple[Text, ...] = ()
    why: Text


@dataclass(frozen=True, kw_only=True)
class Ranking(Record):
    """The ways in order.

    Attributes:
        rule: How the order comes about.
        measures: What is ranked by, as far as it was measured.
        standings: From the best to the worst; a way that applies to no direction has none.
    """

    rule: Text
    measures: tuple[Text, ...]
    standings: tuple[Standing, ...]


@dataclass(frozen=True, kw_only=True)
class Bench(Record):
    """Every way to bridge some models, measured alike and ranked.

    Attributes:
        models: Ids of the models.
        protocol: How everything was measured; its seeds are also those of training.
        ranking: The order, and how it comes about.
        ways: The ways, in the order of the ranking; those without a standing last.
        notes: What the reader should know.
        ltzoo: Version that measured.
        torch: Version that measured.
    """

    models: tuple[Text, ...]
    protocol: Protocol
    ranking: Ranking
    ways: tuple[Way, ...]
    notes: tuple[str, ...] = ()
    ltzoo: Text
    torch: Text
