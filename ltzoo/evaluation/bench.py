"""The bench: trains and measures every way to bridge some models under one protocol, and ranks them."""

from __future__ import annotations

import hashlib
import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec
import torch

from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.labels import Labels, match_labels
from ltzoo.bridge.pairs import have_pairs
from ltzoo.bridge.recipe import Recipe, get_recipe, list_recipes
from ltzoo.bridge.report import TrainingReport
from ltzoo.bridge.trainer import train_bridge
from ltzoo.errors import UsageError
from ltzoo.evaluation.bench_records import Bench, Run, Way
from ltzoo.evaluation.measures import MEASURES
from ltzoo.evaluation.measuring import Progress, evaluate, library_version, make_workbench, part_of
from ltzoo.evaluation.protocol import DirectionResult, Figure, Protocol
from ltzoo.evaluation.ranking import rank_ways
from ltzoo.evaluation.references import REFERENCES, Reference
from ltzoo.evaluation.translation import Translator
from ltzoo.evaluation.workbench import Workbench
from ltzoo.evaluation.workfolder import WorkFolder
from ltzoo.latents import LatentSet
from ltzoo.spec import ModelSpec
from ltzoo.zoo import Zoo, default_zoo

__all__ = ["LONG_STEPS", "BenchRunner", "default_recipes"]

LONG_STEPS = 10_000
"""Recipes of as many steps are run only when they are named."""


def default_recipes(latents: Sequence[LatentSet]) -> list[Recipe]:
    """The recipes that come with ltzoo, without those that take long or need pairs that are not there.

    Args:
        latents: One set a model.
    """
    recipes = [get_recipe(name) for name in list_recipes()]
    paired = have_pairs(latents)
    return [recipe for recipe in recipes if recipe.steps < LONG_STEPS and (paired or not recipe.needs_pairs)]


@dataclass(frozen=True)
class Entrant:
    """A way before it has been run: a recipe, or a kind of reference."""

    what: Recipe | type[Reference]

    @property
    def name(self) -> str:
        return self.what.name

    @property
    def content(self) -> object:
        """What decides how it translates, as plain data."""
        return self.what.to_dict() if isinstance(self.what, Recipe) else self.what.name


class BenchRunner:
    """A bench of some models.

    Args:
        specs: The models, two or more.
        latents: A latent set for each, by id.
        work: Where results, bridges and checkpoints are kept. What is there is not done again.
        recipes: What bridges are trained with; `default_recipes` by default.
        labels: How labels of the models correspond; see `ltzoo.bridge.labels.match_labels`.
        protocol: How everything is measured; its seeds are those of training too.
        zoo: Loads models and judges; this environment's by default.
        device: Where models, judges and training compute.

    Raises:
        UsageError: Two ways have the same name.
        TrainingError: The labels cannot be joined.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        latents: Mapping[str, LatentSet],
        work: WorkFolder,
        *,
        recipes: Sequence[Recipe] | None = None,
        labels: Labels = "auto",
        protocol: Protocol | None = None,
        zoo: Zoo | None = None,
        device: str = "cpu",
    ) -> None:
        self.specs = tuple(specs)
        self.latents = latents
        self.work = work
        self.protocol = protocol or Protocol()
        self.zoo = zoo or default_zoo()
        self.device = device
        if recipes is None:
            recipes = default_recipes([latents[spec.id] for spec in specs])
        self.entrants = [*map(Entrant, recipes), *map(Entrant, REFERENCES)]
        names = [entrant.name for entrant in self.entrants]
        if twice := [name for name in names if names.count(name) > 1]:
            raise UsageError(f"two ways are called '{twice[0]}'", hint="give the recipe another name")
        self._labels = labels
        self.label_map, self.notes = match_labels(labels, [latents[spec.id] for spec in specs])

    @cached_property
    def workbench(self) -> Workbench:
        """What everything is measured on; loads the models and judges."""
        return make_workbench(
            self.specs, self.latents, self.label_map, zoo=self.zoo, protocol=self.protocol, device=self.device
        )

    def run(self, progress: Progress | None = None, *, training_bar: bool = False) -> Bench:
        """Runs what has not been run yet, and ranks the ways.

        Args:
            progress: Is told how far it is.
            training_bar: Training shows a bar of its own, on stderr.

        Raises:
            UsageError: The work folder holds runs of another bench.
            LtzooError: A direction cannot be measured, or a run cannot be stored.
            TrainingError: A bridge cannot be trained.
            KeyboardInterrupt: The user pressed Ctrl-C; the same call goes on from there.
        """
        self.work.make()
        pairs = list(itertools.product(self.entrants, self.protocol.seeds))
        # Before any work: a folder that another bench uses must not be found out after an hour.
        runs = {(entrant.name, seed): self._done(entrant, seed) for entrant, seed in pairs}
        for index, (entrant, seed) in enumerate(pairs):
            if runs[entrant.name, seed] is None:
                part = part_of(progress, index, len(pairs))
                runs[entrant.name, seed] = self._run(entrant, seed, part, training_bar)
        ways = []
        for entrant in self.entrants:
            own = [runs[entrant.name, seed] for seed in self.protocol.seeds]
            ways.append(_way(entrant, [run for run in own if run is not None]))
        return self._bench(ways)

    def _bench(self, ways: list[Way]) -> Bench:
        ranking = rank_ways(ways)
        order = [standing.way for standing in ranking.standings]
        ranked = sorted(ways, key=lambda way: order.index(way.name) if way.name in order else len(order))
        return Bench(
            models=tuple(spec.id for spec in self.specs),
            protocol=self.protocol,
            ranking=ranking,
            ways=tuple(ranked),
            notes=self.notes,
            ltzoo=library_version(),
            torch=str(torch.__version__),
        )

    def training(self, way: Way) -> TrainingReport | None:
        """How a recipe's training with the first seed went; None for a reference."""
        entrant = next(entrant for entrant in self.entrants if entrant.name == way.name)
        run = self._done(entrant, self.protocol.seeds[0])
        return None if run is None else run.training

    def translator(self, way: Way) -> Translator:
        """What translates, made with the first seed.

        Raises:
            BridgeError: The bridge in the work folder cannot be read.
        """
        entrant = next(entrant for entrant in self.entrants if entrant.name == way.name)
        if isinstance(entrant.what, Recipe):
            folder = self.work.bridge(way.name, self.protocol.seeds[0])
            return Bridge.from_pretrained(folder, device=self.device)
        return entrant.what(self.workbench)

    def _done(self, entrant: Entrant, seed: int) -> Run | None:
        return self.work.read(entrant.name, seed, self._identity(entrant, seed))

    def _run(self, entrant: Entrant, seed: int, progress: Progress | None, training_bar: bool) -> Run:
        told = part_of(progress, 1, 2)
        if isinstance(entrant.what, Recipe):
            if progress is not None:
                progress(0, f"{entrant.name}, seed {seed}: training")
            bridge, report = self._train(entrant.what, seed, training_bar)
            results = self._measure(bridge, entrant, seed, told)
            run = self._result(entrant, seed, results, {}, report, report.seconds)
        else:
            reference = entrant.what(self.workbench)
            reasons = {pair: reference.unavailable(*pair) for pair in self._directions}
            unavailable = {f"{a} -> {b}": reason for (a, b), reason in reasons.items() if reason}
            results = self._measure(
                reference, entrant, seed, told, lambda source, target: reasons[source, target] is None
            )
            seconds = reference.seconds(seed) if results else 0.0
            run = self._result(entrant, seed, results, unavailable, None, seconds)
        self.work.write(run)
        self.work.checkpoint(entrant.name, seed).unlink(missing_ok=True)
        return run

    def _train(self, recipe: Recipe, seed: int, bar: bool) -> tuple[Bridge, TrainingReport]:
        bridge, report = train_bridge(
            [self.latents[spec.id] for spec in self.specs],
            models=self.specs,
            recipe=recipe,
            seed=seed,
            device=self.device,
            labels=self._labels,
            checkpoint=self.work.checkpoint(recipe.name, seed),
            progress=bar,
        )
        bridge.save_pretrained(self.work.bridge(recipe.name, seed))
        return bridge, report

    @property
    def _directions(self) -> list[tuple[str, str]]:
        return list(itertools.permutations([spec.id for spec in self.specs], 2))

    def _measure(
        self,
        translator: Translator,
        entrant: Entrant,
        seed: int,
        progress: Progress | None,
        applies: Callable[[str, str], bool] = lambda source, target: True,
    ) -> tuple[DirectionResult, ...]:
        directions = [pair for pair in self._directions if applies(*pair)]
        results = []
        for index, (source, target) in enumerate(directions):
            results.append(
                evaluate(
                    translator,
                    source,
                    target,
                    self.workbench,
                    name=entrant.name,
                    seeds=(seed,),
                    progress=_named(
                        part_of(progress, index, len(directions)), f"{entrant.name}, seed {seed}"
                    ),
                )
            )
        return tuple(results)

    def _result(
        self,
        entrant: Entrant,
        seed: int,
        directions: tuple[DirectionResult, ...],
        unavailable: dict[str, str],
        training: TrainingReport | None,
        seconds: float,
    ) -> Run:
        return Run(
            identity=self._identity(entrant, seed),
            way=entrant.name,
            seed=seed,
            directions=directions,
            unavailable=unavailable,
            training=training,
            seconds=seconds,
        )

    def _identity(self, entrant: Entrant, seed: int) -> str:
        content = {**self._common, "way": entrant.content, "seed": seed}
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()

    @cached_property
    def _common(self) -> dict[str, object]:
        """What decides the outcome of all runs, as plain data."""
        datasets = [self.zoo.dataset_of(spec.id) for spec in self.specs]
        # Intervals are drawn with the first seed; a seed more must not undo what is done.
        protocol = replace(self.protocol, seeds=self.protocol.seeds[:1])
        return {
            "models": [(spec.id, spec.fingerprint) for spec in self.specs],
            "latents": [_digest(self.latents[spec.id]) for spec in self.specs],
            "judges": [
                dataset.judge.to_dict() if dataset and dataset.judge else None for dataset in datasets
            ],
            "labels": self.label_map.to_dict(),
            "protocol": protocol.to_dict(),
            "versions": [library_version(), str(torch.__version__)],
        }


def _way(entrant: Entrant, runs: Sequence[Run]) -> Way:
    """One way over its seeds."""
    what = entrant.what
    directions = zip(*(run.directions for run in runs), strict=True)
    return Way(
        name=entrant.name,
        kind="recipe" if isinstance(what, Recipe) else "reference",
        title=f"recipe {what.name}" if isinstance(what, Recipe) else what.title,
        saturates=() if isinstance(what, Recipe) else what.saturates,
        directions=tuple(_pooled(results) for results in directions),
        unavailable=runs[0].unavailable,
        seconds=statistics.fmean(run.seconds for run in runs),
    )


def _pooled(results: Sequence[DirectionResult]) -> DirectionResult:
    """One direction over the seeds."""
    figures = []
    omitted: dict[str, str] = {}
    for measure in MEASURES:
        found = [figure for result in results if (figure := result.figure(measure.name))]
        if len(found) == len(results):
            figures.append(_mean(found))
        else:
            # A figure of fewer seeds than the others would look comparable.
            omitted[measure.name] = next(
                result.omitted[measure.name] for result in results if measure.name in result.omitted
            )
    return replace(
        results[0],
        figures=tuple(figures),
        omitted=omitted,
        seconds=statistics.fmean(result.seconds for result in results),
    )


def _mean(figures: Sequence[Figure]) -> Figure:
    values = [figure.value for figure in figures]
    lows = [figure.low for figure in figures if figure.low is not None]
    highs = [figure.high for figure in figures if figure.high is not None]
    bounded = len(lows) == len(highs) == len(figures)
    return replace(
        figures[0],
        value=statistics.fmean(values),
        std=statistics.stdev(values) if len(values) > 1 else None,
        low=statistics.fmean(lows) if bounded else None,
        high=statistics.fmean(highs) if bounded else None,
        n=round(statistics.fmean(figure.n for figure in figures)),
        seeds=len(figures),
    )


def _named(progress: Progress | None, what: str) -> Progress | None:
    if progress is None:
        return None
    return lambda share, text: progress(share, f"{what}: {text}")


def _digest(latents: LatentSet) -> str:
    digest = hashlib.sha256()
    for tensor in (latents.latents, latents.std, latents.labels, latents.keys, latents.split):
        digest.update(b"-" if tensor is None else tensor.cpu().contiguous().numpy().tobytes())
    digest.update((latents.keys_of or "-").encode())
    return digest.hexdigest()
