"""Each kind of audio codec and image encoder keeps the contract, with random weights."""

from __future__ import annotations

import pytest
from tiny_transformers import CODECS, ENCODERS, save_tiny_transformer

from ltzoo.testing import OFFLINE, ModelContract, run_python
from ltzoo.zoo import get_model

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    for name in (*CODECS, *ENCODERS):
        save_tiny_transformer(name, folder / name)
    return folder


class TransformerContract(ModelContract):
    name: str
    batch = 3
    test_loads_offline = None  # for all at once, below: importing transformers takes seconds

    @pytest.fixture(scope="class")
    @classmethod
    def spec(cls, folders):
        return get_model(f"transformers:local:{folders / cls.name}")


for name in (*CODECS, *ENCODERS):
    case = f"Test{name.title().replace('-', '')}"
    size = 480 if name in CODECS else 20
    globals()[case] = type(case, (TransformerContract,), {"name": name, "size": size})


def test_all_load_offline(folders):
    loads = "\n".join(
        f"ltzoo.load_model({f'transformers:local:{folders / name}'!r})" for name in (*CODECS, *ENCODERS)
    )
    run_python(OFFLINE.format(id=f"transformers:local:{folders / 'dac'}") + loads, HF_HUB_OFFLINE="1")
