"""Every model that is registered keeps the contract, and every bridge that is bundled does what its row says.

A new plugin or bridge is tested by being there.
"""

from __future__ import annotations

import itertools

import pytest
import torch

from ltzoo.bridge import load_bridge
from ltzoo.registry import Registry, bundled_registry
from ltzoo.testing import ModelContract, shipped_latents
from ltzoo.zoo import Zoo, get_model

MODELS = Zoo().list_models()
BRIDGES = Registry.load(bundled_registry()).bridges

for _id in MODELS:
    _name = "Test" + "".join(part.title() for part in _id.replace("/", "-").split("-"))
    globals()[_name] = type(_name, (ModelContract,), {"model_id": _id})


def test_there_is_something_to_test():
    assert MODELS
    assert BRIDGES


@pytest.mark.parametrize("row", BRIDGES, ids=[row.id for row in BRIDGES])
def test_a_bundled_bridge_translates_in_every_direction(row):
    bridge = load_bridge(row.id)
    assert bridge.models == row.models
    for source, target in itertools.permutations(row.models, 2):
        z = shipped_latents(get_model(source))
        assert z is not None
        translated = bridge.translate(z[:8], source=source, target=target)
        assert translated.shape == (8, *get_model(target).latent.shape)
        assert torch.equal(translated, bridge.translate(z[:8], source=source, target=target))
        share = row.metric("transfer_accuracy_share", source, target)
        assert share is not None
        assert share >= 0.9
