"""Installing and removing plugins, and remembering what was installed.

Upgrading a tool (``uv tool upgrade``, ``pipx``, ``brew``) rebuilds its environment and loses the plugins
in it. What ``ltzoo install`` was asked for is therefore kept outside the environment, in
`ltzoo.settings.installed_path`, and ``ltzoo install --restore`` brings it back.

Works from metadata alone, so that a broken plugin can always be removed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlparse
from urllib.request import url2pathname

from msgspec import Meta

from ltzoo.errors import LtzooError, SpecError, UsageError
from ltzoo.files import replacing
from ltzoo.plugins import COMMAND_GROUP, PLUGIN_GROUP, normalize_name
from ltzoo.records import Record
from ltzoo.settings import installed_path

__all__ = ["Installed", "Package", "install", "installer_command", "plugin_packages", "recorded", "uninstall"]


@dataclass(frozen=True, kw_only=True)
class Package(Record):
    """One package that ``ltzoo install`` was asked for.

    Attributes:
        name: Normalised name of the distribution.
        requirement: What to give the installer to get it again; an absolute path for a local one.
        editable: Installed with ``-e``.
    """

    name: str
    requirement: Annotated[str, Meta(min_length=1)]
    editable: bool = False


@dataclass(frozen=True, kw_only=True)
class Installed(Record):
    """The content of the record file."""

    packages: tuple[Package, ...] = ()


def installer_command() -> list[str]:
    """The command that installs into this environment: pip, or uv where the environment has no pip.

    Raises:
        LtzooError: Neither is there.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if uv := shutil.which("uv"):
        return [uv, "pip"]
    raise LtzooError(
        f"the environment {sys.prefix} has neither pip nor uv",
        hint=f"{sys.executable} -m ensurepip, or install uv",
    )


def install(
    requirements: list[str],
    *,
    editable: list[str] | None = None,
    upgrade: bool = False,
    pre: bool = False,
) -> list[str]:
    """Installs packages in a subprocess and records them.

    Args:
        requirements: Names with or without version bounds, or paths.
        editable: Paths of projects to install in place.
        upgrade: Install the newest version that fits.
        pre: Take pre-releases too.

    Returns:
        The distribution names of the packages that were asked for.

    Raises:
        LtzooError: The installer failed; it has said why on stderr.
    """
    options = [*(["--upgrade"] if upgrade else []), *(["--pre"] if pre else [])]
    places = [part for path in editable or [] for part in ("--editable", path)]
    _run("install", [*options, *requirements, *places])
    wanted = [(text, False) for text in requirements] + [(text, True) for text in editable or []]
    packages = [_package(text, is_editable) for text, is_editable in wanted]
    names = {package.name for package in packages}
    _write([*(package for package in recorded() if package.name not in names), *packages])
    return [package.name for package in packages]


def uninstall(names: list[str]) -> None:
    """Removes packages in a subprocess and forgets them.

    Raises:
        LtzooError: The installer failed.
    """
    # pip asks unless told not to; uv never asks and knows no such option.
    _run("uninstall", [*(["--yes"] if _is_pip(installer_command()) else []), *names])
    gone = {normalize_name(name) for name in names}
    _write([package for package in recorded() if package.name not in gone])


def recorded() -> list[Package]:
    """What ``ltzoo install`` has installed so far.

    Raises:
        SpecError: The record file was damaged.
    """
    path = installed_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read: {error}", hint=f"mend or remove {path}") from error
    return list(Installed.from_json(text, where=str(path)).packages)


def plugin_packages() -> dict[str, set[str]]:
    """The installed packages that carry plugins or commands: name -> names of their entry points."""
    found: dict[str, set[str]] = {}
    for group in (PLUGIN_GROUP, COMMAND_GROUP):
        for point in importlib.metadata.entry_points(group=group):
            if point.dist is not None:
                found.setdefault(normalize_name(point.dist.name), set()).add(point.name)
    return found


def _is_pip(command: list[str]) -> bool:
    return command[1] == "-m"


def _run(action: str, arguments: list[str]) -> None:
    command = [*installer_command(), action]
    if not _is_pip(command):
        command += ["--python", sys.executable]
    # stdout carries data only; what the installer says is for people.
    code = subprocess.run([*command, *arguments], stdout=sys.stderr, check=False).returncode
    importlib.invalidate_caches()
    if code != 0:
        raise LtzooError(
            f"{' '.join(command)} ended with exit code {code}", hint="read what it printed above"
        )


def _package(text: str, editable: bool) -> Package:
    path = Path(text).expanduser()
    if editable or path.exists():
        path = path.resolve()
        return Package(name=_distribution_at(path), requirement=str(path), editable=editable)
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Package(name=normalize_name(Requirement(text).name), requirement=text)
    except InvalidRequirement as error:
        raise UsageError(f"'{text}' is not a requirement: {error}") from error


def _distribution_at(path: Path) -> str:
    """The name of the distribution that was installed from a path."""
    for distribution in importlib.metadata.distributions():
        text = distribution.read_text("direct_url.json")
        if text and Path(url2pathname(urlparse(json.loads(text)["url"]).path)).resolve() == path:
            return normalize_name(distribution.name)
    raise LtzooError(f"nothing was installed from {path}")


def _write(packages: list[Package]) -> None:
    ordered = tuple(sorted(packages, key=lambda package: package.name))
    path = installed_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(Installed(packages=ordered).to_json(), encoding="utf-8")
