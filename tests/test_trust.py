"""What the host never does with what others wrote: docs/threat-model.md."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest
from published_bridge import save_bridge

from ltzoo.bridge import Bridge
from ltzoo.errors import LtzooError, SpecError
from ltzoo.references import parse_hub_reference
from ltzoo.registry import BridgeRow
from ltzoo.spec import FileSpec, ModelSpec

HOST = sorted((Path(__file__).parents[1] / "ltzoo").rglob("*.py"))
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
UNSAFE_PATHS = (
    "../x",
    "a/../b",
    "/etc/passwd",
    "C:/x",
    "C:x",
    "\\\\host\\share",
    "//host/share",
    "a//b",
    "./a",
    "a\\b",
    "",
    "a\x00b",
)


def test_there_is_a_host_to_look_at():
    assert len(HOST) > 100


@pytest.mark.parametrize("path", HOST, ids=lambda path: path.name)
def test_the_host_runs_nothing_that_it_reads(path):
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not UNSAFE_MODULES & {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in UNSAFE_MODULES
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in ("torch.load", "numpy.load", "yaml.load"), name
            assert name not in UNSAFE_CALLS, name
            for keyword in node.keywords:
                assert keyword.arg != "trust_remote_code"
                allowed = ast.unparse(keyword.value) == "False"
                assert keyword.arg != "allow_pickle" or allowed


def test_a_bridge_s_config_names_no_code_that_is_run(tmp_path, monkeypatch):
    """The loader in a bridge's config is shown to nobody and imported by nobody."""
    save_bridge(tmp_path / "ab")
    evil = tmp_path / "code"
    evil.mkdir()
    (evil / "ltzoo_evil.py").write_text("raise SystemExit('this was run')\n")
    monkeypatch.syspath_prepend(evil)
    config = json.loads((tmp_path / "ab" / "config.json").read_text())
    for end in config["models"]:
        end["spec"]["loader"] = "ltzoo_evil:load"
        end["fingerprint"] = ModelSpec.from_dict(end["spec"]).fingerprint
    (tmp_path / "ab" / "config.json").write_text(json.dumps(config))
    from ltzoo.bridge import load_bridge

    bridge = load_bridge(f"local:{tmp_path}/ab")
    import torch

    bridge.translate(torch.zeros(1, 64), source="toy/a", target="toy/b")
    assert "ltzoo_evil" not in sys.modules


@pytest.mark.parametrize("name", UNSAFE_PATHS)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(SpecError):
        FileSpec(name=name, sha256="0" * 64)
    row = {
        "id": "a",
        "models": ("toy/a", "toy/b"),
        "files": (
            FileSpec(name="config.json", sha256="0" * 64),
            FileSpec(name="model.safetensors", sha256="0" * 64),
        ),
        "size": 1,
        "license": "MIT",
        "plugins": (),
        "command": "-",
        "recipe": "default",
        "date": "2026-01-01",
    }
    if name not in ("./a", "", "a//b"):
        with pytest.raises(SpecError):
            BridgeRow(**row, path=name)
    with pytest.raises(LtzooError):
        parse_hub_reference(f"hf:org/name@{name}")
    with pytest.raises(LtzooError):
        parse_hub_reference(f"hf:{name}")


@pytest.mark.parametrize(
    "name", ["evil.py", "pytorch_model.bin", "model.pkl", ".gitattributes", "sub/config.json"]
)
def test_a_row_lists_no_files_but_a_bridge_s(name):
    files = [{"name": part, "sha256": "0" * 64} for part in ("config.json", "model.safetensors", name)]
    row = {
        "id": "a",
        "models": ["toy/a", "toy/b"],
        "files": files,
        "size": 1,
        "license": "MIT",
        "plugins": [],
        "command": "-",
        "recipe": "default",
        "date": "2026-01-01",
        "path": "a",
    }
    with pytest.raises(SpecError, match="a bridge has no files but"):
        BridgeRow.from_dict(row)


def test_only_the_files_of_a_bridge_are_fetched(ltzoo, hub, hub_environment, tmp_path):
    save_bridge(tmp_path / "ab")
    files = {path.name: path.read_bytes() for path in (tmp_path / "ab").iterdir()}
    hub.add("org/ab", {**files, "setup.py": b"import os", "model.bin": b"\x80\x04", "sub/config.json": b"{}"})
    assert ltzoo("download", "hf:org/ab")[0] == 0
    asked = {request.file[1] for request in hub.requests if request.file}
    assert asked <= set(files)


def test_weights_with_more_than_the_config_asks_for_are_refused(tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    save_bridge(tmp_path / "ab")
    path = tmp_path / "ab" / "model.safetensors"
    save_file({**load_file(path), "more": torch.zeros(1)}, path)
    with pytest.raises(LtzooError, match="unknown tensor 'more'"):
        Bridge.from_pretrained(tmp_path / "ab")
