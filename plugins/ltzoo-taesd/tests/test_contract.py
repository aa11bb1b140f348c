"""Each kind of tiny autoencoder keeps the contract, with random weights."""

from __future__ import annotations

import pytest
from tiny_taesd import KINDS, save_tiny_taesd

from ltzoo.testing import ModelContract
from ltzoo.zoo import get_model

pytestmark = pytest.mark.usefixtures("one_thread")


class TinyContract(ModelContract):
    kind: str
    batch = 3
    size = 16

    @pytest.fixture(scope="class")
    @classmethod
    def spec(cls, tmp_path_factory):
        folder = save_tiny_taesd(tmp_path_factory.mktemp("tiny") / "net", cls.kind)
        return get_model(f"taesd:local:{folder}")


for kind in KINDS:
    case = f"Test{kind.title()}"
    globals()[case] = type(case, (TinyContract,), {"kind": kind})
