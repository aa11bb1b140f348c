"""Interpolation: where the points lie, and what ``ltzoo interpolate`` writes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from toy_plugin import spec, toy_zoo

from ltzoo.bridge import get_recipe, train_bridge
from ltzoo.errors import LatentsError, MediaError, UsageError
from ltzoo.evaluation.interpolation import interpolate, linear, slerp
from ltzoo.latents import LatentSet
from ltzoo.media import read_media, write_walk
from ltzoo.spec import DataSpec
from ltzoo.zoo import set_default_zoo

SOUND = DataSpec(modality="audio", shape=(1, 400), sample_rate=8000)
ENDS = torch.randn(2, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def bridge():
    models = [spec("a"), spec("b")]
    sets = [
        LatentSet(
            model=model.id,
            fingerprint=model.fingerprint,
            latents=torch.randn(64, 64, generator=torch.Generator().manual_seed(index)),
        )
        for index, model in enumerate(models)
    ]
    recipe = get_recipe("default", steps=10, batch=16, layers=1, width=16, shared_dim=4)
    return train_bridge(sets, models=models, recipe=recipe, labels="none")[0]


# Paths


def test_a_straight_line_has_even_steps():
    path = linear(torch.zeros(2, 3), torch.full((2, 3), 4.0), 5)
    assert path.shape == (5, 2, 3)
    assert path[:, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_an_arc_keeps_the_length_and_has_even_angles():
    path = slerp(torch.tensor([2.0, 0, 0]), torch.tensor([0, 2.0, 0]), 4)
    assert path.norm(dim=1).tolist() == pytest.approx([2.0] * 4)
    angles = torch.atan2(path[:, 1], path[:, 0]).tolist()
    assert angles == pytest.approx([0, math.pi / 6, math.pi / 3, math.pi / 2], abs=1e-6)


@pytest.mark.parametrize("method", [linear, slerp])
def test_paths_end_where_they_should(method):
    first, last = ENDS.view(2, 4, 16)
    path = method(first, last, 6)
    assert path.shape == (6, 4, 16)
    torch.testing.assert_close(path[0], first)
    torch.testing.assert_close(path[-1], last)


def test_an_arc_between_parallel_ends_is_a_line():
    first = torch.tensor([1.0, 1.0])
    torch.testing.assert_close(slerp(first, 3 * first, 3), linear(first, 3 * first, 3))


@pytest.mark.parametrize(("scale", "message"), [(-1.0, "opposite directions"), (0.0, "is zero")])
def test_where_no_arc_is_the_shortest_it_is_refused(scale, message):
    with pytest.raises(LatentsError, match=message) as caught:
        slerp(ENDS[0], scale * ENDS[0], 3)
    assert caught.value.hint == "use --method linear"


def test_each_space_is_walked_evenly_where_it_says(bridge):
    def walk(space, method="linear"):
        return interpolate(ENDS, bridge, source="toy/a", target="toy/b", space=space, method=method, steps=5)

    ends = bridge.translate(ENDS, source="toy/a", target="toy/b")
    for space in ("source", "shared", "target"):
        for method in ("linear", "slerp"):
            path = walk(space, method)
            assert path.shape == (5, 64)
            torch.testing.assert_close(path[[0, -1]], ends)
    middle = bridge.translate(ENDS.mean(0, keepdim=True), source="toy/a", target="toy/b")[0]
    torch.testing.assert_close(walk("source")[2], middle)
    torch.testing.assert_close(walk("target")[2], ends.mean(0))
    shared = bridge.shared(ENDS, source="toy/a").mean(0, keepdim=True)
    torch.testing.assert_close(walk("shared")[2], bridge.decode_shared(shared, target="toy/b")[0])


def test_within_one_model_no_bridge_is_needed_but_for_the_shared_space():
    path = interpolate(ENDS, None, source="toy/a", target="toy/a", steps=3)
    torch.testing.assert_close(path[1], ENDS.mean(0))
    with pytest.raises(UsageError, match="without a bridge"):
        interpolate(ENDS, None, source="toy/a", target="toy/a", space="shared")
    with pytest.raises(UsageError, match="without a bridge"):
        interpolate(ENDS, None, source="toy/a", target="toy/b")


# Files


def test_a_sound_is_the_steps_with_silences_between(tmp_path):
    sounds = [torch.full((1, 400), level) for level in (0.25, 0.5, 0.75)]
    write_walk(tmp_path / "walk.wav", sounds, SOUND)
    samples, rate = soundfile.read(tmp_path / "walk.wav")
    gap = round(0.15 * 8000)
    assert rate == 8000
    assert len(samples) == 3 * 400 + 2 * gap
    for index, level in enumerate((0.25, 0.5, 0.75)):
        start = index * (400 + gap)
        assert samples[start : start + 400] == pytest.approx(level, abs=1e-3)
    assert not samples[400 : 400 + gap].any()


def test_sounds_as_strip_and_animation(tmp_path):
    sounds = [torch.sin(torch.arange(400) * 0.1 * (index + 1))[None] for index in range(3)]
    write_walk(tmp_path / "walk.png", sounds, SOUND)
    with Image.open(tmp_path / "walk.png") as strip:
        assert strip.width > 3 * 100 > strip.height
    write_walk(tmp_path / "walk.gif", sounds, SOUND)
    with Image.open(tmp_path / "walk.gif") as animation:
        assert animation.n_frames == 4


def test_texts_as_a_strip(tmp_path):
    write_walk(tmp_path / "walk.png", ["one", "two"], DataSpec(modality="text"))
    assert (tmp_path / "walk.png").stat().st_size > 100


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("walk.wav", DataSpec(modality="image", shape=(1, 8, 8)), "cannot be strung together as .wav"),
        ("walk", SOUND, "without a suffix"),
        ("walk.npy", SOUND, "as .npy"),
        ("walk.png", DataSpec(modality="array"), "array cannot be shown"),
        ("none/walk.png", DataSpec(modality="image", shape=(1, 8, 8)), "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, data, message):
    with pytest.raises(MediaError, match=message):
        write_walk(tmp_path / name, [torch.zeros(1, 8, 8)], data)


def test_values_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(MediaError, match="NaN or infinite"):
        write_walk(tmp_path / "walk.wav", [torch.full((1, 400), float("nan"))], SOUND)
    assert list(tmp_path.iterdir()) == []


# The command


@pytest.fixture
def workspace(tmp_path, monkeypatch, bridge):
    """Two images and a bridge, in the folder that the command runs in."""
    set_default_zoo(toy_zoo())
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("first", "last"):
        Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(f"{name}.png")
    bridge.save_pretrained(tmp_path / "bridge")
    return tmp_path


WALK = ("interpolate", "first.png", "last.png", "--from", "toy/a")
ACROSS = (*WALK, "--to", "toy/b", "--bridge", "local:bridge")
WITHIN = (*WALK, "--to", "toy/a")


@pytest.mark.parametrize("space", ["source", "shared", "target"])
def test_a_strip(workspace, ltzoo, space):
    code, out, _ = ltzoo(*ACROSS, "--space", space, "--steps", "5", "-o", "strip.png")
    assert (code, out) == (0, "strip.png\n")
    with Image.open("strip.png") as strip:
        assert strip.width > 5 * 100 > strip.height


def test_an_animation_goes_there_and_back(workspace, ltzoo):
    code, _, _ = ltzoo(*WITHIN, "--steps", "4", "--method", "slerp", "-o", "walk.gif")
    assert code == 0
    with Image.open("walk.gif") as animation:
        assert animation.n_frames == 6
        assert animation.size == (224, 224)
        first = np.asarray(animation.convert("L").resize((8, 8), Image.Resampling.NEAREST), dtype=float)
    with Image.open("first.png") as image:
        assert np.abs(first - np.asarray(image, dtype=float)).mean() < 12  # a GIF's palette


def test_the_strip_shows_the_way(workspace, ltzoo):
    """Within an exact model the ends are the inputs, and the middle is their mean."""
    assert ltzoo(*WITHIN, "--steps", "3", "-o", "strip.png")[0] == 0
    with Image.open("strip.png") as strip:
        pixels = np.asarray(strip.convert("L"), dtype=float)
    cells = []
    for index in range(3):
        left = 4 + index * 116
        cells.append(pixels[-116:-4, left : left + 112][7::14, 7::14])
    data = spec("a").data
    inputs = [
        255 * read_media(f"{name}.png", data, model="toy/a")[0][0].numpy() for name in ("first", "last")
    ]
    assert np.abs(cells[0] - inputs[0]).max() < 2
    assert np.abs(cells[2] - inputs[1]).max() < 2
    assert np.abs(cells[1] - np.mean(inputs, axis=0)).max() < 2


def test_the_json(workspace, ltzoo):
    code, out, _ = ltzoo(*ACROSS, "-o", "strip.png", "--json")
    assert code == 0
    assert json.loads(out) == {
        "schema": "ltzoo/interpolate/1",
        "source": "toy/a",
        "target": "toy/b",
        "bridge": "local:bridge",
        "space": "source",
        "method": "linear",
        "steps": 8,
        "inputs": ["first.png", "last.png"],
        "output": "strip.png",
    }


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((*WITHIN, "--space", "shared", "-o", "x.png"), 2, "the shared space is a bridge's"),
        ((*WITHIN, "-o", "x.wav"), 1, "cannot be strung together as .wav"),
        ((*WITHIN, "-o", "none/x.png"), 1, "cannot be written"),
        ((*WITHIN, "--steps", "1", "-o", "x.png"), 2, "--steps"),
        ((*WALK, "--to", "toy/mute", "-o", "x.png"), 2, "toy/mute cannot decode"),
        ((*WALK, "--to", "toy/b", "-o", "x.png"), 2, "no published bridge"),
        (
            ("interpolate", "no.png", "last.png", "--from", "toy/a", "--to", "toy/a", "-o", "x.png"),
            1,
            "no.png",
        ),
    ],
)
def test_errors_leave_no_file(workspace, ltzoo, arguments, code, message):
    found, out, err = ltzoo(*arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert not list(workspace.glob("x.*"))
