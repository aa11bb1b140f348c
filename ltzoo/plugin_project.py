"""New plugin projects, written from the template in ``ltzoo/plugin_template``. Torch-free."""

from __future__ import annotations

import datetime
import os
import re
import secrets
import shutil
from importlib.util import find_spec
from pathlib import Path

from ltzoo.errors import UsageError
from ltzoo.zoo import default_zoo

__all__ = ["check_plugin_name", "new_plugin_project"]

TEMPLATE = Path(__file__).parent / "plugin_template"

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 50
RESERVED = ("hf", "local", "ltzoo")
"""``hf:`` and ``local:`` begin references to bridges."""

FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "PUBLISHING.md": "PUBLISHING.md",
    "LICENSE": "LICENSE",
    ".gitignore": "gitignore",
    ".github/workflows/test.yml": "workflow.yml",
    "{module}/__init__.py": "init.py",
    "{module}/adapter.py": "adapter.py",
    "tests/test_contract.py": "test_contract.py",
}
"""Files of a project, and the template of each."""


def check_plugin_name(name: str) -> None:
    """Refuses what a new plugin cannot be called.

    Args:
        name: Of the entry point, which is the namespace of the plugin's models.

    Raises:
        UsageError: It is malformed, reserved, or taken by a plugin that is installed or that a registry knows.
    """
    if name.startswith("ltzoo-") and NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' would become the package ltzoo-{name}",
            hint=f"ltzoo plugins new {name.removeprefix('ltzoo-')}",
        )
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise UsageError(
            f"a plugin cannot be called '{name}'",
            hint=f"letters a-z, digits, and single hyphens between them, {LONGEST} characters at most, a letter first",
        )
    if name in RESERVED:
        raise UsageError(f"the name '{name}' means something else in ltzoo", hint="another name")
    zoo = default_zoo()
    if info := zoo.host.info(name):
        raise UsageError(
            f"the name '{name}' is taken by {info.distribution} {info.version}, which is installed",
            hint="another name",
        )
    if package := zoo.package_of(name):
        raise UsageError(f"the name '{name}' is taken by {package}", hint=f"ltzoo install {package}")
    if find_spec(module := _module(name)):
        raise UsageError(
            f"a module {module} is installed already, and would hide the plugin's", hint="another name"
        )


def new_plugin_project(name: str, parent: Path) -> Path:
    """Writes a project with one working model and its tests; it appears whole or not at all.

    Args:
        name: As `check_plugin_name` takes it.
        parent: Folder to put the project into; it is made if it is missing.

    Returns:
        The project's folder, ``ltzoo-NAME`` below ``parent``.

    Raises:
        UsageError: The name cannot be taken, or the folder exists.
        OSError: The folder cannot be written.
    """
    check_plugin_name(name)
    folder = parent / f"ltzoo-{name}"
    if os.path.lexists(folder):
        raise UsageError(f"{folder} exists already", hint="another name, or --dir DIR")
    contents = _contents(name)
    parent.mkdir(parents=True, exist_ok=True)
    temporary = parent / f".ltzoo-{secrets.token_hex(8)}.tmp"
    try:
        for path, text in contents.items():
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            (temporary / path).write_text(text, encoding="utf-8")
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _contents(name: str) -> dict[str, str]:
    """Path below the project's folder -> text, for every file."""
    import jinja2

    from ltzoo import __version__

    # Python, TOML and workflows have braces of their own.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  (not HTML, and the name is checked)
        variable_start_string="<<",
        variable_end_string=">>",
    )
    words = {
        "namespace": name,
        "package": f"ltzoo-{name}",
        "module": _module(name),
        "ltzoo": __version__,
        "year": str(datetime.datetime.now(datetime.UTC).year),
    }
    return {
        path.format(module=_module(name)): environment.get_template(f"{template}.jinja").render(words)
        for path, template in FILES.items()
    }


def _module(name: str) -> str:
    return f"ltzoo_{name.replace('-', '_')}"
