"""The bench: every way is made and measured, kept, resumed and ranked."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import evaluation_plugin
import pytest
from bridge_samples import tiny_recipe
from evaluation_world import A, B, make_latents, make_spec

from ltzoo.bridge import Bridge, get_recipe, list_recipes
from ltzoo.errors import UsageError
from ltzoo.evaluation import REFERENCES, Protocol
from ltzoo.evaluation.bench import LONG_STEPS, BenchRunner, default_recipes
from ltzoo.evaluation.bench_records import Bench, Run, Way
from ltzoo.evaluation.protocol import DirectionResult, Figure
from ltzoo.evaluation.ranking import RANKED, rank_ways
from ltzoo.evaluation.workfolder import WorkFolder
from ltzoo.zoo import set_default_zoo

FEW = {"paths": 6, "draws": 20, "frechet_draws": 10, "items": 80}
PROTOCOL = Protocol(seeds=(0, 1), **FEW)
# Enough to learn a world of four far-apart classes.
RECIPE = tiny_recipe(steps=200, width=32, shared_dim=6, pair_weight=0.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch, one_thread):
    monkeypatch.setattr("ltzoo.evaluation.classifier.STEPS", 40)


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    zoo = evaluation_plugin.ship(tmp_path)
    set_default_zoo(zoo)
    return zoo


def runner(work: Path, zoo, **options) -> BenchRunner:
    return BenchRunner(
        [make_spec(id, loader="evaluation_plugin:load") for id in (A, B)],
        {id: make_latents(id) for id in (A, B)},
        WorkFolder(work),
        **{"recipes": [RECIPE], "protocol": PROTOCOL, "zoo": zoo, **options},
    )


def without_times(data: object) -> object:
    if isinstance(data, dict):
        return {key: without_times(value) for key, value in data.items() if key != "seconds"}
    return [without_times(one) for one in data] if isinstance(data, list) else data


# Ranking


def way(name: str, saturates: tuple[str, ...] = (), kind="recipe", **values: float) -> Way:
    figures = tuple(
        Figure(name=measure, source=A, target=B, value=value, n=10) for measure, value in values.items()
    )
    result = DirectionResult(translator=name, source=A, target=B, figures=figures, seconds=0)
    return Way(name=name, kind=kind, title=name, saturates=saturates, directions=(result,), seconds=1)


GOOD = {"transfer_accuracy_share": 0.9, "clean_class_fid": 5.0, "coverage": 0.8, "clean_spread": 0.9}
FLAT = {"transfer_accuracy_share": 1.2, "clean_class_fid": 50.0, "coverage": 0.1, "clean_spread": 0.0}


def places(*ways: Way) -> dict[str, float]:
    return {standing.way: standing.place for standing in rank_ways(ways).standings}


def test_accuracy_alone_wins_nothing():
    assert places(way("good", **GOOD), way("flat", **FLAT)) == {"good": 0.25, "flat": 0.75}
    found = rank_ways([way("flat", **FLAT), way("good", **GOOD)])
    assert [(one.way, one.rank) for one in found.standings] == [("good", 1), ("flat", 2)]
    assert "behind good in" in found.standings[1].why
    assert "coverage (0.1, not 0.8)" in found.standings[1].why


def test_what_a_way_has_by_construction_does_not_count_for_it():
    found = rank_ways([way("good", **GOOD), way("flat", ("transfer_accuracy_share",), "reference", **FLAT)])
    good, flat = found.standings
    assert (good.place, flat.place) == (0, 1)
    assert flat.left_out == ("transfer_accuracy_share",)
    assert "transfer_accuracy_share" not in flat.places
    # Nor is it a victory of the other one, which has nobody to be compared with.
    assert "transfer_accuracy_share" not in good.places
    assert "Has by construction, so not counted: transfer accuracy share (1.2)" in flat.why


def test_accuracy_counts_up_to_that_of_retrieval():
    assert places(
        way("sharp", transfer_accuracy_share=1.2),
        way("even", transfer_accuracy_share=1.0),
        way("poor", transfer_accuracy_share=0.5),
    ) == {"even": 0.25, "sharp": 0.25, "poor": 1.0}


def test_spread_counts_by_its_distance_from_one():
    assert places(way("wide", clean_spread=1.3), way("narrow", clean_spread=0.8)) == {"narrow": 0, "wide": 1}


def test_equal_ways_share_a_rank():
    found = rank_ways([way("a", **GOOD), way("b", **GOOD), way("c", **FLAT)])
    assert sorted(one.rank for one in found.standings) == [1, 1, 3]


def test_measures_that_are_not_ranked_by_do_not_count():
    assert places(way("a", precision=0.1, coverage=0.5), way("b", precision=0.9, coverage=0.4))["a"] == 0


def test_a_way_without_company_has_no_standing():
    assert rank_ways([way("a", **GOOD)]).standings == ()


# Running


def test_every_way_is_run_and_the_prototype_ranks_below_the_recipe(zoo, tmp_path):
    told = []
    found = runner(tmp_path / "work", zoo).run(lambda share, what: told.append((share, what)))
    assert {way.name for way in found.ways} == {"default", *(reference.name for reference in REFERENCES)}
    assert {way.kind for way in found.ways} == {"recipe", "reference"}
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert any("default, seed 1: training" in what for _, what in told)
    ranks = {standing.way: standing for standing in found.ranking.standings}
    assert ranks["default"].rank < ranks["class-prototype"].rank
    assert "coverage" in ranks["class-prototype"].why
    assert "transfer accuracy share (1" in ranks["class-prototype"].why
    for one in found.ways:
        assert [(result.source, result.target) for result in one.directions] == [(A, B), (B, A)]
        for figure in one.directions[0].figures:
            assert figure.seeds == 2
            assert figure.std is not None
    assert set(found.ranking.measures) == set(RANKED)
    assert found.protocol.seeds == (0, 1)
    assert Bench.from_json(found.to_json()) == found
    # Kept: a result each, the bridges, and no checkpoint.
    files = {path.name for path in (tmp_path / "work").iterdir()}
    ways = {f"{way.name}-{seed}.json" for way in found.ways for seed in (0, 1)}
    assert files == ways | {"default-0", "default-1"}
    assert Bridge.from_pretrained(tmp_path / "work" / "default-1").config.trained.seed == 1


@pytest.fixture
def one_seed():
    return {"protocol": Protocol(seeds=(0,), **FEW)}


def test_two_runs_agree_apart_from_times_one_of_them_interrupted(zoo, tmp_path, one_seed, monkeypatch):
    first = runner(tmp_path / "first", zoo, **one_seed).run()

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    # After training, before it is measured: the latest moment.
    with monkeypatch.context() as patch:
        patch.setattr("ltzoo.evaluation.bench.evaluate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            runner(tmp_path / "second", zoo, **one_seed).run()
    checkpoint = tmp_path / "second" / "default-0.checkpoint.safetensors"
    assert checkpoint.exists()
    second = runner(tmp_path / "second", zoo, **one_seed).run()
    run = Run.from_json((tmp_path / "second" / "default-0.json").read_bytes())
    assert run.training.resumed_at == RECIPE.steps
    assert not checkpoint.exists()
    assert without_times(first.to_dict()) == without_times(second.to_dict())

    # One run is lost: it alone is made again.
    (tmp_path / "first" / "re-encode-0.json").unlink()
    made = []
    real = BenchRunner._run

    def count(self, entrant, *rest):
        made.append(entrant.name)
        return real(self, entrant, *rest)

    monkeypatch.setattr(BenchRunner, "_run", count)
    third = runner(tmp_path / "first", zoo, **one_seed).run()
    assert made == ["re-encode"]
    assert without_times(third.to_dict()) == without_times(first.to_dict())
    # With nothing left to do, no model is loaded.
    again = runner(tmp_path / "first", zoo, **one_seed)
    assert again.run() == third
    assert "workbench" not in vars(again)
    # One seed more leaves what is done as it is.
    monkeypatch.setattr(BenchRunner, "_run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        runner(tmp_path / "first", zoo, protocol=Protocol(seeds=(0, 5), **FEW)).run()


def test_results_of_another_bench_are_refused_before_any_work(zoo, tmp_path, one_seed, monkeypatch):
    work = tmp_path / "work"
    runner(work, zoo, **one_seed).run()
    before = {path: path.read_bytes() for path in work.glob("*.json")}
    with pytest.raises(UsageError, match="is of another bench") as caught:
        runner(work, zoo, protocol=Protocol(seeds=(0,), **{**FEW, "items": 50})).run()
    assert "--work ANOTHER" in caught.value.hint
    (work / "re-encode-0.json").write_text("{")
    with pytest.raises(UsageError, match="is not the result of a run"):
        runner(work, zoo, **one_seed).run()
    (work / "re-encode-0.json").write_bytes(before[work / "re-encode-0.json"])
    assert before == {path: path.read_bytes() for path in work.glob("*.json")}


def test_two_ways_of_one_name_are_refused(zoo, tmp_path):
    with pytest.raises(UsageError, match="two ways are called 'default'"):
        runner(tmp_path, zoo, recipes=[RECIPE, tiny_recipe()])


def test_a_reference_that_does_not_apply_is_named_with_the_reason(zoo, tmp_path, one_seed):
    bench = runner(tmp_path / "work", zoo, **one_seed)
    bench.latents = {id: make_latents(id, labels=None, label_names=()) for id in (A, B)}
    bench._labels, (bench.label_map, bench.notes) = "none", bench_labels()
    found = bench.run()
    prototype = next(way for way in found.ways if way.name == "class-prototype")
    assert prototype.directions == ()
    assert "no labels" in prototype.unavailable[f"{A} -> {B}"]
    assert "class-prototype" not in {standing.way for standing in found.ranking.standings}
    assert {standing.way for standing in found.ranking.standings} == {"default", "re-encode"}
    assert found.ways[-1].directions == ()


def bench_labels():
    from ltzoo.bridge.labels import match_labels

    return match_labels("none", [])


def test_long_recipes_must_be_named_and_some_need_pairs():
    short = [name for name in list_recipes() if get_recipe(name).steps < LONG_STEPS]
    assert "tian-engel-2019" not in short
    paired, unpaired = (
        [recipe.name for recipe in default_recipes([make_latents(A), make_latents(B, keys_of=name)])]
        for name in (make_latents(A).keys_of, "others")
    )
    assert paired == short
    assert set(short) - set(unpaired) == {"ridge", "procrustes"}


# The command


@pytest.fixture
def quick_command(zoo, monkeypatch, tmp_path):
    """The command's own protocol and recipe, made small; gives the arguments that are always there."""
    few = functools.partial(Protocol, **{key: value for key, value in FEW.items() if key != "items"})
    monkeypatch.setattr("ltzoo.evaluation.protocol.Protocol", few)
    monkeypatch.setattr("ltzoo.evaluation.bench.default_recipes", lambda latents: [RECIPE])
    monkeypatch.chdir(tmp_path)
    return ("bench", A, B, "--items", "80", "--seeds", "3")


def test_the_table(quick_command, ltzoo):
    code, out, err = ltzoo(*quick_command)
    assert code == 0
    header, *rows = out.splitlines()
    assert header.split()[:4] == ["RANK", "WAY", "PLACE", "DIRECTION"]
    assert len(rows) == 2 * (1 + len(REFERENCES))
    assert "Accuracy alone ranks nothing" in err
    assert "class-prototype: behind " in err
    assert Path("toy-a--toy-b.bench").is_dir()
    # What is saturated is marked.
    row = next(row for row in rows if " class-prototype " in row)
    assert "*" in row


def test_the_json_and_a_recipe_of_ones_own(quick_command, ltzoo, tmp_path):
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in RECIPE.to_dict().items())
    (tmp_path / "mine.toml").write_text(text.replace('"default"', '"mine"'))
    code, out, _ = ltzoo(*quick_command, "--recipe", "mine.toml", "--work", "here", "--json")
    assert code == 0
    document = json.loads(out)
    assert document.pop("schema") == "ltzoo/bench/1"
    found = Bench.from_dict(document)
    assert "mine" in {way.name for way in found.ways}
    assert found.protocol.seeds == (3,)
    assert Path("here/mine-3.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((A,), "two or more different models"),
        ((A, B, "--seeds", "0,x"), "not a list of seeds"),
        ((A, B, "--seeds", "1,1"), "lists a seed twice"),
        ((A, B, "--seeds", str(2**31)), "not a list of seeds"),
        ((A, B, "--recipe", "defualt"), "did you mean 'default'?"),
        ((A, B, "--work", "no/where"), "does not exist"),
        ((A, B, "--data", "toy/c=x"), "not MODEL=FILE"),
    ],
)
def test_usage_errors(zoo, ltzoo, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = list(tmp_path.iterdir())
    code, out, err = ltzoo("bench", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert list(tmp_path.iterdir()) == before
