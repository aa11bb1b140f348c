"""Reports: their structure, that nothing is fetched, and that a browser shows them without complaint."""

from __future__ import annotations

import functools
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import evaluation_plugin
import pytest
import torch
from bridge_samples import tiny_recipe
from browser import needs_chromium, probe, show
from evaluation_world import (
    CLASSES,
    DIMS,
    LABELS,
    NAMES,
    A,
    B,
    NearestCentre,
    Plain,
    make_latents,
    make_spec,
)

from ltzoo.bridge import LabelMap, train_bridge
from ltzoo.errors import LtzooError
from ltzoo.evaluation import (
    REFERENCES,
    BenchRunner,
    Evaluation,
    Protocol,
    Workbench,
    evaluate,
    evaluate_bridge,
)
from ltzoo.evaluation.measuring import bridge_workbench
from ltzoo.evaluation.report import page as page_module
from ltzoo.evaluation.report import write_bench_report, write_bridge_report
from ltzoo.evaluation.report.charts import Chart, Line, Mark, colour
from ltzoo.evaluation.report.exhibits import exhibit
from ltzoo.evaluation.report.names import class_names, labels_of
from ltzoo.evaluation.report.pictures import pictures_of
from ltzoo.evaluation.report.placing import Box, place_labels
from ltzoo.evaluation.report.views import pareto
from ltzoo.evaluation.workfolder import WorkFolder
from ltzoo.spec import DataSpec
from ltzoo.zoo import set_default_zoo

PROTOCOL = Protocol(seeds=(0,), paths=6, draws=20, frechet_draws=10, items=80)
VOID = {"meta", "link", "img", "br"}


@pytest.fixture(autouse=True)
def quick(monkeypatch, one_thread):
    monkeypatch.setattr("ltzoo.evaluation.classifier.STEPS", 40)


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    zoo = evaluation_plugin.ship(tmp_path)
    set_default_zoo(zoo)
    return zoo


@pytest.fixture(scope="module")
def bridge():
    specs = [make_spec(id, loader="evaluation_plugin:load") for id in (A, B)]
    return train_bridge([make_latents(A), make_latents(B)], models=specs, recipe=tiny_recipe())[0]


class Page(HTMLParser):
    """A page's elements, in order, with attributes and text; refuses tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def count(self, tag: str, **attributes: str) -> int:
        return sum(
            name == tag and all(found.get(key.rstrip("_")) == value for key, value in attributes.items())
            for name, found in self.elements
        )

    def text(self, tag: str) -> list[str]:
        return [text for owner, text in self.texts if owner == tag]


def check_self_contained(page: Page) -> None:
    """Nothing runs, and nothing is fetched."""
    assert page.count("script") == 0
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "data", "srcset", "poster"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
        assert "url(" not in attributes.get("style", "")
    assert all("url(" not in style and "@import" not in style for style in page.text("style"))


# Bridges


def test_the_report_of_a_bridge(zoo, bridge, tmp_path):
    workbench = bridge_workbench(bridge, zoo=zoo, protocol=PROTOCOL)
    found = evaluate_bridge(bridge, name="local:<b>&", zoo=zoo, workbench=workbench)
    path = tmp_path / "report.html"
    write_bridge_report(path, bridge, found, workbench)
    text = path.read_text("utf-8")
    page = Page(text)
    check_self_contained(page)
    assert len(text) < 10_000_000
    assert "local:<b>&" not in text
    assert "local:<b>&" in "".join(page.text("b"))
    assert page.count("section", class_="exhibit") == 2
    for title in ("Typical", "Best", "Worst", "Interpolations inside classes", "Confusions"):
        assert page.text("h4").count(title) == 2
    rule = "the probability that the target's judge gives to the source's true class"
    assert sum(rule in one for one in page.text("p")) == 4
    # Every figure is there.
    cells = " ".join(page.text("td"))
    for figure in found.figures:
        assert figure.name.replace("_", " ") in cells
        assert page_module._figure(figure.value) in cells
    assert page.count("table", class_="confusion") == 2
    # z' is drawn twice, by class and by model, with a mark an item, and with a key of each.
    assert page.count("svg", role="img") == 2
    assert page.count("polygon") + page.count("circle") == 2 * 2 * 80 + 2
    assert [text for text in page.text("li") if text in NAMES] == list(NAMES)
    # Both directions have 3 grids of 10 columns and a path of 9 steps a class, each an image above another.
    assert page.count("img") == 2 * 2 * (3 * 10 + 9 * CLASSES)
    assert all(attributes["alt"] for tag, attributes in page.elements if tag == "img")


def test_best_and_worst_follow_their_rule(zoo, bridge):
    workbench = bridge_workbench(bridge, zoo=zoo, protocol=PROTOCOL)
    direction = workbench.direction(A, B)
    worth, read = direction.target.belief(
        bridge.translate(direction.items.latents, source=A, target=B), direction.classes
    )
    found = exhibit(bridge, A, B, workbench, columns=5)
    best, worst = found.grids[1], found.grids[2]
    order = worth.argsort(descending=True)
    assert len(best.columns) == len(worst.columns) == 5
    for grid, index in ((best, order[:5]), (worst, order.flip(0)[:5])):
        for column, row in zip(grid.columns, index.tolist(), strict=True):
            name = NAMES[int(direction.classes[row])]
            wrong = int(read[row]) != int(direction.classes[row])
            assert column.caption == (f"{name} → {NAMES[int(read[row])]}" if wrong else name)
            assert column.misread == wrong
    counts = [[count for count, _ in cells] for _, cells in found.confusion.rows]
    assert sum(map(sum, counts)) == 80
    right = sum(counts[label][label] for label in range(CLASSES))
    assert right == int((read == direction.classes).sum())
    # Typical ones: the classes in turn.
    assert [column.caption.split(" →")[0] for column in found.grids[0].columns] == [*NAMES, NAMES[0]]


def test_a_report_that_would_be_too_large_shows_less(zoo, bridge, tmp_path, monkeypatch):
    workbench = bridge_workbench(bridge, zoo=zoo, protocol=PROTOCOL)
    found = evaluate_bridge(bridge, name="local:x", zoo=zoo, workbench=workbench)
    path = tmp_path / "report.html"
    write_bridge_report(path, bridge, found, workbench)
    whole = path.stat().st_size
    monkeypatch.setattr(page_module, "LIMIT", whole)
    write_bridge_report(path, bridge, found, workbench)
    assert path.stat().st_size < whole
    before = path.read_bytes()
    monkeypatch.setattr(page_module, "LIMIT", 1000)
    with pytest.raises(LtzooError, match="10 MB is the limit"):
        write_bridge_report(path, bridge, found, workbench)
    assert path.read_bytes() == before


# Benches


@pytest.fixture
def bench(zoo, tmp_path):
    runner = BenchRunner(
        [make_spec(id, loader="evaluation_plugin:load") for id in (A, B)],
        {id: make_latents(id) for id in (A, B)},
        WorkFolder(tmp_path / "work"),
        recipes=[tiny_recipe(paired_base="none", pair_weight=0.0)],
        protocol=PROTOCOL,
        zoo=zoo,
    )
    return runner.run(), runner


def test_the_report_of_a_bench(bench, tmp_path):
    found, runner = bench
    path = tmp_path / "bench.html"
    write_bench_report(path, found, runner)
    text = path.read_text("utf-8")
    page = Page(text)
    check_self_contained(page)
    assert len(text) < 10_000_000
    assert page.text("summary") == [way.name for way in found.ways]
    assert page.count("details") == 1 + len(REFERENCES)
    assert page.count("tr", class_="why") == len(found.ranking.standings)
    assert any("Accuracy alone ranks nothing" in one for one in page.text("p"))
    assert any("Has by construction, so not counted" in one for one in page.text("td"))
    # Three charts a direction, and of the bridge alone a loss curve and two views of z'.
    assert page.count("svg", role="img") == 2 * 3 + 3
    assert page.count("polyline") > 2
    labels = [text for tag, text in page.texts if tag == "text"]
    for way in found.ways:
        assert labels.count(way.name) == 2 * 3


def test_the_front_holds_what_nothing_beats(bench):
    found, _ = bench
    one = pareto(found, A, B)
    assert len(one.charts) == 3
    best = max(found.ways, key=lambda way: way.direction(A, B).value("neighbourhood_overlap"))
    assert best.name in one.front
    assert sorted(one.front + one.behind) == sorted(way.name for way in found.ways)


# Parts


def test_sounds_can_be_played_and_seen():
    data = DataSpec(modality="audio", shape=(1, 4000), sample_rate=8000)
    sound = torch.sin(torch.arange(4000) / 5)[None, None]
    picture = pictures_of(sound, data, ["a tone"])[0]
    assert picture.sound.startswith("data:audio/wav;base64,UklGR")
    assert picture.image.startswith("data:image/jpeg;base64,")
    assert pictures_of(sound, data, ["a tone"], sounds=False)[0].sound == ""


def test_long_sounds_are_cut_and_large_images_reduced():
    data = DataSpec(modality="audio", shape=(1, None), sample_rate=1000)
    short, long = (pictures_of(torch.zeros(1, 1, n), data, ["x"])[0].sound for n in (4000, 60_000))
    assert short == long
    data = DataSpec(modality="image", shape=(3, None, None))
    noise = torch.rand(1, 3, 1024, 512, generator=torch.Generator().manual_seed(0))
    assert len(pictures_of(noise, data, ["x"])[0].image) < 50_000


def test_texts_and_small_images():
    picture = pictures_of(["a <b>" * 100], DataSpec(modality="text"), ["x"])[0]
    assert picture.image == ""
    assert len(picture.text) == 200
    picture = pictures_of(torch.rand(1, 1, 28, 28), DataSpec(modality="image", shape=(1, 28, 28)), ["x"])[0]
    assert picture.pixelated
    assert picture.image.startswith("data:image/png")


def test_charts_are_well_formed_and_stay_inside():
    chart = Chart(
        "a < b & c",
        "x <",
        "y",
        marks=[Mark(x, 10.0**x, title="<&>", label="1") for x in range(5)],
        lines=[Line([(0, 1), (4, 10_000)], "line")],
        log_y=True,
    )
    root = ElementTree.fromstring(chart.svg().markup)
    for circle in root.iter("circle"):
        assert 0 < float(circle.get("cx")) < chart.width
        assert 0 < float(circle.get("cy")) < chart.height
    numbers = [text.text for text in root.iter("text")]
    assert "100" in numbers
    assert "10000" in numbers or "1e+04" in numbers


def test_axes_of_any_range_have_a_few_numbers():
    for low, high in ((1e-17, 10), (0.01, 30), (0.9, 40), (2, 3), (5, 5)):
        for log in (False, True):
            chart = Chart("t", "x", "y", marks=[Mark(low, 1), Mark(high, 2)], log_x=log)
            root = ElementTree.fromstring(chart.svg().markup)
            numbers = [text for text in root.iter("text") if text.get("y") == str(chart.height - 29)]
            assert 1 <= len(numbers) <= 10, (low, high, log)


def test_a_chart_of_one_point_and_one_of_none():
    for marks in ([Mark(3, 3)], []):
        assert "svg" in Chart("t", "x", "y", marks=marks).svg().markup


def test_labels_of_a_chart_cover_nothing():
    rng = torch.Generator().manual_seed(0)
    for _ in range(20):
        points = [(x, y) for x, y in (torch.rand(6, 2, generator=rng) * 240 + 60).tolist()]
        # Three in one place, which nothing can be written beside at once.
        points += [points[0]] * 2
        labels = ["nearest-retrieval"] * len(points)
        boxes = place_labels(points, labels, radius=5, inside=Box(0, 360, 0, 360))
        dots = [Box(x - 5, x + 5, y - 5, y + 5) for x, y in points]
        for index, box in enumerate(boxes):
            assert sum(box.overlap(other) for other in [*dots, *boxes[:index]]) < 0.05 * box.area
            assert box.overlap(Box(0, 360, 0, 360)) > 0.95 * box.area
            assert math.dist(box.nearest(*points[index]), points[index]) < 60


def test_classes_are_called_what_each_model_calls_them():
    labels = LabelMap(
        origin="given",
        classes=("zero", "one"),
        models={A: {"0": "zero", "1": "one"}, B: {"bag": "zero", "shoe": "one", "boot": "one", "x": "one"}},
    )
    assert labels_of(labels, A) == ["0", "1"]
    assert labels_of(labels, B) == ["bag", "one"]
    assert class_names(labels, (A, B)) == ["0 = bag", "1 = one"]
    assert class_names(LABELS, (A, B)) == list(NAMES)
    assert class_names(LabelMap(origin="none"), (A, B)) == []


def test_figures_have_the_decimals_of_what_they_stand_beside():
    figures = [page_module._figure(value) for value in (0.12345, 1.2345, -12.345, 123.45, None)]
    assert figures == ["0.123", "1.23", "-12.3", "123", "–"]
    assert page_module._figure(0.12345, 12.3) == "0.1"


def test_colours_differ():
    for count in (4, 10, 27):
        assert len({colour(index, count) for index in range(count)}) == count


# The commands


def test_eval_writes_the_report(zoo, bridge, ltzoo, tmp_path, monkeypatch):
    few = functools.partial(Protocol, paths=6, draws=20, frechet_draws=10)
    monkeypatch.setattr("ltzoo.evaluation.protocol.Protocol", few)
    bridge.save_pretrained(tmp_path / "bridge")
    report = tmp_path / "report.html"
    code, out, err = ltzoo("eval", f"local:{tmp_path / 'bridge'}", "--items", "40", "--report", str(report))
    assert code == 0, err
    assert out.startswith("MEASURE")
    assert f"the report is {report}" in err
    check_self_contained(Page(report.read_text("utf-8")))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("report.pdf", "does not end in .html"),
        ("no/where.html", "cannot be written"),
        ("", "does not end in"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_at_once(zoo, ltzoo, name, message):
    code, out, err = ltzoo("bench", A, B, "--report", name)
    assert (code, out) == (2, "")
    assert message in err


# In a browser


def check_layout(path: Path) -> dict[str, Any]:
    """Nothing is broken, hidden or written over something else; gives what the probe saw."""
    seen = probe(path)
    assert seen["broken"] == 0
    assert seen["outside"] == seen["overlaps"] == seen["spilt"] == []
    assert seen["wide"] <= 0
    return seen


def check_shown(path: Path) -> Page:
    """The browser has nothing to complain of, and asks for nothing."""
    shown = show(path)
    assert shown.complaints == shown.requests == []
    return Page(shown.dom)


@pytest.mark.slow
@needs_chromium
def test_a_browser_shows_the_report_of_a_bench(bench, tmp_path):
    found, runner = bench
    path = tmp_path / "bench.html"
    write_bench_report(path, found, runner)
    page = check_shown(path)
    assert page.text("title")[0].startswith("Bench: ")
    assert page.count("svg", role="img") == 9
    assert check_layout(path)["images"] == page.count("img")


@pytest.mark.slow
@needs_chromium
def test_a_browser_shows_the_report_of_a_bridge_and_plays_its_sounds(tmp_path):
    specs = [make_spec(A), make_spec(B, data=DataSpec(modality="audio", shape=(1, 800), sample_rate=8000))]
    bed = Workbench(LABELS, PROTOCOL)
    for spec, model, judge in zip(specs, (Plain, Tones), (NearestCentre(), TonesJudge()), strict=True):
        latents = make_latents(spec.id, fingerprint=spec.fingerprint, keys_of=None)
        bed.add(spec, model(spec), latents, judge=judge, judge_labels=NAMES)
    sets = [bed.side(id).latents for id in (A, B)]
    bridge, _ = train_bridge(sets, models=specs, recipe=tiny_recipe())
    results = tuple(evaluate(bridge, *pair, bed) for pair in ((A, B), (B, A)))
    found = Evaluation(
        bridge="local:x",
        models=(A, B),
        protocol=PROTOCOL,
        directions=results,
        ltzoo="0",
        torch="0",
        seconds=0,
    )
    path = tmp_path / "bridge.html"
    write_bridge_report(path, bridge, found, bed)
    page = check_shown(path)
    assert page.count("audio") == 2 * 3 * 10
    seen = check_layout(path)
    assert seen["played"] == [pytest.approx(0.1)] * 60


class Tones(Plain):
    """A model of sounds: the latent, and then a tone."""

    def decode(self, z):
        tone = torch.sin(torch.arange(800 - z.shape[1]) / 3).expand(len(z), -1)
        return torch.cat([z / 50, 0.5 * tone], dim=1)[:, None]


class TonesJudge(NearestCentre):
    def logits(self, x):
        return super().logits(self.features(x))

    def features(self, x):
        return 50 * x[:, 0, :DIMS]


@pytest.mark.slow
@needs_chromium
def test_the_checks_in_the_browser_can_fail(tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(
        "<!DOCTYPE html><body><img src='none.png'><img src='http://127.0.0.1:9/x.png'><audio src='data:,'></audio>"
        "<svg role='img' width='90' height='30'><text x='5' y='20'>one</text><text x='9' y='20'>other</text>"
        "<text x='70' y='20'>outside</text></svg><p style='width: 3000px'>wide</p>"
        "<script>console.error('x'); undefinedName()</script></body>"
    )
    shown = show(path)
    assert len(shown.complaints) >= 2
    assert shown.requests == ["http://127.0.0.1:9/x.png"]
    seen = probe(path)
    assert (seen["broken"], seen["outside"], seen["overlaps"]) == (2, ["outside"], [["one", "other"]])
    assert seen["wide"] > 1000
    assert "Error" in seen["played"][0]
