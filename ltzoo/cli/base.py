"""What every command shares: lazy groups, ``-v`` anywhere, and what the process must remember."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["Command", "LazyGroup", "NounGroup", "State", "json_option", "quiet_option"]


@dataclass
class State:
    """What the options that stand before or behind any command set."""

    verbose: bool = False


def _set_verbose(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(State).verbose = True


def verbose_option() -> click.Option:
    """``-v``, taken before and behind a command's name."""
    return click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        envvar="LTZOO_DEBUG",
        callback=_set_verbose,
        help="Show the traceback of an error.",
    )


class Command(click.Command):
    """A command that also takes ``-v`` and ``-h``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(verbose_option())
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])


class NounGroup(click.Group):
    """A group of commands about one noun; without a command's name it lists.

    Args:
        lazy: ``name: module:attribute`` of commands that are imported when they are called.
    """

    command_class = Command

    def __init__(self, *args: Any, lazy: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy or {}
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self.lazy])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.lazy:
            return _imported(self.lazy[cmd_name])
        return super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts ``list`` in front of what does not begin with a command's name."""
        if ctx.resilient_parsing and not args:
            # The shell asks for completions: the names of the commands are among them.
            return super().parse_args(ctx, args)
        known = self.list_commands(ctx)
        if not args or args[0] not in (*known, "-h", "--help"):
            # An option of 'list' is no misspelt command: 'plugins --check' and 'plugins check' are two things.
            if args and args[0][:1] != "-" and (near := nearest(args[0], known, cutoff=0.75)):
                raise click.UsageError(f"no command '{args[0]}'; did you mean {near}?", ctx=ctx)
            args = ["list", *args]
        return super().parse_args(ctx, args)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called.

    Args:
        lazy: ``name: (module:attribute, one-line help)``.
        extra: Names of commands from plugins, found only if nothing else bears the name.
    """

    command_class = Command

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def extra_commands(self) -> dict[str, Any]:
        """Entry points of commands that plugins bring, by name; built-in commands win."""
        from importlib.metadata import entry_points

        found = entry_points(group="ltzoo.commands")
        return {
            point.name: point for point in sorted(found, key=lambda p: p.name) if point.name not in self.lazy
        }

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keeps ``--no-plugins`` without a value from taking the command's name for one."""
        return super().parse_args(ctx, ["--no-plugins=*" if arg == "--no-plugins" else arg for arg in args])

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.lazy, *self.extra_commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.lazy:
            return _imported(self.lazy[cmd_name][0])
        if point := self.extra_commands().get(cmd_name):
            return _plugin_command(point)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            near = nearest(name, self.list_commands(ctx), cutoff=0.5)
            raise click.UsageError(
                f"no command '{name}'" + (f"; did you mean {near}?" if near else ""), ctx=ctx
            )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completes commands from their one-line helps, without importing any."""
        from click.shell_completion import CompletionItem

        helps = {name: text for name, (_, text) in self.lazy.items()}
        helps |= {
            name: f"from {point.dist.name}" if point.dist else ""
            for name, point in self.extra_commands().items()
        }
        found = [
            CompletionItem(name, help=text) for name, text in helps.items() if name.startswith(incomplete)
        ]
        # Options, which every command has.
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands from their one-line helps, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])
        if extra := self.extra_commands():
            rows = [(name, f"from {point.dist.name}" if point.dist else "") for name, point in extra.items()]
            with formatter.section("Commands from plugins"):
                formatter.write_dl(rows)


def _imported(path: str) -> click.Command:
    """The command at ``module:attribute``."""
    module, _, attribute = path.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


def nearest(word: str, known: Iterable[str], *, cutoff: float) -> str | None:
    """The known word that looks most like this one."""
    import difflib  # only here: the light commands are measured in milliseconds

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)), None)


def _plugin_command(point: Any) -> click.Command:
    from ltzoo.errors import PluginError

    package = point.dist.name if point.dist else point.module
    try:
        command = point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"command '{point.name}' of {package} cannot be loaded: {type(error).__name__}: {error}",
            hint=f"ltzoo uninstall {package}",
        ) from error
    if not isinstance(command, click.Command):
        raise PluginError(
            f"'{point.value}' of {package} is not a click command", hint=f"ltzoo uninstall {package}"
        )
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print ids only, one a line.")
