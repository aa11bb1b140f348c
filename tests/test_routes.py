"""Routes: the search against all that there is to find, chains of bridges, and what ``ltzoo translate`` says."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise, permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from toy_plugin import spec, toy_zoo

import ltzoo as package
from ltzoo.bridge import Bridge, BridgeChain, Metric, get_recipe, load_chain, train_bridge
from ltzoo.errors import BridgeError, FingerprintError, SpecError, UnknownBridgeError, UsageError
from ltzoo.hub import file_sha256
from ltzoo.latents import LatentSet
from ltzoo.registry import BRIDGE_FILES, BridgeRow, MetricRow, Registry, RegistrySource
from ltzoo.routes import Hop, Route, accuracy_of, best_route, best_routes, reachable, route_through, row_hops
from ltzoo.spec import FileSpec
from ltzoo.zoo import set_default_zoo

pytestmark = pytest.mark.usefixtures("one_thread")

# The search

MODELS = "abcdef"
# Few values, zero and one among them, so that ties are common.
ACCURACIES = st.sampled_from([None, 0.0, 0.25, 0.5, 0.9, 1.0])


@st.composite
def hop_lists(draw, models=MODELS, least=0, most=12):
    ends = st.sampled_from(list(permutations(models, 2)))
    drawn = draw(st.lists(st.tuples(ends, ACCURACIES), min_size=least, max_size=most))
    return [
        Hop(bridge=f"bridge-{index}", source=source, target=target, accuracy=accuracy)
        for index, ((source, target), accuracy) in enumerate(drawn)
    ]


def rank(hops) -> tuple[int, float, int]:
    """What makes one route better than another; less is better."""
    known = [hop.accuracy for hop in hops if hop.accuracy is not None]
    return len(hops) - len(known), -math.prod(known), len(hops)


def every_route(hops, source: str, target: str):
    """All sequences of hops that lead there without visiting a model twice."""
    middles = [model for model in MODELS if model not in (source, target)]
    for count in range(len(middles) + 1):
        for middle in permutations(middles, count):
            models = (source, *middle, target)
            yield from product(
                *([hop for hop in hops if (hop.source, hop.target) == ends] for ends in pairwise(models))
            )


@given(hop_lists())
def test_the_best_route_is_the_best_of_all(hops):
    found = best_route(hops, "a", "b")
    routes = list(every_route(hops, "a", "b"))
    direct = [route for route in routes if len(route) == 1]
    if not routes:
        assert found is None
    else:
        assert found is not None
        assert rank(found.hops) == min(map(rank, direct or routes))
        assert (found.source, found.target) == ("a", "b")
        assert len(set(found.models)) == len(found.models)


@given(hop_lists())
def test_the_best_routes_are_each_the_best_one(hops):
    each = {target: best_route(hops, "a", target) for target in MODELS[1:]}
    assert best_routes(hops, "a") == {target: route for target, route in each.items() if route}


@given(hop_lists())
def test_reachable_is_where_routes_lead(hops):
    assert reachable(hops, "a") == [model for model in MODELS[1:] if best_route(hops, "a", model)]


@given(st.lists(hop_lists("abc", least=4, most=8), min_size=1, max_size=3))
def test_a_route_through_given_steps_is_the_best_of_all(steps):
    found = route_through(steps, "a", "b")
    routes = [
        hops
        for hops in product(*steps)
        if [hop.source for hop in hops] == ["a", *(hop.target for hop in hops[:-1])]
        and hops[-1].target == "b"
    ]
    if not routes:
        assert found is None
    else:
        assert found is not None
        assert found.hops in routes
        assert rank(found.hops) == min(map(rank, routes))


def hop(source: str, target: str, accuracy: float | None, bridge: str = "") -> Hop:
    return Hop(bridge=bridge or f"{source}-{target}", source=source, target=target, accuracy=accuracy)


def test_what_is_best():
    around = [hop("a", "c", 1.0), hop("c", "b", 1.0)]
    assert str(best_route([*around, hop("a", "b", 0.1)], "a", "b")) == "a -> b"
    assert str(best_route([*around, hop("a", "b", None)], "a", "b")) == "a -> b"
    assert best_route([hop("a", "b", None, "x"), hop("a", "b", 0.1, "y")], "a", "b").bridges == ("y",)
    longer = [hop("a", "d", 0.9), hop("d", "e", 0.9), hop("e", "b", 0.9)]
    shorter = [hop("a", "c", 0.8), hop("c", "b", 0.8)]
    assert str(best_route([*shorter, *longer], "a", "b")) == "a -> d -> e -> b"
    unmeasured = [hop("a", "c", None), hop("c", "b", 1.0)]
    assert str(best_route([*unmeasured, *longer], "a", "b")) == "a -> d -> e -> b"
    assert str(best_route([*around, *(replace(h, accuracy=1.0) for h in longer)], "a", "b")) == "a -> c -> b"
    assert best_route([hop("b", "a", 1.0)], "a", "b") is None


def test_the_expected_accuracy_is_the_product():
    route = Route((hop("a", "b", 0.9), hop("b", "c", 0.5)))
    assert route.expected_accuracy == pytest.approx(0.45)
    assert Route((*route.hops, hop("c", "d", None))).expected_accuracy is None
    assert (route.models, route.bridges) == (("a", "b", "c"), ("a-b", "b-c"))
    for hops in ((), (hop("a", "b", 1), hop("c", "d", 1))):
        with pytest.raises(SpecError, match="do not join"):
            Route(hops)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), float("inf")])
def test_a_figure_that_is_no_accuracy_counts_as_none(value):
    metrics = [MetricRow(name="transfer_accuracy", source="a", target="b", value=value)]
    assert accuracy_of(metrics, "a", "b") is None


# Chains. A bridge joins toy/a with other/middle and one joins that with toy/b: no plugin serves other/middle.

MIDDLE = replace(spec("a"), id="other/middle")
SPECS = {"a": spec("a"), "middle": MIDDLE, "b": spec("b")}


def latents(n: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 64, generator=torch.Generator().manual_seed(seed))


def make_bridge(*models, accuracy: float | None) -> Bridge:
    sets = [
        LatentSet(model=model.id, fingerprint=model.fingerprint, latents=latents(seed=seed))
        for seed, model in enumerate(models)
    ]
    recipe = get_recipe("default", steps=2, batch=16, layers=1, width=16, shared_dim=4)
    bridge = train_bridge(sets, models=models, recipe=recipe, labels="none")[0]
    metrics = [
        Metric(name="transfer_accuracy", source=source.id, target=target.id, value=accuracy)
        for source, target in permutations(models, 2)
        if accuracy is not None
    ]
    return Bridge(replace(bridge.config, metrics=tuple(metrics)), bridge.network)


def make_row(folder, id: str, bridge: Bridge) -> BridgeRow:
    files = [folder / name for name in BRIDGE_FILES if (folder / name).exists()]
    return BridgeRow(
        id=id,
        models=bridge.models,
        files=tuple(FileSpec(name=path.name, sha256=file_sha256(path)) for path in files),
        size=sum(path.stat().st_size for path in files),
        license="MIT",
        plugins=(),
        command="ltzoo train",
        recipe="default",
        date="2026-11-24",
        path=folder.name,
        metrics=tuple(
            MetricRow(name=m.name, source=m.source, target=m.target, value=m.value)
            for m in bridge.config.metrics
        ),
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A registry of two bridges, and one that is measured nowhere and joins them all."""
    folder = tmp_path_factory.mktemp("registry")
    bridges = {
        "first": make_bridge(SPECS["a"], MIDDLE, accuracy=0.9),
        "second": make_bridge(MIDDLE, SPECS["b"], accuracy=0.5),
        "all": make_bridge(*SPECS.values(), accuracy=None),
    }
    rows = []
    for id, bridge in bridges.items():
        bridge.save_pretrained(folder / id)
        rows.append(make_row(folder / id, id, bridge))

    def write(name: str, *ids: str):
        from ltzoo.bridge.row import row_text

        path = folder / f"{name}.toml"
        path.write_text("schema = 1\n" + "".join(row_text(row) for row in rows if row.id in ids))
        Registry.load(RegistrySource(name=name, path=path))
        return path

    write("two", "first", "second")
    write("three", "first", "second", "all")
    write("one", "first")
    return folder, bridges


@pytest.fixture
def zoo(published, monkeypatch):
    """Makes a zoo with one of the registries the default one."""

    def use(registry: str) -> None:
        monkeypatch.setenv("LTZOO_REGISTRY", str(published[0] / f"{registry}.toml"))
        set_default_zoo(toy_zoo())

    return use


def test_a_chain_translates_hop_by_hop(published, zoo):
    zoo("two")
    _, bridges = published
    z = latents(5)
    chain = load_chain("toy/a", "toy/b")
    assert chain.route.bridges == ("first", "second")
    assert chain.route == package.find_route("toy/a", "toy/b")
    assert repr(chain) == "BridgeChain(toy/a -> other/middle -> toy/b)"
    chain.check_models(SPECS.values())
    there = bridges["first"].translate(z, source="toy/a", target="other/middle")
    expected = bridges["second"].translate(there, source="other/middle", target="toy/b")
    assert torch.equal(chain.translate(z, source="toy/a", target="toy/b"), expected)
    back = load_chain("toy/b", "toy/a")
    assert back.route.models == ("toy/b", "other/middle", "toy/a")
    with pytest.raises(BridgeError, match="toy/a -> other/middle -> toy/b does not lead from toy/b to toy/a"):
        chain.translate(z, source="toy/b", target="toy/a")


def test_a_chain_draws_anew_in_every_hop(published, zoo):
    zoo("two")
    z = latents(5)
    chain = load_chain("toy/a", "toy/b")

    def draw(seed):
        return chain.translate(z, source="toy/a", target="toy/b", sample=True, seed=seed)

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert not torch.equal(draw(None), draw(None))
    # The last hop draws other numbers than the same bridge does on its own with that seed.
    first, second = chain.bridges
    there = first.translate(z, source="toy/a", target="other/middle", sample=True, seed=1)
    same = second.translate(there, source="other/middle", target="toy/b", sample=True, seed=1)
    assert not torch.equal(draw(1), same)
    one = load_chain("toy/a", "other/middle")
    alone = one.translate(z, source="toy/a", target="other/middle", sample=True, seed=1)
    assert torch.equal(alone, there)
    with pytest.raises(UsageError, match="the seed must be"):
        draw(-1)


def test_bridges_given_in_turn(published, zoo):
    zoo("three")
    folder, bridges = published
    given = (f"local:{folder}/all", "second")
    chain = load_chain("toy/a", "toy/b", bridges=given)
    assert (chain.route.models, chain.route.bridges) == (("toy/a", "other/middle", "toy/b"), given)
    assert chain.route.expected_accuracy is None
    assert [hop.accuracy for hop in chain.route.hops] == [None, 0.5]
    # One that joins both wins over two, measured or not; two that are named are taken.
    assert load_chain("toy/a", "toy/b").route.bridges == ("all",)
    assert load_chain("toy/a", "toy/b", bridges=("first", "second")).route.expected_accuracy == 0.45
    same = load_chain("toy/a", "toy/a", bridges=("first",))
    z = latents(3)
    assert torch.equal(
        same.translate(z, source="toy/a", target="toy/a"),
        bridges["first"].translate(z, source="toy/a", target="toy/a"),
    )
    with pytest.raises(BridgeError, match="does not join toy/b"):
        load_chain("toy/a", "toy/b", bridges=("first",))
    with pytest.raises(BridgeError, match="do not lead from toy/a to toy/b in this order: first joins"):
        load_chain("toy/a", "toy/b", bridges=("first", "first", "second"))


def test_bridges_that_know_other_weights_do_not_follow_each_other(published):
    _, bridges = published
    other = make_bridge(replace(MIDDLE, adapter_version=2), SPECS["b"], accuracy=0.5)
    route = Route((hop("toy/a", "other/middle", 1, "x"), hop("other/middle", "toy/b", 1, "y")))
    with pytest.raises(FingerprintError, match="x and y were trained on different weights of other/middle"):
        BridgeChain(route, [bridges["first"], other])
    with pytest.raises(BridgeError, match="1 bridges for the 2 hops"):
        BridgeChain(route, [bridges["first"]])
    with pytest.raises(BridgeError, match="does not join toy/a"):
        BridgeChain(route, [bridges["second"], bridges["second"]])
    chain = BridgeChain(route, [bridges["first"], bridges["second"]])
    with pytest.raises(FingerprintError, match="other weights of toy/b"):
        chain.check_models([replace(SPECS["b"], adapter_version=2)])
    with pytest.raises(BridgeError, match="does not lead through toy/mute"):
        chain.check_models([spec("mute")])


def test_no_route_says_what_can_be_reached(zoo):
    zoo("one")
    with pytest.raises(UnknownBridgeError, match="from 'toy/a' they reach other/middle$") as caught:
        load_chain("toy/a", "toy/b")
    assert caught.value.hint.startswith("ltzoo train toy/a toy/b -o BRIDGE")
    with pytest.raises(UnknownBridgeError, match="from 'toy/b' they reach no model"):
        load_chain("toy/b", "toy/a")


def test_the_bundled_rows_give_hops():
    from ltzoo.registry import bundled_registry

    rows = Registry.load(bundled_registry()).bridges
    assert len(row_hops(rows)) == sum(len(row.models) * (len(row.models) - 1) for row in rows)


# The command


@pytest.fixture
def picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save("in.png")


TRANSLATE = ("translate", "in.png", "--from", "toy/a", "--to", "toy/b", "-o", "out.png")


def test_translate_takes_the_route_and_says_so(ltzoo, zoo, picture, tmp_path):
    zoo("two")
    code, out, err = ltzoo(*TRANSLATE)
    assert (code, out) == (0, "out.png\n")
    assert err == (
        "ltzoo: route: toy/a -> other/middle -> toy/b through first, second; expected accuracy 0.450 = "
        "0.900 x 0.500, an estimate that takes their errors for independent\n"
    )
    code, out, _ = ltzoo(*TRANSLATE, "--json")
    document = json.loads(out)
    assert document["bridge"] is None
    assert document["expected_accuracy"] == pytest.approx(0.45)
    assert document["route"] == [
        {"bridge": "first", "source": "toy/a", "target": "other/middle", "accuracy": 0.9},
        {"bridge": "second", "source": "other/middle", "target": "toy/b", "accuracy": 0.5},
    ]


def test_translate_prefers_one_bridge_and_takes_those_it_is_given(ltzoo, zoo, picture, published):
    zoo("three")
    code, out, err = ltzoo(*TRANSLATE, "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert (document["bridge"], document["expected_accuracy"]) == ("all", None)
    code, _, err = ltzoo(*TRANSLATE, "--bridge", "all", "--bridge", "second")
    assert code == 0
    assert err.endswith("through all, second; no accuracy to expect: not measured in this direction: all\n")
    code, _, err = ltzoo(*TRANSLATE, "--bridge", "second", "--bridge", "first")
    assert code == 1
    assert "does not join toy/a" in err
    assert err.count("\n") == 1


def test_translate_without_a_way_is_one_line_and_no_output(ltzoo, zoo, picture, tmp_path):
    zoo("one")
    code, out, err = ltzoo(*TRANSLATE)
    assert (code, out) == (2, "")
    assert "from 'toy/a' they reach other/middle; try: ltzoo train toy/a toy/b -o BRIDGE" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out.png").exists()
