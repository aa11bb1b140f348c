"""Quality gates: what a bridge must reach, as ``transfer_accuracy>=0.9,class_fid<=30``."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ltzoo.errors import UsageError
from ltzoo.evaluation.measures import MEASURES, get_measure
from ltzoo.evaluation.protocol import DirectionResult

__all__ = ["Requirement", "parse_requirements", "shortfalls"]

COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
FORM = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*(\S+)\s*")


@dataclass(frozen=True)
class Requirement:
    """A bound on one measure, that every measured direction must keep.

    Attributes:
        name: Of the measure.
        comparison: ``>=``, ``<=``, ``>`` or ``<``.
        bound: The number.
    """

    name: str
    comparison: str
    bound: float

    def __str__(self) -> str:
        return f"{self.name} {self.comparison} {self.bound:g}"

    def holds(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        return bool(COMPARISONS[self.comparison](value, self.bound))


def parse_requirements(text: str) -> tuple[Requirement, ...]:
    """Requirements from their text, separated by commas.

    Raises:
        UsageError: One is not ``measure>=number``, or there is no such measure.
    """
    return tuple(_parse(part) for part in text.split(","))


def shortfalls(requirements: Iterable[Requirement], results: Iterable[DirectionResult]) -> list[str]:
    """Says of each direction and requirement that is not kept how it falls short.

    A measure without a figure is not kept: a gate must not open because nothing was measured.
    """
    found = []
    results = list(results)
    for requirement in requirements:
        for result in results:
            where = f"{result.source} -> {result.target}"
            value = result.value(requirement.name)
            if value is None:
                reason = result.omitted.get(requirement.name, "it was not measured")
                found.append(f"{where}: {requirement} is required, but there is no figure: {reason}")
            elif not requirement.holds(value):
                found.append(f"{where}: {requirement.name} is {value:.4g}, required {requirement}")
    return found


def _parse(text: str) -> Requirement:
    match = FORM.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        name, comparison, bound = match.group(1), match.group(2), float(match.group(3))
    except ValueError as error:
        raise UsageError(
            f"'{text.strip()}' is not a requirement", hint='write "transfer_accuracy>=0.9,class_fid<=30"'
        ) from error
    if get_measure(name) is None:
        names = [measure.name for measure in MEASURES]
        near = difflib.get_close_matches(name, names, n=1)
        raise UsageError(
            f"there is no measure '{name}'",
            hint=f"did you mean {near[0]}?" if near else f"measures: {', '.join(names)}",
        )
    return Requirement(name, comparison, bound)
