"""``ltzoo path``."""

from __future__ import annotations

import click

from ltzoo.cli.base import Command


@click.command(cls=Command)
@click.argument("what", type=click.Choice(["home", "config", "registry", "cache"]), default="home")
def path(what: str) -> None:
    """Print where ltzoo keeps its files.

    home: the folder of its own files; config: the settings file; registry: the bundled registry;
    cache: the Hugging Face cache, where downloaded weights lie.
    """
    from ltzoo import settings

    if what == "registry":
        from ltzoo.registry import bundled_registry

        click.echo(bundled_registry().path)
    elif what == "cache":
        from huggingface_hub import constants

        click.echo(constants.HF_HUB_CACHE)
    else:
        click.echo(settings.config_path() if what == "config" else settings.home())
