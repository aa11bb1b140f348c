"""What the commands that may ask the Hub share: ``--offline``, and references to what moves there."""

from __future__ import annotations

import click

from ltzoo.cli.output import note

__all__ = ["offline_option", "pin"]


def _go_offline(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from ltzoo.hub import offline

        context.with_resource(offline())


offline_option = click.option(
    "--offline",
    is_flag=True,
    # Before the others: looking up a model may ask the Hub.
    is_eager=True,
    expose_value=False,
    callback=_go_offline,
    help="Use what is in the cache, and do not ask the Hub.",
)


def pin(reference: str) -> str:
    """The reference with a full commit, which is said where it had to be looked up; others as they are."""
    from ltzoo.references import pinned

    found = pinned(reference)
    if found != reference:
        note(f"{reference} is {found}")
    return found
