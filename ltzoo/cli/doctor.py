"""``ltzoo doctor``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import Any

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.output import print_json
from ltzoo.errors import ExitCode, LtzooError

PACKAGES = (
    "ltzoo",
    "torch",
    "huggingface-hub",
    "safetensors",
    "pluggy",
    "click",
    "numpy",
    "pillow",
    "soundfile",
)


@click.command(cls=Command)
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Check this installation: versions, devices, places, plugins, registries and bundled files.

    Exits with 1 where ltzoo itself is damaged. A broken plugin is reported, but is no damage of ltzoo.
    """
    facts = {"versions": _versions(), "devices": _devices(), "places": _places(), "hub": _hub()}
    plugins, damage = _plugins(), _damage()
    if as_json:
        print_json("doctor", {**facts, "plugins": plugins, "damage": damage})
    else:
        for title, rows in facts.items():
            for name, value in rows.items():
                click.echo(f"{title:<9} {name:<16} {value}")
        for name, state in plugins.items():
            click.echo(f"{'plugins':<9} {name:<16} {state}")
        for line in damage or ["none found"]:
            click.echo(f"{'damage':<9} {line}")
    if damage:
        context.exit(ExitCode.FAILED)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _devices() -> dict[str, str]:
    try:
        import torch
    except Exception as error:  # a half-installed torch raises all sorts of things, and is worth reporting
        return {"torch": f"cannot be imported: {type(error).__name__}: {error}"}
    devices = {"cpu": f"{torch.get_num_threads()} threads"}
    if torch.cuda.is_available():
        devices["cuda"] = torch.cuda.get_device_name()
    if torch.backends.mps.is_available():
        devices["mps"] = "available"
    return devices


def _places() -> dict[str, str]:
    from ltzoo import settings

    return {
        "environment": sys.prefix,
        "home": str(settings.home()),
        "config": f"{settings.config_path()} ({'found' if settings.config_path().is_file() else 'not there'})",
    }


def _hub() -> dict[str, str]:
    from huggingface_hub import constants

    return {
        "endpoint": constants.ENDPOINT,
        "offline": "yes" if constants.HF_HUB_OFFLINE else "no",
        "cache": constants.HF_HUB_CACHE,
        "token": "set"
        if os.environ.get("HF_TOKEN") or os.path.exists(constants.HF_TOKEN_PATH)
        else "not set",
    }


def _plugins() -> dict[str, str]:
    from ltzoo.zoo import list_plugins

    states = {}
    for info in list_plugins():
        state = f"{info.status} ({info.distribution} {info.version})"
        if cause := info.error or info.warning:
            state += f": {cause}; to mend: {info.remedy}"
        states[info.name if info.name not in states else f"{info.name} ({info.distribution})"] = state
    return states


def _damage() -> list[str]:
    """What is wrong with ltzoo's own files and with the bundled bridges."""
    from ltzoo.bridge.files import bridge_folder
    from ltzoo.installer import recorded
    from ltzoo.settings import setting
    from ltzoo.zoo import default_zoo

    found = []

    def check(action: Any, *arguments: Any) -> None:
        try:
            action(*arguments)
        except LtzooError as error:
            found.append(f"{error}" + (f"; try: {error.hint}" if error.hint else ""))

    check(setting, "device")
    check(recorded)
    for id, bridge in default_zoo().bridges.items():
        if bridge.folder is not None:
            check(bridge_folder, id)
    return found
