"""``ltzoo plugins check``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.output import note, one_line, print_json
from ltzoo.errors import ExitCode

if TYPE_CHECKING:
    from ltzoo.plugin_check import CheckedModel, PluginReport


def complete_plugin(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from ltzoo.zoo import default_zoo

    names = sorted({info.name for info in default_zoo().host.found})
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    # The shell itself knows the folders.
    return found or [CompletionItem(incomplete, type="dir")]


@click.command("check", cls=Command)
@click.argument("target", metavar="NAME|PATH", shell_complete=complete_plugin)
@click.option(
    "--model", "models", multiple=True, metavar="REF", help="Check this member of its open family too."
)
@json_option
@click.pass_context
def check(context: click.Context, target: str, models: tuple[str, ...], as_json: bool) -> None:
    """Check that every model of a plugin keeps the contract, and print a report to paste into an issue.

    NAME is that of an installed plugin or of its package; PATH is a project's folder, written with a slash, as in
    ./ltzoo-demo, or '.'. A project need not be installed; its own contract tests are used, with the data that they
    bring. Runs the plugin's code, and needs pytest. Exits with 3 if anything is broken.
    """
    from ltzoo.plugin_check import check_plugin

    report = check_plugin(target, models=models, announce=lambda model: note(f"checking {model}"))
    if as_json:
        print_json("plugin-check", {**asdict(report), "ok": report.ok})
    else:
        for line in report_lines(report):
            click.echo(line)
    if not report.models and any("resolve_model" in plugin.hooks for plugin in report.plugins):
        note("the plugin serves an open family: name members of it with --model REF")
    if not report.ok:
        context.exit(ExitCode.PLUGIN)


def report_lines(report: PluginReport) -> list[str]:
    """The report for people."""
    lines = [f"ltzoo plugins check {report.target}"]
    for plugin in report.plugins:
        imported = "" if plugin.import_ms is None else f", imported in {plugin.import_ms:.0f} ms"
        lines.append(f"plugin    {plugin.name} ({plugin.distribution} {plugin.version}){imported}")
    if report.versions:
        versions = report.versions
        names = ("ltzoo", "torch", "python")
        lines.append(
            f"with      {', '.join(f'{name} {versions[name]}' for name in names)}, {versions['system']}"
        )
    for model in report.models:
        lines += ["", *_model_lines(model)]
    total, models = sum(len(model.checks) for model in report.models), len(report.models)
    of = f"{models} model{'' if models == 1 else 's'}"
    lines.append("")
    lines += [f"problem   {one_line(text)}" for text in report.problems]
    verdict = "ok" if report.ok else "broken"
    lines.append(f"result    {verdict}: {total} checks of {of}, {report.failed} failed")
    return lines


def _model_lines(model: CheckedModel) -> list[str]:
    counts = ", ".join(f"{model.count(status)} {status}" for status in ("ok", "skipped", "failed"))
    lines = [f"{model.id}: {counts}, {sum(check.seconds for check in model.checks):.1f} s"]
    for check in model.checks:
        cause = f": {one_line(check.cause)}" if check.cause else ""
        lines.append(f"  {check.status.ljust(7)} {check.seconds:5.1f} s  {check.name}{cause}")
    return lines
