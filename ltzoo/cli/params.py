"""Parameter types that know names: they check, suggest and complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ltzoo.cli.output import note
from ltzoo.spec import ModelSpec

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["BRIDGE", "MODEL", "BridgeParam", "ModelParam"]


class ModelParam(click.ParamType[ModelSpec]):
    """A model's id or reference; gives its spec."""

    name = "model"

    def convert(
        self, value: str | ModelSpec, param: click.Parameter | None, ctx: click.Context | None
    ) -> ModelSpec:
        from ltzoo.zoo import get_model

        if isinstance(value, ModelSpec):
            return value
        spec = get_model(value)
        if spec.id != value:
            note(f"{value} is {spec.id}")
        return spec

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from ltzoo.zoo import default_zoo

        models = default_zoo().models
        return [
            CompletionItem(id, help=spec.title) for id, spec in models.items() if id.startswith(incomplete)
        ]


class BridgeParam(click.ParamType[str]):
    """A reference to a bridge: an id of a registry, ``hf:org/repo@commit`` or ``local:PATH``."""

    name = "bridge"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from ltzoo.zoo import list_bridges

        return [CompletionItem(id) for id in list_bridges() if id.startswith(incomplete)]


MODEL = ModelParam()
BRIDGE = BridgeParam()
