"""``registry.toml``: the bundled one is right, and a wrong one is refused row by row."""

from __future__ import annotations

import copy
import time
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltzoo.bridge.files import bridge_folder
from ltzoo.errors import IntegrityError, LtzooError, SpecError, UnknownBridgeError, UsageError
from ltzoo.registry import MAX_BYTES, Registry, RegistrySource, bundled_registry
from ltzoo.zoo import default_zoo

ROW = {
    "id": "a-b",
    "models": ["toy/a", "toy/b"],
    "files": [{"name": "config.json", "sha256": "0" * 64}, {"name": "model.safetensors", "sha256": "1" * 64}],
    "size": 100,
    "license": "Apache-2.0",
    "plugins": ["ltzoo-toy"],
    "command": "ltzoo train toy/a toy/b",
    "recipe": "default",
    "date": "2026-11-24",
    "path": "bridges/a-b",
    "metrics": [{"name": "transfer_accuracy", "source": "toy/a", "target": "toy/b", "value": 0.9}],
}
DOCUMENT = {
    "schema": 1,
    "bridges": [ROW],
    "plugins": [{"name": "toy", "package": "ltzoo-toy", "description": "toys"}],
}

BUNDLED = Registry.load(bundled_registry())


def test_the_whole_row_is_read():
    row = Registry.from_dict(DOCUMENT).bridges[0]
    assert row.joins("toy/b", "toy/a")
    assert not row.joins("toy/a", "toy/a")
    assert row.metric("transfer_accuracy", "toy/a", "toy/b") == 0.9
    assert row.metric("transfer_accuracy", "toy/b", "toy/a") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "A B"}, "the id must be"),
        ({"models": ["toy/a"]}, "length >= 2"),
        ({"models": ["toy/a", "toy/a"]}, "listed twice"),
        ({"path": None}, "either a path or a repo"),
        ({"path": "../up"}, "must be relative"),
        ({"path": "/etc"}, "must be relative"),
        ({"path": "~/x"}, "must be relative"),
        ({"path": "c:/x"}, "must be relative"),
        ({"path": "\\\\host\\x"}, "must be relative"),
        ({"repo": "org/name", "revision": "a" * 40}, "either a path or a repo"),
        ({"path": None, "repo": "org/name"}, "go together"),
        ({"path": None, "repo": "org/name", "revision": "main"}, "40 hex digits"),
        ({"files": ROW["files"][:1]}, "must be listed"),
        ({"files": [*ROW["files"], {"name": "evil.py", "sha256": "0" * 64}]}, "no files but"),
        ({"files": [*ROW["files"], ROW["files"][0]]}, "listed twice"),
        ({"license": ""}, "length >= 1"),
        ({"license": "MIT\x1b[2J"}, "matching regex"),
        ({"recipe": "a\nb"}, "matching regex"),
        ({"recipe": "default\n"}, "matching regex"),
        ({"command": "ltzoo \u202e"}, "matching regex"),
        ({"date": "yesterday"}, "matching regex"),
        (
            {"metrics": [{"name": "x", "source": "toy/a", "target": "toy/c", "value": 1.0}]},
            "names another model",
        ),
        ({"extra": 1}, "unknown key 'extra'"),
    ],
)
def test_a_bad_row_says_what_is_wrong(change, message):
    document = copy.deepcopy(DOCUMENT)
    document["bridges"][0] |= change
    with pytest.raises(SpecError, match=message):
        Registry.from_dict(
            {**document, "bridges": [{k: v for k, v in document["bridges"][0].items() if v is not None}]}
        )


def test_another_schema_and_double_ids_are_refused():
    with pytest.raises(SpecError, match="schema 2 is not known"):
        Registry.from_dict({**DOCUMENT, "schema": 2})
    with pytest.raises(SpecError, match="lists bridge 'a-b' twice"):
        Registry.from_dict({**DOCUMENT, "bridges": [ROW, ROW]})


@pytest.mark.parametrize("package", ["ltzoo-x; rm -rf ~", "-e.", "$(x)", "ltzoo x", "git+https://x", "../x"])
def test_a_plugin_s_package_is_the_name_of_one(package):
    plugin = {"name": "x", "package": package, "description": "d"}
    with pytest.raises(SpecError, match="is not the name of a package"):
        Registry.from_dict({"schema": 1, "plugins": [plugin]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#" * (MAX_BYTES + 1), "is larger than"),
        # The parser would need minutes for the first, and seconds for each of the others.
        ("a" + ".a" * (MAX_BYTES // 2 - 10) + " = 1", "more than 8 parts"),
        ("x = {" + ", ".join(f"{'a . ' * 100}b{i} = 1" for i in range(2000)) + "}", "more than 8 parts"),
        ("".join("['a'" + '."b"' * 100 + f".c{i}]\n" for i in range(2000)), "more than 8 parts"),
        ("a = " + "[" * (MAX_BYTES - 10), "cannot be read"),
        (
            "".join(f"[[plugins]]\nname='a{i}'\npackage='x'\ndescription='d'\n" for i in range(17_000)),
            "missing required field `schema`",
        ),
    ],
    ids=["large", "one key", "inline keys", "table keys", "nested", "many rows"],
)
def test_a_large_or_deep_file_is_refused_at_once(tmp_path, text, message):
    path = tmp_path / "registry.toml"
    path.write_text(text)
    start = time.monotonic()
    with pytest.raises(SpecError, match=message):
        Registry.load(RegistrySource(name="x", path=path))
    assert time.monotonic() - start < 2


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_is_a_registry_or_an_ltzoo_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("registry") / "registry.toml"
    path.write_bytes(content)
    try:
        Registry.load(RegistrySource(name="x", path=path))
    except LtzooError as error:
        assert str(path) in str(error)


def test_a_broken_registry_is_left_out_and_said(tmp_path, monkeypatch, caplog):
    path = tmp_path / "registry.toml"
    path.write_text("schema = 'one'")
    monkeypatch.setenv("LTZOO_REGISTRY", str(path))
    default_zoo().list_bridges()
    assert str(path) in caplog.text


def test_the_user_s_registry_comes_first(tmp_path, monkeypatch):
    path = tmp_path / "registry.toml"
    rows = [copy.deepcopy(ROW), {**ROW, "id": BUNDLED.bridges[0].id}] if BUNDLED.bridges else [ROW]
    lines = ["schema = 1"]
    for row in rows:
        lines.append("[[bridges]]")
        lines += [f"{key} = {value!r}" for key, value in row.items() if key not in ("files", "metrics")]
        lines += [f"[[bridges.files]]\nname = {f['name']!r}\nsha256 = {f['sha256']!r}" for f in row["files"]]
    path.write_text("\n".join(lines))
    assert tomllib.loads(path.read_text())["bridges"]
    monkeypatch.setenv("LTZOO_REGISTRY", str(path))
    zoo = default_zoo()
    assert "a-b" in zoo.list_bridges(source="toy/a", target="toy/b")
    assert all(zoo.bridges[row["id"]].registry.path == path for row in rows)
    with pytest.raises(IntegrityError, match="cannot be read"):
        bridge_folder("a-b")


@pytest.mark.parametrize("row", BUNDLED.bridges, ids=[row.id for row in BUNDLED.bridges])
def test_every_bundled_bridge_is_as_its_row_says(row):
    folder = bridge_folder(row.id)
    paths = [folder / file.name for file in row.files]
    assert sum(path.stat().st_size for path in paths) == row.size
    assert {path.name for path in folder.iterdir()} == {path.name for path in paths}
    assert row.metrics
    assert row.metrics_command
    packages = {plugin.name: plugin.package for plugin in BUNDLED.plugins}
    assert {model.split("/")[0] for model in row.models} <= set(packages)
    assert {requirement.split(">")[0] for requirement in row.plugins} == {
        packages[m.split("/")[0]] for m in row.models
    }


def test_references_are_explicit(tmp_path):
    with pytest.raises(UnknownBridgeError, match="no bridge there"):
        bridge_folder(f"local:{tmp_path}")
    for text in (
        "hf:org",
        "hf:org/repo@",
        "hf:org/re..po",
        "hf:org/repo@../x",
        "hf:/repo",
        "hf:org/repo@a.lock",
    ):
        with pytest.raises(UsageError, match="not a reference to a Hub repository"):
            bridge_folder(text)
