"""Flag, then environment, then config.toml, then default."""

from __future__ import annotations

import pytest

from ltzoo import settings
from ltzoo.errors import SpecError


def write_config(text: str) -> None:
    settings.home().mkdir(exist_ok=True)
    settings.config_path().write_text(text)


def test_environment_beats_config_beats_default(monkeypatch):
    assert settings.setting("device") == "cpu"
    write_config('device = "cuda"\ndisable_plugins = ["a", "b"]\n')
    assert settings.setting("device") == "cuda"
    assert settings.setting_list("disable_plugins") == ["a", "b"]
    assert settings.setting_list("plugins") is None
    monkeypatch.setenv("LTZOO_DEVICE", "mps")
    monkeypatch.setenv("LTZOO_DISABLE_PLUGINS", " x , y,")
    monkeypatch.setenv("LTZOO_PLUGINS", "")
    assert settings.setting("device") == "mps"
    assert settings.setting_list("disable_plugins") == ["x", "y"]
    assert settings.setting_list("plugins") == []


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("yes", True), ("0", False), ("False", False), ("", False)]
)
def test_switches_in_the_environment(monkeypatch, text, value):
    monkeypatch.setenv("LTZOO_STRICT_PLUGINS", text)
    assert settings.setting("strict_plugins") is value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device = ", "cannot be read"),
        ("devise = 'cpu'", "unknown key 'devise'"),
        ("device = 3", "'device' must be a str, not 3"),
        ("disable_plugins = [1]", "must be a list of strings"),
        ("plugins = 'a'", "'plugins' must be a list"),
    ],
)
def test_a_wrong_config_says_where(text, message):
    write_config(text)
    with pytest.raises(SpecError, match=message) as caught:
        settings.setting("device")
    assert str(settings.config_path()) in str(caught.value)


def test_a_device_from_the_config_reaches_the_command(ltzoo, monkeypatch):
    write_config("device = 3")
    assert ltzoo("doctor")[0] == 1
    code, _, err = ltzoo("models")
    assert code == 1
    assert "'device' must be a str" in err
