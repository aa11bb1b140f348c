"""`ltzoo publish`: what is refused, what is uploaded, and that what comes back is the same."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from published_bridge import measured_config, save_bridge
from testhub import READER, WRITER, Fault
from toy_plugin import toy_zoo

from ltzoo.bridge import Bridge
from ltzoo.bridge.config import TrainedOn
from ltzoo.registry import Registry, RegistrySource
from ltzoo.spec import Source
from ltzoo.zoo import set_default_zoo

REPO = "org/ab"
FILES = ["README.md", "config.json", "golden.safetensors", "model.safetensors"]
HEADER = "# ours, and this comment stays\nschema = 1\n"


@pytest.fixture(autouse=True)
def account(hub_environment):
    """Logged in."""
    hub_environment.use(token=WRITER)


@pytest.fixture
def folder(tmp_path):
    save_bridge(tmp_path / "ab")
    return tmp_path / "ab"


@pytest.fixture
def publish(ltzoo, folder):
    def call(*more: str, license: str | None = "MIT", source: Path = folder, repo: str = REPO):
        words = ["publish", str(source), repo, *(("--license", license) if license else ()), *more]
        return ltzoo(*words)

    return call


def machine(monkeypatch, tmp_path, hub_environment) -> None:
    """Another machine: nothing cached, nobody logged in."""
    hub_environment.use(home=tmp_path / "other", token="")
    set_default_zoo(toy_zoo())


def test_published_downloaded_and_used_it_is_the_same_to_the_last_bit(
    publish, ltzoo, hub, hub_environment, folder, tmp_path, monkeypatch
):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    registry = tmp_path / "registry.toml"
    registry.write_text(HEADER)
    code, out, err = publish("--registry", str(registry))
    assert code == 0, err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    commit = hub.repository(REPO).find("main").sha
    assert len([c for c in hub.repository(REPO).commits.values() if "model.safetensors" in c.files]) == 1
    assert sorted(set(hub.files(REPO)) - {".gitattributes"}) == FILES
    assert hub.files(REPO)["model.safetensors"] == before["model.safetensors"]
    assert hub.files(REPO)["config.json"] == before["config.json"]
    # The row that is printed is the one that was put into the registry, whose comments stay.
    (row,) = Registry.load(RegistrySource(name="x", path=registry)).bridges
    assert tomllib.loads(out)["bridges"][0]["revision"] == row.revision == commit
    assert (row.id, row.repo, row.license) == ("ab", REPO, "MIT")
    assert sorted(file.name for file in row.files) == FILES
    assert registry.read_text().startswith(HEADER)

    machine(monkeypatch, tmp_path, hub_environment)
    monkeypatch.setenv("LTZOO_REGISTRY", str(registry))
    image = tmp_path / "in.npy"
    np.save(image, np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8))
    outputs = []
    for index, reference in enumerate((f"local:{folder}", "ab", f"hf:{REPO}", f"hf:{REPO}@{commit}")):
        path = tmp_path / f"{index}.npy"
        words = [
            "translate",
            str(image),
            "--from",
            "toy/a",
            "--to",
            "toy/b",
            "--bridge",
            reference,
            "-o",
            str(path),
        ]
        code, _, err = ltzoo(*words)
        assert code == 0, err
        outputs.append(path.read_bytes())
    assert len(set(outputs)) == 1
    code, out, _ = ltzoo("bridges", "verify", "ab", "--json")
    assert code == 0
    assert [check["ok"] for check in json.loads(out)["checks"]] == [True] * 4


def test_the_card_is_one_that_the_hub_takes(publish, hub, folder):
    assert publish(license="cc-by-sa-4.0")[0] == 0
    card = hub.files(REPO)["README.md"].decode()
    from huggingface_hub import ModelCard

    ModelCard(card).validate()
    data = ModelCard(card).data
    assert (data.library_name, data.license) == ("ltzoo", "cc-by-sa-4.0")
    assert {"ltzoo", "joins:toy/a", "joins:toy/b"} <= set(data.tags)
    values = {(r.task_name, r.metric_type): r.metric_value for r in data.eval_results}
    assert values["toy/a → toy/b", "transfer_accuracy"] == 0.9
    for text in (
        "ltzoo install unknown",
        f"--bridge hf:{REPO}",
        "80.0% of translations",
        "| model toy/a | Apache",
    ):
        assert text in card


def test_a_licence_that_the_hub_has_no_name_for(publish, hub, folder):
    license = "other: https://example.org/terms"
    code, _, err = publish(license=license)
    assert code == 2
    assert "does not know the licence" in err
    code, _, err = publish("--licenses-checked", license=license)
    assert code == 0, err
    front = yaml.safe_load(hub.files(REPO)["README.md"].decode().split("---\n")[1])
    assert (front["license"], front["license_name"]) == ("other", "other")
    assert front["license_link"] == "https://example.org/terms"


@pytest.mark.parametrize(
    ("license", "part", "expected"),
    [
        (None, None, "a bridge is published under a licence; try: --license"),
        ("MIT", "CC-BY-ND-4.0", "no derived works; try: choose a licence that keeps their terms"),
        ("MIT", "CC-BY-NC-4.0", "forbids the commercial use that MIT allows"),
        ("CC-BY-SA-3.0", "CC-BY-SA-4.0", "which derived works must keep, and CC-BY-SA-3.0 does not"),
        (
            "MIT",
            "other: ask me",
            "which ltzoo does not know; try: read it; if it allows this, add --licenses-checked",
        ),
        ("Nonsense-1.0", None, "ltzoo does not know the licence 'Nonsense-1.0'"),
    ],
)
def test_licences_are_looked_at(publish, hub, folder, tmp_path, license, part, expected):
    trained = replace(
        measured_config().trained,
        latents=(
            TrainedOn(model="toy/a", items=60, sha256="0" * 64, license=part),
            TrainedOn(model="toy/b", items=60, sha256="0" * 64),
        ),
    )
    save_bridge(tmp_path / "licensed", trained=trained)
    code, out, err = publish(license=license, source=tmp_path / "licensed")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert expected in err
    assert not hub.requests


def test_a_bridge_without_figures_is_refused(publish, hub, tmp_path):
    save_bridge(tmp_path / "unmeasured", metrics=())
    code, _, err = publish(source=tmp_path / "unmeasured")
    assert code == 1
    assert (
        f"no figures, so nobody could know what it is good for; try: ltzoo eval local:{tmp_path}/unmeasured"
        in err
    )
    assert not hub.requests


def test_a_bridge_to_a_model_of_this_machine_is_refused(publish, hub, tmp_path):
    first, second = measured_config().models
    local = replace(second, spec=replace(second.spec, source=Source(folder="/home/me/net")))
    save_bridge(tmp_path / "local", models=(first, local))
    code, _, err = publish(source=tmp_path / "local")
    assert code == 1
    assert (
        "joins toy/b, a folder of this machine, which nobody else has; try: put the model on the Hub" in err
    )
    assert not hub.requests


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"repo": "ab"}, "'ab' is not ORG/NAME"),
        ({"repo": "org/a--b"}, "is not ORG/NAME"),
        ({"more": ("--id", "No Id")}, "cannot be an id of a registry"),
        ({"source": Path("/nonexistent")}, "no bridge at /nonexistent"),
        ({"more": ("--registry", "/nonexistent")}, "does not exist"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_asked(publish, hub, words, expected):
    more = words.pop("more", ())
    code, _, err = publish(*more, **words)
    assert code == 2
    assert expected in err
    assert not hub.requests


def test_a_dry_run_asks_nobody(publish, no_connections):
    code, out, err = publish("--dry-run")
    assert code == 0
    assert out.startswith("---\nlibrary_name: ltzoo\n")
    assert "would upload to hf:org/ab, under MIT: config.json" in err
    code, out, _ = publish("--dry-run", "--json")
    assert sorted(json.loads(out)["files"]) == FILES


def test_private_stays_private(publish, hub, ltzoo, hub_environment):
    assert publish("--private")[0] == 0
    assert hub.repository(REPO).private
    hub_environment.use(token="")
    assert ltzoo("download", f"hf:{REPO}")[0] == 1


def test_a_pull_request_leaves_the_branch_alone(publish, hub, hub_environment):
    main = hub.add(REPO, {"README.md": b"theirs"})
    hub_environment.use(token=READER)
    code, out, err = publish("--pr")
    assert code == 0, err
    assert hub.repository(REPO).find("main").sha == main
    assert "/discussions/1" in err
    revision = tomllib.loads(out)["bridges"][0]["revision"]
    assert hub.repository(REPO).find("refs/pr/1").sha == revision


def test_publishing_again_is_another_commit(publish, hub, folder, tmp_path):
    assert publish()[0] == 0
    first = hub.repository(REPO).find("main").sha
    bridge = Bridge.from_pretrained(folder)
    metrics = tuple(replace(metric, value=0.7) for metric in bridge.config.metrics)
    Bridge(replace(bridge.config, metrics=metrics), bridge.network).save_pretrained(folder)
    assert publish("-m", "Measured again")[0] == 0
    commit = hub.repository(REPO).find("main")
    assert commit.sha != first
    assert commit.title == "Measured again"


@pytest.mark.parametrize(
    ("token", "fault", "code", "expected"),
    [
        ("", None, 1, "hf auth login"),
        (READER, None, 1, "hf auth login"),
        (WRITER, (Fault.SERVER_ERROR, "*/commit/*"), 1, "trouble of its own (500)"),
        (WRITER, (Fault.RATE_LIMITED, "/api/repos/create"), 1, "too many questions"),
        (WRITER, (Fault.LATE, "*"), 4, "cannot be reached"),
    ],
)
def test_a_hub_that_refuses(publish, hub, hub_environment, tmp_path, waits, token, fault, code, expected):
    hub_environment.use(token=token)
    if fault:
        hub.faults.add(fault[0], match=fault[1])
    registry = tmp_path / "registry.toml"
    registry.write_text(HEADER)
    found, out, err = publish("--registry", str(registry))
    assert (found, out) == (code, "")
    assert err.count("\n") == 1, err
    assert expected in err
    assert registry.read_text() == HEADER
    hub.faults.clear()
    hub_environment.use(token=WRITER)
    assert publish("--registry", str(registry))[0] == 0


def test_a_hub_that_is_not_there(publish, hub):
    hub.stop()
    code, _, err = publish()
    assert code == 4
    assert "cannot be reached" in err


def test_from_python(folder, hub):
    bridge = Bridge.from_pretrained(folder)
    row = bridge.push_to_hub(REPO, license="MIT")
    assert Bridge.from_pretrained(f"hf:{REPO}@{row.revision}").config == bridge.config
