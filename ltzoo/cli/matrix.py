"""The support matrix of ``ltzoo bridges --matrix``: which models lead to which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ltzoo.cli.output import note, print_json, print_table
from ltzoo.routes import Route, best_routes, row_hops
from ltzoo.zoo import Zoo

__all__ = ["print_matrix"]

LEGEND = (
    "transfer accuracy from the row's model to the column's; yes: not measured; "
    "*: through other models, the product of the bridges' accuracies; -: no way; !: the model is not installed"
)


def print_matrix(
    zoo: Zoo, bridges: Iterable[str], *, source: str | None, target: str | None, as_json: bool
) -> None:
    """Prints the best way from every model to every other.

    Args:
        zoo: Says which models are installed.
        bridges: Ids of the bridges that ways may lead through.
        source: The only row, if given.
        target: The only column, if given.
        as_json: As a document instead of a table.
    """
    hops = row_hops(zoo.bridges[id].row for id in bridges)
    models = sorted({hop.source for hop in hops})
    sources, targets = _only(models, source), _only(models, target)
    ways = {model: best_routes(hops, model) for model in sources}
    if as_json:
        routes = [
            _describe(route)
            for model in sources
            for other in targets
            if (route := ways[model].get(other)) is not None
        ]
        installed = [{"id": model, "installed": _is_installed(zoo, model)} for model in models]
        print_json("bridge-matrix", {"models": installed, "routes": routes})
        return
    names = {model: model if _is_installed(zoo, model) else f"{model}!" for model in models}
    print_table(
        ("FROM / TO", *(names[model] for model in targets)),
        [(names[model], *(_cell(model, other, ways[model]) for other in targets)) for model in sources],
    )
    note(LEGEND)


def _only(models: Sequence[str], wanted: str | None) -> Sequence[str]:
    return models if wanted is None else [model for model in models if model == wanted]


def _cell(source: str, target: str, ways: Mapping[str, Route]) -> str:
    if source == target:
        return ""
    if target not in ways:
        return "-"
    accuracy = ways[target].expected_accuracy
    return ("yes" if accuracy is None else f"{accuracy:.2f}") + ("*" if len(ways[target].hops) > 1 else "")


def _describe(route: Route) -> dict[str, Any]:
    return {
        "source": route.source,
        "target": route.target,
        "accuracy": route.expected_accuracy,
        "models": route.models,
        "bridges": route.bridges,
    }


def _is_installed(zoo: Zoo, model: str) -> bool:
    """Whether a plugin serves the model; of an open family, whether there is the plugin: it might ask the Hub."""
    if model in zoo.models:
        return True
    family, colon, _ = model.partition(":")
    info = zoo.host.info(family) if colon else None
    return info is not None and info.status == "ok"
