"""Files with known hashes: from packages, from the Hub's cache, and from a Hub."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
from testhub import forbid_connections

from ltzoo.bridge.files import bridge_folder
from ltzoo.errors import HubError, IntegrityError, OfflineError, PluginError, SpecError
from ltzoo.hub import resolve_file
from ltzoo.spec import FileSpec, Source

COMMIT = "a" * 40
CONTENT = b"weights"
FILE = FileSpec(name="sub/weights.safetensors", sha256=hashlib.sha256(CONTENT).hexdigest())
REMOTE = Source(repo="org/name", revision=COMMIT, files=(FILE,))


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "carrier"
    (folder / "sub").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "sub" / "weights.safetensors").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "carrier", raising=False)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The Hub's cache layout; its client reads the place from a constant."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "hub" / "models--org--name" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    return folder


def test_a_package_s_file_is_found_and_checked(package):
    source = Source(package="carrier", files=(FILE,))
    assert resolve_file(source, FILE.name) == package / "sub" / "weights.safetensors"
    (package / "sub" / "weights.safetensors").write_bytes(b"Weights")
    with pytest.raises(IntegrityError, match="not the expected"):
        resolve_file(source, FILE.name)
    (package / "sub" / "weights.safetensors").unlink()
    with pytest.raises(PluginError, match="lacks its file"):
        resolve_file(source, FILE.name)
    with pytest.raises(PluginError, match="is not installed") as caught:
        resolve_file(Source(package="no_such_package", files=(FILE,)), FILE.name)
    assert caught.value.hint == "ltzoo install -U no-such-package"
    with pytest.raises(SpecError, match="lists no file 'other'"):
        resolve_file(source, "other")


def test_a_cached_file_needs_no_connection_and_is_checked(cache, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *a: pytest.fail("a connection was opened"))
    (cache / "sub").mkdir()
    (cache / "sub" / "weights.safetensors").write_bytes(CONTENT)
    assert resolve_file(REMOTE, FILE.name).read_bytes() == CONTENT
    (cache / "sub" / "weights.safetensors").write_bytes(b"forged")
    with pytest.raises(IntegrityError):
        resolve_file(REMOTE, FILE.name)


def test_what_is_not_cached_and_cannot_be_fetched_is_said(cache, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        OfflineError, match="org/name/sub/weights.safetensors at aaaaaaaaaaaa is not cached"
    ) as caught:
        resolve_file(REMOTE, FILE.name)
    assert caught.value.exit_code == 4
    assert isinstance(caught.value, HubError)


def test_a_bridge_comes_from_the_cache_by_its_full_commit(cache, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name in ("config.json", "model.safetensors", "README.md"):
        (cache / name).write_text(name)
    assert bridge_folder(f"hf:org/name@{COMMIT}") == cache
    (cache / "model.safetensors").unlink()
    with pytest.raises(OfflineError):
        bridge_folder(f"hf:org/name@{COMMIT}")


# A model's weights on the Hub


def test_a_model_s_weights_are_fetched_on_first_use(hub, hub_environment, no_connections_after):
    commit = hub.add("org/model", {"sub/weights.safetensors": CONTENT, "other.bin": b"x"})
    source = Source(repo="org/model", revision=commit, files=(FILE,))
    path = resolve_file(source, FILE.name)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(hub_environment.cache)
    assert [request.file[1] for request in hub.requests if request.sent and request.file] == [FILE.name]
    with no_connections_after():
        assert resolve_file(source, FILE.name) == path
    wrong = FileSpec(name=FILE.name, sha256="0" * 64)
    with pytest.raises(IntegrityError, match="not the expected 000"):
        resolve_file(Source(repo="org/model", revision=commit, files=(wrong,)), FILE.name)


@pytest.fixture
def no_connections_after():
    return forbid_connections
