"""The commands that handle data, end to end on the toy models: encode, train, translate, decode, sample."""

from __future__ import annotations

import io
import json
import os
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from toy_plugin import toy_zoo

from ltzoo.latents import LatentSet
from ltzoo.zoo import set_default_zoo

QUICK = (
    "--set",
    "steps=20",
    "--set",
    "batch=16",
    "--set",
    "width=16",
    "--set",
    "layers=1",
    "--set",
    "shared_dim=4",
)


def picture(seed: int, *, light: bool) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 100, (8, 8), dtype=np.uint8) + (150 if light else 0)
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A labelled folder of images, latents of it under two models, and a bridge trained on them."""
    from ltzoo.cli.main import run

    folder = tmp_path_factory.mktemp("work")
    for label in ("dark", "light"):
        (folder / "images" / label).mkdir(parents=True)
        for i in range(40):
            picture(i, light=label == "light").save(folder / "images" / label / f"{i:02d}.png")
    set_default_zoo(toy_zoo())
    for name in ("a", "b"):
        assert (
            run(["encode", f"toy/{name}", str(folder / "images"), "-o", str(folder / f"{name}.safetensors")])
            == 0
        )
    data = [part for name in ("a", "b") for part in ("--data", f"toy/{name}={folder}/{name}.safetensors")]
    assert run(["train", "toy/a", "toy/b", "-o", str(folder / "bridge"), *data, *QUICK]) == 0
    set_default_zoo(None)
    return folder


@pytest.fixture(autouse=True)
def zoo(workspace, monkeypatch, tmp_path):
    set_default_zoo(toy_zoo())
    monkeypatch.chdir(tmp_path)


def translate(workspace, *arguments: str) -> list[str]:
    return [
        "translate",
        *arguments,
        "--from",
        "toy/a",
        "--to",
        "toy/b",
        "--bridge",
        f"local:{workspace}/bridge",
    ]


def test_encode_labels_a_folder_by_its_folders(workspace):
    latents = LatentSet.load(workspace / "a.safetensors", model=toy_zoo().get_model("toy/a"))
    assert len(latents) == 80
    assert latents.label_names == ("dark", "light")
    assert latents.labels is not None
    assert latents.labels.tolist() == [0] * 40 + [1] * 40


def test_encode_says_what_it_did_as_json(ltzoo, workspace, tmp_path):
    code, out, _ = ltzoo(
        "encode", "toy/a", str(workspace / "images"), "-o", str(tmp_path / "z.safetensors"), "--json"
    )
    assert code == 0
    assert json.loads(out) == {
        "schema": "ltzoo/encode/1",
        "model": "toy/a",
        "items": 80,
        "latent": "64",
        "fields": ["keys", "labels"],
        "output": str(tmp_path / "z.safetensors"),
    }


def test_train_leaves_a_bridge_and_no_checkpoint(workspace):
    names = {path.name for path in workspace.iterdir()}
    assert names == {"images", "a.safetensors", "b.safetensors", "bridge"}
    assert {path.name for path in (workspace / "bridge").iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }


def test_train_refuses_to_replace_anything_unasked(ltzoo, workspace):
    data = ["--data", f"toy/a={workspace}/a.safetensors", "--data", f"toy/b={workspace}/b.safetensors"]
    code, _, err = ltzoo("train", "toy/a", "toy/b", "-o", str(workspace / "images"), *data, *QUICK)
    assert code == 2
    assert "exists already" in err
    # Not even then: it is no bridge.
    code, _, err = ltzoo(
        "train", "toy/a", "toy/b", "-o", str(workspace / "images"), "--overwrite", *data, *QUICK
    )
    assert code != 0
    assert len(list((workspace / "images").iterdir())) == 2


def test_a_dry_run_writes_nothing(ltzoo, workspace, tmp_path):
    data = ["--data", f"toy/a={workspace}/a.safetensors", "--data", f"toy/b={workspace}/b.safetensors"]
    code, out, _ = ltzoo("train", "toy/a", "toy/b", "-o", "x", *data, "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["recipe"]["name"] == "default"
    assert ltzoo("train", "toy/a", "toy/b", "-o", "x", *data, "--dry-run")[0] == 0
    assert not list(tmp_path.iterdir())


def test_the_trained_bridge_translates_one_file(ltzoo, workspace, tmp_path):
    picture(7, light=True).save("in.png")
    code, out, err = ltzoo(*translate(workspace, "in.png", "-o", "out.png"))
    assert (code, out, err) == (0, "out.png\n", "")
    with Image.open("out.png") as image:
        assert (image.size, image.mode) == ((8, 8), "L")
    first = (tmp_path / "out.png").read_bytes()
    assert ltzoo(*translate(workspace, "in.png", "-o", "again.png"))[0] == 0
    assert (tmp_path / "again.png").read_bytes() == first


def test_sampling_follows_its_seed(ltzoo, workspace, tmp_path):
    picture(99, light=True).save("in.png")
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert ltzoo(*translate(workspace, "in.png", "-o", f"{name}.png", "--sample", "--seed", seed))[0] == 0
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_inputs_unlike_the_training_data_are_told(ltzoo, workspace, tmp_path):
    """A chequered picture is neither dark nor light: the warning names it, JSON says how far it lies."""
    usual, odd = workspace / "images" / "dark" / "01.png", tmp_path / "odd.png"
    Image.fromarray((np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)).save(odd)
    options = ("--from", "toy/a", "--to", "toy/b", "--bridge", f"local:{workspace}/bridge")
    code, out, err = ltzoo("translate", str(usual), str(odd), *options, "-o", str(tmp_path / "out"), "--json")
    assert code == 0
    novelty = json.loads(out)["novelty"]
    assert novelty[0] < 0.99 < novelty[1] <= 1
    warnings = [line for line in err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert str(odd) in warnings[0]
    assert str(usual) not in warnings[0]


def test_several_files_go_to_a_folder_and_a_sheet(ltzoo, workspace, tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(3):
        picture(i, light=False).save(f"in/{i}.png")
    picture(7, light=False).save("1.png")
    inputs = ["in/0.png", "in/1.png", "1.png"]
    code, out, _ = ltzoo(*translate(workspace, *inputs, "-o", "out", "--sheet", "sheet.png"), "--json")
    document = json.loads(out)
    assert code == 0
    assert document["outputs"] == ["out/0.png", "out/1.png", "out/1-2.png", "sheet.png"]
    assert all((tmp_path / name).is_file() for name in document["outputs"])
    assert document["bridge"] == f"local:{workspace}/bridge"


def test_stdin_and_stdout(workspace, monkeypatch):
    buffer = io.BytesIO()
    picture(5, light=True).save(buffer, "PNG")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(buffer.getvalue())))
    from ltzoo.cli.main import run

    stdout = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stdout)
    assert run(translate(workspace, "-", "-o", "-")) == 0
    with Image.open(io.BytesIO(stdout.buffer.getvalue())) as image:  # type: ignore[attr-defined]
        assert image.size == (8, 8)


def test_decode_and_sample(ltzoo, workspace, tmp_path):
    latents = str(workspace / "a.safetensors")
    assert ltzoo("decode", "toy/a", latents, "--rows", "3-5", "-o", "out")[1].split() == [
        f"out/00000{i}.png" for i in (3, 4, 5)
    ]
    with Image.open("out/000003.png") as ours, Image.open(workspace / "images" / "dark" / "03.png") as theirs:
        assert np.abs(np.asarray(ours).astype(int) - np.asarray(theirs).astype(int)).max() <= 1
    assert ltzoo("decode", "toy/a", latents, "--rows", "80", "-o", "out")[0] == 2
    assert ltzoo("decode", "toy/a", latents, "--rows", "x", "-o", "out")[0] == 2
    code, _, err = ltzoo("decode", "toy/b", latents, "-o", "out2")
    assert code == 5
    assert "toy/b" in err
    for name in ("one", "two"):
        assert ltzoo("sample", "toy/a", "-n", "3", "--seed", "4", "-o", name)[0] == 0
    assert (tmp_path / "one/4-0001.png").read_bytes() == (tmp_path / "two/4-0001.png").read_bytes()
    assert ltzoo("sample", "toy/a", "-n", "3", "--sheet", "s.png", "--json")[0] == 0


# The bar: the documented exit code, one clear line, no traceback, no partial output.


@pytest.fixture
def inputs(tmp_path):
    picture(1, light=True).save("good.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("this is no picture\n")
    (tmp_path / "folder.png").mkdir()
    Image.new("RGB", (4000, 3000), "gray").save("photo.jpg")
    icon = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    icon.paste((255, 0, 0, 255), (16, 16, 48, 48))
    icon.save("icon.png")
    content = (tmp_path / "good.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty.png", "empty.png: is empty"),
        ("text.png", "text.png: is "),
        ("folder.png", "folder.png: is a folder"),
        ("missing.png", "missing.png: no such file"),
        ("truncated.png", "truncated.png: "),
    ],
)
def test_a_bad_input_is_one_line_and_no_output(ltzoo, workspace, inputs, tmp_path, name, message):
    before = sorted(tmp_path.iterdir())
    for arguments in (
        (name, "-o", "out.png"),
        ("good.png", name, "-o", "out"),
        (name, "--sheet", "sheet.png"),
    ):
        code, out, err = ltzoo(*translate(workspace, *arguments))
        assert (code, out) == (1, "")
        assert message in err
        assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["photo.jpg", "icon.png"])
def test_another_size_and_mode_is_converted_and_said(ltzoo, workspace, inputs, name):
    code, out, err = ltzoo(*translate(workspace, name, "-o", "out.png"))
    assert (code, out) == (0, "out.png\n")
    assert name in err
    assert "8 x 8" in err


@pytest.mark.parametrize("output", ["no/such/folder/out.png", "out.wav", "out", "locked/out.png"])
def test_an_unwritable_output_is_said_before_any_work(
    ltzoo, workspace, inputs, tmp_path, output, monkeypatch
):
    (tmp_path / "locked").mkdir(mode=0o500)
    if output.startswith("locked") and os.access(tmp_path / "locked", os.W_OK):
        # The superuser may write anywhere; a file where the folder should be stops even them.
        (tmp_path / "locked").rmdir()
        (tmp_path / "locked").write_text("")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr("ltzoo.zoo.Zoo.load_model", lambda *a, **k: pytest.fail("work was done"))
    code, out, err = ltzoo(*translate(workspace, "good.png", "-o", output))
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert output.split("/")[0] in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def third(workspace, tmp_path_factory):
    """Latents of a third model."""
    from ltzoo.cli.main import run

    path = tmp_path_factory.mktemp("third") / "mute.safetensors"
    set_default_zoo(toy_zoo())
    assert run(["encode", "toy/mute", str(workspace / "images"), "-o", str(path)]) == 0
    return path


def extend(workspace, third, *arguments: str) -> list[str]:
    data = {"toy/a": workspace / "a.safetensors", "toy/b": workspace / "b.safetensors", "toy/mute": third}
    given = [part for name, path in data.items() for part in ("--data", f"{name}={path}")]
    return ["bridges", "extend", f"local:{workspace}/bridge", "toy/mute", *given, *arguments]


def test_extend_adds_a_model_to_a_copy(ltzoo, workspace, third, tmp_path):
    before = {path.name: path.read_bytes() for path in (workspace / "bridge").iterdir()}
    code, out, err = ltzoo(*extend(workspace, third, "-o", "three"))
    assert (code, out) == (0, "three\n"), err
    assert "use it with --bridge local:three" in err
    assert {path.name: path.read_bytes() for path in (workspace / "bridge").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["three"]
    config = json.loads((tmp_path / "three" / "config.json").read_text())
    assert [end["spec"]["id"] for end in config["models"]] == ["toy/a", "toy/b", "toy/mute"]
    assert config["extended"][0]["command"].startswith("ltzoo")
    code, out, _ = ltzoo(*extend(workspace, third, "-o", "three", "--overwrite", "--json"))
    assert code == 0
    assert json.loads(out)["schema"] == "ltzoo/extend/1"
    assert json.loads(out)["report"]["steps"] == 10


def test_extend_keeps_half_precision_and_does_not_introduce_it(ltzoo, workspace, third, tmp_path):
    from safetensors.torch import load_file

    from ltzoo.bridge import Bridge

    Bridge.from_pretrained(workspace / "bridge").save_pretrained(tmp_path / "half", dtype=torch.float16)
    arguments = extend(workspace, third, "-o", "three")
    arguments[2] = "local:half"
    assert ltzoo(*arguments)[0] == 0
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("half", "three"))
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert {after[name].dtype for name in after if "frames" in name} == {torch.float16}
    code, _, err = ltzoo(*extend(workspace, third, "-o", "other", "--dtype", "float16"))
    assert code == 2
    assert "stored as float32" in err


def test_extend_refuses_before_it_trains(ltzoo, workspace, third, tmp_path):
    bridge = str(workspace / "bridge")
    for arguments, code, message in (
        (("-o", bridge, "--overwrite"), 2, "is the bridge itself"),
        (("-o", bridge), 2, "is the bridge itself"),
        (("-o", str(workspace / "images")), 2, "exists already"),
        (("-o", "x", "--data", "toy/deaf=y"), 2, "not MODEL=FILE"),
    ):
        found, _, err = ltzoo(*extend(workspace, third, *arguments))
        assert found == code
        assert message in err
    code, _, err = ltzoo("bridges", "extend", f"local:{bridge}", "toy/a")
    assert code == 2
    assert "joins toy/a already" in err
    assert list(tmp_path.iterdir()) == []


def test_extend_dry_run_writes_nothing(ltzoo, workspace, third, tmp_path):
    code, out, _ = ltzoo(*extend(workspace, third, "--dry-run", "--json"))
    assert code == 0
    plan = json.loads(out)
    assert plan["schema"] == "ltzoo/extend-plan/1"
    assert (plan["output"], plan["dtype"]) == ("toy-a--toy-b--toy-mute", "float32")
    assert list(tmp_path.iterdir()) == []


def test_extend_is_the_work_of_one_process(ltzoo, workspace, third, tmp_path, monkeypatch):
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    code, out, err = ltzoo(*extend(workspace, third, "-o", "three"))
    assert (code, out) == (2, "")
    assert "by one process" in err
    assert not list(tmp_path.iterdir())
