"""Reports: their structure, that nothing is fetched, and that a browser shows them without complaint."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import evaluation_plugin
import pytest
import torch
from bridge_samples import tiny_recipe
from evaluation_world import CLASSES, NAMES, A, B, make_latents, make_spec

from ltzoo.bridge import train_bridge
from ltzoo.errors import LtzooError
from ltzoo.evaluation import REFERENCES, BenchRunner, Protocol, evaluate_bridge
from ltzoo.evaluation.measuring import bridge_workbench
from ltzoo.evaluation.report import page, write_bench_report, write_bridge_report
from ltzoo.evaluation.report.charts import Chart, Line, Mark, colour
from ltzoo.evaluation.report.exhibits import exhibit
from ltzoo.evaluation.report.pictures import pictures_of
from ltzoo.evaluation.report.views import pareto
from ltzoo.evaluation.workfolder import WorkFolder
from ltzoo.spec import DataSpec
from ltzoo.zoo import set_default_zoo

PROTOCOL = Protocol(seeds=(0,), paths=6, draws=20, frechet_draws=10, items=80)
CHROMIUM = shutil.which("chromium")
VOID = {"meta", "link", "img", "br"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("ltzoo.evaluation.classifier.STEPS", 40)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
        assert f"{figure.value:.4g}" in cells
    assert page.count("table", class_="confusion") == 2
    assert page.count("svg", role="img") == 1
    # z' has a mark an item of each model, and a key of classes and models.
    assert page.count("polygon") + page.count("circle") == 2 * 80 + 2
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
    monkeypatch.setattr(page, "LIMIT", whole)
    write_bridge_report(path, bridge, found, workbench)
    assert path.stat().st_size < whole
    before = path.read_bytes()
    monkeypatch.setattr(page, "LIMIT", 1000)
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
        recipes=[tiny_recipe()],
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
    assert any("has by construction, so not counted" in one for one in page.text("td"))
    # Three charts a direction, and of the bridge alone a loss curve and a view of z'.
    assert page.count("svg", role="img") == 2 * 3 + 2
    assert page.count("polyline") > 2
    assert page.text("li").count("class-prototype") + page.text("li").count("class-prototype (hollow)") == 2


def test_the_front_holds_what_nothing_beats(bench):
    found, _ = bench
    one = pareto(found, A, B)
    assert len(one.charts) == 3
    on_front = {name for _, name, front in one.ways if front}
    assert on_front
    best = max(found.ways, key=lambda way: way.direction(A, B).value("neighbourhood_overlap"))
    assert best.name in on_front


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


def test_a_chart_of_one_point_and_one_of_none():
    for marks in ([Mark(3, 3)], []):
        assert "svg" in Chart("t", "x", "y", marks=marks).svg().markup


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


SOUND_PAGE = """
<script>
  const sounds = [...document.querySelectorAll("audio")];
  Promise.all(sounds.map(sound => { sound.muted = true; return sound.play(); }))
    .then(() => document.body.dataset.played = sounds.length)
    .catch(error => document.body.dataset.played = error);
</script>
</body>
"""


def in_browser(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    return subprocess.run(
        [
            CHROMIUM,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={path.parent / 'profile'}",
            "--enable-logging=stderr",
            "--autoplay-policy=no-user-gesture-required",
            *options,
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )


def complaints(stderr: str) -> list[str]:
    """What the page itself has caused; the rest is about the machine (D-Bus, GPU)."""
    return [line for line in stderr.splitlines() if re.search(r":CONSOLE|Refused to|net::ERR", line)]


needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium; install it: apt-get install chromium"
)


@pytest.mark.slow
@needs_chromium
def test_a_browser_shows_the_report(bench, tmp_path):
    found, runner = bench
    path = tmp_path / "bench.html"
    write_bench_report(path, found, runner)
    shown = in_browser(path)
    assert shown.returncode == 0, shown.stderr
    assert complaints(shown.stderr) == []
    page = Page(shown.stdout)
    assert page.text("title")[0].startswith("Bench: ")
    assert page.count("svg", role="img") == 8


@pytest.mark.slow
@needs_chromium
def test_a_browser_plays_the_sounds(tmp_path):
    from ltzoo.evaluation.report.exhibits import Column, Exhibit, Grid

    data = DataSpec(modality="audio", shape=(1, 4000), sample_rate=8000)
    pictures = pictures_of(torch.sin(torch.arange(8000) / 5).view(2, 1, 4000), data, ["one", "two"])
    one = Exhibit(A, B, grids=[Grid("Typical", "rule", [Column(*pictures, "one")])])
    template = "{% import 'parts.html' as parts %}{% extends 'base.html' %}{% block content %}{{ parts.exhibit(one, 3) }}{% endblock %}"
    text = page._environment().from_string(template).render(one=one)
    path = tmp_path / "sound.html"
    # The script is the test's own; the page forbids scripts.
    path.write_text(re.sub("<meta http-equiv[^>]*>", "", text).replace("</body>", SOUND_PAGE))
    shown = in_browser(path, "--virtual-time-budget=5000")
    assert 'data-played="2"' in shown.stdout, shown.stderr
    assert complaints(shown.stderr) == []


@pytest.mark.slow
@needs_chromium
def test_the_check_of_the_console_can_fail(tmp_path):
    path = tmp_path / "bad.html"
    path.write_text("<body><img src='none.png'><script>console.error('x'); undefinedName()</script></body>")
    assert complaints(in_browser(path).stderr)
