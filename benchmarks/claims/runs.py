"""Running variants: each is trained, measured on held-out latents, and written as one file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

import ltzoo
from benchmarks.claims.results import Result, path_of, rounded, write
from benchmarks.claims.training import edited, labelled_items, train, with_labels
from benchmarks.claims.variants import DIRECTIONS, MODELS, Variant
from ltzoo.bridge.labels import match_labels
from ltzoo.errors import LtzooError, UsageError
from ltzoo.evaluation import REFERENCES, Protocol, Workbench, evaluate, make_workbench, shipped_latents
from ltzoo.evaluation.metrics.smoothness import path_smoothness, same_class_pairs
from ltzoo.evaluation.translation import Translator
from ltzoo.zoo import default_zoo

MEASURED = (
    "transfer_accuracy",
    "transfer_accuracy_share",
    "clean_class_fid",
    "coverage",
    "recall",
    "clean_spread",
    "neighbourhood_overlap",
    "smoothness",
    "cycle_r2",
    "noisy_cycle_r2",
)
"""What is kept of an evaluation: what claims are decided by, and what a bench ranks by."""

PROTOCOL = Protocol(draws=10, frechet_draws=10)
"""ltzoo's own, but for the bootstrap: deviations here are over training runs."""


@dataclass
class Runner:
    """Runs variants that have not been run, on the latents that the plugins ship.

    Attributes:
        folder: Where results go.
        protocol: How translations are measured.
    """

    folder: Path
    protocol: Protocol = PROTOCOL

    @cached_property
    def specs(self) -> list[ltzoo.ModelSpec]:
        """The two models."""
        return [default_zoo().get_model(model) for model in MODELS]

    @cached_property
    def sets(self) -> list[ltzoo.LatentSet]:
        """Their latents."""
        return [shipped_latents(spec, default_zoo()) for spec in self.specs]

    @cached_property
    def workbench(self) -> Workbench:
        """What everything is measured on."""
        labels, _ = match_labels("auto", self.sets)
        latents = dict(zip(MODELS, self.sets, strict=True))
        return make_workbench(self.specs, latents, labels, zoo=default_zoo(), protocol=self.protocol)

    def is_done(self, variant: Variant, seed: int) -> bool:
        """Whether there is a result.

        Raises:
            UsageError: It was run with other settings.
        """
        path = path_of(self.folder, variant.name, seed)
        if not path.exists():
            return False
        stored = Result.from_json(path.read_bytes(), where=str(path))
        if stored.settings != variant.settings():
            raise UsageError(f"{path}: was run with other settings", hint=f"remove {path}")
        return True

    def run(self, variant: Variant, seed: int) -> Result:
        """Trains and measures, and writes the result."""
        items: tuple[int, ...] = ()
        seconds = 0.0
        with edited(variant.edit):
            if variant.kind == "own":
                figures = self._own(seed)
            else:
                if variant.kind == "reference":
                    translator: Translator = _reference(variant.name, self.workbench)
                else:
                    sets = with_labels(variant, self.sets, seed)
                    bridge, report = train(variant, sets, self.specs, seed)
                    items = tuple(labelled_items(one) for one in sets)
                    seconds, translator = report.seconds, bridge
                figures = self._measured(translator, variant.name, seed)
        result = Result(
            variant=variant.name,
            seed=seed,
            settings=variant.settings(),
            labelled_items=items,
            train_seconds=round(seconds, 1),
            figures=figures,
            command=f"python -m benchmarks.claims --only {variant.name} --seeds {seed}",
            ltzoo=ltzoo.__version__,
            torch=str(torch.__version__),
        )
        write(path_of(self.folder, variant.name, seed), result)
        return result

    def _measured(self, translator: Translator, name: str, seed: int) -> dict[str, dict[str, float]]:
        figures = {}
        for source, target in (MODELS, MODELS[::-1]):
            found = evaluate(translator, source, target, self.workbench, name=name, seeds=(seed,))
            missing = [measure for measure in MEASURED if found.value(measure) is None]
            if missing:
                reason = found.omitted.get(missing[0], "there is no such measure")
                raise LtzooError(f"{name}: no figure for {missing[0]}: {reason}")
            figures[f"{source} -> {target}"] = rounded(
                (figure.name, figure.value) for figure in found.figures if figure.name in MEASURED
            )
        return figures

    def _own(self, seed: int) -> dict[str, dict[str, float]]:
        """How smooth straight lines between the target's own latents are: the measure's bar."""
        figures = {}
        for direction in DIRECTIONS:
            side = self.workbench.side(direction.split(" -> ")[1])
            classes = side.classes_of(side.held_out)
            assert classes is not None
            pairs = same_class_pairs(classes, self.protocol.paths, seed)
            z, steps = side.held_out.latents, torch.linspace(0, 1, self.protocol.path_steps + 1)
            path = torch.stack([torch.lerp(z[pairs[:, 0]], z[pairs[:, 1]], float(step)) for step in steps], 1)
            features = side.features_read(path.flatten(0, 1)).view(len(pairs), len(steps), -1)
            value = float(path_smoothness(features).nanmean())
            figures[direction] = rounded([("smoothness", value)])
        return figures


def _reference(name: str, workbench: Workbench) -> Translator:
    return next(kind for kind in REFERENCES if kind.name == name)(workbench)
