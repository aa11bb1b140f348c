"""Training with few labels: which are kept, and that unlabelled latents take part."""

from __future__ import annotations

import pytest
import torch
from bridge_samples import make_latents, make_spec, tiny_recipe

from ltzoo.bridge import train_bridge, training_part
from ltzoo.bridge.labels import match_labels
from ltzoo.bridge.sampling import TrainingSet, keep_labels
from ltzoo.errors import TrainingError, UsageError
from ltzoo.latents import SPLITS

A, B = make_spec("a"), make_spec("b")
SETS = [make_latents(A, items=600), make_latents(B, items=600, seed=1)]


@pytest.mark.parametrize("per_class", [1, 7])
def test_so_many_labels_of_each_class_are_kept(per_class):
    few = keep_labels(SETS[0], per_class, seed=0)
    kept = few.labels >= 0
    assert few.labels[kept].bincount().tolist() == [per_class] * 3
    assert torch.equal(few.labels[kept], SETS[0].labels[kept])
    # None is wasted on latents that are held out.
    assert int((training_part(few).labels >= 0).sum()) == 3 * per_class
    assert torch.equal(few.labels, keep_labels(SETS[0], per_class, seed=0).labels)
    assert not torch.equal(few.labels, keep_labels(SETS[0], per_class, seed=1).labels)


def test_test_latents_keep_their_labels():
    from dataclasses import replace

    split = torch.zeros(600, dtype=torch.uint8)
    split[500:] = SPLITS.index("test")
    few = keep_labels(replace(SETS[0], split=split), 2, seed=0)
    assert torch.equal(few.part("test").labels, SETS[0].labels[500:])
    assert int((few.part("train").labels >= 0).sum()) == 6


def test_more_than_there_are_is_all():
    few = keep_labels(SETS[0], 10**6, seed=0)
    assert int((few.labels >= 0).sum()) == 540  # all but those held out


def test_what_has_no_labels_cannot_keep_some():
    with pytest.raises(UsageError, match="no labels"):
        keep_labels(make_latents(A, labelled=False), 3, seed=0)
    with pytest.raises(UsageError, match="at least 1"):
        keep_labels(SETS[0], 0, seed=0)


def test_unlabelled_latents_take_part():
    """Clusters that lie far apart: three labels a class tell the class of nearly all the others."""
    few = [keep_labels(one, 3, seed=0) for one in SETS]
    label_map, _ = match_labels("auto", few)
    data = TrainingSet(few[0], label_map, "cpu")
    assert (len(data), len(data.rest), [len(g) for g in data.groups]) == (540, 531, [3, 3, 3])
    data.guess([data.rest[:5], data.rest[5:6], data.rest[:0]])
    assert [len(group) for group in data.groups] == [8, 4, 3]
    data.guess([data.rest[:0]] * 3)
    assert [len(group) for group in data.groups] == [3, 3, 3]

    recipe = tiny_recipe(steps=60, inference_steps=150, batch=30)
    bridge, report = train_bridge(SETS, models=(A, B), recipe=recipe, labels_per_class=3)
    assert [one.items for one in bridge.config.trained.latents] == [540, 540]
    for source, target in ((0, 1), (1, 0)):
        z = bridge.translate(SETS[source].latents, source=SETS[source].model, target=SETS[target].model)
        centres = torch.stack([SETS[target].latents[SETS[target].labels == c].mean(dim=0) for c in range(3)])
        assert (torch.cdist(z, centres).argmin(dim=1) == SETS[source].labels).double().mean() > 0.9
    assert report.held_out[0].classifier_accuracy is None


def test_a_class_without_any_label_is_refused():
    from dataclasses import replace

    labels = SETS[0].labels.clone()
    labels[labels == 1] = -1
    with pytest.raises(TrainingError, match="class 1"):
        train_bridge([replace(SETS[0], labels=labels), SETS[1]], models=(A, B), recipe=tiny_recipe())
