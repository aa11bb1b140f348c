"""What cog writes into these pages: help texts and tables, taken from the code. See ``make docs``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click
from click.testing import CliRunner

from ltzoo import errors, settings
from ltzoo.cli.base import LazyGroup
from ltzoo.cli.main import root
from ltzoo.errors import ExitCode, LtzooError

WIDTH = 100

EXIT_CODES = {
    ExitCode.OK: "Done.",
    ExitCode.FAILED: "It did not work: an input cannot be read, an output cannot be written, training cannot go on.",
    ExitCode.USAGE: "The request makes no sense as it stands, or names something unknown; near names are suggested.",
    ExitCode.PLUGIN: "A plugin that is needed is missing (the install command is printed) or broken.",
    ExitCode.OFFLINE: "A file is not cached, and the Hugging Face Hub cannot be reached.",
    ExitCode.INTEGRITY: "A file is not what it should be, or latents or a bridge belong to other weights: refused.",
    ExitCode.INTERRUPTED: "Ctrl-C. What can be resumed has said so.",
}

SETTINGS = {
    "device": "Where models and bridges compute: `cpu`, `cuda`, `cuda:1`, `mps`. The option `--device` wins.",
    "plugins": "The only plugins to load; empty for none. Separated by commas.",
    "disable_plugins": "Plugins to go without. Separated by commas.",
    "strict_plugins": "Stop with exit code 3 at the first fault of a plugin. For those who write plugins, and for CI.",
    "registry": "More `registry.toml` files; their bridges come first. Separated as in `PATH`.",
}

ONLY_ENVIRONMENT = {
    "LTZOO_HOME": "Folder of `config.toml` and of the record of installed plugins; see `ltzoo path`.",
    "LTZOO_DEBUG": "Show the traceback of an error, as `-v` does.",
    "HF_HOME": "Where the Hugging Face cache lies; it holds all downloaded weights.",
    "HF_HUB_OFFLINE": "Take files from the cache only.",
    "HF_ENDPOINT": "Another address of the Hub.",
    "HF_TOKEN": "For private repositories of the Hub.",
}


def help_texts() -> str:
    """A section with its help for the root and for every command, those of plugins aside."""
    return _spaced("\n\n".join(_help(path) for path in command_paths()))


def command_paths() -> Iterator[tuple[str, ...]]:
    """The words of every command behind ``ltzoo``, groups before what is in them."""
    yield ()
    for name in root.lazy:
        yield (name,)
        command = root.get_command(click.Context(root), name)
        if isinstance(command, click.Group):
            for inner in command.commands:
                yield (name, inner)


def exit_codes() -> str:
    """The table of exit codes, with the errors that end in each."""
    rows = []
    for code in ExitCode:
        names = [name for name in errors.__all__ if _ends_in(getattr(errors, name), code)]
        rows.append((str(int(code)), code.name, EXIT_CODES[code], ", ".join(f"`{name}`" for name in names)))
    return _spaced(_table(("code", "`ExitCode`", "meaning", "errors"), rows))


def environment() -> str:
    """The table of environment variables and of the keys of ``config.toml``."""
    rows = [
        (f"`LTZOO_{name.upper()}`", f"`{name}`", _default(default), SETTINGS[name])
        for name, default in settings.DEFAULTS.items()
    ]
    rows += [(f"`{name}`", "", "", text) for name, text in ONLY_ENVIRONMENT.items()]
    return _spaced(_table(("variable", "`config.toml`", "default", "meaning"), rows))


def _spaced(text: str) -> str:
    """With blank lines around it: Markdown would take the end marker for a part of a table."""
    return f"\n{text}\n"


def _help(path: tuple[str, ...]) -> str:
    # A developer's own plugins may bring commands, which are not ltzoo's.
    own, LazyGroup.extra_commands = LazyGroup.extra_commands, lambda self: {}  # type: ignore[method-assign]
    try:
        result = CliRunner().invoke(
            root,
            [*path, "--help"],
            prog_name="ltzoo",
            terminal_width=WIDTH,
            color=False,
            catch_exceptions=False,
        )
    finally:
        LazyGroup.extra_commands = own  # type: ignore[method-assign]
    words = " ".join(("ltzoo", *path))
    if result.exit_code:
        raise RuntimeError(f"{words} --help ended with {result.exit_code}: {result.output}")
    return f"### {words}\n\n```text\n{result.output.rstrip()}\n```"


def _ends_in(value: object, code: ExitCode) -> bool:
    return isinstance(value, type) and issubclass(value, LtzooError) and value.exit_code == code


def _default(value: object) -> str:
    if value is None:
        return "all"
    if isinstance(value, list):
        return "none"
    return f"`{value}`" if isinstance(value, str) else ("yes" if value else "no")


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    header = tuple(header)
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
