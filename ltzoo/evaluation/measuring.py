"""Measuring: one direction of any translator, or all directions of a bridge."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping

import torch

from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.config import LabelMap
from ltzoo.bridge.labels import match_labels
from ltzoo.errors import TrainingError, UsageError
from ltzoo.evaluation.measures import MEASURES, Measure, Measurement
from ltzoo.evaluation.protocol import DirectionResult, Evaluation, Figure, Protocol
from ltzoo.evaluation.translation import Translation, Translator
from ltzoo.evaluation.workbench import Direction, Workbench
from ltzoo.hub import resolve_file
from ltzoo.latents import LatentSet
from ltzoo.spec import ModelSpec
from ltzoo.zoo import Zoo, default_zoo

__all__ = [
    "Progress",
    "bridge_workbench",
    "evaluate",
    "evaluate_bridge",
    "library_version",
    "make_workbench",
    "part_of",
    "shipped_latents",
]

Progress = Callable[[float, str], None]
"""Called with the share that is done, 0..1, and what comes next."""

UNDEFINED = "not defined here: there is no variation to measure, or no item left to measure on"


def evaluate(
    translator: Translator,
    source: str,
    target: str,
    workbench: Workbench,
    *,
    name: str = "bridge",
    seeds: tuple[int, ...] | None = None,
    progress: Progress | None = None,
) -> DirectionResult:
    """Measures one direction on held-out latents.

    Everything is measured once a seed of the protocol. Where neither the translation nor the measuring
    is random, that is once in all.

    Args:
        translator: What translates.
        source: Id of the model translated from.
        target: Id of the model translated to.
        workbench: The models, latents, judges, label map and protocol.
        name: What the result calls the translator.
        seeds: Measure with these seeds instead of the protocol's.
        progress: Is told how far it is.

    Raises:
        UsageError: The workbench lacks a model.
        LatentsError: There are too few held-out items.
        LtzooError: There are neither pairs nor labels and a judge, so nothing can be said.
        BridgeError: The translator gives latents of the wrong shape, or not finite.
    """
    start = time.monotonic()
    seeds = workbench.protocol.seeds if seeds is None else seeds
    direction = workbench.direction(source, target)
    translations = _translations(translator, direction, workbench, seeds)
    figures: list[Figure] = []
    omitted: dict[str, str] = {}
    for done, measure in enumerate(MEASURES):
        if progress is not None:
            progress(done / len(MEASURES), f"{source} -> {target}: {measure.title.removeprefix('… ')}")
        lacking = [need for need in measure.needs if need in direction.missing]
        if lacking:
            omitted[measure.name] = direction.missing[lacking[0]]
            continue
        taken = _take(measure, translations, seeds)
        if all(math.isfinite(one.value) for one in taken):
            figures.append(_figure(measure, source, target, taken))
        else:
            omitted[measure.name] = UNDEFINED
    return DirectionResult(
        translator=name,
        source=source,
        target=target,
        figures=tuple(figures),
        omitted=omitted,
        seconds=time.monotonic() - start,
    )


def evaluate_bridge(
    bridge: Bridge,
    *,
    name: str,
    zoo: Zoo | None = None,
    protocol: Protocol | None = None,
    latents: Mapping[str, LatentSet] | None = None,
    device: str = "cpu",
    workbench: Workbench | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measures every direction of a bridge.

    Args:
        bridge: The bridge.
        name: The reference that it was loaded by.
        zoo: Where its models, their data sets and judges are; this environment's by default.
        protocol: How it is measured.
        latents: Latent sets by model, instead of the shipped ones.
        device: Where models and judges compute.
        workbench: What `bridge_workbench` made of the same arguments, for who needs it afterwards.
        progress: Is told how far it is.

    Raises:
        FingerprintError: The models at hand are not those that the bridge was trained on.
        UsageError: No data set ships latents of a model, and none were given.
        LtzooError: A direction cannot be measured; see `evaluate`.
    """
    start = time.monotonic()
    if workbench is None:
        workbench = bridge_workbench(bridge, zoo=zoo, protocol=protocol, latents=latents, device=device)
    directions = list(itertools.permutations(bridge.models, 2))
    results = []
    for index, (source, target) in enumerate(directions):
        part = part_of(progress, index, len(directions))
        results.append(evaluate(bridge, source, target, workbench, progress=part))
    return Evaluation(
        bridge=name,
        models=bridge.models,
        protocol=workbench.protocol,
        directions=tuple(results),
        notes=_label_notes(bridge.config.labels, workbench.labels),
        ltzoo=library_version(),
        torch=str(torch.__version__),
        seconds=time.monotonic() - start,
    )


def bridge_workbench(
    bridge: Bridge,
    *,
    zoo: Zoo | None = None,
    protocol: Protocol | None = None,
    latents: Mapping[str, LatentSet] | None = None,
    device: str = "cpu",
) -> Workbench:
    """The workbench that a bridge is measured on; see `evaluate_bridge` for arguments and errors."""
    zoo = zoo or default_zoo()
    specs = [zoo.get_model(model) for model in bridge.models]
    bridge.check_models(specs)
    sets = {spec.id: (latents or {}).get(spec.id) or shipped_latents(spec, zoo) for spec in specs}
    labels = _labels(bridge.config.labels, list(sets.values()))
    return make_workbench(specs, sets, labels, zoo=zoo, protocol=protocol, device=device)


def make_workbench(
    specs: Iterable[ModelSpec],
    latents: Mapping[str, LatentSet],
    labels: LabelMap,
    *,
    zoo: Zoo,
    protocol: Protocol | None = None,
    device: str = "cpu",
) -> Workbench:
    """A workbench of installed models, with the judges of the data sets that ship their latents.

    Args:
        specs: The models.
        latents: A latent set for each, by id.
        labels: Which of their labels mean the same class.
        zoo: Loads models and judges.
        protocol: How translations are measured.
        device: Where models and judges compute.
    """
    workbench = Workbench(labels, protocol)
    for spec in specs:
        dataset = zoo.dataset_of(spec.id)
        judged = dataset is not None and dataset.judge is not None
        workbench.add(
            spec,
            zoo.load_model(spec, device=device),
            latents[spec.id],
            judge=zoo.load_judge(dataset, device=device) if dataset and judged else None,
            judge_labels=dataset.labels if dataset and judged else (),
        )
    return workbench


def shipped_latents(spec: ModelSpec, zoo: Zoo) -> LatentSet:
    """The latent set that a data set ships of a model.

    Raises:
        UsageError: None does.
    """
    dataset = zoo.dataset_of(spec.id)
    file = dataset.latents_of(spec.id) if dataset else None
    if dataset is None or file is None:
        raise UsageError(
            f"no installed data set ships latents of {spec.id}, so there is nothing held out to measure on",
            hint="install a plugin with such a data set, or give a latent set of your own",
        )
    return LatentSet.load(resolve_file(dataset.source, file.file.name), model=spec)


def _labels(trained: LabelMap, sets: list[LatentSet]) -> LabelMap:
    """The bridge's label map; for a bridge without one, equal names, which it was not trained on."""
    if trained.classes:
        return trained
    try:
        found, _ = match_labels("auto", sets)
    except TrainingError:
        return LabelMap(origin="none")
    return found if found.origin == "names" else LabelMap(origin="none")


def _label_notes(trained: LabelMap, used: LabelMap) -> tuple[str, ...]:
    if trained.classes:
        return ()
    scored = "classes of equal names are scored" if used.classes else "no class is scored"
    return (f"the bridge was trained without labels; {scored}",)


def _translations(
    translator: Translator, direction: Direction, workbench: Workbench, seeds: tuple[int, ...]
) -> list[Translation]:
    """One translation a seed; equal ones are one object, so that nothing is made twice."""
    found: list[Translation] = []
    for seed in seeds:
        new = Translation(translator, direction, workbench, seed)
        found.append(next((old for old in found if torch.equal(old.z, new.z)), new))
    return found


def _take(measure: Measure, translations: list[Translation], seeds: tuple[int, ...]) -> list[Measurement]:
    if not measure.seeded and all(one is translations[0] for one in translations):
        return [measure.take(translations[0], seeds[0])]
    return [measure.take(one, seed) for one, seed in zip(translations, seeds, strict=True)]


def _figure(measure: Measure, source: str, target: str, taken: list[Measurement]) -> Figure:
    several = len(taken) > 1
    ends = [(one.low, one.high) for one in taken]
    bounded = all(math.isfinite(end) for pair in ends for end in pair)
    return Figure(
        name=measure.name,
        source=source,
        target=target,
        value=statistics.fmean(one.value for one in taken),
        std=statistics.stdev(one.value for one in taken) if several else None,
        low=statistics.fmean(low for low, _ in ends) if bounded else None,
        high=statistics.fmean(high for _, high in ends) if bounded else None,
        n=round(statistics.fmean(one.n for one in taken)),
        seeds=len(taken),
    )


def part_of(progress: Progress | None, index: int, count: int) -> Progress | None:
    """The progress of one of ``count`` equal parts, as a part of the whole."""
    if progress is None:
        return None
    return lambda share, what: progress((index + share) / count, what)


def library_version() -> str:
    """The version of ltzoo that measures."""
    from ltzoo import __version__

    return __version__
