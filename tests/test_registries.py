"""The user's registries: chosen, updated and given up, on disk and on the tests' Hub."""

from __future__ import annotations

import itertools
import json
import re
import sys
import tomllib
from importlib.metadata import EntryPoint

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_samples import publish, registry_text, row
from testhub import Fault, closed_port, forbid_connections
from toy_plugin import toy_zoo

from ltzoo import RegistrySource
from ltzoo.errors import OfflineError, SpecError
from ltzoo.plugins import PluginHost
from ltzoo.registries import own_sources
from ltzoo.registry import Registry, bundled_registry
from ltzoo.settings import append_entry, config_path, editing_list, home, setting_list
from ltzoo.zoo import Zoo, set_default_zoo


@pytest.fixture
def run(ltzoo):
    """Runs one command as a process of its own would: it reads the registries anew."""

    def call(*arguments):
        set_default_zoo(toy_zoo())
        return ltzoo(*map(str, arguments))

    return call


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(registry_text(row("mine")))
    return path


def write_config(text: str) -> None:
    home().mkdir(exist_ok=True)
    config_path().write_text(text)


def listed() -> list[str]:
    return tomllib.loads(config_path().read_text()).get("registry", [])


# The list in config.toml

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
comments = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=8
)
gaps = st.sampled_from(["", " ", "\n", "\n  ", "\r\n", "\n\n\t"])


@st.composite
def configs(draw) -> tuple[str, list[str], list[str], list[str]]:
    """A config.toml with a list as people write it: its text, the entries, the comment behind each, and all others."""
    made: list[str] = []
    numbers = itertools.count(100)

    def comment() -> str:
        if not draw(st.booleans()):
            return draw(gaps)
        made.append(f"# {next(numbers)} {draw(comments)}".rstrip())
        return f" {made[-1]}\n"

    entries = draw(st.lists(words, max_size=4))
    lines = [f'device = "cpu"  {comment()}\n'] if draw(st.booleans()) else []
    behind = []
    if entries or draw(st.booleans()):
        inner = comment()
        for entry in entries:
            others = len(made)
            inner += f"{json_string(entry)}{draw(gaps)},{comment()}"
            behind.append(made.pop() if len(made) > others else "")
        lines.append(f"registry = [{inner}]{comment()}\n")
    if draw(st.booleans()):
        lines.append(f"{comment()}\nstrict_plugins = true{draw(st.sampled_from(['', chr(10)]))}")
    return "".join(lines), entries, behind, made


def json_string(text: str) -> str:
    return tomlkit.string(text).as_string()


@settings(max_examples=150, deadline=None)
@given(configs(), st.data())
def test_what_is_not_edited_stays(config, data):
    text, entries, behind, others = config
    home().mkdir(exist_ok=True)
    config_path().write_bytes(text.encode())
    before = tomllib.loads(text)
    assert before.get("registry", []) == entries
    edit = data.draw(st.sampled_from(["append", "pop", "set"] if entries else ["append"]))
    place = data.draw(st.integers(0, max(len(entries) - 1, 0)))
    new = data.draw(words)
    with editing_list("registry") as edited:
        if edit == "append":
            append_entry(edited, new)
            entries.append(new)
        elif edit == "pop":
            assert edited.pop(place) == entries.pop(place)
            del behind[place]  # it was about the entry
        else:
            edited[place] = entries[place] = new
    after = config_path().read_bytes().decode()
    assert tomllib.loads(after) == {**before, "registry": entries}
    assert [comment for comment in (*behind, *others) if comment not in after] == []


def test_an_edit_that_fails_leaves_the_file_as_it_was():
    write_config('registry = ["a"]  # one\n')
    with pytest.raises(ZeroDivisionError), editing_list("registry") as entries:
        append_entry(entries, str(1 / 0))
    assert config_path().read_text() == 'registry = ["a"]  # one\n'
    write_config("registry = 3")
    with pytest.raises(SpecError, match="must be a list"), editing_list("registry") as entries:
        entries.append("x")


@pytest.mark.skipif(sys.platform == "win32", reason="PATH is separated by semicolons there")
def test_the_colon_of_a_repository_separates_nothing(monkeypatch):
    at = f"hf:org/name@{'a' * 40}"
    for text, parts in {
        "/a/b.toml:c.toml": ["/a/b.toml", "c.toml"],
        at: [at],
        f"x: {at} :hf:o/n:y": ["x", at, "hf:o/n", "y"],
        f"half:{at}": ["half", at],
        "::": [],
    }.items():
        monkeypatch.setenv("LTZOO_REGISTRY", text)
        assert setting_list("registry") == parts


# Files


def test_a_file_is_added_before_the_bundled_registry_and_removed(run, file, tmp_path, monkeypatch):
    write_config('# my settings\ndevice = "cpu"\n')
    monkeypatch.chdir(tmp_path)
    code, out, err = run("registry", "add", "mine.toml")
    assert (code, out) == (0, "")
    assert f"order of precedence: 1. {file}, 2. ltzoo" in err
    assert config_path().read_text().startswith('# my settings\ndevice = "cpu"\n')
    assert listed() == [str(file)]
    table = run("registry")[1].splitlines()
    assert [line.split()[:3] for line in table[1:]] == [["1", str(file), "own"], ["2", "ltzoo", "bundled"]]
    assert run("bridges", "-q", "mine")[1] == "mine\n"
    for again in ("mine.toml", f"../{tmp_path.name}/mine.toml", file):
        code, _, err = run("registry", "add", again)
        assert code == 2
        assert "is listed already" in err
    assert run("registry", "update")[0] == 0
    code, _, err = run("registry", "remove", f"{file}x")
    assert code == 2
    assert f"did you mean {file}?" in err
    code, _, err = run("registry", "remove", "mine.toml")
    assert code == 0
    assert "order of precedence: 1. ltzoo" in err
    assert listed() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "No such file"), ("schema = 2", "schema 2 is not known"), ("[", "cannot be read")],
)
def test_what_is_no_registry_is_not_added(run, tmp_path, text, message):
    path = tmp_path / "bad.toml"
    if text is not None:
        path.write_text(text)
    code, _, err = run("registry", "add", path)
    assert code == 1
    assert message in err
    assert err.count("\n") == 1
    assert not config_path().exists()


def test_the_bundled_registry_and_a_bridge_are_not_added(run, tmp_path):
    assert run("registry", "add", bundled_registry().path)[0] == 2
    assert run("registry", "add", f"local:{tmp_path}")[0] == 2


def test_the_environment_overrides_and_that_is_said(run, file, tmp_path, monkeypatch):
    other = tmp_path / "other.toml"
    other.write_text(registry_text(row("other")))
    monkeypatch.setenv("LTZOO_REGISTRY", str(other))
    code, _, err = run("registry", "add", file)
    assert code == 0
    assert f"order of precedence: 1. {other}, 2. ltzoo" in err
    assert "LTZOO_REGISTRY is set, and takes the place" in err
    assert listed() == [str(file)]
    assert run("registry", "-q")[1].splitlines() == [str(other), str(bundled_registry().path)]


# The Hub


def test_a_repository_is_added_at_its_commit_and_updated(run, hub, hub_environment):
    write_config("registry = [\n  # from the lab\n]\n")
    first = publish(hub, row("one"), row("two"))
    code, _, err = run("registry", "add", "hf:org/registry")
    assert code == 0
    assert f"hf:org/registry is hf:org/registry@{first}" in err
    assert listed() == [f"hf:org/registry@{first}"]
    assert "# from the lab" in config_path().read_text()
    code, _, err = run("registry", "add", f"hf:org/registry@{first}")
    assert code == 2
    assert "try: ltzoo registry update hf:org/registry" in err

    second = publish(hub, row("two", size=2), row("three"))
    with forbid_connections():
        assert run("bridges", "-q", "one", "two", "three")[1] == "one\ntwo\n"
    code, out, _ = run("registry", "update", "--json")
    assert code == 0
    assert json.loads(out)["registries"] == [
        {
            "name": "hf:org/registry",
            "old": f"hf:org/registry@{first}",
            "new": f"hf:org/registry@{second}",
            "added": ["three"],
            "removed": ["one"],
            "changed": ["two"],
        }
    ]
    assert listed() == [f"hf:org/registry@{second}"]
    assert "# from the lab" in config_path().read_text()
    with forbid_connections():
        assert run("bridges", "-q", "one", "two", "three")[1] == "three\ntwo\n"
        found = json.loads(run("registry", "--json")[1])["registries"][0]
    assert (found["kind"], found["revision"]) == ("own", second)
    assert f"{second[:12]}  no change" in run("registry", "update", "hf:org/registry")[1]
    assert run("registry", "remove", "hf:org/registry")[0] == 0
    assert listed() == []


def test_one_that_is_not_cached_is_left_out_with_one_line(run, hub, hub_environment, caplog, tmp_path):
    at = f"hf:org/registry@{publish(hub, row('one'))}"
    write_config(f'registry = ["{at}"]\n')
    with forbid_connections():
        code, out, _ = run("bridges", "-q", "one")
    assert (code, out) == (0, "")
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert re.search(r"hf:org/registry.*not in the cache; try: ltzoo registry update", warnings[0])
    assert run("registry", "update")[0] == 0
    with forbid_connections():
        assert run("bridges", "-q", "one")[1] == "one\n"


def test_listing_does_not_import_the_client(hub, hub_environment):
    write_config(f'registry = ["hf:org/registry@{publish(hub, row("one"))}"]\n')
    code = (
        "import ltzoo, sys; print(ltzoo.list_bridges('one'))\n"
        "assert not {'torch', 'numpy', 'httpx', 'httpx2', 'huggingface_hub.hf_api', 'huggingface_hub.utils'}"
        " & set(sys.modules)"
    )
    uncached = hub_environment.python("-c", code, guard=True)
    assert (uncached.returncode, uncached.stdout) == (0, "[]\n"), uncached.stderr
    assert uncached.stderr.count("\n") == 1
    assert hub_environment.ltzoo("registry", "update").returncode == 0
    cached = hub_environment.python("-c", code, guard=True)
    assert (cached.returncode, cached.stdout, cached.stderr) == (0, "['one']\n", "")


def test_an_entry_without_a_commit_is_left_out_until_it_is_updated(run, hub, hub_environment, caplog):
    sha = publish(hub, row("one"))
    write_config('registry = ["hf:org/registry@main", "hf:org"]\n')
    assert run("bridges", "-q", "one")[:2] == (0, "")
    assert "is not at a full commit; try: ltzoo registry update" in caplog.text
    assert "'hf:org' is not a reference" in caplog.text
    code, out, err = run("registry", "update")
    assert code == 2
    assert "'hf:org' is not a reference" in err
    assert sha[:12] in out
    assert listed() == [f"hf:org/registry@{sha}", "hf:org"]


def test_a_registry_on_the_hub_names_no_folders(run, hub, hub_environment):
    good = publish(hub, row("one"))
    assert run("registry", "add", "hf:org/registry")[0] == 0
    publish(hub, row("evil", path="bridges/evil", repo=None, revision=None))
    code, _, err = run("registry", "update")
    assert code == 1
    assert "bridge 'evil' has a path" in err
    assert listed() == [f"hf:org/registry@{good}"]
    assert run("bridges", "-q", "one", "evil")[1] == "one\n"


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        (Fault.REPOSITORY_GONE, 1, "no such repository"),
        (Fault.GATED, 1, "agree to terms"),
        (Fault.ENTRY_GONE, 1, "no such file"),
        (Fault.TRUNCATE, 1, "broke off"),
        (Fault.FLIP, 5, "not what the Hub had announced"),
    ],
)
def test_a_fault_of_the_hub_leaves_all_as_it_was(run, hub, hub_environment, fault, code, message):
    publish(hub, row("one"))
    assert run("registry", "add", "hf:org/registry")[0] == 0
    before = config_path().read_text()
    publish(hub, row("two"))
    hub.faults.add(fault, match="*/registry.toml")
    got, _, err = run("registry", "update")
    assert got == code
    assert message in err
    assert config_path().read_text() == before
    assert run("bridges", "-q", "one", "two")[1] == "one\n"
    hub.faults.clear()
    assert run("registry", "update")[0] == 0
    assert run("bridges", "-q", "one", "two")[1] == "two\n"


def test_an_update_needs_the_hub(run, hub, hub_environment, file, monkeypatch):
    publish(hub, row("one"))
    assert run("registry", "add", "hf:org/registry")[0] == 0
    hub_environment.use(endpoint=f"http://127.0.0.1:{closed_port()}")
    assert run("registry", "update")[0] == 4
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    code, _, err = run("registry", "update")
    assert code == 4
    assert "ltzoo is offline" in err
    # A file needs no Hub.
    assert run("registry", "remove", "hf:org/registry")[0] == 0
    assert run("registry", "add", file)[0] == 0
    assert run("registry", "update")[0] == 0


def test_what_the_environment_pins_is_downloaded_and_stays(run, hub, hub_environment, monkeypatch):
    at = f"hf:org/registry@{publish(hub, row('one'))}"
    publish(hub, row("two"))
    monkeypatch.setenv("LTZOO_REGISTRY", at)
    code, _, err = run("registry", "update")
    assert code == 0
    assert f"downloaded {at}" in err
    assert run("bridges", "-q", "one", "two")[1] == "one\n"
    assert not config_path().exists()


# Sources and plugins


def test_a_source_is_a_path_or_a_repository_at_a_commit(tmp_path, hub_environment):
    for fields in (
        {},
        {"path": tmp_path, "repo": "org/name", "revision": "a" * 40},
        {"repo": "org/name"},
        {"repo": "org/name", "revision": "main"},
        {"repo": "../name", "revision": "a" * 40},
    ):
        with pytest.raises(SpecError, match="registry 'x'"):
            RegistrySource(name="x", **fields)
    with pytest.raises(OfflineError, match="not in the cache") as caught:
        Registry.load(RegistrySource(name="x", repo="org/name", revision="a" * 40))
    assert caught.value.hint == "ltzoo registry update"


PLUGIN = """
from pathlib import Path
from ltzoo import RegistrySource, hookimpl

@hookimpl
def register_registries():
    return {sources}
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Makes the zoo of one plugin with registries."""

    def make(sources: str) -> Zoo:
        (tmp_path / "shipping.py").write_text(PLUGIN.format(sources=sources))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "shipping", raising=False)
        return Zoo(PluginHost([EntryPoint("acme", "shipping", "ltzoo")]))

    return make


def test_a_plugin_ships_registries_that_come_last(plugin, ltzoo, tmp_path, hub, hub_environment, caplog):
    (tmp_path / "registry.toml").write_text(
        registry_text(row("theirs"), row("mnist-fashion", ("toy/a", "toy/c")))
    )
    sha = publish(hub, row("hub-one"))
    shipped = plugin(
        "[RegistrySource(name='acme', path=Path(__file__).with_name('registry.toml')),"
        f" RegistrySource(name='acme-hub', repo='org/registry', revision='{sha}')]"
    )
    set_default_zoo(shipped)
    assert ltzoo("registry", "update")[0] == 0
    set_default_zoo(shipped := Zoo(shipped.host))
    assert [source.name for source, _ in shipped.registries] == ["ltzoo", "acme", "acme-hub"]
    rows = json.loads(ltzoo("registry", "--json")[1])["registries"]
    assert [one["kind"] for one in rows] == ["bundled", "plugin", "plugin"]
    assert shipped.get_bridge("theirs").registry.name == "acme"
    assert shipped.get_bridge("hub-one").registry.place == f"hf:org/registry@{sha}"
    assert shipped.get_bridge("mnist-fashion").registry.name == "ltzoo"
    assert ltzoo("registry", "check", "acme")[0] == 0
    assert not caplog.records


@pytest.mark.parametrize(
    "sources", ["None", "['registry.toml']", "RegistrySource(name='x', repo='a/b')", "1 / 0"]
)
def test_a_plugin_that_gives_no_registries_is_left_out(plugin, sources, caplog):
    zoo = plugin(sources)
    assert [source.name for source, _ in zoo.registries] == ["ltzoo"]
    assert zoo.host.info("acme").status == "failed"
    assert "plugin 'acme'" in caplog.text


def test_own_sources_come_from_the_settings(file):
    write_config(f'registry = ["{file}", "hf:org/name@{"a" * 40}"]\n')
    assert own_sources() == [
        RegistrySource(name=str(file), path=file),
        RegistrySource(name="hf:org/name", repo="org/name", revision="a" * 40),
    ]
