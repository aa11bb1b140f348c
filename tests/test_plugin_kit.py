"""`ltzoo plugins new` and `ltzoo plugins check`: a new project works at once, and a broken one is told apart."""

from __future__ import annotations

import json
import keyword
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wheels import Environment

from ltzoo.errors import UsageError
from ltzoo.plugin_project import FILES, TEMPLATE, check_plugin_name, new_plugin_project

PIP = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


@pytest.fixture
def project(tmp_path) -> Path:
    """A new plugin's project, not installed."""
    return new_plugin_project("demo", tmp_path)


def edit(project: Path, file: str, old: str, new: str) -> None:
    """Changes one place in a project's file."""
    path = project / file
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


# New projects


@pytest.mark.slow
def test_a_new_plugin_works_at_once_in_a_fresh_environment(tmp_path):
    environment = Environment(tmp_path / "venv")
    programs = environment.python.parent
    (programs / "ltzoo").write_text(f'#!/bin/sh\nexec "{environment.python}" -m ltzoo "$@"\n')
    (programs / "ltzoo").chmod(0o755)
    script = (
        "ltzoo plugins new demo && python -m pip install -q ./ltzoo-demo && ltzoo models -q 'demo/*' "
        "&& python -m pytest -q ltzoo-demo && cd / && ltzoo plugins check demo"
    )
    result = subprocess.run(
        ["bash", "-euc", script],
        cwd=tmp_path,
        env={**os.environ, **PIP, "PATH": f"{programs}:/usr/bin:/bin", "LTZOO_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith("ltzoo-demo\ndemo/thumbnail\n")
    assert " passed" in result.stdout
    assert "result    ok: 18 checks of 1 model, 0 failed\n" in result.stdout
    # What was installed is what was checked, not the project.
    assert (environment.site / "ltzoo_demo" / "adapter.py").is_file()


def test_a_project_is_complete_and_says_its_name_everywhere(project, tmp_path):
    assert list(tmp_path.iterdir()) == [project]
    files = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    assert files == {name.format(module="ltzoo_demo") for name in FILES}
    for path in files:
        text = (project / path).read_text()
        assert "<<" not in text, path
        assert text.endswith("\n"), path
    for path in (name for name in files if name.endswith(".py")):
        compile((project / path).read_text(), path, "exec")
    data = tomllib.loads((project / "pyproject.toml").read_text())
    assert data["project"]["entry-points"] == {"ltzoo": {"demo": "ltzoo_demo"}}
    workflow = (project / ".github" / "workflows" / "test.yml").read_text()
    assert "${{ matrix.python }}" in workflow


def test_every_template_is_used():
    assert {path.name for path in TEMPLATE.iterdir()} == {f"{name}.jinja" for name in FILES.values()}


def test_the_wheel_carries_the_templates(tmp_path):
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"ltzoo/{TEMPLATE.name}/{path.name}" for path in TEMPLATE.iterdir()} <= names


def test_the_command_writes_below_the_folder_asked_for(ltzoo, tmp_path):
    code, out, err = ltzoo("plugins", "new", "my-demo2", "--dir", str(tmp_path / "deep" / "er"))
    folder = tmp_path / "deep" / "er" / "ltzoo-my-demo2"
    assert (code, out) == (0, f"{folder}\n"), err
    assert (folder / "ltzoo_my_demo2" / "adapter.py").is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Demo", "cannot be called"),
        ("", "cannot be called"),
        ("2d", "cannot be called"),
        ("a--b", "cannot be called"),
        ("../escape", "cannot be called"),
        ("a/b", "cannot be called"),
        ("x" * 51, "cannot be called"),
        ("ltzoo-demo", "ltzoo plugins new demo"),
        ("local", "means something else"),
        ("mnist", "is taken by ltzoo-mnist"),
    ],
)
def test_names_that_are_invalid_or_taken_are_refused(ltzoo, tmp_path, name, message):
    code, out, err = ltzoo("plugins", "new", "--dir", str(tmp_path), "--", name)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(tmp_path.iterdir())


def test_the_name_of_a_known_plugin_that_is_not_installed_is_refused(ltzoo, tmp_path, monkeypatch):
    registry = tmp_path / "registry.toml"
    registry.write_text('schema = 1\n[[plugins]]\nname = "far"\npackage = "ltzoo-far"\ndescription = "x"\n')
    monkeypatch.setenv("LTZOO_REGISTRY", str(registry))
    code, _, err = ltzoo("plugins", "new", "far", "--dir", str(tmp_path))
    assert code == 2
    assert "ltzoo install ltzoo-far" in err


@given(st.text(max_size=60) | st.from_regex(r"[a-z0-9-]{1,60}", fullmatch=True))
def test_any_name_is_refused_or_makes_a_package_that_python_can_import(name):
    try:
        check_plugin_name(name)
    except UsageError as error:
        assert error.hint
        return
    module = f"ltzoo_{name.replace('-', '_')}"
    assert module.isidentifier()
    assert not keyword.iskeyword(module)
    assert os.path.basename(name) == name


@pytest.mark.parametrize("kind", ["folder", "file", "broken link"])
def test_what_exists_is_left_alone(ltzoo, tmp_path, kind):
    path = tmp_path / "ltzoo-demo"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(tmp_path / "nowhere")
    code, _, err = ltzoo("plugins", "new", "demo", "--dir", str(tmp_path))
    assert code == 2
    assert "exists already" in err
    assert list(tmp_path.iterdir()) == [path]


def test_a_project_that_cannot_be_written_leaves_nothing(ltzoo, tmp_path, monkeypatch):
    own, count = Path.write_text, []

    def full(self, *arguments, **options):
        count.append(self)
        if len(count) == 4:
            raise OSError(28, "No space left on device")
        return own(self, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", full)
    code, _, err = ltzoo("plugins", "new", "demo", "--dir", str(tmp_path))
    assert code == 1
    assert "No space left" in err
    assert len(count) == 4
    assert not list(tmp_path.iterdir())


# Checks

ADAPTER, MODULE = "ltzoo_demo/adapter.py", "ltzoo_demo/__init__.py"

FAULTS = {
    # name: (what is changed: file, what stands there, what is put in its place; parts of lines of the report)
    "does much wrong": (
        (
            (
                ADAPTER,
                "return (self.waves @ (x * 2 - 1) @ self.waves.T).flatten(1)",
                "return torch.randn(len(x), 192)",
            ),
            (ADAPTER, ".clamp(0, 1)", " * 3"),
            (MODULE, "from ltzoo import", "import torch\nfrom ltzoo import"),
        ),
        (
            "failed .* encode is deterministic: ",
            "failed .* decode gives data as specified: ",
            "failed .* listing imports nothing heavy: AssertionError: listing models imports .*torch",
            "failed .* round trip stays within the stated error",
            "ok .* decode is differentiable",
        ),
    ),
    "misstates its latents": (
        ((MODULE, "shape=(192,)", "shape=(190,)"),),
        ("failed .* encode gives latents as specified: ",),
    ),
    "forgets a method": (
        ((ADAPTER, "def sample(", "def draw("),),
        ("failed .* loads: PluginError: model 'demo/thumbnail' promises sample", "1 failed"),
    ),
    "does not import": (
        ((MODULE, "from ltzoo import", "import no_such_module\nfrom ltzoo import"),),
        ("problem   plugin 'demo' is failed: .*no_such_module",),
    ),
    "leaves its namespace": (
        ((MODULE, 'id="demo/', 'id="mnist/'),),
        ("problem   plugin 'demo' is conflict: ",),
    ),
    "ends the process": (
        ((ADAPTER, "return Thumbnail(spec, device)", "import os\n    os._exit(0)"),),
        ("problem   the checks ended early, with exit code 0",),
    ),
    "has tests that cannot be collected": (
        (("tests/test_contract.py", "import torch\n", "import no_such_module\n"),),
        (
            "problem   .*test_contract.py cannot be collected: .*no_such_module",
            "ok .* encode is deterministic",
        ),
    ),
    "needs another ltzoo": (
        (("pyproject.toml", "ltzoo>=0.1.0", "ltzoo>=99"),),
        ("problem   plugin 'demo' is incompatible: it needs ltzoo >=99",),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_plugin_is_told_what_is_wrong(ltzoo, project, fault):
    changes, expected = FAULTS[fault]
    for change in changes:
        edit(project, *change)
    code, out, err = ltzoo("plugins", "check", str(project))
    assert code == 3, out + err
    assert "result    broken" in out
    for part in expected:
        assert any(re.search(part, line) for line in out.splitlines()), (part, out)
    assert "Traceback" not in out + err


@pytest.mark.slow
def test_a_report_as_json_and_what_is_printed_by_the_plugin_is_not_in_it(ltzoo, project):
    edit(project, "ltzoo_demo/adapter.py", "import torch\n", 'import torch\nprint(\'{"kind": "end"}\')\n')
    edit(project, "ltzoo_demo/adapter.py", ".clamp(0, 1)", " + 2")
    code, out, _ = ltzoo("plugins", "check", f"{project}{os.sep}", "--json")
    assert code == 3
    report = json.loads(out)
    assert (report["schema"], report["ok"]) == ("ltzoo/plugin-check/1", False)
    (plugin,) = report["plugins"]
    assert (plugin["name"], plugin["distribution"], plugin["status"]) == ("demo", "ltzoo-demo", "ok")
    (model,) = report["models"]
    assert model["id"] == "demo/thumbnail"
    checks = {check["name"]: check for check in model["checks"]}
    assert len(checks) == 18
    assert checks["loads"]["status"] == checks["encode is deterministic"]["status"] == "ok"
    wrong = checks["decode gives data as specified"]
    assert wrong["status"] == "failed"
    assert "check_tensor" in wrong["detail"] or "assert" in wrong["detail"]
    assert checks["posterior agrees with encode"]["cause"] == "the model's encoder is deterministic"
    assert set(report["versions"]) == {"ltzoo", "torch", "python", "system"}


@pytest.mark.slow
def test_models_without_tests_of_their_own_are_checked_too(ltzoo, project):
    edit(project, "tests/test_contract.py", "class TestThumbnail(ModelContract):", "class Unused:")
    code, out, err = ltzoo("plugins", "check", str(project), "--json")
    assert code == 0, err
    (model,) = json.loads(out)["models"]
    (left,) = [c for c in model["checks"] if c["status"] == "skipped" and c["name"].startswith("round trip")]
    assert "data of the model's kind" in left["cause"]
    # A project's own options and other tests have no part in it.
    assert len(model["checks"]) == 18


@pytest.mark.slow
def test_members_of_an_open_family_are_checked_on_request(ltzoo, project):
    family = (
        "\n\n@hookimpl\ndef resolve_model(ref):\n"
        "    from dataclasses import replace\n\n"
        "    return replace(register_models()[0], id=ref) if ref == 'demo:one' else None\n"
    )
    path = project / "ltzoo_demo" / "__init__.py"
    path.write_text(path.read_text() + family)
    code, out, err = ltzoo("plugins", "check", str(project), "--model", "demo:one", "--model", "demo:two")
    assert code == 3, err
    assert "demo:one: 15 ok, 3 skipped, 0 failed" in out
    assert "demo:two: 0 ok, 0 skipped, 1 failed" in out


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("mnits", "did you mean mnist?"),
        ("./nowhere", "is no plugin's project"),
        ("here", "for a folder write ./here"),
        ("./here", "pyproject.toml cannot be read"),
        ("./other", "has no [project.entry-points.ltzoo]"),
    ],
)
def test_what_is_no_plugin_is_said(ltzoo, tmp_path, monkeypatch, target, message):
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("other").mkdir()
    Path("other", "pyproject.toml").write_text('[project]\nname = "x"\n')
    code, out, err = ltzoo("plugins", "check", target)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.slow
def test_without_pytest_the_command_that_brings_it_is_printed(tmp_path, project):
    environment = Environment(tmp_path / "venv")
    environment.hide("pytest")
    result = environment.ltzoo("plugins", "check", str(project))
    assert result.returncode == 1
    assert "python -m pip install" in result.stderr
    assert "Traceback" not in result.stderr
