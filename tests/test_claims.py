"""The paper's claims: the rules decide as they say, the page says what the files say, and a run does what its name says."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evaluation_world import CLASSES, A, B, make_latents, make_spec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.claims import page, training
from benchmarks.claims.claims import CLAIMS, INTERFACES, RANKED, clearly_above, mean_places
from benchmarks.claims.results import RESULTS, BaseCost, Cost, Figure, Result, Results, path_of, read, write
from benchmarks.claims.variants import DIRECTIONS, SEEDS, VARIANTS, get_variant, laptop_recipe
from ltzoo.bridge import get_recipe, train_bridge, training_part
from ltzoo.bridge.network import SharedAutoencoder
from ltzoo.errors import UsageError
from ltzoo.evaluation.bench_records import Way
from ltzoo.evaluation.protocol import DirectionResult
from ltzoo.evaluation.protocol import Figure as Measured
from ltzoo.evaluation.ranking import rank_ways

ROOT = Path(__file__).resolve().parents[1]
GOOD = {
    "transfer_accuracy": 0.9,
    "transfer_accuracy_share": 0.95,
    "clean_class_fid": 3.0,
    "coverage": 0.9,
    "recall": 0.9,
    "clean_spread": 1.0,
    "neighbourhood_overlap": 0.5,
    "smoothness": 0.3,
    "cycle_r2": 0.6,
    "noisy_cycle_r2": 0.5,
}
POOR = {**GOOD, "transfer_accuracy_share": 0.4, "clean_class_fid": 30.0, "neighbourhood_overlap": 0.2}


def runs(variant: str, figures: dict[str, float], **changed: float) -> list[Result]:
    """Three runs with these figures, a little apart; ``changed`` ones only from MNIST."""
    return [
        Result(
            variant=variant,
            seed=seed,
            settings=get_variant(variant).settings(),
            labelled_items=(100, 100),
            figures={
                direction: {
                    name: value * (1 + 0.001 * seed)
                    for name, value in {**figures, **(changed if index == 0 else {})}.items()
                }
                for index, direction in enumerate(DIRECTIONS)
            },
            command="x",
            ltzoo="0",
            torch="0",
        )
        for seed in SEEDS
    ]


def cost(ratio: float) -> Cost:
    bases = tuple(BaseCost(model=model, step_seconds=(0.1, 0.1), steps=500) for model in ("a", "b"))
    return Cost(
        bridge_step_seconds=(0.1, 0.1), bridge_steps=round(1000 / ratio), bases=bases, command="x", torch="0"
    )


@pytest.fixture
def all_held() -> Results:
    """Results by which every claim holds."""
    found = {variant.name: runs(variant.name, POOR) for variant in VARIANTS}
    found["laptop"] = runs("laptop", GOOD)
    found["own"] = runs("own", {"smoothness": 0.3})
    return Results(found, cost(100))


FLIPS = {
    "transfer": ("laptop", {"transfer_accuracy_share": 0.88}),
    "locality": ("nearest-retrieval", {"neighbourhood_overlap": 0.5}),
    "smoothness": ("own", {"smoothness": 0.34}),
    "data": ("labels-10", {"transfer_accuracy": 0.8}),
    "swd": ("no-swd", GOOD),
    "kl": ("no-kl", GOOD),
    "classifier": ("no-classifier", GOOD),
    "domain-label": ("no-domain-label", GOOD),
    "interface": ("class-axes", {name: 2 * value for name, value in GOOD.items()} | {"clean_class_fid": 1.0}),
}
"""For each claim the runs, and what has to be different from MNIST alone, for it not to hold."""


def test_every_claim_can_hold(all_held):
    assert {claim.name: claim.verdict(all_held) for claim in CLAIMS} == dict.fromkeys(
        (claim.name for claim in CLAIMS), "held"
    )
    assert FLIPS.keys() | {"cost"} == {claim.name for claim in CLAIMS}


@pytest.mark.parametrize("name", FLIPS)
def test_every_claim_can_fail_in_one_direction_and_takes_no_other_with_it(all_held, name):
    variant, changed = FLIPS[name]
    if name in ("swd", "kl", "classifier", "domain-label", "interface"):
        all_held.runs[variant] = runs(variant, {**POOR, **changed})
    else:
        base = {"smoothness": 0.3} if variant == "own" else (GOOD if variant == "laptop" else POOR)
        all_held.runs[variant] = runs(variant, base, **changed)
    verdicts = {claim.name: claim.verdict(all_held) for claim in CLAIMS}
    assert verdicts.pop(name) == "not held"
    assert set(verdicts.values()) == {"held"}


def test_the_cost_is_a_ratio_of_whole_trainings():
    (claim,) = (claim for claim in CLAIMS if claim.cost)
    assert cost(100).ratio.mean == pytest.approx(100)
    assert claim.verdict(Results({}, cost(100))) == "held"
    assert claim.verdict(Results({}, cost(90))) == "not held"
    assert claim.verdict(Results({}, None)) == "not measured"


@pytest.mark.parametrize("claim", [one for one in CLAIMS if not one.cost], ids=lambda claim: claim.name)
def test_a_claim_without_its_runs_has_no_verdict(all_held, claim):
    for name in claim.variants:
        kept = {variant: of for variant, of in all_held.runs.items() if variant != name}
        without = Results(kept, all_held.cost)
        assert claim.verdict(without) == "not measured"
        assert f"`{name}`" in page.sections(without)


def test_clearly_is_by_more_than_twice_the_deviation():
    assert clearly_above(Figure((1.0, 1.0)), Figure((0.9, 0.9)))
    assert not clearly_above(Figure((1.0, 1.2)), Figure((0.9, 0.9)))
    assert not clearly_above(Figure((0.9,)), Figure((0.9,)))


def test_places_are_those_of_the_bench():
    rng = random.Random(0)
    for _ in range(20):
        # Of few values, so that ties come up; shares above 1 count as 1.
        found = {
            name: [
                replace(
                    one,
                    figures={d: {m: rng.choice((0.5, 0.9, 1.1, 1.3)) for m in RANKED} for d in DIRECTIONS},
                )
                for one in runs(name, GOOD)[:1]
            ]
            for name in INTERFACES
        }
        standings = rank_ways([way(name, found[name][0]) for name in INTERFACES]).standings
        assert mean_places(Results(found), INTERFACES) == pytest.approx(
            {standing.way: standing.place for standing in standings}
        )


def way(name: str, result: Result) -> Way:
    directions = []
    for direction, figures in result.figures.items():
        source, target = direction.split(" -> ")
        measured = tuple(
            Measured(name=measure, source=source, target=target, value=value, n=1)
            for measure, value in figures.items()
        )
        directions.append(
            DirectionResult(translator=name, source=source, target=target, figures=measured, seconds=0)
        )
    return Way(name=name, kind="recipe", title=name, directions=tuple(directions), seconds=0)


# The files and the page


def test_the_page_says_what_the_files_say():
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    for part in (page.summary(), page.recipe(), page.sections()):
        assert part in text, "give: make docs"


def test_the_page_shows_the_verdicts(all_held):
    text = page.sections(all_held)
    assert text.count("**Held.**") == len(CLAIMS)
    all_held.runs["laptop"] = runs("laptop", POOR)
    expected = [claim.verdict(all_held) for claim in CLAIMS]
    assert "not held" in expected
    text = page.sections(all_held)
    assert text.count("**Not held.**") == expected.count("not held")
    shown = [row.split("**")[1] for row in page.summary(all_held).splitlines() if "**" in row]
    assert shown == expected


def test_the_committed_results_are_of_these_settings():
    found = read()
    for name, of_variant in found.runs.items():
        assert [run.seed for run in of_variant] == list(SEEDS), name
        for run in of_variant:
            assert run.settings == get_variant(name).settings(), f"{name}: run it again"
    assert sum(path.stat().st_size for path in RESULTS.glob("*.json")) < 200_000
    names = {path_of(RESULTS, variant.name, seed).name for variant in VARIANTS for seed in SEEDS}
    assert {path.name for path in RESULTS.iterdir()} <= names | {"cost.json"}


def test_the_page_is_made_without_torch():
    code = (
        "import sys; from benchmarks.claims import page; page.sections(); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# The runs


@pytest.mark.parametrize(("name", "per_class"), [("labels-1", 1), ("labels-3", 3), ("laptop", None)])
def test_runs_have_as_many_labels_as_their_name_says(name, per_class):
    latents = make_latents(A)
    (few,) = training.with_labels(get_variant(name), [latents], seed=0)
    assert torch.equal(few.latents, latents.latents)
    everything = int((training_part(latents).labels >= 0).sum())
    assert training.labelled_items(few) == (everything if per_class is None else per_class * CLASSES)


def test_edits_change_the_network_and_end():
    specs = [make_spec(A), make_spec(B)]
    recipe = get_recipe("tian-engel-2019", steps=1, batch=16, layers=1, width=8, shared_dim=2, projections=4)
    bridge, _ = train_bridge([make_latents(A), make_latents(B)], models=specs, recipe=recipe)
    x = torch.randn(6, bridge.network.architecture.common, generator=torch.Generator().manual_seed(0))
    network = bridge.network
    assert isinstance(network, SharedAutoencoder)
    plain = SharedAutoencoder.encode, SharedAutoencoder.decode
    assert not torch.equal(network.encode(x, 0)[0], network.encode(x, 1)[0])
    with training.edited("no-domain-label"):
        (mean, _), (other, _) = network.encode(x, 0), network.encode(x, 1)
        assert torch.equal(mean, other)
        assert torch.equal(network.decode(mean, 0), network.decode(mean, 1))
    with training.edited("mean-code"):
        edited_mean, std = network.encode(x, 1)
        assert not std.any()
    assert torch.equal(edited_mean, network.encode(x, 1)[0])
    assert network.encode(x, 0)[1].all()
    assert (SharedAutoencoder.encode, SharedAutoencoder.decode) == plain


def test_each_ablation_takes_one_thing_away():
    laptop = laptop_recipe().to_dict()
    for name, field in {
        "no-swd": "swd_weight",
        "no-kl": "kl_weight",
        "no-classifier": "classifier_weight",
    }.items():
        assert get_variant(name).recipe().to_dict() == {**laptop, field: 0.0}
    assert laptop["classifier_head"] == "trained"


def test_a_result_of_other_settings_is_refused(tmp_path):
    from benchmarks.claims.runs import Runner

    runner = Runner(tmp_path)
    variant = get_variant("no-kl")
    assert not runner.is_done(variant, 0)
    write(path_of(tmp_path, "no-kl", 0), runs("no-kl", GOOD)[0])
    assert runner.is_done(variant, 0)
    with pytest.raises(UsageError, match="other settings"):
        runner.is_done(replace(variant, changes={"kl_weight": 1.0}), 0)


@pytest.mark.slow
def test_a_run_writes_what_the_page_reads(tmp_path):
    only = [word for name in ("laptop", "own", "nearest-retrieval") for word in ("--only", name)]
    command = [sys.executable, "-m", "benchmarks.claims", "--quick", "--seeds", "0", *only]
    done = subprocess.run(
        [*command, "--results", tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("[3/3]") == 1
    found = read(tmp_path)
    assert list(found.runs) == ["laptop", "nearest-retrieval", "own"]
    assert found.runs["laptop"][0].labelled_items == (9000, 9000)
    text = page.sections(found)
    assert "smoothness" in text
    assert [claim.verdict(found) != "not measured" for claim in CLAIMS].count(True) == 1


def test_quick_runs_are_kept_out_of_the_docs():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.claims", "--quick"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--results" in done.stderr
