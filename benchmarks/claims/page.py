"""The page of results, from what is stored: all that docs/results.md does not say by itself. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.claims.claims import CLAIMS, Claim
from benchmarks.claims.results import Figure, Results, read
from benchmarks.claims.variants import DIRECTIONS, get_variant, laptop_changes, laptop_recipe
from ltzoo.bridge.recipe import get_recipe


def summary(results: Results | None = None) -> str:
    """The table of claims and verdicts."""
    results = results or read()
    rows = [(f"[{claim.title}](#{anchor(claim.title)})", f"**{claim.verdict(results)}**") for claim in CLAIMS]
    return _table(("claim", "here"), rows)


def recipe() -> str:
    """The table of what the laptop recipe has different."""
    published, laptop = get_recipe("tian-engel-2019").to_dict(), laptop_recipe().to_dict()
    rows = [
        (f"`{name}`", f"{published[name]}", f"{laptop[name]}")
        for name in laptop_changes()
        if published[name] != laptop[name]
    ]
    return _table(("field", "`tian-engel-2019`", "here"), rows)


def sections(results: Results | None = None) -> str:
    """A section for each claim: what the paper says, the rule, the figures, the verdict."""
    results = results or read()
    return "\n\n".join(_section(claim, results) for claim in CLAIMS)


def anchor(title: str) -> str:
    """What a heading can be linked by."""
    return "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -").replace(" ", "-")


def _section(claim: Claim, results: Results) -> str:
    verdict = claim.verdict(results)
    parts = [f"## {claim.title}", f"**The paper:** {claim.paper}", f"**The rule:** {claim.rule}"]
    if verdict == "not measured":
        missing = [name for name in claim.variants if not results.has(name)]
        if claim.cost and results.cost is None:
            missing.append("cost")
        parts.append(
            f"**Not measured yet:** there are no runs of {', '.join(f'`{one}`' for one in missing)}."
        )
    else:
        parts.append(_cost_table(results) if claim.cost else _figures(claim, results))
        marks = [
            f"- {'yes' if one.holds else 'no'}: {one.text.replace('->', '→')}"
            for one in claim.conditions(results)
        ]
        parts.append(f"**{verdict.capitalize()}.**\n\n" + "\n".join(marks))
        parts += _remarks(claim, results)
    parts.append(f"```sh\n{_command(claim)}\n```")
    return "\n\n".join(parts)


def _figures(claim: Claim, results: Results) -> str:
    """A row a variant and direction: the figures over the seeds."""
    rows = []
    for name in claim.variants:
        for index, direction in enumerate(DIRECTIONS):
            cells = [_cell(results, name, measure, direction) for measure in claim.measures]
            rows.append((get_variant(name).title if index == 0 else "", direction.replace("->", "→"), *cells))
    return _table(("", "direction", *(measure.replace("_", " ") for measure in claim.measures)), rows)


def _cell(results: Results, name: str, measure: str, direction: str) -> str:
    if any(measure not in run.figures[direction] for run in results.runs[name]):
        return "–"
    return str(results.figure(name, measure, direction))


def _cost_table(results: Results) -> str:
    cost = results.cost
    assert cost is not None
    rows = [("bridge", *_cost_cells(cost.bridge_step_seconds, cost.bridge_steps))]
    rows += [(f"`{base.model}`", *_cost_cells(base.step_seconds, base.steps)) for base in cost.bases]
    return _table(("training of", "ms a step", "steps", "seconds in all"), rows)


def _cost_cells(step_seconds: Iterable[float], steps: int) -> tuple[str, str, str]:
    step_seconds = tuple(step_seconds)
    a_step = Figure(tuple(1000 * one for one in step_seconds))
    return str(a_step), str(steps), str(Figure(tuple(steps * one for one in step_seconds)))


def _remarks(claim: Claim, results: Results) -> list[str]:
    """What the reader should know, where the stored runs say so."""
    if claim.name != "data":
        return []
    items = {name: sum(results.runs[name][0].labelled_items) for name in claim.variants}
    listed = ", ".join(f"{count} for {get_variant(name).title}" for name, count in items.items())
    return [
        f"Labelled latents, both models together: {listed}. With this recipe the other latents serve for nothing but "
        "standardising; the authors' code uses them for all terms but one."
    ]


def _command(claim: Claim) -> str:
    runs = ["cost"] if claim.cost else claim.variants
    return "python -m benchmarks.claims " + " ".join(f"--only {name}" for name in runs)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    header = tuple(header)
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
