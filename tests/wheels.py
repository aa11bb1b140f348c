"""Real distributions for tests: wheels made by hand, installed by pip into an environment of their own."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
import zipfile
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Wheel:
    """A package of one module."""

    name: str
    code: str
    entry_points: dict[str, dict[str, str]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    version: str = "1.0"

    @property
    def module(self) -> str:
        return self.name.replace("-", "_")

    def build(self, folder: Path) -> Path:
        """Writes the wheel; see https://packaging.python.org/specifications/binary-distribution-format/."""
        stem = f"{self.module}-{self.version}"
        info = f"{stem}.dist-info"
        metadata = ["Metadata-Version: 2.1", f"Name: {self.name}", f"Version: {self.version}"]
        metadata += [f"Requires-Dist: {requirement}" for requirement in self.requires]
        points = "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
            for group, values in self.entry_points.items()
        )
        files = {
            f"{self.module}.py": self.code,
            f"{info}/METADATA": "\n".join(metadata) + "\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": points,
        }
        record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        path = folder / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in {**files, f"{info}/RECORD": record}.items():
                archive.writestr(name, text)
        return path


class Environment:
    """A virtual environment that also sees everything that this one has, pip included."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False)
        self.python = folder / "bin" / "python"
        site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
        # addsitedir rather than a bare path: ours may be an editable install, which is a .pth file there.
        here = sysconfig.get_path("purelib")
        self.site = site
        (site / "parent.pth").write_text(f"import site; site.addsitedir({here!r})\n")

    def install(self, *wheels: Wheel) -> None:
        paths = [str(wheel.build(self.folder)) for wheel in wheels]
        self.run(
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--disable-pip-version-check",
            *paths,
        )

    def hide(self, module: str) -> None:
        """Makes a module of the parent environment look as if it were not installed."""
        (self.site / f"hide_{module}.pth").write_text(f"import sys; sys.modules[{module!r}] = None\n")

    def ltzoo(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "ltzoo", *arguments, check=False, **environment)

    def run(
        self, *arguments: str, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [str(self.python), *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LTZOO_HOME": str(self.folder / "home"), **environment},
        )
        if check and result.returncode:
            raise AssertionError(
                f"{arguments} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
            )
        return result


def spec_code(id: str, **changes: str) -> str:
    """Source of a ModelSpec for a plugin's module; ``changes`` are source too."""
    fields = {
        "id": repr(id),
        "title": "'a model for tests'",
        "data": "DataSpec(modality='image', shape=(1, 8, 8))",
        "latent": "LatentSpec(shape=(16,))",
        "capabilities": "frozenset({'encode'})",
        "license": "'MIT'",
        "loader": "'nowhere:load'",
        **changes,
    }
    return "ModelSpec(" + ", ".join(f"{name}={value}" for name, value in fields.items()) + ")"


PREAMBLE = "from ltzoo import DataSpec, LatentSpec, ModelSpec, hookimpl\n"


def plugin(name: str, code: str, *, package: str | None = None, **changes: object) -> Wheel:
    """A wheel with one plugin."""
    package = package or f"ltzoo-{name}"
    module = package.replace("-", "_")
    return Wheel(package, code, {"ltzoo": {name: module}}, **changes)  # type: ignore[arg-type]


def good_plugin(name: str) -> Wheel:
    """A plugin that serves one model, ``name/model``."""
    return plugin(
        name, f"{PREAMBLE}@hookimpl\ndef register_models():\n    return [{spec_code(f'{name}/model')}]\n"
    )
