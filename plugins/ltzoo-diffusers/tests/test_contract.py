"""Each class of autoencoder keeps the contract, with random weights."""

from __future__ import annotations

import pytest
from tiny_autoencoders import TINY, save_tiny

from ltzoo.testing import OFFLINE, ModelContract, run_python
from ltzoo.zoo import get_model

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    for name in TINY:
        save_tiny(name, folder / name)
    return folder


class AutoencoderContract(ModelContract):
    name: str
    batch = 3
    size = 16
    test_loads_offline = None  # for all at once, below: importing diffusers takes seconds

    @pytest.fixture(scope="class")
    @classmethod
    def spec(cls, folders):
        return get_model(f"diffusers:local:{folders / cls.name}")


for name in TINY:
    case = f"Test{name.title().replace('-', '')}"
    globals()[case] = type(case, (AutoencoderContract,), {"name": name})


def test_all_load_offline(folders):
    loads = "\n".join(f"ltzoo.load_model({f'diffusers:local:{folders / name}'!r})" for name in TINY)
    run_python(OFFLINE.format(id=f"diffusers:local:{folders / 'kl'}") + loads, HF_HUB_OFFLINE="1")
