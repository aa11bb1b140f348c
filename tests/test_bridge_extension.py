"""Adding a model to a trained bridge: what was there stays as it is, and the new directions are learned."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
import torch
from bridge_samples import make_config, make_latents, make_spec, plain_recipe, tiny_recipe
from test_bridge_training import Stop, stop_at

from ltzoo.bridge import Bridge, extend_bridge, get_recipe, train_bridge
from ltzoo.bridge.card import card_text
from ltzoo.bridge.config import BridgeConfig
from ltzoo.bridge.extension import fits_half_precision
from ltzoo.bridge.networks import make_network
from ltzoo.bridge.run import Run
from ltzoo.errors import FingerprintError, LatentsError, SpecError, TrainingError, UsageError

pytestmark = pytest.mark.usefixtures("one_thread")

A, B, C, LONG, SHORT = (
    make_spec("a"),
    make_spec("b"),
    make_spec("c"),
    make_spec("long", size=9),
    make_spec("short", size=3),
)
PAIR = [make_latents(A), make_latents(B, seed=1)]
THREE = [*PAIR, make_latents(C, seed=2)]
BOTH = pytest.mark.parametrize("recipe", [tiny_recipe, plain_recipe])
BASES = pytest.mark.parametrize("base", ["class-axes", "class-gaussian"])


def trained(recipe=None, **options) -> Bridge:
    return train_bridge(PAIR, models=(A, B), recipe=recipe or tiny_recipe(), **options)[0]


def extended(bridge: Bridge, latents=THREE, model=C, **options) -> Bridge:
    return extend_bridge(bridge, latents, model=model, **options)[0]


def assert_kept(before: Bridge, after: Bridge) -> None:
    """Every stored number of the old models, and everything that the bridge gives between them."""
    tensors = after.network.state_dict()
    for name, tensor in before.network.state_dict().items():
        assert torch.equal(tensor, tensors[name]), name
    for one in PAIR:
        for ask in (Bridge.shared, Bridge.novelty):
            assert torch.equal(*(ask(each, one.latents, source=one.model) for each in (before, after)))
        if before.config.labels.classes:
            assert torch.equal(*(each.classify(one.latents, source=one.model) for each in (before, after)))
        for target in before.models:
            assert torch.equal(
                *(each.translate(one.latents, source=one.model, target=target) for each in (before, after))
            )
            assert torch.equal(
                *(
                    each.translate(one.latents, source=one.model, target=target, sample=True, seed=3)
                    for each in (before, after)
                )
            )


@BOTH
@pytest.mark.parametrize("model", [C, LONG, SHORT])
def test_what_was_there_stays_to_the_last_bit(recipe, model, tmp_path):
    before = trained(recipe())
    weights = {name: tensor.clone() for name, tensor in before.network.state_dict().items()}
    new = make_latents(model, seed=2)
    after = extended(before, [*PAIR, new], model)
    assert_kept(before, after)
    after.save_pretrained(tmp_path / "after")
    before.save_pretrained(tmp_path / "before")
    loaded = Bridge.from_pretrained(tmp_path / "after")
    assert loaded.config == after.config
    assert_kept(Bridge.from_pretrained(tmp_path / "before"), loaded)
    # The bridge that was given has not changed either.
    assert before.models == ("toy/a", "toy/b")
    assert all(torch.equal(t, weights[name]) for name, t in before.network.state_dict().items())
    for other in before.models:
        z = loaded.translate(new.latents, source=model.id, target=other)
        assert z.shape == (60, 4)
        assert loaded.translate(z, source=other, target=model.id).shape == new.latents.shape


@BOTH
def test_the_new_directions_keep_the_class(recipe):
    before = trained(recipe(steps=300, width=32, batch=30, learning_rate=5e-3))
    after = extended(before)
    for source, target in ((0, 2), (2, 0), (1, 2), (2, 1)):
        z = after.translate(THREE[source].latents, source=THREE[source].model, target=THREE[target].model)
        centres = torch.stack(
            [THREE[target].latents[THREE[target].labels == c].mean(dim=0) for c in range(3)]
        )
        nearest = torch.cdist(z, centres).argmin(dim=1)
        assert (nearest == THREE[source].labels).double().mean() > 0.95
    usual = after.novelty(THREE[2].latents, source="toy/c")
    assert usual.median() < 0.9
    assert after.novelty(THREE[2].latents + 100, source="toy/c").min() == 1


@BOTH
def test_models_are_added_one_after_another(recipe):
    first = extended(trained(recipe()))
    new = make_latents(LONG, seed=5)
    second = extended(first, [*THREE, new], LONG)
    assert second.models == ("toy/a", "toy/b", "toy/c", "toy/long")
    assert_kept(first, second)
    assert [run.latents[-1].model for run in second.config.extended] == ["toy/c", "toy/long"]
    assert second.config.trained == first.config.trained
    assert second.config.architecture.common == 4


@BASES
@pytest.mark.parametrize("steps", [0, 30])
@pytest.mark.parametrize("model", [C, LONG])
def test_every_base_takes_a_model(base, steps, model):
    before = trained(tiny_recipe(base=base, steps=steps))
    new = make_latents(model, items=300, seed=2)
    after = extended(before, [*PAIR, new], model)
    assert_kept(before, after)
    assert after.config.extended[0].steps == steps / 2
    z = after.translate(new.latents, source=model.id, target="toy/a")
    assert (after.classify(z, source="toy/a").argmax(1) == new.labels).double().mean() > 0.9


@BASES
def test_a_closed_form_is_that_of_all_models(base):
    """The maps of the new model are those that it would have had from the start."""
    recipe = tiny_recipe(base=base, steps=0)
    whole, _ = train_bridge(THREE, models=(A, B, C), recipe=recipe)
    after = extended(trained(recipe))
    for one, other in zip(
        whole.network.frames[2].parameters(), after.network.frames[2].parameters(), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_without_labels_a_model_needs_none():
    before = trained(labels="none")
    new = make_latents(C, seed=2, labelled=False)
    after, report = extend_bridge(before, [*PAIR, new], model=C)
    assert_kept(before, after)
    assert "without labels" in report.notes[0]
    with pytest.raises(UsageError, match="trained without labels"):
        extended(before, labels={"toy/c": {"class 0": "class 0"}})


def test_few_labels_of_the_new_model_do():
    before = trained(tiny_recipe(steps=200))
    new = make_latents(C, items=300, seed=2)
    labels = torch.where(torch.arange(300) < 30, new.labels, -1)
    after = extended(before, [*PAIR, replace(new, labels=labels)])
    z = after.translate(new.latents, source="toy/c", target="toy/a")
    assert (after.classify(z, source="toy/a").argmax(1) == new.labels).double().mean() > 0.9


def test_the_config_and_the_card_say_how_it_came_in():
    before = trained(seed=3)
    metric = {"name": "m", "source": "toy/a", "target": "toy/b", "value": 0.5}
    config = BridgeConfig.from_dict({**before.config.to_dict(), "metrics": [metric]})
    after, report = extend_bridge(
        Bridge(config, before.network), THREE, model=C, seed=4, command="ltzoo bridges extend x"
    )
    (run,) = after.config.extended
    assert (run.seed, run.steps, run.command) == (4, 15, "ltzoo bridges extend x")
    assert [one.model for one in run.latents] == ["toy/a", "toy/b", "toy/c"]
    assert run.latents[:2] == before.config.trained.latents
    assert after.config.trained == before.config.trained
    assert after.config.metrics == config.metrics
    assert BridgeConfig.from_json(after.config.to_json()) == after.config
    assert (report.seed, report.steps, [row.model for row in report.held_out]) == (4, 15, ["toy/c"])
    card = card_text(after.config)
    assert "toy/c was added later." in card
    assert "| command | `ltzoo bridges extend x` |" in card
    assert "added later" not in card_text(config)


@BOTH
def test_extending_depends_on_the_seed_alone(recipe):
    before = trained(recipe())
    torch.manual_seed(0)
    first = extended(before, seed=1)
    torch.manual_seed(9)
    again, other = extended(before, seed=1), extended(before, seed=2)
    for name, tensor in first.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name])
    assert any(
        not torch.equal(tensor, other.network.state_dict()[name])
        for name, tensor in first.network.state_dict().items()
    )


@BOTH
def test_only_the_new_layers_are_trained_and_all_of_them(recipe):
    before = trained(recipe())
    start, end = (
        extended(Bridge(replace(before.config, recipe=one), before.network)).network.state_dict()
        for one in (recipe(learning_rate=1e-30), recipe())
    )
    changed = {name for name, tensor in end.items() if not torch.equal(tensor, start[name])}
    if recipe is tiny_recipe:
        assert changed >= {"frames.2.mean", "frames.2.into", "frames.2.out_of"}
        assert any(name.startswith("inference.2.") for name in changed)
    else:
        assert changed >= {
            f"{side}.2.{kind}" for side in ("inputs", "outputs") for kind in ("weight", "bias")
        }
    rows = {name for name in end if name.endswith("rows.2")}
    assert rows <= changed
    assert all(".2" in name for name in changed)


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    path, before = tmp_path / "run", trained()
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(Stop):
            extended(before, checkpoint=path, checkpoint_seconds=0)
    with pytest.raises(TrainingError, match="its bridge differ"):
        extended(trained(seed=1), checkpoint=path)
    whole, report = extend_bridge(before, THREE, model=C)
    resumed, again = extend_bridge(before, THREE, model=C, checkpoint=path)
    assert again.resumed_at == 7
    assert report.losses == again.losses
    ours = whole.network.state_dict()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in resumed.network.state_dict().items())


def test_ctrl_c_leaves_a_checkpoint(tmp_path, monkeypatch):
    advance = Run.advance

    def advance_and_press(run):
        if run.step == 11:
            os.kill(os.getpid(), signal.SIGINT)
        advance(run)

    before = trained()
    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", advance_and_press)
        with pytest.raises(KeyboardInterrupt):
            extended(before, checkpoint=tmp_path / "run", checkpoint_seconds=1e9)
    _, report = extend_bridge(before, THREE, model=C, checkpoint=tmp_path / "run")
    assert report.resumed_at == 12


def with_labels(names, labelled=True):
    return [*PAIR, make_latents(C, classes=len(names), seed=2, names=names, labelled=labelled)]


SPOILT = replace(THREE[2], latents=torch.full((60, 4), float("nan")))


@pytest.mark.parametrize(
    ("latents", "model", "options", "error", "message"),
    [
        ([*PAIR, PAIR[1]], B, {}, TrainingError, "joins toy/b already"),
        (THREE[1:], C, {}, TrainingError, "3 models need as many latent sets"),
        ([PAIR[1], PAIR[0], THREE[2]], C, {}, FingerprintError, "are not those of toy/a"),
        (THREE, replace(C, adapter_version=2), {}, FingerprintError, "are not those of toy/c"),
        ([*PAIR, SPOILT], C, {}, LatentsError, "row 0 has NaN"),
        ([*PAIR, make_latents(C, items=5)], C, {}, TrainingError, "too few"),
        (with_labels(("x", "y", "z"), labelled=False), C, {}, TrainingError, "toy/c have no labels"),
        (with_labels(("class 0", "class 1")), C, {}, TrainingError, "cannot be joined.*toy/c has 2 labels"),
        (THREE, C, {"labels": "none"}, UsageError, "trained with labels"),
        (THREE, C, {"labels": {"toy/c": {"class 0": "hen"}}}, UsageError, "'hen'"),
        (THREE, C, {"labels": {"toy/c": {"class 0": "class 0"}}}, UsageError, "for class 'class 1'"),
        (THREE, C, {"labels": {"toy/a": {"class 0": "class 0"}}}, UsageError, "no labels of toy/c"),
        (THREE, C, {"seed": -1}, UsageError, "seed"),
    ],
)
def test_what_cannot_be_added_is_refused(tmp_path, latents, model, options, error, message):
    with pytest.raises(error, match=message):
        extended(trained(), latents, model, checkpoint=tmp_path / "run", **options)
    assert list(tmp_path.iterdir()) == []


def test_half_precision_is_told_by_the_weights(tmp_path):
    before = trained()
    assert not fits_half_precision(before.network)
    before.save_pretrained(tmp_path / "half", dtype=torch.float16)
    assert fits_half_precision(Bridge.from_pretrained(tmp_path / "half").network)


@pytest.mark.parametrize("recipe", [get_recipe("class-axes"), tiny_recipe(), plain_recipe()])
@pytest.mark.parametrize("classes", [0, 3])
def test_a_view_of_some_models_shares_their_weights(recipe, classes):
    network = make_network(make_config((4, 6, 2), classes, recipe=recipe).architecture)
    torch.nn.init.normal_(network.get_buffer("scale_2"))
    view = network.of_models((2, 0))
    own = {id(tensor) for tensor in (*network.parameters(), *network.buffers())}
    assert all(id(tensor) in own for tensor in (*view.parameters(), *view.buffers()))
    assert view.get_buffer("scale_0") is network.get_buffer("scale_2")
    with torch.no_grad():
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter)
        x = torch.randn(6, 2)
        for there, here in zip(network.encode(x, 2), view.encode(x, 0), strict=True):
            assert torch.equal(there, here)
        z = network.encode(x, 2)[0]
        assert torch.equal(network.decode(z, 0), view.decode(z, 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"added": 2}, "cannot have been added"),
        ({"added": 3}, "cannot have been added"),
        ({"added": -1}, "added"),
        ({"added": 0}, "0 models that were added"),
    ],
)
def test_a_config_that_does_not_fit_its_extensions_is_refused(changes, message):
    data = extended(trained(tiny_recipe(steps=1))).config.to_dict()
    data["architecture"].update(changes)
    with pytest.raises(SpecError, match=message):
        BridgeConfig.from_dict(data)
