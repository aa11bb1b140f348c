"""The measures: name, meaning, what each needs, and how it is taken from a translation.

`MEASURES` is the one list that the protocol, tables, cards, rankings and quality gates go by.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ltzoo.evaluation.metrics import paired
from ltzoo.evaluation.metrics.accuracy import correct, share
from ltzoo.evaluation.metrics.bootstrap import mean_interval, ratio_interval, statistic_interval
from ltzoo.evaluation.metrics.cycle import r2, r2_parts
from ltzoo.evaluation.metrics.frechet import (
    class_frechet_distance,
    class_moments,
    frechet_distance,
    moments,
)
from ltzoo.evaluation.metrics.neighbours import neighbourhood_overlap
from ltzoo.evaluation.metrics.smoothness import path_smoothness, same_class_pairs
from ltzoo.evaluation.metrics.spread import class_variances, spread
from ltzoo.evaluation.places import Better
from ltzoo.evaluation.references import RandomRetrieval
from ltzoo.evaluation.translation import Translation
from ltzoo.evaluation.workbench import Need

__all__ = ["MEASURES", "Measure", "Measurement", "get_measure"]


@dataclass(frozen=True)
class Measurement:
    """One measure with one seed: its value, the ends of its bootstrap interval, and on how many items."""

    value: float
    low: float
    high: float
    n: int


Take = Callable[[Translation, int], Measurement]


@dataclass(frozen=True)
class Measure:
    """Something that can be measured of a translation.

    Attributes:
        name: In JSON, cards and registry rows.
        title: For people.
        better: ``higher``, ``lower``, or ``one`` where the ideal is 1.
        take: Takes it, with a seed for what is random in measuring.
        needs: What it needs.
        seeded: Measuring itself is random (draws, noise, a classifier's start).
    """

    name: str
    title: str
    better: Better
    take: Take
    needs: tuple[Need, ...] = ()
    seeded: bool = False


# Class


def _correct(t: Translation) -> Tensor:
    return correct(t.reading.classes, _classes(t))


def _classes(t: Translation) -> Tensor:
    assert t.direction.classes is not None
    return t.direction.classes


def _clean(t: Translation, seed: int) -> Tensor:
    """Items whose class the separate latent classifier of that seed gets right, as a mask."""
    predicted = t.direction.source.classifier("separate", seed).predict(t.direction.items.latents)
    return predicted == _classes(t)


def _transfer_accuracy(t: Translation, seed: int) -> Measurement:
    return _mean(t, _correct(t))


def _clean_transfer_accuracy(t: Translation, seed: int) -> Measurement:
    return _mean(t, _correct(t)[_clean(t, seed)])


def _transfer_accuracy_share(t: Translation, seed: int) -> Measurement:
    own, bar = _correct(t), _retrieval(t, seed)
    low, high = ratio_interval(own, bar, t.workbench.resampling())
    return Measurement(share(float(own.mean()), float(bar.mean())), low, high, len(own))


def _retrieval(t: Translation, seed: int) -> Tensor:
    """Whether random same-class retrieval is read right, item by item."""

    def make() -> Tensor:
        retrieved = Translation(RandomRetrieval(t.workbench), t.direction, t.workbench, seed)
        return correct(t.direction.target.classes_read(retrieved.z), _classes(t))

    return t.workbench.kept(("retrieval", t.direction, seed), make)


def _reconstruction_share(t: Translation, seed: int) -> Measurement:
    target = t.direction.target
    truth = target.classes_of(target.held_out)
    assert truth is not None
    bar = float(correct(target.reconstructions.classes, truth).mean())
    plain = _transfer_accuracy(t, seed)
    return Measurement(share(plain.value, bar), share(plain.low, bar), share(plain.high, bar), plain.n)


# Distribution


def _fid(t: Translation, seed: int) -> Measurement:
    real, features = t.direction.target.moments, t.reading.features

    def distance(index: Tensor) -> float:
        return frechet_distance(real, moments(features[index]))

    return _statistic(t, distance, torch.zeros(len(features), dtype=torch.int64))


def _class_fid(t: Translation, seed: int) -> Measurement:
    return _class_fid_of(t, t.reading.features, _classes(t))


def _clean_class_fid(t: Translation, seed: int) -> Measurement:
    clean = _clean(t, seed)
    return _class_fid_of(t, t.reading.features[clean], _classes(t)[clean])


def _class_fid_of(t: Translation, features: Tensor, classes: Tensor) -> Measurement:
    real = t.direction.target.class_moments

    def distance(index: Tensor) -> float:
        return class_frechet_distance(real, class_moments(features[index], classes[index]))

    return _statistic(t, distance, classes)


def _spread(t: Translation, seed: int) -> Measurement:
    return _spread_of(t, t.reading.features, _classes(t))


def _clean_spread(t: Translation, seed: int) -> Measurement:
    clean = _clean(t, seed)
    return _spread_of(t, t.reading.features[clean], _classes(t)[clean])


def _spread_of(t: Translation, features: Tensor, classes: Tensor) -> Measurement:
    real = t.direction.target.class_variances

    def ratio(index: Tensor) -> float:
        return spread(class_variances(features[index], classes[index]), real)

    return _statistic(t, ratio, classes)


def _manifold(name: str) -> Take:
    return lambda t, seed: _mean(t, getattr(t.manifold, name))


# Structure


def _neighbourhood_overlap(t: Translation, seed: int) -> Measurement:
    k = t.workbench.protocol.neighbours
    return _mean(t, neighbourhood_overlap(t.direction.items.latents, t.z, k=k, seed=seed))


def _smoothness(t: Translation, seed: int) -> Measurement:
    pairs = same_class_pairs(_classes(t), t.workbench.protocol.paths, seed)
    smoothness = path_smoothness(t.path_features(pairs)) if len(pairs) else torch.empty(0)
    return _mean(t, smoothness[~smoothness.isnan()])


def _cycle_accuracy(t: Translation, seed: int) -> Measurement:
    return _mean(t, correct(t.direction.source.classes_read(t.back), _classes(t)))


def _noisy_cycle_accuracy(t: Translation, seed: int) -> Measurement:
    read = t.direction.source.classes_read(t.noisy_back(seed))
    return _mean(t, correct(read, _classes(t)))


def _cycle_r2(t: Translation, seed: int) -> Measurement:
    return _r2(t, t.direction.items.latents, t.back)


def _noisy_cycle_r2(t: Translation, seed: int) -> Measurement:
    return _r2(t, t.direction.items.latents, t.noisy_back(seed))


# Pairs


def _truth(t: Translation) -> Tensor:
    assert t.direction.truth is not None
    return t.direction.truth


def _paired_r2(t: Translation, seed: int) -> Measurement:
    return _r2(t, _truth(t), t.z)


def _paired_cosine(t: Translation, seed: int) -> Measurement:
    return _mean(t, paired.cosine(_truth(t), t.z))


def _top1_retrieval(t: Translation, seed: int) -> Measurement:
    return _mean(t, (paired.ranks(_truth(t), t.z) == 1).double())


def _mean_rank(t: Translation, seed: int) -> Measurement:
    return _mean(t, paired.ranks(_truth(t), t.z))


def _decoded(compare: Callable[[Tensor, Tensor], Tensor]) -> Take:
    """Compares each decoded translation with the target's own decoded latent of the same item."""

    def take(t: Translation, seed: int) -> Measurement:
        decode, batch = t.direction.target.model.decode, t.workbench.protocol.batch
        with torch.inference_mode():
            parts = [
                compare(decode(truth), decode(own)).cpu()
                for truth, own in zip(_truth(t).split(batch), t.z.split(batch), strict=True)
            ]
        return _mean(t, torch.cat(parts))

    return take


# Values and their intervals


def _mean(t: Translation, values: Tensor) -> Measurement:
    if not len(values):
        return _undefined(0)
    return Measurement(float(values.mean()), *mean_interval(values, t.workbench.resampling()), len(values))


def _r2(t: Translation, truth: Tensor, guess: Tensor) -> Measurement:
    low, high = ratio_interval(*r2_parts(truth, guess), t.workbench.resampling())
    return Measurement(r2(truth, guess), 1 - high, 1 - low, len(truth))


def _statistic(t: Translation, statistic: Callable[[Tensor], float], groups: Tensor) -> Measurement:
    """A statistic of items ``(n,)`` drawn group by group."""
    n = len(groups)
    value = statistic(torch.arange(n)) if n > 1 else math.nan
    if math.isnan(value):
        return _undefined(n)
    interval = statistic_interval(statistic, value, t.workbench.resampling(frechet=True), groups=groups)
    return Measurement(value, *interval, n)


def _undefined(n: int) -> Measurement:
    return Measurement(math.nan, math.nan, math.nan, n)


MEASURES: tuple[Measure, ...] = (
    Measure("transfer_accuracy", "transfer accuracy", "higher", _transfer_accuracy, ("labels", "judge")),
    Measure(
        "transfer_accuracy_share",
        "… as a share of random same-class retrieval's",
        "higher",
        _transfer_accuracy_share,
        ("labels", "judge", "train"),
        seeded=True,
    ),
    Measure(
        "reconstruction_share",
        "… as a share of the target's own reconstructions'",
        "higher",
        _reconstruction_share,
        ("labels", "judge"),
    ),
    Measure(
        "clean_transfer_accuracy",
        "… of sources that can be told apart",
        "higher",
        _clean_transfer_accuracy,
        ("labels", "judge", "train"),
        seeded=True,
    ),
    Measure("fid", "Fréchet distance", "lower", _fid, ("judge",)),
    Measure("class_fid", "class-wise Fréchet distance", "lower", _class_fid, ("labels", "judge")),
    Measure(
        "clean_class_fid",
        "… of sources that can be told apart",
        "lower",
        _clean_class_fid,
        ("labels", "judge", "train"),
        seeded=True,
    ),
    Measure("precision", "precision", "higher", _manifold("precision"), ("judge",)),
    Measure("recall", "recall", "higher", _manifold("recall"), ("judge",)),
    Measure("density", "density", "higher", _manifold("density"), ("judge",)),
    Measure("coverage", "coverage", "higher", _manifold("coverage"), ("judge",)),
    Measure("spread", "spread inside classes", "one", _spread, ("labels", "judge")),
    Measure(
        "clean_spread",
        "… of sources that can be told apart",
        "one",
        _clean_spread,
        ("labels", "judge", "train"),
        seeded=True,
    ),
    Measure("neighbourhood_overlap", "neighbourhood overlap", "higher", _neighbourhood_overlap),
    Measure(
        "smoothness", "interpolation smoothness", "higher", _smoothness, ("labels", "judge"), seeded=True
    ),
    Measure("cycle_accuracy", "cycle accuracy", "higher", _cycle_accuracy, ("labels", "return judge")),
    Measure(
        "noisy_cycle_accuracy",
        "… with posterior noise between",
        "higher",
        _noisy_cycle_accuracy,
        ("labels", "return judge", "posterior"),
        seeded=True,
    ),
    Measure("cycle_r2", "cycle R²", "higher", _cycle_r2),
    Measure(
        "noisy_cycle_r2",
        "… with posterior noise between",
        "higher",
        _noisy_cycle_r2,
        ("posterior",),
        seeded=True,
    ),
    Measure("paired_r2", "R² of pairs", "higher", _paired_r2, ("pairs",)),
    Measure("paired_cosine", "cosine of pairs", "higher", _paired_cosine, ("pairs",)),
    Measure("top1_retrieval", "top-1 retrieval of pairs", "higher", _top1_retrieval, ("pairs",)),
    Measure("mean_rank", "mean rank of pairs", "lower", _mean_rank, ("pairs",)),
    Measure("psnr", "PSNR of pairs, dB", "higher", _decoded(paired.psnr), ("pairs", "image")),
    Measure("ssim", "SSIM of pairs", "higher", _decoded(paired.ssim), ("pairs", "image")),
    Measure(
        "log_spectral_distance",
        "log-spectral distance of pairs, dB",
        "lower",
        _decoded(paired.log_spectral_distance),
        ("pairs", "audio"),
    ),
)
"""All measures, in the order of tables."""


def get_measure(name: str) -> Measure | None:
    """The measure of that name, if there is one."""
    return next((measure for measure in MEASURES if measure.name == name), None)
