"""Where ltzoo keeps its few files, and settings: flag, then environment, then ``config.toml``, then default.

Weights are not among them: they live in the Hugging Face cache, under the ``HF_*`` variables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltzoo.errors import SpecError

if TYPE_CHECKING:
    from tomlkit.items import Array

__all__ = [
    "append_entry",
    "config_path",
    "config_value",
    "editing_list",
    "home",
    "installed_path",
    "is_overridden",
    "setting",
    "setting_list",
]

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
            return _registries(text) if name == "registry" else _listed(text.split(","))
        return text
    return config_value(name)


def setting_list(name: str) -> list[str] | None:
    """A setting that holds names; None where it is unset and its default is "everything"."""
    value = setting(name)
    return None if value is None else list(value)


def config_value(name: str) -> Any:
    """What ``config.toml`` says, else the default, whatever the environment says.

    Raises:
        SpecError: As `setting`.
    """
    return _read_config().get(name, DEFAULTS[name])


def is_overridden(name: str) -> bool:
    """Whether the environment takes the place of what ``config.toml`` says."""
    return f"LTZOO_{name.upper()}" in os.environ


@contextmanager
def editing_list(name: str) -> Iterator[Array]:
    """Gives a list of ``config.toml`` to be changed; when the block ends well, the file is written.

    Comments stay, but for one behind an entry that goes, and so does everything else in the file. A file or key that
    is missing is made.

    Args:
        name: The key.

    Yields:
        The list. Entries are put behind the others with `append_entry`; they are replaced and removed as in any list.

    Raises:
        SpecError: The file is damaged, or cannot be changed without changing something else.
        OSError: It cannot be written.
    """
    import tomllib

    import tomlkit

    from ltzoo.files import replacing

    path, before = config_path(), _read_config()
    # Bytes, so that the ends of lines stay as they are.
    document = tomlkit.parse(path.read_bytes().decode() if path.exists() else "")
    entries: Any = document[name] if name in document else tomlkit.array()
    yield entries
    if name not in document:
        document[name] = entries
    text = tomlkit.dumps(document)
    wanted = [str(entry) for entry in entries]
    try:
        is_right = tomllib.loads(text) == {**before, name: wanted}
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise SpecError(
            f"{path}: its list '{name}' cannot be changed with all else kept", hint=f"write {name} = {wanted}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode())


def append_entry(entries: Array, text: str) -> None:
    """Puts an entry behind the others of a list that is being edited."""
    if "\n" in entries.as_string():
        # Array.append would put it into a comment behind the last entry.
        entries.add_line(text, indent="  ")
    else:
        entries.append(text)


def _listed(parts: list[str]) -> list[str]:
    return [part.strip() for part in parts if part.strip()]


def _registries(text: str) -> list[str]:
    """Parts as in ``PATH``; the colon of ``hf:org/repo`` ends none."""
    return _listed(re.findall(rf"\s*(?:hf:)?[^{re.escape(os.pathsep)}]+", text))


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
