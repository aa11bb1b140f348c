"""Latent classifiers, quality gates, and figures of pairs of images and sounds."""

from __future__ import annotations

import pytest
import torch
from evaluation_world import (
    CENTRES,
    CLASSES,
    LABELS,
    PROTOCOL,
    A,
    B,
    Map,
    NearestCentre,
    Plain,
    identity,
    make_latents,
    make_spec,
    workbench,
)

from ltzoo.errors import LatentsError, UsageError
from ltzoo.evaluation import DirectionResult, Figure, Workbench, evaluate
from ltzoo.evaluation.classifier import train_classifier
from ltzoo.evaluation.gates import parse_requirements, shortfalls
from ltzoo.spec import DataSpec, LatentSpec


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr("ltzoo.evaluation.classifier.STEPS", 40)


def trained(seed=0, form="inference", **changes):
    latents = make_latents(A)
    arguments = {"count": CLASSES, "form": form, "seed": seed, "std": latents.std, **changes}
    return train_classifier(latents.latents, latents.labels, **arguments), latents


@pytest.mark.parametrize("form", ["inference", "separate"])
def test_classifiers_learn(form):
    classifier, latents = trained(form=form)
    assert torch.equal(classifier.predict(latents.latents), latents.labels)


def test_classifiers_depend_on_seed_and_form_alone():
    z = 5 * torch.randn(500, 6, generator=torch.Generator().manual_seed(1))
    before = torch.random.get_rng_state()
    first = trained()[0].predict(z)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(123)
    assert torch.equal(trained()[0].predict(z), first)
    assert not torch.equal(trained(seed=1)[0].predict(z), first)
    assert not torch.equal(trained(form="separate")[0].predict(z), first)


def test_classifiers_leave_out_what_has_no_class():
    latents = make_latents(A)
    wrong = latents.labels.clone()
    wrong[wrong == 3] = -1
    classifier = train_classifier(latents.latents, wrong, count=CLASSES, form="separate", seed=0)
    assert not classifier.predict(latents.latents).eq(3).any()
    with pytest.raises(LatentsError, match="no training latent has a class"):
        train_classifier(latents.latents, torch.full_like(wrong, -1), count=CLASSES, form="inference", seed=0)


def test_the_clean_subset_leaves_out_what_cannot_be_told_apart():
    """A third of the test items of class 0 lie in class 1: no bridge can know better."""
    latents = make_latents(A)
    moved = latents.latents.clone()
    odd = ((latents.labels == 0) & (latents.split == 2)).nonzero()[::3, 0]
    moved[odd] += CENTRES[1] - CENTRES[0]
    bed = workbench(latents=moved)
    result = evaluate(identity(), A, B, bed)
    items = len(bed.direction(A, B).items)
    assert result.value("transfer_accuracy") == pytest.approx(1 - len(odd) / items)
    assert result.value("clean_transfer_accuracy") == 1
    assert result.figure("clean_transfer_accuracy").n == items - len(odd)
    assert result.value("spread") > result.value("clean_spread")


# Pairs of images and sounds


class Reshaped(Plain):
    def decode(self, z):
        return z.reshape(len(z), *self.spec.data.shape)


class FlatJudge(NearestCentre):
    def features(self, x):
        return x.flatten(1)[:, :6]

    def logits(self, x):
        return super().logits(self.features(x))


def media_workbench(data: DataSpec) -> Workbench:
    """Models whose latents, padded, are the pixels or samples; values around 0.5."""
    size = torch.Size(data.shape).numel()
    bed = Workbench(LABELS, PROTOCOL)
    for id in (A, B):
        spec = make_spec(id, data=data, latent=LatentSpec(shape=(size,)))
        g = torch.Generator().manual_seed(0)
        z = 0.5 + 0.1 * torch.randn(len(make_latents(id)), size, generator=g)
        latents = make_latents(id, latents=z, std=None, fingerprint=spec.fingerprint)
        bed.add(spec, Reshaped(spec), latents, judge=FlatJudge(), judge_labels=LABELS.classes)
    return bed


def test_pairs_of_images():
    bed = media_workbench(DataSpec(modality="image", shape=(1, 8, 8)))
    perfect = evaluate(identity(), A, B, bed)
    assert perfect.value("psnr") == 100
    assert perfect.value("ssim") == pytest.approx(1)
    assert "does not decode to audio" in perfect.omitted["log_spectral_distance"]
    off = evaluate(Map(lambda z, seed: z + 0.1), A, B, bed)
    assert off.value("psnr") == pytest.approx(20, abs=1e-3)
    assert off.value("ssim") < 1


def test_pairs_of_sounds():
    bed = media_workbench(DataSpec(modality="audio", shape=(1, 600), sample_rate=8000))
    perfect = evaluate(identity(), A, B, bed)
    assert perfect.value("log_spectral_distance") == 0
    assert "does not decode to image" in perfect.omitted["psnr"]
    louder = evaluate(Map(lambda z, seed: 2 * z), A, B, bed)
    # Twice the amplitude is 6.02 dB at every frequency.
    assert louder.value("log_spectral_distance") == pytest.approx(6.02, abs=0.05)


# Gates


def result(source=A, target=B, omitted=None, **values) -> DirectionResult:
    figures = tuple(
        Figure(name=name, source=source, target=target, value=value, n=10) for name, value in values.items()
    )
    return DirectionResult(
        translator="bridge", source=source, target=target, figures=figures, omitted=omitted or {}, seconds=1.0
    )


def test_requirements_are_kept_or_not():
    required = parse_requirements("transfer_accuracy>=0.9, class_fid < 30")
    assert [str(one) for one in required] == ["transfer_accuracy >= 0.9", "class_fid < 30"]
    good = result(transfer_accuracy=0.9, class_fid=29.0)
    assert shortfalls(required, [good]) == []
    bad = result(B, A, transfer_accuracy=0.89, class_fid=30.0)
    assert shortfalls(required, [good, bad]) == [
        "toy/b -> toy/a: transfer_accuracy is 0.89, required transfer_accuracy >= 0.9",
        "toy/b -> toy/a: class_fid is 30, required class_fid < 30",
    ]


def test_a_gate_does_not_open_for_want_of_a_figure():
    required = parse_requirements("psnr>20")
    assert "no pairs here" in shortfalls(required, [result(omitted={"psnr": "no pairs here"})])[0]
    assert "not measured" in shortfalls(required, [result()])[0]


@pytest.mark.parametrize(
    "text", ["", "transfer_accuracy", "transfer_accuracy>=", "fid==3", "fid<x", ">=3", "fid<1,"]
)
def test_bad_requirements_are_refused(text):
    with pytest.raises(UsageError, match="is not a requirement"):
        parse_requirements(text)


def test_an_unknown_measure_gets_a_suggestion():
    with pytest.raises(UsageError, match="no measure 'transfer_acuracy'") as caught:
        parse_requirements("transfer_acuracy>=0.9")
    assert caught.value.hint == "did you mean transfer_accuracy?"
