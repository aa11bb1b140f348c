"""A bridge's row is made from its folder and put into a registry file in place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bridge_samples import make_config

from ltzoo.bridge import Bridge, Metric
from ltzoo.bridge.files import bridge_folder
from ltzoo.bridge.network import SharedAutoencoder
from ltzoo.bridge.row import make_row, write_row
from ltzoo.errors import BridgeError, SpecError
from ltzoo.registry import Registry, RegistrySource

HEADER = "# ours, and this comment stays\nschema = 1\n\n[[plugins]]\nname = 'x'\npackage = 'ltzoo-x'\ndescription = 'd'\n"
COMMAND = "ltzoo eval local:bridges/ab --write"


@pytest.fixture
def registry(tmp_path):
    path = tmp_path / "registry.toml"
    path.write_text(HEADER)
    return path


def save(folder, *, metrics: bool = True, command: str | None = "ltzoo train toy/a toy/b") -> None:
    bare = make_config()
    network = SharedAutoencoder(bare.architecture)
    network.initialize(np.random.default_rng(0))
    figures = [
        Metric(
            name=name, source="toy/a", target="toy/b", value=0.123456789, std=0.01, seeds=3, command=COMMAND
        )
        for name in ("transfer_accuracy", "a figure that rows do not carry")
    ]
    config = replace(
        bare,
        metrics=tuple(figures) if metrics else (),
        trained=replace(bare.trained, command=command),
    )
    Bridge(config, network).save_pretrained(folder)


def row(folder, registry, id: str = "ab"):
    return make_row(folder, id=id, license="MIT", requirement=lambda spec: "ltzoo-toy>=1", place=registry)


def test_an_extended_bridge_has_the_commands_and_the_date_of_all_its_runs(tmp_path, registry):
    bare = make_config((4, 4, 4))
    later = replace(bare.trained, command="ltzoo bridges extend local:ab toy/c", date="2026-02-03")
    config = replace(
        bare,
        architecture=replace(bare.architecture, added=1),
        metrics=(Metric(name="m", source="toy/a", target="toy/b", value=0.5, command=COMMAND),),
        trained=replace(bare.trained, command="ltzoo train toy/a toy/b"),
        extended=(later,),
    )
    network = SharedAutoencoder(config.architecture)
    network.initialize(np.random.default_rng(0))
    Bridge(config, network).save_pretrained(tmp_path / "abc")
    made = row(tmp_path / "abc", registry)
    assert made.command == "ltzoo train toy/a toy/b && ltzoo bridges extend local:ab toy/c"
    assert made.date == "2026-02-03"
    unknown = replace(config, extended=(replace(later, command=None),))
    Bridge(unknown, network).save_pretrained(tmp_path / "abc")
    with pytest.raises(BridgeError, match="which command trained it"):
        row(tmp_path / "abc", registry)


def test_the_row_says_what_the_folder_holds(tmp_path, registry, monkeypatch):
    folder = tmp_path / "bridges" / "ab"
    folder.parent.mkdir()
    save(folder)
    made = row(folder, registry)
    assert (made.path, made.models, made.plugins) == ("bridges/ab", ("toy/a", "toy/b"), ("ltzoo-toy>=1",))
    assert [(m.name, m.value) for m in made.metrics] == [("transfer_accuracy", 0.123457)]
    assert made.metrics_command == COMMAND
    write_row(made, registry)
    assert registry.read_text().startswith(HEADER)
    assert Registry.load(RegistrySource(name="x", path=registry)).bridges == (made,)
    # The row is enough to find the bridge again, and to notice a change.
    monkeypatch.setenv("LTZOO_REGISTRY", str(registry))
    assert bridge_folder("ab") == folder


def test_a_row_takes_the_place_of_the_one_of_its_id(tmp_path, registry):
    folder = tmp_path / "bridges" / "ab"
    folder.parent.mkdir()
    save(folder)
    for id in ("one", "two", "one"):
        write_row(replace(row(folder, registry, id), license="BSD" if id == "two" else "MIT"), registry)
    rows = Registry.load(RegistrySource(name="x", path=registry)).bridges
    assert [(r.id, r.license) for r in rows] == [("one", "MIT"), ("two", "BSD")]
    assert "# ours, and this comment stays" in registry.read_text()


def test_what_is_missing_is_said(tmp_path, registry):
    with pytest.raises(BridgeError, match="no bridge there"):
        row(tmp_path, registry)
    save(tmp_path / "unmeasured", metrics=False)
    with pytest.raises(BridgeError, match="no figures") as caught:
        row(tmp_path / "unmeasured", registry)
    assert caught.value.hint == f"ltzoo eval local:{tmp_path}/unmeasured --write"
    save(tmp_path / "unknown", command=None)
    with pytest.raises(BridgeError, match="which command trained it"):
        row(tmp_path / "unknown", registry)
    (tmp_path / "below").mkdir()
    with pytest.raises(BridgeError, match="does not lie below"):
        row(tmp_path / "unknown", tmp_path / "below" / "registry.toml")


def test_a_damaged_registry_is_left_alone(tmp_path, registry):
    save(tmp_path / "ab")
    made = row(tmp_path / "ab", registry)
    for text in ("schema = ", "schema = 2\n"):
        registry.write_text(text)
        with pytest.raises(SpecError):
            write_row(made, registry)
        assert registry.read_text() == text


def test_the_command_checks_a_registry(ltzoo, tmp_path, registry):
    save(tmp_path / "ab")
    write_row(row(tmp_path / "ab", registry), registry)
    assert ltzoo("registry", "check", str(registry))[0] == 0
    (tmp_path / "ab" / "README.md").write_text("changed")
    code, _, err = ltzoo("registry", "check", str(registry))
    assert code == 5
    assert "README.md" in err
    assert ltzoo("registry", "--json")[0] == 0
    assert ltzoo("registry", "-q")[1].endswith("registry.toml\n")
