"""What plugins of open families share: references, and the files behind them, from folders and from a Hub."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from testhub import forbid_connections

from ltzoo import LatentSpec, ModelSpec, hookimpl
from ltzoo.cli.train import joined_name, parse_data
from ltzoo.errors import (
    HubError,
    IntegrityError,
    LtzooError,
    NoSuchFileError,
    OfflineError,
    UnknownModelError,
)
from ltzoo.families import Checkpoint, parse_family_reference
from ltzoo.hub import offline, resolve_file
from ltzoo.plugins import PluginHost
from ltzoo.spec import FAMILY_REFERENCE, DataSpec, FileSpec, Source
from ltzoo.zoo import Zoo, set_default_zoo

COMMIT = "0123456789abcdef" * 2 + "01234567"
WEIGHTS = b"\x02\0\0\0\0\0\0\0{}"
CONFIG = b'{"_class_name": "Net"}'
CARD = b"---\nlibrary_name: x\nlicense: mit\n---\n# Net\n"
FILES = {"net.safetensors": WEIGHTS, "config.json": CONFIG, "README.md": CARD}


@pytest.mark.parametrize(
    "text",
    [
        "net:org/repo",
        "net:org/repo@v1",
        f"net:org/repo@{COMMIT}",
        "net:org/repo#vae",
        f"net:org/repo@{COMMIT}#a/b-c.d",
        "net:local:/some/where",
        "net:local:/with a space/and#more@here",
    ],
)
def test_references_are_read_and_written_alike(text):
    assert str(parse_family_reference(text)) == text
    assert FAMILY_REFERENCE.fullmatch(text)


@pytest.mark.parametrize(
    "rest",
    [
        *("", "repo", "org/repo/more", "org/repo@", "org/repo#", "org/repo#../up", "org/repo#/x"),
        *("org/repo#a//b", "../x", "org/repo@../x", "https://host/org/repo", "local:", "org/repo#a b"),
        "hf:org/repo",
    ],
)
def test_other_forms_are_refused_with_the_right_ones(rest):
    with pytest.raises(UnknownModelError) as caught:
        parse_family_reference(f"net:{rest}")
    assert "net:ORG/REPO" in caught.value.hint
    assert "net:local:PATH" in caught.value.hint


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(rest):
    try:
        found = parse_family_reference(f"net:{rest}")
    except UnknownModelError:
        return
    assert str(found) == f"net:{rest}"
    assert found.hub is None or (".." not in found.subfolder and not found.subfolder.startswith("/"))


# Files


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_folder_s_files_have_their_hashes(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    checkpoint = Checkpoint.open(f"net:local:{folder.name}")
    assert str(checkpoint) == f"net:local:{folder}"
    assert checkpoint.json("config.json") == {"_class_name": "Net"}
    assert checkpoint.find("other", "net.safetensors") == "net.safetensors"
    assert checkpoint.license == "MIT"
    assert checkpoint.weights("net", pickle="net.bin") == ("net.safetensors",)
    source = checkpoint.source("config.json", "net.safetensors")
    assert source.files[1].sha256 == sha256(WEIGHTS)
    assert resolve_file(source, "net.safetensors") == folder / "net.safetensors"
    (folder / "net.safetensors").write_bytes(b"other")
    with pytest.raises(IntegrityError, match="not the expected"):
        resolve_file(source, "net.safetensors")
    with pytest.raises(NoSuchFileError, match="has no other"):
        checkpoint.source("other")
    with pytest.raises(UnknownModelError, match="is no folder"):
        Checkpoint.open("net:local:nowhere")


def test_a_repository_s_weights_are_known_before_they_are_fetched(hub, hub_environment):
    sha = hub.add(
        "org/net", {"sub/" + name: content for name, content in FILES.items()} | {"README.md": CARD}
    )
    checkpoint = Checkpoint.open("net:org/net#sub")
    assert str(checkpoint) == f"net:org/net@{sha}#sub"
    source = checkpoint.source("config.json", "net.safetensors")
    assert source == Source(
        repo="org/net",
        revision=sha,
        files=(
            FileSpec(name="sub/config.json", sha256=sha256(CONFIG)),
            FileSpec(name="sub/net.safetensors", sha256=sha256(WEIGHTS)),
        ),
    )
    assert checkpoint.license == "MIT"
    assert not hub.bytes_sent("org/net", "sub/net.safetensors")
    resolve_file(source, "sub/net.safetensors")
    with forbid_connections():
        again = Checkpoint.open(f"net:org/net@{sha}#sub")
        assert again.source("config.json", "net.safetensors") == source
        assert again.license == "MIT"


def test_a_repository_that_is_not_there_is_said(hub, hub_environment):
    with pytest.raises(HubError, match="no such repository"):
        Checkpoint.open("net:org/nothing")
    with pytest.raises(HubError, match="no such repository"):
        Checkpoint.open(f"net:org/nothing@{COMMIT}").json("config.json")
    sha = hub.add("org/net", FILES)
    with offline(), pytest.raises(OfflineError):
        Checkpoint.open(f"net:org/net@{sha}").source("net.safetensors")


def test_offline_only_what_is_cached_is_looked_for(hub, hub_environment):
    """Weights under their second name: that there are none under the first was found out online."""
    sha = hub.add("org/half", {"net.fp16.safetensors": WEIGHTS})
    checkpoint = Checkpoint.open("net:org/half")
    source = checkpoint.source(*checkpoint.weights("net", pickle="net.bin"))
    resolve_file(source, "net.fp16.safetensors")
    with offline(), forbid_connections():
        again = Checkpoint.open(f"net:org/half@{sha}")
        assert again.source(*again.weights("net", pickle="net.bin")) == source
        with pytest.raises(OfflineError):
            again.weights("other", pickle="other.bin")


@pytest.mark.parametrize("place", ["folder", "repository"])
def test_pickles_are_refused_and_parts_are_found(place, hub, hub_environment, tmp_path):
    index = {"weight_map": {"a": "net-1.safetensors", "b": "net-2.safetensors", "c": "net-1.safetensors"}}
    kinds = {
        "pickle": {"net.bin": b"x"},
        "half": {"net.fp16.safetensors": WEIGHTS},
        "parts": {"net.safetensors.index.json": json.dumps(index).encode()},
        "bad-parts": {"net.safetensors.index.json": b'{"weight_map": {"a": "../x.safetensors"}}'},
        "none": {"config.json": b"{}"},
    }

    def weights(kind: str) -> tuple[str, ...]:
        if place == "repository":
            hub.add(f"org/{kind}", kinds[kind])
            return Checkpoint.open(f"net:org/{kind}").weights("net", pickle="net.bin")
        (tmp_path / kind).mkdir()
        for name, content in kinds[kind].items():
            (tmp_path / kind / name).write_bytes(content)
        return Checkpoint.open(f"net:local:{tmp_path / kind}").weights("net", pickle="net.bin")

    with pytest.raises(IntegrityError, match="only as a pickle"):
        weights("pickle")
    assert weights("half") == ("net.fp16.safetensors",)
    assert weights("parts") == ("net.safetensors.index.json", "net-1.safetensors", "net-2.safetensors")
    with pytest.raises(IntegrityError, match="names no safetensors files"):
        weights("bad-parts")
    with pytest.raises(NoSuchFileError, match="has no net"):
        weights("none")


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000, b" " * (5 * 2**20)])
def test_what_is_no_json_object_is_refused(content, tmp_path):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"config\.json"):
        Checkpoint.open(f"net:local:{tmp_path}").json("config.json")


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlicense: apache-2.0\n---\n", "Apache-2.0"),
        ('---\nlicense: "cc-by-nc-4.0"  # theirs\n---\n', "CC-BY-NC-4.0"),
        ("---\nlicense:\n- mit\n- other\n---\n", "MIT"),
        ("---\nlicense: openrail++\n---\n", "OpenRAIL++"),
        ("---\nlicense: other\nlicense_name: theirs-1\n---\n", "other: theirs-1; see {folder}"),
        ("---\ntags: [a]\n---\nlicense: mit\n", "other: not stated; see {folder}"),
        ("no card", "other: not stated; see {folder}"),
    ],
)
def test_the_licence_is_the_card_s(card, expected, tmp_path):
    (tmp_path / "README.md").write_text(card)
    assert Checkpoint.open(f"net:local:{tmp_path}").license == expected.format(folder=tmp_path)


def test_a_source_has_one_place():
    for places in ({"folder": "/x", "package": "y"}, {"folder": "/x", "repo": "o/n", "revision": COMMIT}):
        with pytest.raises(LtzooError, match="either a package, a repo or a folder"):
            Source(**places)


# A family as the command line sees it


class Family:
    """A plugin whose models are folders."""

    @hookimpl
    def resolve_model(self, ref: str):
        checkpoint = Checkpoint.open(ref)
        return ModelSpec(
            id=str(checkpoint),
            title="a net",
            data=DataSpec(modality="array", shape=(4,)),
            latent=LatentSpec(shape=(4,)),
            capabilities=frozenset({"encode", "decode"}),
            license=checkpoint.license,
            loader="no:thing",
            source=checkpoint.source("net.safetensors"),
        )


@pytest.fixture
def family(monkeypatch):
    monkeypatch.setattr(EntryPoint, "load", lambda self: Family())
    zoo = Zoo(PluginHost([EntryPoint("net", "net", "ltzoo")]))
    set_default_zoo(zoo)
    return zoo


def test_what_a_family_says_of_a_reference_reaches_the_user(family, ltzoo, folder, monkeypatch):
    code, _, err = ltzoo("models", "show", "net:local:/nowhere")
    assert code == 2
    assert err.count("\n") == 1
    assert "/nowhere is no folder" in err
    # The plugin is not at fault, and serves the next reference.
    monkeypatch.chdir(folder.parent)
    code, out, err = ltzoo("models", "show", f"net:local:{folder.name}", "--json")
    assert code == 0
    assert json.loads(out)["model"]["id"] == f"net:local:{folder}"
    assert f"net:local:{folder.name} is net:local:{folder}" in err


def test_other_errors_of_a_family_are_the_plugin_s(family, ltzoo, monkeypatch):
    monkeypatch.setattr(Checkpoint, "open", lambda ref: 1 / 0)
    code, _, err = ltzoo("models", "show", "net:org/repo")
    assert code == 3
    assert "resolve_model() raised ZeroDivisionError" in err


def test_training_takes_references_as_they_are_typed(family, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b=c"):
        (tmp_path / name).mkdir()
        for file, content in FILES.items():
            (tmp_path / name / file).write_bytes(content)
    models = tuple(family.get_model(f"net:local:{name}") for name in ("a", "b=c"))
    assert joined_name(models) == "net-a--net-b-c"
    typed = ("net:local:a=x.safetensors", f"net:local:{tmp_path}/b=c=y=z.safetensors")
    given = parse_data(typed, models)
    assert given == {models[0].id: Path("x.safetensors"), models[1].id: Path("y=z.safetensors")}
    for wrong in ("net:local:a", "other=x", "a=x", f"net:local:{tmp_path}=x"):
        with pytest.raises(LtzooError):
            parse_data((wrong,), models)


def test_names_of_folders_hold_no_commits():
    spec = ModelSpec(
        id=f"net:org/repo@{COMMIT}#sub/folder",
        title="-",
        data=DataSpec(modality="array", shape=(4,)),
        latent=LatentSpec(shape=(4,)),
        capabilities=frozenset({"encode"}),
        license="MIT",
        loader="no:thing",
    )
    assert joined_name((spec, spec)) == "net-org-repo-sub-folder--net-org-repo-sub-folder"
