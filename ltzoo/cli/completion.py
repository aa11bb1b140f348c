"""``ltzoo completion``."""

from __future__ import annotations

import click

from ltzoo.cli.base import Command

VARIABLE = "_LTZOO_COMPLETE"
"""That click looks for: the shell asks through it."""


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, models, bridges, recipes and plugins.

    \b
    bash:  echo 'eval "$(ltzoo completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(ltzoo completion zsh)"' >> ~/.zshrc
    fish:  ltzoo completion fish > ~/.config/fish/completions/ltzoo.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "ltzoo", VARIABLE).source())
