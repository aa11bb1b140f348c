"""Whatever a plugin does wrong, everything else goes on; with real, installed distributions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from wheels import PREAMBLE, Environment, good_plugin, plugin, spec_code

HOOK = "@hookimpl\ndef register_models():\n"
MODEL = spec_code("bad/model")
BAD = spec_code("bad/other", license="''")

# name: (the plugin, the status it gets, a part of the cause)
FAULTS = {
    "raises at import": (plugin("bad", "import no_such_module"), "failed", "no_such_module"),
    "raises SystemExit": (plugin("bad", "raise SystemExit(7)"), "failed", "SystemExit: 7"),
    "raises in a hook": (
        plugin("bad", f"{PREAMBLE}{HOOK}    raise RuntimeError('out of order')\n"),
        "failed",
        "register_models() raised RuntimeError: out of order",
    ),
    "has a hook with an unknown argument": (
        plugin("bad", f"{PREAMBLE}@hookimpl\ndef register_models(unknown):\n    return [{MODEL}]\n"),
        "failed",
        "unknown",
    ),
    "misspells a hook": (
        plugin("bad", f"{PREAMBLE}@hookimpl\ndef register_model():\n    return [{MODEL}]\n"),
        "failed",
        "unknown hook 'register_model'",
    ),
    "yields a bad spec half way": (
        plugin("bad", f"{PREAMBLE}{HOOK}    yield {MODEL}\n    yield {BAD}\n"),
        "failed",
        "license must be given",
    ),
    "yields something else": (
        plugin("bad", f"{PREAMBLE}{HOOK}    yield 'bad/model'\n"),
        "failed",
        "a str where a ModelSpec belongs",
    ),
    "serves a model in another's namespace": (
        plugin("bad", f"{PREAMBLE}{HOOK}    return [{spec_code('good/better')}]\n"),
        "conflict",
        "outside the plugin's namespace",
    ),
    "takes another's name": (
        plugin("good", f"{PREAMBLE}{HOOK}    return [{spec_code('good/evil')}]\n", package="evil-plugin"),
        "conflict",
        "also taken by ltzoo-good",
    ),
    "needs another ltzoo": (
        plugin("bad", f"{PREAMBLE}{HOOK}    return [{MODEL}]\n", requires=("ltzoo>=99",)),
        "incompatible",
        "it needs ltzoo >=99",
    ),
    "prints at import": (
        plugin("bad", f"{PREAMBLE}print('hello from a plugin')\n{HOOK}    return [{MODEL}]\n"),
        "ok",
        "printed to stdout: hello from a plugin",
    ),
}

COMMANDS = [
    ("--help",),
    ("--version",),
    ("models", "--json"),
    ("models", "show", "good/model", "--json"),
    ("bridges", "--json"),
    ("plugins", "--json"),
    ("path",),
    ("doctor", "--json"),
]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_plugin_harms_nothing_else(fault, tmp_path):
    wheel, status, cause = FAULTS[fault]
    environment = Environment(tmp_path / "venv")
    environment.install(good_plugin("good"), wheel)

    for command in COMMANDS:
        result = environment.ltzoo(*command)
        assert result.returncode == 0, (command, result.stderr)
        assert "Traceback" not in result.stderr
        if "--json" in command:
            json.loads(result.stdout)

    picture = str(Path(__file__).parents[1] / "docs" / "inputs" / "digit-7.png")
    ends = ("--from", "mnist/vae", "--to", "fashion-mnist/vae")
    result = environment.ltzoo("translate", picture, *ends, "-o", str(tmp_path / "garment.png"))
    assert (result.returncode, result.stdout) == (0, f"{tmp_path}/garment.png\n"), result.stderr

    listed = json.loads(environment.ltzoo("models", "good/*", "bad/*", "--json").stdout)["models"]
    assert [model["id"] for model in listed] == (["bad/model"] if status == "ok" else []) + ["good/model"]

    result = environment.ltzoo("plugins", "--json")
    rows = {row["distribution"]: row for row in json.loads(result.stdout)["plugins"]}
    assert rows["ltzoo-good"]["status"] == "ok"
    assert rows[wheel.name]["status"] == status
    assert cause in (rows[wheel.name]["error"] or rows[wheel.name]["warning"])
    # One line on stderr says who, why and what mends it.
    lines = [line for line in result.stderr.splitlines() if wheel.name in line]
    assert len(lines) == (0 if status == "ok" else 1), result.stderr
    assert all("ltzoo uninstall" in line for line in lines)

    assert environment.ltzoo("plugins", "--check").returncode == (0 if status == "ok" else 3)

    result = environment.ltzoo("uninstall", "-y", wheel.name)
    assert (result.returncode, result.stdout) == (0, wheel.name + "\n"), result.stderr
    rows = json.loads(environment.ltzoo("plugins", "--json").stdout)["plugins"]
    assert wheel.name not in {row["distribution"] for row in rows}
    assert "ltzoo-good" in {row["distribution"] for row in rows}


@pytest.mark.slow
def test_a_slow_plugin_slows_no_command_that_needs_none(tmp_path):
    environment = Environment(tmp_path / "venv")
    environment.install(plugin("slow", "raise AssertionError('imported')"))
    strict = {"LTZOO_STRICT_PLUGINS": "1"}
    for command in ("--help", "--version", "path"):
        assert environment.ltzoo(command, **strict).returncode == 0
    assert environment.ltzoo("models", **strict).returncode == 3
