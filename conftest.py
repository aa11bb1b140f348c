"""For all tests, the plugins' too. What needs the data sets beside the checkout is skipped where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from testhub import HubEnvironment, TestHub

DATA = Path(__file__).resolve().parents[1] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not DATA.is_dir():
        for item in items:
            if item.get_closest_marker("data"):
                item.add_marker(pytest.mark.skip(reason=f"{DATA} is not there"))


@pytest.fixture
def ltzoo(capsys):
    """Runs one command in this process; gives exit code, stdout and stderr."""
    from ltzoo.cli.main import run

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(list(arguments))
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def hub():
    """A Hub on this machine that tests fill, watch and disturb."""
    with TestHub() as running:
        yield running


@pytest.fixture
def hub_environment(hub, tmp_path, monkeypatch) -> HubEnvironment:
    """This process's Hub client, and those of others started through it, ask the test's own hub."""
    from huggingface_hub.utils import close_session

    yield HubEnvironment(monkeypatch, hub.endpoint, tmp_path / "hf")
    close_session()


@pytest.fixture(scope="module")
def one_thread():
    """More threads only get in each other's way on networks as small as those of tests."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
