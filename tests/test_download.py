"""`ltzoo download`, and bridges that are fetched on first use: from a Hub that answers, misbehaves, or is not there."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from published_bridge import save_bridge
from testhub import READER, WRITER, Fault

from ltzoo.bridge.row import make_row, write_row
from ltzoo.references import HubReference
from ltzoo.registry import BridgeRow
from ltzoo.zoo import set_default_zoo

REPO = "org/ab"
WEIGHTS = "*/model.safetensors"


@pytest.fixture
def folder(tmp_path):
    """A bridge on this machine."""
    save_bridge(tmp_path / "ab")
    return tmp_path / "ab"


@pytest.fixture
def commit(hub, hub_environment, folder) -> str:
    """The commit of the same on the hub, under the tag v1."""
    return hub.add(REPO, contents(folder), tags=["v1"])


@pytest.fixture
def registry(tmp_path, folder, commit, monkeypatch):
    """A registry that lists it."""
    path = tmp_path / "registry.toml"
    path.write_text("schema = 1\n")
    list_row(path, row(folder, commit))
    monkeypatch.setenv("LTZOO_REGISTRY", str(path))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def row(folder: Path, commit: str) -> BridgeRow:
    place = HubReference(REPO, commit)
    return make_row(folder, id="ab", license="MIT", requirement=lambda spec: "ltzoo-toy>=1", place=place)


def list_row(registry: Path, row: BridgeRow) -> None:
    from toy_plugin import toy_zoo

    write_row(row, registry)
    # A zoo reads its registries once.
    set_default_zoo(toy_zoo())


def sound(cache: Path) -> bool:
    """Whether everything in the cache is what its name says, and nothing is left of what broke off."""
    blobs = [path for path in cache.glob("*/blobs/*") if path.is_file()]
    for path in blobs:
        content = path.read_bytes()
        digests = (hashlib.sha256(content), hashlib.sha1(b"blob %d\0" % len(content) + content))
        if path.name not in [digest.hexdigest() for digest in digests]:
            return False
    assert {path.name for path in cache.parent.glob("*")} <= {"hub"}
    pointers = [path for path in cache.glob("*/snapshots/*/*") if not path.exists()]
    return not pointers and not list(cache.rglob("*.incomplete"))


# What goes well


@pytest.mark.parametrize("reference", ["ab", "hf:org/ab", "hf:org/ab@v1", "hf:org/ab@COMMIT"])
def test_a_bridge_is_downloaded_once(ltzoo, hub, registry, folder, commit, hub_environment, reference):
    reference = reference.replace("COMMIT", commit)
    code, out, err = ltzoo("download", reference)
    assert code == 0
    there = Path(out.strip())
    assert there.is_relative_to(hub_environment.cache)
    assert there.name == commit
    assert contents(there) == contents(folder)
    moving = reference in ("hf:org/ab", "hf:org/ab@v1")
    assert err == (f"ltzoo: {reference} is hf:org/ab@{commit}\n" if moving else "")
    before = len(hub.requests)
    assert ltzoo("download", reference)[:2] == (0, out)
    # A moving name is looked up again, and nothing else.
    assert sum(request.file is not None for request in hub.requests[before:]) == 0
    assert all(hub.bytes_sent(REPO, name) == len(content) for name, content in contents(folder).items())


def test_what_was_resolved_is_recorded(ltzoo, hub, commit, folder, no_connections_later):
    assert ltzoo("download", "hf:org/ab")[0] == 0
    with no_connections_later():
        code, out, err = ltzoo("download", "hf:org/ab", "--offline", "--json")
    assert (code, json.loads(out)["downloads"][0]["reference"]) == (0, f"hf:org/ab@{commit}")
    code, _, err = ltzoo("download", "hf:org/ab@v1", "--offline")
    assert code == 4
    assert "has not been resolved to a commit before" in err


@pytest.fixture
def no_connections_later():
    from testhub import forbid_connections

    return forbid_connections


def test_translate_fetches_on_first_use_and_then_never(
    ltzoo, hub, registry, folder, tmp_path, no_connections_later
):
    image = tmp_path / "in.npy"
    np.save(image, np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8))
    words = ("translate", str(image), "--from", "toy/a", "--to", "toy/b")
    code, _, err = ltzoo(*words, "--bridge", f"local:{folder}", "-o", str(tmp_path / "local.npy"))
    assert code == 0, err
    for name, guard in (("first", False), ("second", True)):
        output = str(tmp_path / f"{name}.npy")
        if guard:
            with no_connections_later():
                code, _, err = ltzoo(*words, "--bridge", "ab", "-o", output)
        else:
            code, _, err = ltzoo(*words, "--bridge", "ab", "-o", output)
        assert code == 0, err
        assert Path(output).read_bytes() == (tmp_path / "local.npy").read_bytes()


def test_models_of_plugins_are_references_too(ltzoo, hub_environment):
    code, out, err = ltzoo("download", "mnist/vae", "--json")
    assert (code, err) == (0, "")
    (found,) = json.loads(out)["downloads"]
    assert found["kind"] == "model"
    assert all((Path(found["folders"][0]) / name).is_file() for name in found["files"])
    assert found["bytes"] > 100_000


def test_a_bridge_of_models_that_are_not_installed_names_the_command(ltzoo, hub, hub_environment, folder):
    config = json.loads((folder / "config.json").read_text())
    text = json.dumps(config).replace("toy/b", "mnist/b")
    from ltzoo.spec import ModelSpec

    config = json.loads(text)
    for end in config["models"]:
        end["fingerprint"] = ModelSpec.from_dict(end["spec"]).fingerprint
    hub.add("org/other", {**contents(folder), "config.json": json.dumps(config).encode()})
    code, _, err = ltzoo("download", "hf:org/other")
    assert code == 0
    assert "the plugin of mnist is not installed; try: ltzoo install ltzoo-mnist" in err


# Faults


FAULTS = {
    "truncated body": (Fault.TRUNCATE, WEIGHTS, {"value": 10}, 1, "broke off.*give the same command again"),
    "flipped byte": (
        Fault.FLIP,
        WEIGHTS,
        {},
        5,
        "not what the Hub had announced.*give the same command again",
    ),
    "wrong etag": (
        Fault.WRONG_ETAG,
        WEIGHTS,
        {},
        5,
        "not what the Hub had announced.*give the same command again",
    ),
    "etag that is no hash": (Fault.WRONG_ETAG, WEIGHTS, {"value": "x"}, 5, "no hash.*check HF_ENDPOINT"),
    "etag that leads elsewhere": (Fault.WRONG_ETAG, WEIGHTS, {"value": "../../../../x"}, 5, "is no hash"),
    "redirect loop": (Fault.REDIRECT_LOOP, WEIGHTS, {}, 1, "no answer of a Hub.*check HF_ENDPOINT"),
    "too many questions": (Fault.RATE_LIMITED, WEIGHTS, {"value": 1}, 1, "too many questions.*in a minute"),
    "too many for an hour": (
        Fault.RATE_LIMITED,
        WEIGHTS,
        {"value": 3600},
        1,
        "asks to wait for 3600 s.*hf auth login",
    ),
    "server error": (Fault.SERVER_ERROR, WEIGHTS, {}, 1, r"trouble of its own \(500\).*again later"),
    "connection reset": (Fault.RESET, WEIGHTS, {"value": 100}, 1, "broke off.*give the same command again"),
    "repository gone": (
        Fault.REPOSITORY_GONE,
        "*",
        {},
        1,
        "no such repository, or a private one.*ltzoo search ab",
    ),
    "commit gone": (Fault.REVISION_GONE, "*", {}, 1, "no such revision.*hf:org/ab is the newest"),
    "file gone": (Fault.ENTRY_GONE, WEIGHTS, {}, 1, "no such file.*ltzoo search"),
    "gated": (Fault.GATED, "*", {}, 1, "agree to terms first.*/org/ab, then: hf auth login"),
    "not allowed": (Fault.UNAUTHORISED, "*", {}, 1, "private one.*hf auth login"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("reference", ["ab", "hf:org/ab@COMMIT"])
def test_a_fault_is_one_line_and_leaves_nothing(
    ltzoo, hub, registry, commit, hub_environment, waits, fault, reference
):
    kind, match, options, expected, pattern = FAULTS[fault]
    hub.faults.add(kind, match=match, **options)
    words = ("download", reference.replace("COMMIT", commit))
    code, out, err = ltzoo(*words)
    assert (code, out) == (expected, "")
    assert re.fullmatch(f"ltzoo: error: .*{pattern}.*\n", err), err
    assert sum(waits) < 120
    assert sound(hub_environment.cache)
    hub.faults.clear()
    assert ltzoo(*words)[0] == 0
    assert sound(hub_environment.cache)


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        (Fault.SERVER_ERROR, {}),
        (Fault.RATE_LIMITED, {"value": 1}),
        (Fault.TRUNCATE, {"value": 100}),
        (Fault.RESET, {"value": 0, "method": "HEAD"}),
        (Fault.TRICKLE, {"value": 100_000}),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Fault) else "",
)
def test_a_fault_that_passes_is_not_noticed(
    ltzoo, hub, registry, hub_environment, folder, waits, fault, options
):
    hub.faults.add(fault, match=WEIGHTS, times=2, **options)
    code, out, err = ltzoo("download", "ab")
    assert (code, err) == (0, "")
    assert contents(Path(out.strip())) == contents(folder)
    assert sound(hub_environment.cache)


def test_a_private_repository_needs_a_token(ltzoo, hub, hub_environment, folder):
    commit = hub.add("org/secret", contents(folder), private=True)
    for token in ("", READER):
        hub_environment.use(token=token)
        code, _, err = ltzoo("download", f"hf:org/secret@{commit}")
        assert code == 1
        assert "for a private one first: hf auth login" in err
    hub_environment.use(token=WRITER)
    assert ltzoo("download", f"hf:org/secret@{commit}")[0] == 0


def test_a_commit_that_was_rewritten_under_a_tag_is_another_one(
    ltzoo, hub, registry, commit, folder, hub_environment
):
    assert ltzoo("download", "hf:org/ab@v1")[0] == 0
    changed = contents(folder)
    changed["model.safetensors"] = changed["model.safetensors"][:-4] + b"\0\0\0\0"
    new = hub.add(REPO, changed, tags=["v1"])
    _, _, err = ltzoo("download", "hf:org/ab@v1")
    assert err == f"ltzoo: hf:org/ab@v1 is hf:org/ab@{new}\n"
    # What is pinned stays what it was.
    _, out, _ = ltzoo("download", "ab")
    assert contents(Path(out.strip())) == contents(folder)


def test_a_row_with_a_wrong_hash_is_refused_until_it_is_corrected(
    ltzoo, registry, folder, commit, hub_environment
):
    right = row(folder, commit)
    files = tuple(replace(f, sha256="0" * 64) if f.name == "model.safetensors" else f for f in right.files)
    list_row(registry, replace(right, files=files))
    code, out, err = ltzoo("download", "ab")
    assert (code, out) == (5, "")
    assert re.fullmatch(
        r"ltzoo: error: org/ab/model.safetensors .* not the expected 000.*registry check.*\n", err
    )
    assert sound(hub_environment.cache)
    list_row(registry, right)
    assert ltzoo("download", "ab")[0] == 0


def test_a_file_damaged_in_the_cache_is_removed_and_fetched_again(ltzoo, registry, hub_environment):
    _, out, _ = ltzoo("download", "ab")
    weights = (Path(out.strip()) / "model.safetensors").resolve()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    code, _, err = ltzoo("download", "ab")
    assert code == 5
    assert "was damaged in the cache, and has been removed from it; try: give the same command again" in err
    assert sound(hub_environment.cache)
    assert ltzoo("download", "ab")[0] == 0


@pytest.mark.parametrize("sha", ["../../../x", "main", "", None, 7])
def test_a_commit_that_is_none_is_refused(ltzoo, commit, hub_environment, monkeypatch, sha):
    from huggingface_hub import HfApi

    info = type("Info", (), {"sha": sha})
    monkeypatch.setattr(HfApi, "model_info", lambda *words, **options: info)
    code, _, err = ltzoo("download", "hf:org/ab")
    assert code == 1
    assert "check HF_ENDPOINT" in err
    assert sound(hub_environment.cache)


# No Hub


@pytest.mark.parametrize("reference", ["ab", "hf:org/ab", "hf:org/ab@COMMIT"])
def test_a_hub_that_cannot_be_reached_is_known_at_once(ltzoo, hub, registry, commit, reference):
    reference = reference.replace("COMMIT", commit)
    hub.stop()
    started = time.monotonic()
    code, out, err = ltzoo("download", reference)
    assert time.monotonic() - started < 5
    assert (code, out) == (4, "")
    assert re.fullmatch("ltzoo: error: .*the Hub cannot be reached.*go online.*\n", err)
    hub.start()
    assert ltzoo("download", reference)[0] == 0


def test_a_hub_that_does_not_answer_is_known_soon(ltzoo, hub, registry):
    hub.faults.add(Fault.LATE, match="*")
    started = time.monotonic()
    code, _, err = ltzoo("download", "ab")
    assert time.monotonic() - started < 5
    assert code == 4
    assert "cannot be reached" in err


def test_offline_is_said(ltzoo, registry, commit, no_connections):
    for reference in ("ab", f"hf:org/ab@{commit}"):
        code, _, err = ltzoo("download", reference, "--offline")
        assert code == 4
        assert "is not cached, and ltzoo is offline; try: go online once: leave out --offline" in err


@pytest.mark.slow
def test_many_processes_share_one_download(hub, registry, commit, folder, hub_environment):
    code = (
        "import sys; from ltzoo.bridge.files import bridge_files; print(bridge_files(sys.argv[1])[0].parent)"
    )
    environment = {**hub_environment.variables, "LTZOO_REGISTRY": str(registry), "OMP_NUM_THREADS": "1"}
    import os

    root = str(Path(__file__).parents[1])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, "ab"],
            env={**os.environ, **environment, "PYTHONPATH": root},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(20)
    ]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert contents(Path(out.strip())) == contents(folder)
    sizes = {name: len(content) for name, content in contents(folder).items()}
    assert {name: hub.bytes_sent(REPO, name) for name in sizes} == sizes
    assert sound(hub_environment.cache)
