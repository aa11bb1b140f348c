"""The paper's claims, each with the rule that decides whether it held here. Torch-free.

The rules were written before the runs; a change of one is a change of what is claimed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.claims.results import Figure, Results
from benchmarks.claims.variants import DIRECTIONS
from ltzoo.evaluation.places import Better, badness, relative_places

Verdict = Literal["held", "not held", "not measured"]

SHARE, FIDELITY, OVERLAP = "transfer_accuracy_share", "clean_class_fid", "neighbourhood_overlap"
ENOUGH = 0.9
DEVIATIONS = 2.0
MAGNITUDES = 100.0
INTERFACES = ("laptop", "autoencoder", "class-gaussian", "class-axes")

RANKED: Mapping[str, Better] = {
    SHARE: "higher",
    FIDELITY: "lower",
    "coverage": "higher",
    "recall": "higher",
    "clean_spread": "one",
    OVERLAP: "higher",
    "noisy_cycle_r2": "higher",
}
"""What `ltzoo bench` ranks by where there are no pairs, and what is better."""


@dataclass(frozen=True)
class Condition:
    """One comparison, in words and figures, and how it came out."""

    text: str
    holds: bool


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes:
        name: Short.
        title: For headings.
        paper: What the paper says, and where.
        rule: When it has held here.
        variants: The runs that decide it, in the order of the table.
        measures: What the table shows of them.
        check: The comparisons of the rule; all have to hold.
        cost: It is decided by what training costs.
    """

    name: str
    title: str
    paper: str
    rule: str
    variants: Sequence[str]
    measures: Sequence[str]
    check: Callable[[Results], list[Condition]]
    cost: bool = False

    def is_measured(self, results: Results) -> bool:
        """Whether all that it takes was run."""
        return results.has(*self.variants) and (results.cost is not None or not self.cost)

    def conditions(self, results: Results) -> list[Condition]:
        """The comparisons; none if it was not measured."""
        return self.check(results) if self.is_measured(results) else []

    def verdict(self, results: Results) -> Verdict:
        """Whether it held."""
        if not self.is_measured(results):
            return "not measured"
        return "held" if all(one.holds for one in self.conditions(results)) else "not held"


def clearly_above(one: Figure, other: Figure) -> bool:
    """Whether the means differ by more than twice the deviation of their difference."""
    return one.mean - other.mean > DEVIATIONS * math.hypot(one.std, other.std)


def _transfer(results: Results) -> list[Condition]:
    return [_at_least(results.figure("laptop", SHARE, one), ENOUGH, one) for one in DIRECTIONS]


def _locality(results: Results) -> list[Condition]:
    found = []
    for direction in DIRECTIONS:
        own = results.figure("laptop", OVERLAP, direction)
        bar = results.figure("nearest-retrieval", OVERLAP, direction)
        found.append(Condition(f"{direction}: {own}, clearly above {bar}", clearly_above(own, bar)))
    return found


def _most_of(measure: str, variant: str, whole: str) -> Callable[[Results], list[Condition]]:
    """A variant has most of what another one has."""

    def check(results: Results) -> list[Condition]:
        found = []
        for direction in DIRECTIONS:
            bar = ENOUGH * results.figure(whole, measure, direction).mean
            found.append(_at_least(results.figure(variant, measure, direction), bar, direction))
        return found

    return check


def _needed(variant: str) -> Callable[[Results], list[Condition]]:
    def check(results: Results) -> list[Condition]:
        accuracy, without = (results.mean_figure(name, SHARE) for name in ("laptop", variant))
        fidelity, coarser = (results.mean_figure(name, FIDELITY) for name in ("laptop", variant))
        loses = clearly_above(accuracy, without)
        coarsens = clearly_above(coarser, fidelity)
        text = (
            f"without it the share is {without}, with it {accuracy} ({_yes(loses)}); "
            f"the distance is {coarser}, with it {fidelity} ({_yes(coarsens)})"
        )
        return [Condition(text, loses or coarsens)]

    return check


def _best(results: Results) -> list[Condition]:
    places = mean_places(results, INTERFACES)
    first = min(places, key=lambda name: (places[name], name))
    listed = ", ".join(f"{name} {place:.2f}" for name, place in sorted(places.items(), key=lambda x: x[1]))
    return [Condition(f"mean places: {listed}", first == "laptop")]


def _cost(results: Results) -> list[Condition]:
    assert results.cost is not None
    ratio = results.cost.ratio
    return [Condition(f"{ratio} times, at least {MAGNITUDES:g}", ratio.mean >= MAGNITUDES)]


def mean_places(results: Results, names: Sequence[str]) -> dict[str, float]:
    """The mean place of each variant by the rule of `ltzoo bench`: 0 first in everything, 1 last.

    `ltzoo.evaluation.ranking.rank_ways` cannot be used without torch; a test holds this to it.
    """
    places: dict[str, list[float]] = {name: [] for name in names}
    for measure, better in RANKED.items():
        by_direction = []
        for direction in DIRECTIONS:
            values = {name: results.figure(name, measure, direction).mean for name in names}
            worse = {name: badness(measure, x, better) for name, x in values.items()}
            by_direction.append(relative_places(worse))
        for name in names:
            places[name].append(statistics.fmean(one[name] for one in by_direction))
    return {name: statistics.fmean(found) for name, found in places.items()}


def _at_least(figure: Figure, bound: float, where: str) -> Condition:
    return Condition(f"{where}: {figure}, at least {bound:.3g}", figure.mean >= bound)


def _yes(holds: bool) -> str:
    return "clearly worse" if holds else "not clearly worse"


NEEDED = (
    "Without it, in the mean over both directions, accuracy as a share of retrieval's is clearly lower or the "
    "class-wise Fréchet distance of sources that can be told apart is clearly larger. *Clearly* is by more than twice "
    "the deviation of the difference over seeds."
)


def _part(name: str, variant: str, title: str, paper: str) -> Claim:
    return Claim(
        name=name,
        title=title,
        paper=paper,
        rule=NEEDED,
        variants=("laptop", variant),
        measures=(SHARE, FIDELITY, OVERLAP),
        check=_needed(variant),
    )


CLAIMS = (
    Claim(
        name="transfer",
        title="The class survives the transfer",
        paper="High transfer accuracies show that semantic alignment is preserved (abstract). The authors' code takes them "
        "on training latents, and for sounds asks the classifier that labelled them.",
        rule="In both directions transfer accuracy is at least 0.9 of random same-class retrieval's. Accuracy alone is "
        "no proof, since one prototype a class has it; the table shows the rest.",
        variants=("laptop", "random-retrieval"),
        measures=("transfer_accuracy", SHARE, FIDELITY, "coverage", "clean_spread"),
        check=_transfer,
    ),
    Claim(
        name="locality",
        title="Locality is preserved",
        paper="Locality is preserved through the transfer (abstract). The authors' code has no measure of it.",
        rule="In both directions neighbourhood overlap is clearly above that of nearest same-class retrieval, the "
        "simplest map that keeps some: by more than twice the deviation of the difference over seeds.",
        variants=("laptop", "nearest-retrieval", "random-retrieval"),
        measures=(OVERLAP, "cycle_r2", "noisy_cycle_r2"),
        check=_locality,
    ),
    Claim(
        name="smoothness",
        title="Interpolations inside a class are smooth",
        paper="Interpolations within a class are smooth (abstract). The authors' code has no measure of it.",
        rule="In both directions smoothness is at least 0.9 of that of straight lines between the target model's own "
        "latents of a class.",
        variants=("laptop", "own", "nearest-retrieval"),
        measures=("smoothness",),
        check=_most_of("smoothness", "laptop", "own"),
    ),
    Claim(
        name="data",
        title="A few labels are enough",
        paper="New interfaces are data efficient (abstract of the earlier version, Latent Domain Transfer, 2018); the "
        "authors' code varies the number of labelled items.",
        rule="With 10 labels of each class on each side, transfer accuracy is in both directions at least 0.9 of what "
        "all labels give.",
        variants=("labels-1", "labels-3", "labels-10", "labels-100", "laptop"),
        measures=("transfer_accuracy", FIDELITY, OVERLAP),
        check=_most_of("transfer_accuracy", "labels-10", "laptop"),
    ),
    _part(
        "swd",
        "no-swd",
        "The sliced Wasserstein distance is needed",
        "It makes the models' z' overlap (caption of figure 1).",
    ),
    _part(
        "kl",
        "no-kl",
        "The KL divergence is needed",
        "The interface is a variational autoencoder (abstract), so z' is held to a normal distribution.",
    ),
    _part(
        "classifier",
        "no-classifier",
        "The classifier is needed",
        "A linear classifier gives z' its classes (abstract, caption of figure 1). In the released code it is never "
        "trained; here it is.",
    ),
    _part(
        "domain-label",
        "no-domain-label",
        "The domain label is needed",
        "A one-hot of the model goes into encoder and decoder (caption of figure 1).",
    ),
    Claim(
        name="interface",
        title="A variational autoencoder is the best interface",
        paper="A straightforward variational autoencoder bridges two generative models best (abstract).",
        rule="It has the lowest mean place among the interfaces below, by the rule that `ltzoo bench` ranks by.",
        variants=INTERFACES,
        measures=tuple(RANKED),
        check=_best,
    ),
    Claim(
        name="cost",
        title="Training costs orders of magnitude less than that of the base models",
        paper="Interfaces are trained several orders of magnitude faster than base models (abstract). The later abstract "
        "of Google Research says only that training is efficient.",
        rule="Training both base models takes at least 100 times as long as training the bridge, in processor time on "
        "one thread. 100 is two orders, the fewest that can be called several.",
        variants=(),
        measures=(),
        check=_cost,
        cost=True,
    ),
)
