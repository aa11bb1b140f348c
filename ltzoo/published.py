"""The bridges that registries list, found by id and by the models that they join."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ltzoo.errors import UnknownBridgeError
from ltzoo.registry import BridgeRow, Registry, RegistrySource
from ltzoo.suggestions import suggest

if TYPE_CHECKING:
    from ltzoo.routes import Hop, Route

__all__ = ["PublishedBridge", "PublishedBridges"]


@dataclass(frozen=True, kw_only=True)
class PublishedBridge:
    """A row of a registry, and the registry that it stands in."""

    row: BridgeRow
    registry: RegistrySource

    @property
    def folder(self) -> Path | None:
        """The folder of a bundled bridge; None for one on the Hub."""
        if self.row.path is None or self.registry.path is None:
            return None
        return self.registry.path.parent / self.row.path


class PublishedBridges:
    """The bridges of several registries.

    Attributes:
        by_id: The bridges by id, in order; where two registries share an id, the first one's.

    Args:
        registries: In order of precedence.
    """

    def __init__(self, registries: Iterable[tuple[RegistrySource, Registry]]) -> None:
        found: dict[str, PublishedBridge] = {}
        for source, registry in registries:
            for row in registry.bridges:
                found.setdefault(row.id, PublishedBridge(row=row, registry=source))
        self.by_id = dict(sorted(found.items()))

    def matching(
        self, pattern: str | Iterable[str] = "*", *, source: str | None = None, target: str | None = None
    ) -> list[str]:
        """Ids of the published bridges, in order.

        Args:
            pattern: Wildcards as in a shell, one or several.
            source: Only bridges that translate from this model.
            target: Only bridges that translate to this model.
        """
        patterns = [pattern] if isinstance(pattern, str) else list(pattern)
        return [
            id
            for id, bridge in self.by_id.items()
            if any(fnmatchcase(id, pattern) for pattern in patterns)
            and all(model is None or model in bridge.row.models for model in (source, target))
            and (source is None or source != target)
        ]

    def get(self, id: str) -> PublishedBridge:
        """The published bridge of that id.

        Raises:
            UnknownBridgeError: No registry lists it.
        """
        if bridge := self.by_id.get(id):
            return bridge
        if re.search(r"[/\\]", id) or id.endswith(".safetensors"):
            # Never guess between a folder and a repository of the same name.
            hint = f"for a folder write local:{id}, for a Hub repository hf:{id}"
        else:
            hint = suggest(id, self.by_id, "ltzoo bridges")
        raise UnknownBridgeError(f"no bridge '{id}'", hint=hint)

    def find(self, source: str, target: str) -> PublishedBridge:
        """The published bridge that translates best from ``source`` to ``target`` on its own.

        Best is the highest transfer accuracy of that direction; unmeasured bridges come last.

        Raises:
            UnknownBridgeError: No registry lists one.
        """
        from ltzoo.routes import best_route  # only here: listings are measured in milliseconds

        direct = [hop for hop in self._hops if (hop.source, hop.target) == (source, target)]
        route = best_route(direct, source, target)
        if route is None:
            raise UnknownBridgeError(
                f"no published bridge translates from '{source}' to '{target}'",
                hint=_train_hint(source, target),
            )
        return self.by_id[route.bridges[0]]

    def find_route(self, source: str, target: str) -> Route:
        """The best way from ``source`` to ``target`` through published bridges: one, or else several.

        See `ltzoo.routes.best_route` for what is best. None of its models needs to be installed.

        Raises:
            UnknownBridgeError: There is no way.
        """
        from ltzoo.routes import best_route, reachable

        route = best_route(self._hops, source, target)
        if route is None:
            others = reachable(self._hops, source)
            raise UnknownBridgeError(
                f"no published bridge translates from '{source}' to '{target}', nor do several one after "
                f"another; from '{source}' they reach {_some(others) if others else 'no model'}",
                hint=_train_hint(source, target),
            )
        return route

    @cached_property
    def _hops(self) -> list[Hop]:
        from ltzoo.routes import row_hops

        return row_hops(bridge.row for bridge in self.by_id.values())


def _train_hint(source: str, target: str) -> str:
    return f"ltzoo train {source} {target} -o BRIDGE, then translate with --bridge local:BRIDGE"


def _some(ids: list[str]) -> str:
    """The ids, or the first of them if they are many."""
    shown = 8
    return ", ".join(ids[:shown]) + (f" and {len(ids) - shown} more" if len(ids) > shown else "")
