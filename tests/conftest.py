"""Every test has its own home folder, its own zoo and no Hub to talk to."""

from __future__ import annotations

from pathlib import Path

import pytest
from testhub import forbid_connections

from ltzoo import zoo

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory, monkeypatch):
    for name in ("PLUGINS", "DISABLE_PLUGINS", "STRICT_PLUGINS", "REGISTRY", "DEVICE", "DEBUG"):
        monkeypatch.delenv(f"LTZOO_{name}", raising=False)
    monkeypatch.setenv("LTZOO_HOME", str(tmp_path_factory.mktemp("home")))
    zoo._environment_zoo.cache_clear()
    yield
    zoo.set_default_zoo(None)
    zoo._environment_zoo.cache_clear()


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """Nothing sleeps in this process; gives the seconds that were to be slept, as by a client before it retries."""
    import time

    asked: list[float] = []
    monkeypatch.setattr(time, "sleep", asked.append)
    return asked


@pytest.fixture
def no_connections():
    """The test fails if it attempts to open a connection, even if that is caught; gives the attempts."""
    with forbid_connections() as attempts:
        yield attempts
    assert not attempts


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data sets beside the checkout; tests that use them are marked ``data``."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder
