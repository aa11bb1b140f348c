"""Whether a plugin's models keep the contract, as a report that its maintainer can use. Torch-free.

The checks run in a process of their own, `ltzoo.contract_run`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from ltzoo.errors import LtzooError, UnknownPluginError, UsageError
from ltzoo.plugins import PLUGIN_GROUP, normalize_name
from ltzoo.suggestions import suggest
from ltzoo.zoo import default_zoo

__all__ = ["Check", "CheckedModel", "CheckedPlugin", "PluginReport", "check_plugin"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """How one check of one model ended.

    Attributes:
        name: What must hold.
        status: ``skipped`` where the model does not claim to do what is checked.
        seconds: How long it took.
        cause: Why it failed or was skipped, in one line.
        detail: The traceback of a failure.
    """

    name: str
    status: Literal["ok", "failed", "skipped"]
    seconds: float
    cause: str = ""
    detail: str = ""


@dataclass(frozen=True)
class CheckedModel:
    """A model and its checks, in the order in which they were made."""

    id: str
    checks: list[Check] = field(default_factory=list)

    def count(self, status: str) -> int:
        """How many checks ended so."""
        return sum(check.status == status for check in self.checks)


@dataclass(frozen=True, kw_only=True)
class CheckedPlugin:
    """A plugin as the process that checked it found it; see `ltzoo.plugins.PluginInfo`."""

    name: str
    distribution: str
    version: str
    status: str
    cause: str
    hooks: list[str]
    import_ms: float | None


@dataclass
class PluginReport:
    """What `check_plugin` found.

    Attributes:
        target: What was asked for.
        plugins: The plugins that it stands for, mostly one.
        models: Their models.
        problems: What is wrong beside failed checks.
        versions: Of what it was checked with: ``ltzoo``, ``torch``, ``python``, ``system``.
    """

    target: str
    plugins: list[CheckedPlugin] = field(default_factory=list)
    models: list[CheckedModel] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many checks failed."""
        return sum(model.count("failed") for model in self.models)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.failed and not self.problems


def check_plugin(
    target: str, *, models: Iterable[str] = (), announce: Callable[[str], None] | None = None
) -> PluginReport:
    """Checks every model of a plugin against `ltzoo.testing.ModelContract`.

    A project's own contract tests are used where it has some, since they may bring data of a model's kind. It need
    not be installed. Its code runs, with the rights of the user.

    Args:
        target: Name of an installed plugin or of its package; or the path of a project's folder, which has a
            separator in it, as in ``./ltzoo-demo``, or is ``.``.
        models: References into the plugin's open family, to be checked too.
        announce: Called with the id of each model before it is checked.

    Raises:
        UnknownPluginError: No plugin of that name is installed.
        UsageError: The folder holds no plugin's project.
        LtzooError: pytest is not installed.
    """
    if find_spec("pytest") is None:
        raise LtzooError("the contract needs pytest", hint='python -m pip install "pytest>=8.3"')
    with tempfile.TemporaryDirectory(prefix="ltzoo-check-") as temporary:
        if target in (".", "..", "~") or re.search(r"[/\\]", target):
            project = Project.read(Path(target).expanduser().resolve())
            names, tests, places = project.names, project.tests, project.importable(Path(temporary))
        else:
            names, tests, places = _installed(target), None, []
        order = {"plugins": names, "models": list(models), "tests": None if tests is None else str(tests)}
        report = PluginReport(target)
        _run(order, places, report, announce)
    for plugin in report.plugins:
        if plugin.status != "ok":
            report.problems.append(f"plugin '{plugin.name}' is {plugin.status}: {plugin.cause}")
    return report


@dataclass(frozen=True)
class Project:
    """A plugin's project, which need not be installed.

    Attributes:
        folder: Where its ``pyproject.toml`` lies.
        package: Name and version of the package.
        points: Its entry points, name -> module.
        requires: What the package requires.
    """

    folder: Path
    package: tuple[str, str]
    points: dict[str, str]
    requires: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> Project:
        """Reads ``pyproject.toml``.

        Raises:
            UsageError: There is none, or it has no entry point for a plugin.
        """
        file = folder / "pyproject.toml"
        try:
            data: Any = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(
                f"{folder} is no plugin's project: {file.name} cannot be read: {error}",
                hint="ltzoo plugins new NAME",
            ) from error
        project = data.get("project")
        project = project if isinstance(project, dict) else {}
        found = project.get("entry-points", {})
        points = found.get(PLUGIN_GROUP) if isinstance(found, dict) else None
        if not isinstance(points, dict) or not points:
            raise UsageError(
                f"{file} has no [project.entry-points.{PLUGIN_GROUP}]", hint="see docs/plugin-tutorial.md"
            )
        requires = project.get("dependencies", ())
        return cls(
            folder=folder,
            package=(str(project.get("name", folder.name)), str(project.get("version", "0"))),
            points={str(name): str(module) for name, module in points.items()},
            requires=tuple(map(str, requires)) if isinstance(requires, list) else (),
        )

    @property
    def names(self) -> list[str]:
        """Of its plugins."""
        return sorted(self.points)

    @property
    def tests(self) -> Path | None:
        """The folder of its tests, if it has one."""
        return path if (path := self.folder / "tests").is_dir() else None

    def importable(self, temporary: Path) -> list[str]:
        """Folders that make Python find the package as if it were installed.

        Args:
            temporary: An empty folder that may be written to.
        """
        name, version = self.package
        info = temporary / f"{re.sub(r'[-_.]+', '_', name)}-{version}.dist-info"
        info.mkdir()
        metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        metadata += [f"Requires-Dist: {one}" for one in self.requires]
        points = [f"[{PLUGIN_GROUP}]", *(f"{name} = {module}" for name, module in self.points.items())]
        (info / "METADATA").write_text("\n".join(metadata) + "\n", encoding="utf-8")
        (info / "entry_points.txt").write_text("\n".join(points) + "\n", encoding="utf-8")
        code = self.folder / "src"
        return [str(temporary), str(code if code.is_dir() else self.folder)]


def _installed(name: str) -> list[str]:
    """Names of the installed plugins that a name, of a plugin or of its package, stands for."""
    found = default_zoo().host.found
    names = [info.name for info in found if name == info.name]
    names = names or [
        info.name for info in found if normalize_name(name) == normalize_name(info.distribution)
    ]
    if not names:
        hint = suggest(name, [info.name for info in found], "ltzoo plugins")
        if Path(name).is_dir():
            hint = f"for a folder write ./{name}"
        raise UnknownPluginError(f"no plugin '{name}' is installed", hint=hint)
    return sorted(set(names))


def _run(
    order: dict[str, Any], places: list[str], report: PluginReport, announce: Callable[[str], None] | None
) -> None:
    """Has the checks made, and puts what is found into the report."""
    path = os.pathsep.join([*places, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {
        **os.environ,
        **({"PYTHONPATH": path} if path else {}),
        # No other plugin has a part in it.
        "LTZOO_PLUGINS": ",".join(order["plugins"]),
        "LTZOO_DISABLE_PLUGINS": "",
        "LTZOO_STRICT_PLUGINS": "0",
        "PYTEST_ADDOPTS": "",
    }
    finished = False
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            # -P: a module that lies in the current folder is none of the plugin's.
            [sys.executable, "-P", "-m", "ltzoo.contract_run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            encoding="utf-8",
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        for line in process.stdout:
            finished = _take(json.loads(line), report, announce)
        code = process.wait()
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").strip().splitlines()
    if not finished:
        report.problems.append(
            f"the checks ended early, with exit code {code}: {said[-1] if said else 'no word'}"
        )


def _take(said: dict[str, Any], report: PluginReport, announce: Callable[[str], None] | None) -> bool:
    """Puts one thing that was said into the report; gives whether it was the last."""
    kind = said.pop("kind")
    if kind == "plugin":
        report.plugins.append(CheckedPlugin(**said))
    elif kind == "versions":
        report.versions = said
    elif kind == "problem":
        report.problems.append(said["text"])
    elif kind == "model":
        report.models.append(CheckedModel(said["id"]))
        if announce is not None:
            announce(said["id"])
    elif kind == "check":
        id = said.pop("model")
        model = next(model for model in report.models if model.id == id)
        model.checks.append(Check(**said))
    return bool(kind == "end")
