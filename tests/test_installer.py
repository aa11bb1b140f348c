"""Installing and removing plugins for real, in an environment of their own."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from wheels import Environment, Wheel, good_plugin

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path) -> Environment:
    return Environment(tmp_path / "venv")


def names(environment: Environment) -> list[str]:
    rows = json.loads(environment.ltzoo("plugins", "--json").stdout)["plugins"]
    return sorted(row["name"] for row in rows if row["distribution"] in ("ltzoo-one", "ltzoo-two"))


def record(environment: Environment) -> dict[str, str]:
    path = environment.folder / "home" / "installed.json"
    return {package["name"]: package["requirement"] for package in json.loads(path.read_text())["packages"]}


def test_install_list_uninstall_restore(environment, tmp_path):
    one, two = (str(good_plugin(name).build(tmp_path)) for name in ("one", "two"))
    result = environment.ltzoo("install", one, two, PIP_NO_INDEX="1")
    assert (result.returncode, result.stdout) == (0, "ltzoo-one\nltzoo-two\n"), result.stderr
    assert names(environment) == ["one", "two"]
    assert record(environment) == {"ltzoo-one": one, "ltzoo-two": two}

    # Nobody is there to answer, so nothing is removed.
    result = environment.ltzoo("uninstall", "one")
    assert result.returncode == 2
    assert "ltzoo uninstall -y ltzoo-one" in result.stderr
    result = environment.ltzoo("uninstall", "-y", "one")
    assert (result.returncode, result.stdout) == (0, "ltzoo-one\n"), result.stderr
    assert names(environment) == ["two"]
    assert record(environment) == {"ltzoo-two": two}

    # An upgrade of the tool makes a new environment; the home folder stays.
    fresh = Environment(tmp_path / "fresh")
    shutil.copytree(environment.folder / "home", fresh.folder / "home")
    assert names(fresh) == []
    result = fresh.ltzoo("install", "--restore", PIP_NO_INDEX="1")
    assert result.returncode == 0, result.stderr
    assert names(fresh) == ["two"]
    result = fresh.ltzoo("install", "--restore")
    assert "nothing to restore" in result.stderr


def test_a_package_without_a_plugin_is_said_to_be_one(environment, tmp_path):
    wheel = Wheel("plain-package", "x = 1\n").build(tmp_path)
    result = environment.ltzoo("install", str(wheel), PIP_NO_INDEX="1")
    assert result.returncode == 0
    assert "plain-package is installed, but holds no ltzoo plugin" in result.stderr
    assert environment.ltzoo("uninstall", "-y", "plain-package").returncode == 2


def test_what_cannot_be_installed_fails_and_is_not_recorded(environment):
    result = environment.ltzoo("install", "ltzoo-no-such-plugin", PIP_NO_INDEX="1")
    assert (result.returncode, result.stdout) == (1, "")
    assert "ended with exit code" in result.stderr.splitlines()[-1]
    assert not (environment.folder / "home" / "installed.json").exists()


def test_a_requirements_file_and_an_editable_project(environment, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "ltzoo-two"\nversion = "1.0"\n'
        '[project.entry-points.ltzoo]\ntwo = "ltzoo_two"\n'
        '[tool.setuptools]\npy-modules = ["ltzoo_two"]\n'
    )
    (project / "ltzoo_two.py").write_text(good_plugin("two").code)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"# ours\n{good_plugin('one').build(tmp_path)}\n")
    result = environment.ltzoo(
        "install", "-r", str(requirements), "-e", str(project), PIP_NO_BUILD_ISOLATION="0", PIP_NO_INDEX="1"
    )
    assert result.returncode == 0, result.stderr
    assert names(environment) == ["one", "two"]
    assert record(environment)["ltzoo-two"] == str(project)


def test_uv_installs_where_there_is_no_pip(environment, tmp_path):
    environment.hide("pip")
    wheel = str(good_plugin("one").build(tmp_path))
    offline = {"UV_OFFLINE": "1", "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    result = environment.ltzoo("install", wheel, **offline)
    assert (result.returncode, result.stdout) == (0, "ltzoo-one\n"), result.stderr
    assert names(environment) == ["one"]
    result = environment.ltzoo("uninstall", "-y", "one", **offline)
    assert (result.returncode, result.stdout) == (0, "ltzoo-one\n"), result.stderr
    assert names(environment) == []
    result = environment.ltzoo("install", wheel, PATH="/usr/bin:/bin")
    assert result.returncode == 1
    assert "has neither pip nor uv" in result.stderr


def test_a_damaged_record_is_said_and_kept(environment, tmp_path):
    path = environment.folder / "home" / "installed.json"
    path.parent.mkdir()
    path.write_text("{")
    result = environment.ltzoo("install", "--restore")
    assert result.returncode == 1
    assert str(path) in result.stderr
    assert path.read_text() == "{"
