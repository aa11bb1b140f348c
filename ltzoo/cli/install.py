"""``ltzoo install`` and ``ltzoo uninstall``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ltzoo.cli.base import Command
from ltzoo.cli.output import note, print_ids
from ltzoo.errors import UnknownPluginError, UsageError


@click.command(cls=Command)
@click.argument("packages", nargs=-1, metavar="[PACKAGE]...")
@click.option("-e", "--editable", multiple=True, metavar="PATH", help="Install the project at PATH in place.")
@click.option("-U", "--upgrade", is_flag=True, help="Install the newest version that fits.")
@click.option("--pre", is_flag=True, help="Take pre-releases too.")
@click.option(
    "-r",
    "--requirement",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Install what FILE lists.",
)
@click.option("--restore", is_flag=True, help="Install again what was installed with this command before.")
def install(
    packages: tuple[str, ...],
    editable: tuple[str, ...],
    upgrade: bool,
    pre: bool,
    requirement: tuple[Path, ...],
    restore: bool,
) -> None:
    """Install plugins into the environment that ltzoo runs in, and print their names.

    A plugin is code that runs with your rights: install only those that you trust. What is installed
    is remembered, so that --restore brings it back after an upgrade of ltzoo lost it.
    """
    from ltzoo import installer
    from ltzoo.zoo import default_zoo

    wanted, places = list(packages), list(editable)
    for file in requirement:
        lines = (line.split("#", 1)[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
        wanted += [line for line in lines if line]
    if restore:
        present = installer.plugin_packages()
        missing = [package for package in installer.recorded() if package.name not in present]
        wanted += [package.requirement for package in missing if not package.editable]
        places += [package.requirement for package in missing if package.editable]
        if not wanted and not places:
            note("nothing to restore: all that was installed is still there")
            return
    if not wanted and not places:
        raise UsageError("nothing to install", hint="ltzoo install PACKAGE, or --restore")
    for name in wanted:
        # A known plugin's namespace may be somebody else's package on the index.
        if (package := default_zoo().package_of(name)) and package != name:
            raise UsageError(
                f"'{name}' is the name of a plugin; its package is {package}", hint=f"ltzoo install {package}"
            )
    names = installer.install(wanted, editable=places, upgrade=upgrade, pre=pre)
    carriers = installer.plugin_packages()
    for name in names:
        if name not in carriers:
            note(f"{name} is installed, but holds no ltzoo plugin")
    print_ids(names)


@click.command(cls=Command)
@click.argument("plugins", nargs=-1, required=True, metavar="PLUGIN...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def uninstall(plugins: tuple[str, ...], yes: bool) -> None:
    """Remove plugins, named by package or by plugin; works however broken they are."""
    from ltzoo import installer
    from ltzoo.plugins import normalize_name
    from ltzoo.suggestions import suggest

    carriers = installer.plugin_packages()
    packages = []
    for name in plugins:
        normal = normalize_name(name)
        owners = [normal] if normal in carriers else [p for p, points in carriers.items() if name in points]
        if not owners:
            known = [*carriers, *(point for points in carriers.values() for point in points)]
            raise UnknownPluginError(
                f"no plugin '{name}' is installed", hint=suggest(name, known, "ltzoo plugins")
            )
        if len(owners) > 1:
            raise UsageError(
                f"'{name}' is a plugin of several packages", hint=f"name one: {', '.join(sorted(owners))}"
            )
        packages += owners
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("there is nobody to ask", hint=f"ltzoo uninstall -y {' '.join(packages)}")
        click.confirm(f"Remove {', '.join(packages)}?", abort=True, err=True)
    installer.uninstall(packages)
    print_ids(packages)
