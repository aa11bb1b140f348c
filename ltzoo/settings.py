"""Where ltzoo keeps its few files, and settings: flag, then environment, then ``config.toml``, then default.

Weights are not among them: they live in the Hugging Face cache, under the ``HF_*`` variables.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ltzoo.errors import SpecError

__all__ = ["config_path", "home", "installed_path", "setting", "setting_list"]

DEFAULTS: dict[str, Any] = {
    "device": "cpu",
    "plugins": None,
    "disable_plugins": [],
    "strict_plugins": False,
    "registry": [],
}


def home() -> Path:
    """The folder of ltzoo's own files: ``LTZOO_HOME``, or the platform's place for application data."""
    if folder := os.environ.get("LTZOO_HOME"):
        return Path(folder).expanduser()
    import click

    return Path(click.get_app_dir("ltzoo"))


def config_path() -> Path:
    """The settings file, whether it exists or not."""
    return home() / "config.toml"


def installed_path() -> Path:
    """Where ``ltzoo install`` records what it installed."""
    return home() / "installed.json"


def setting(name: str) -> Any:
    """The value of one setting: ``LTZOO_NAME`` in the environment, else ``config.toml``, else the default.

    Raises:
        SpecError: ``config.toml`` is not TOML, or holds an unknown key or a value of the wrong type.
    """
    default = DEFAULTS[name]
    text = os.environ.get(f"LTZOO_{name.upper()}")
    if text is not None:
        if isinstance(default, bool):
            return text.lower() not in ("", "0", "false", "no")
        if default is None or isinstance(default, list):
            return [
                part.strip() for part in text.split(os.pathsep if name == "registry" else ",") if part.strip()
            ]
        return text
    return _read_config().get(name, default)


def setting_list(name: str) -> list[str] | None:
    """A setting that holds names; None where it is unset and its default is "everything"."""
    value = setting(name)
    return None if value is None else list(value)


def _read_config() -> dict[str, Any]:
    path = config_path()
    if not path.exists():
        return {}
    import tomllib

    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SpecError(f"{path}: cannot be read: {error}", hint=f"mend or remove {path}") from error
    for key, value in config.items():
        if key not in DEFAULTS:
            raise SpecError(f"{path}: unknown key '{key}'", hint=f"known keys: {', '.join(DEFAULTS)}")
        default = DEFAULTS[key]
        wanted = list if default is None else type(default)
        if not isinstance(value, wanted):
            raise SpecError(f"{path}: '{key}' must be a {wanted.__name__}, not {value!r}")
        if wanted is list and not all(isinstance(item, str) for item in value):
            raise SpecError(f"{path}: '{key}' must be a list of strings, not {value!r}")
    return config
