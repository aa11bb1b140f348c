"""The root of the command line, and what ends a process: exit codes and one-line errors."""

from __future__ import annotations

import os
import sys

import click

from ltzoo.cli.base import LazyGroup, State, verbose_option
from ltzoo.cli.output import complain
from ltzoo.distributed import await_the_first
from ltzoo.errors import ElsewhereError, ExitCode, LtzooError

__all__ = ["main", "root", "run"]

COMMANDS = {
    "translate": ("ltzoo.cli.translate:translate", "Translate data of one model into data of another."),
    "encode": ("ltzoo.cli.encode:encode", "Turn data into latents of a model."),
    "decode": ("ltzoo.cli.decode:decode", "Turn latents of a model into data."),
    "sample": ("ltzoo.cli.sample:sample", "Draw data from a model's prior."),
    "interpolate": ("ltzoo.cli.interpolate:interpolate", "Walk between two inputs, and translate the way."),
    "train": ("ltzoo.cli.train:train", "Train a bridge between models."),
    "download": ("ltzoo.cli.download:download", "Download bridges and models into the cache."),
    "search": ("ltzoo.cli.search:search", "Search the Hugging Face Hub for bridges."),
    "publish": ("ltzoo.cli.publish:publish", "Publish a bridge on the Hugging Face Hub."),
    "explain": ("ltzoo.cli.explain:explain", "Explain a bridge, in words and in a picture."),
    "export": ("ltzoo.cli.export:export", "Export a bridge to ONNX, for other programs."),
    "eval": ("ltzoo.cli.eval:evaluate", "Measure a bridge on held-out latents."),
    "bench": ("ltzoo.cli.bench:bench", "Rank every way to bridge models."),
    "models": ("ltzoo.cli.models:models", "List the models, or show one."),
    "bridges": ("ltzoo.cli.bridges:bridges", "List the published bridges, or show one."),
    "plugins": ("ltzoo.cli.plugins:plugins", "List the plugins, check one, or begin a new one."),
    "registry": ("ltzoo.cli.registry:registry", "List, choose, update and check registries of bridges."),
    "install": ("ltzoo.cli.install:install", "Install plugins."),
    "uninstall": ("ltzoo.cli.install:uninstall", "Remove plugins."),
    "doctor": ("ltzoo.cli.doctor:doctor", "Check this installation."),
    "completion": ("ltzoo.cli.completion:completion", "Print the script that makes a shell complete."),
    "path": ("ltzoo.cli.path:path", "Print where ltzoo keeps its files."),
}


def _set_plugins(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is None or context.resilient_parsing:
        return
    from ltzoo.plugins import PluginHost
    from ltzoo.zoo import Zoo, set_default_zoo

    names = [] if value == "*" else [name.strip() for name in value.split(",") if name.strip()]
    set_default_zoo(Zoo(PluginHost.from_settings(block=names, block_all=value == "*")))


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from ltzoo import __version__

        click.echo(f"ltzoo {__version__}")
        context.exit()


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 failed, 2 usage or unknown name, 3 plugin missing or broken, 4 offline and not "
    "cached, 5 refused on integrity or safety, 130 interrupted.",
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version.",
        ),
        click.Option(
            ["--no-plugins"],
            is_flag=False,
            flag_value="*",
            expose_value=False,
            metavar="[NAME,...]",
            callback=_set_plugins,
            help="Go without these plugins (write --no-plugins=NAME), or without any.",
        ),
        verbose_option(),
    ],
)
def root() -> None:
    """Translate between the latent spaces of frozen generative models.

    ltzoo translate seven.png --from mnist/vae --to fashion-mnist/vae -o garment.png
    """


def run(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: What stands after ``ltzoo``; the process's own arguments by default.

    Returns:
        The exit code, an `ltzoo.errors.ExitCode`.
    """
    state = State(verbose=os.environ.get("LTZOO_DEBUG", "") not in ("", "0"))
    try:
        result = root.main(arguments, prog_name="ltzoo", obj=state, standalone_mode=False)
        return int(result or ExitCode.OK)
    except ElsewhereError:
        await_the_first()
        return ExitCode.FAILED
    except LtzooError as error:
        code, text = error.exit_code, f"error: {error}" + (f"; try: {error.hint}" if error.hint else "")
        caught: BaseException = error
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "ltzoo"
        code = ExitCode.USAGE if error.exit_code == ExitCode.USAGE else ExitCode.FAILED
        text, caught = f"error: {error.format_message()}; see {where} --help", error
    except (click.Abort, KeyboardInterrupt) as error:
        # What can be resumed has said so itself.
        code, text, caught = ExitCode.INTERRUPTED, "interrupted", error
    except OSError as error:
        code, text, caught = ExitCode.FAILED, f"error: {error}", error
    except Exception as error:
        code, caught = ExitCode.FAILED, error
        text = f"internal error: {type(error).__name__}: {error}; run again with -v for the traceback, and report it"
    if state.verbose:
        import traceback

        traceback.print_exception(caught)
    complain(text)
    return code


def main() -> None:
    """The console script."""
    sys.exit(run())
