"""Evaluation: one protocol for every translator.

``protocol`` is torch-free; everything else is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltzoo.evaluation.bench import BenchRunner as BenchRunner
    from ltzoo.evaluation.bench_records import Bench as Bench
    from ltzoo.evaluation.measures import MEASURES as MEASURES
    from ltzoo.evaluation.measures import Measure as Measure
    from ltzoo.evaluation.measures import get_measure as get_measure
    from ltzoo.evaluation.measuring import evaluate as evaluate
    from ltzoo.evaluation.measuring import evaluate_bridge as evaluate_bridge
    from ltzoo.evaluation.measuring import make_workbench as make_workbench
    from ltzoo.evaluation.measuring import shipped_latents as shipped_latents
    from ltzoo.evaluation.protocol import DirectionResult as DirectionResult
    from ltzoo.evaluation.protocol import Evaluation as Evaluation
    from ltzoo.evaluation.protocol import Figure as Figure
    from ltzoo.evaluation.protocol import Protocol as Protocol
    from ltzoo.evaluation.references import REFERENCES as REFERENCES
    from ltzoo.evaluation.references import Reference as Reference
    from ltzoo.evaluation.workbench import Workbench as Workbench

_HOMES = {
    "bench": ("BenchRunner",),
    "bench_records": ("Bench",),
    "measuring": ("evaluate", "evaluate_bridge", "make_workbench", "shipped_latents"),
    "measures": ("MEASURES", "Measure", "get_measure"),
    "protocol": ("DirectionResult", "Evaluation", "Figure", "Protocol"),
    "references": ("REFERENCES", "Reference"),
    "workbench": ("Workbench",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if module := _HOME_OF.get(name):
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
