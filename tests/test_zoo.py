"""Finding things in the zoo: what is there, what is not, and why."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint

import pytest
import torch
from toy_plugin import Rotation, toy_zoo

from ltzoo import zoo as functions
from ltzoo.errors import (
    PluginError,
    PluginMissingError,
    UnknownBridgeError,
    UnknownModelError,
    UnknownPluginError,
    UsageError,
)
from ltzoo.plugins import PluginHost
from ltzoo.suggestions import suggest
from ltzoo.zoo import Zoo, set_default_zoo


@pytest.fixture
def zoo() -> Zoo:
    return toy_zoo()


def test_models_are_listed_in_order_by_wildcard_modality_and_plugin(zoo):
    assert zoo.list_models() == ["toy/a", "toy/b", "toy/broken", "toy/deaf", "toy/liar", "toy/mute"]
    assert zoo.list_models("*/[ab]") == ["toy/a", "toy/b"]
    assert zoo.list_models(["*/a", "*/mute"]) == ["toy/a", "toy/mute"]
    assert zoo.list_models(modality="audio") == []
    assert zoo.list_models("*/a", plugin="toy") == ["toy/a"]
    assert zoo.list_models(plugin="other") == []


def test_an_open_family_resolves_references(zoo):
    assert zoo.get_model("toy:Org/Repo").title == "the open family's Org/Repo"
    assert isinstance(zoo.load_model("toy:Org/Repo"), Rotation)
    with pytest.raises(UnknownModelError, match="no model 'toy:unknown'"):
        zoo.get_model("toy:unknown")


def test_a_misspelt_model_gets_a_suggestion(zoo):
    with pytest.raises(UnknownModelError) as caught:
        zoo.get_model("toy/muet")
    assert caught.value.hint == "did you mean toy/mute?"
    assert isinstance(caught.value, KeyError)
    assert suggest("zzz", ["a"], "ltzoo models") == "ltzoo models"


def test_a_known_plugin_that_is_missing_gives_the_install_command(zoo):
    with pytest.raises(PluginMissingError) as caught:
        zoo.get_model("mnist/vae")
    assert caught.value.hint == "ltzoo install ltzoo-mnist"


def test_a_blocked_plugin_is_named_as_the_cause():
    blocked = Zoo(PluginHost([EntryPoint("toy", "toy_plugin", "ltzoo")], block=["toy"]))
    assert blocked.list_models() == []
    with pytest.raises(PluginError, match="which is blocked"):
        blocked.get_model("toy/a")


def test_blocking_a_plugin_that_is_not_there_is_an_error():
    with pytest.raises(UnknownPluginError, match="no plugin 'nothing'"):
        Zoo(PluginHost([EntryPoint("toy", "toy_plugin", "ltzoo")], block=["nothing"])).list_models()


def test_an_allow_list_lets_nothing_else_load():
    points = [EntryPoint("toy", "toy_plugin", "ltzoo"), EntryPoint("boom", "no_such_module", "ltzoo")]
    allowed = Zoo(PluginHost(points, allow=["toy"]))
    assert allowed.list_models("*/a") == ["toy/a"]
    assert {info.name: info.status for info in allowed.host.infos} == {"boom": "blocked", "toy": "ok"}
    assert all(info.status == "blocked" for info in PluginHost(points, allow=[]).infos)


def test_a_strict_host_raises():
    host = PluginHost([EntryPoint("boom", "no_such_module", "ltzoo")], strict=True)
    with pytest.raises(PluginError, match="No module named 'no_such_module'"):
        _ = host.infos


def test_loaders_that_fail_or_lie_are_the_plugin_s_fault(zoo):
    assert zoo.load_model("toy/a").encode(torch.zeros(1, 1, 8, 8)).shape == (1, 64)
    with pytest.raises(PluginError, match="'toy/broken' cannot be loaded.*no_such_function"):
        zoo.load_model("toy/broken")
    with pytest.raises(PluginError, match="'toy/liar' promises decode, encode, sample"):
        zoo.load_model("toy/liar")


def test_data_sets_and_judges(zoo):
    assert list(zoo.datasets) == ["toy/squares"]
    assert zoo.dataset_of("toy/a") is None
    with pytest.raises(UsageError, match="no data set 'toy/square'"):
        zoo.get_dataset("toy/square")
    with pytest.raises(UsageError, match="has no judge"):
        zoo.load_judge("toy/squares")
    assert zoo.load_labeller("toy/squares").logits(torch.ones(1, 1, 8, 8)).argmax() == 1


def test_a_data_set_without_a_labeller_names_those_with_one(zoo):
    bare = dataclasses.replace(zoo.get_dataset("toy/squares"), labeller=None)
    with pytest.raises(UsageError, match="has no labeller") as caught:
        zoo.load_labeller(bare)
    assert "toy/squares" in caught.value.hint


def test_a_bare_string_is_never_a_path_or_a_repository(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "repo").mkdir(parents=True)
    with pytest.raises(UnknownBridgeError) as caught:
        zoo.get_bridge("org/repo")
    assert caught.value.hint == "for a folder write local:org/repo, for a Hub repository hf:org/repo"
    with pytest.raises(UnknownBridgeError, match="no published bridge translates from 'toy/a' to 'toy/b'"):
        zoo.find_bridge("toy/a", "toy/b")


def test_the_module_s_functions_work_on_the_default_zoo(zoo):
    set_default_zoo(zoo)
    assert functions.list_models("*/a") == ["toy/a"]
    assert functions.get_model("toy/a").id == "toy/a"
    assert [info.name for info in functions.list_plugins()] == ["toy"]
    assert functions.list_datasets() == ["toy/squares"]
