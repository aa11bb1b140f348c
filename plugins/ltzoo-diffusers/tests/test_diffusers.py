"""Autoencoders of diffusers by reference: their scale, their sizes, and every way in which a reference can be wrong."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from family_checks import change_weights, check_refused, contents, pictures, save_pictures
from PIL import Image
from safetensors.torch import load_file, save_file
from testhub import forbid_connections
from tiny_autoencoders import TINY, save_tiny

from ltzoo.errors import IntegrityError
from ltzoo.latents import LatentSet
from ltzoo.zoo import get_model, load_model
from ltzoo_diffusers import adapter
from ltzoo_diffusers.config import KINDS, read_config

pytestmark = pytest.mark.usefixtures("one_thread")

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a checkpoint of that name."""
    root = tmp_path_factory.mktemp("tiny")

    def folder(name: str) -> Path:
        if not (root / name).exists():
            save_tiny(name, root / name)
        return root / name

    return folder


def size_of(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


# What the adapter does to what the network gives


@pytest.mark.parametrize(
    ("name", "scaled"),
    [
        ("kl", lambda raw: (raw - 0.25) * 0.5),
        (
            "kl-statistics",
            lambda raw: (
                (raw - torch.tensor([0.5, -1, 0, 2]).view(1, -1, 1, 1))
                * 0.5
                / torch.tensor([2, 0.5, 1, 3]).view(1, -1, 1, 1)
            ),
        ),
        ("dc", lambda raw: raw * 0.41407),
        ("tiny", lambda raw: raw),
        ("vq", lambda raw: raw * 0.18215),
        ("asymmetric", lambda raw: raw * 0.18215),
    ],
)
def test_the_scale_is_that_of_the_pipelines(name, scaled, tiny, tmp_path):
    """As the pipelines of diffusers scale what ``encode`` gives, each in code of its own."""
    network = save_tiny(name, tmp_path / name)
    model = load_model(f"diffusers:local:{tmp_path / name}")
    x = pictures(2, 16, 24)
    with torch.no_grad():
        output = network.encode(x * 2 - 1)
        raw = next(
            getattr(output, field) for field in ("latent_dist", "latents", "latent") if hasattr(output, field)
        )
        raw = raw.mean if name in ("kl", "kl-statistics", "asymmetric") else raw
        z = model.encode(x)
        torch.testing.assert_close(z, scaled(raw))
        expected = network.decode(raw).sample
        torch.testing.assert_close(model.decode(z), (expected / 2 + 0.5).clamp(0, 1))


def test_a_config_that_says_nothing_has_its_class_s_scale():
    config = read_config({"_class_name": "AutoencoderKL", "block_out_channels": [8, 8]}, "x")
    assert (config.mean, config.std, config.stride) == ((0.0,), (1 / 0.18215,), 2)


def test_the_posterior_is_scaled_with_the_mean(tmp_path):
    network = save_tiny("kl", tmp_path / "kl")
    x = pictures(1, 16, 16)
    _, std = load_model(f"diffusers:local:{tmp_path / 'kl'}").posterior(x)
    with torch.no_grad():
        torch.testing.assert_close(std, network.encode(x * 2 - 1).latent_dist.std * 0.5)


@pytest.mark.parametrize("name", ["tiny", "kl"])
def test_large_images_go_through_in_pieces(name, tiny, monkeypatch):
    """Convolutions alone give the same; what normalises over the image, with random weights, something like it."""
    model = load_model(f"diffusers:local:{tiny(name)}")
    x = pictures(2, 200, 312)
    with torch.no_grad():
        whole = model.encode(x)
        back = model.decode(whole)
        monkeypatch.setattr(adapter, "LARGEST", 1)
        model.tiling = adapter.Tiling(tile=32, overlap=16, halo=6)
        pieces = model.encode(x)
        assert pieces.shape == whole.shape
        # Of the latents' spread, and of 255 grey levels.
        latents, levels = (1e-5, 1e-3) if name == "tiny" else (0.3, 12)
        assert (pieces - whole).abs().mean() < latents * whole.std()
        assert (model.decode(whole) - back).abs().mean() < levels / 255


def test_many_images_are_not_held_at_once(tiny, monkeypatch):
    model = load_model(f"diffusers:local:{tiny('tiny')}")
    x = pictures(7, 16, 16)
    z = model.encode(x)
    sizes = []
    encode = model.network.encode
    monkeypatch.setattr(model.network, "encode", lambda x: sizes.append(len(x)) or encode(x))
    monkeypatch.setattr(adapter, "LARGEST", 3 * 16 * 16)
    torch.testing.assert_close(model.encode(x), z)
    assert sizes == [3, 3, 1]


# From folder and Hub, through all commands


@pytest.mark.parametrize("place", ["folder", "hub"])
def test_show_encode_decode_train_translate(place, ltzoo, tiny, hub, hub_environment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("tiny", "asymmetric")
    if place == "hub":
        commits = [
            hub.add("org/tiny", {**contents(tiny("tiny")), "README.md": b"---\nlicense: mit\n---\n"}),
            hub.add("org/pipeline", contents(tiny("asymmetric"), "vae/"), tags=["v1"]),
        ]
        typed = ["diffusers:org/tiny", "diffusers:org/pipeline@v1#vae"]
        pinned = [f"diffusers:org/tiny@{commits[0]}", f"diffusers:org/pipeline@{commits[1]}#vae"]
    else:
        typed = pinned = [f"diffusers:local:{tiny(name)}" for name in names]
    code, out, err = ltzoo("models", "show", typed[0], "--json")
    assert code == 0, err
    model = json.loads(out)["model"]
    assert model["id"] == pinned[0]
    assert model["latent"]["shape"] == [4, None, None]
    assert len(model["source"]["files"]) == 2
    if place == "hub":
        assert f"{typed[0]} is {pinned[0]}" in err
        assert model["license"] == "MIT"
        # A spec costs no weights.
        assert not hub.bytes_sent("org/tiny", WEIGHTS)
    assert "padded to multiples of 4" in ltzoo("models", "show", typed[0])[1]

    save_pictures(tmp_path / "photos", 24, height=16, width=24)
    for ref, name in zip(typed, names, strict=True):
        code, _, err = ltzoo("encode", ref, "photos", "-o", f"{name}.safetensors")
        assert code == 0, err
    found = LatentSet.load("tiny.safetensors")
    assert (found.model, found.latent_shape) == (pinned[0], (4, 4, 6))
    code, out, err = ltzoo("decode", typed[0], "tiny.safetensors", "--rows", "0-1", "-o", "back")
    assert code == 0, err
    assert size_of("back/000000.png") == (24, 16)

    data = [f"--data={ref}={name}.safetensors" for ref, name in zip(typed, names, strict=True)]
    code, out, err = ltzoo("train", *typed, *data, "--recipe", "ridge")
    assert code == 0, err
    bridge = out.strip()
    assert bridge == ("diffusers-org-tiny--diffusers-org-pipeline-vae" if place == "hub" else bridge)
    save_pictures(tmp_path / "odd", 1, height=37, width=50)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection was opened"))
    refs = pinned if place == "hub" else typed
    code, out, err = ltzoo(
        *("translate", "odd/00.png", "--from", refs[0], "--to", refs[1]),
        *("--bridge", f"local:{bridge}", "-o", "odd.png"),
    )
    assert code == 0, err
    assert "50 x 37 RGB -> 50 x 37 RGB, padded to 52 x 40" in err
    assert size_of("odd.png") == (50, 37)


def test_offline_all_is_found_again(ltzoo, tiny, hub, hub_environment, tmp_path):
    sha = hub.add("org/tiny", contents(tiny("tiny")))
    save_pictures(tmp_path / "photos", 2)
    target = str(tmp_path / "z.safetensors")
    assert ltzoo("encode", "diffusers:org/tiny", str(tmp_path / "photos"), "-o", target)[0] == 0
    for ref in ("diffusers:org/tiny", f"diffusers:org/tiny@{sha}"):
        done = hub_environment.ltzoo(
            *("encode", ref, tmp_path / "photos", "-o", target, "--offline"), guard=True
        )
        assert done.returncode == 0, done.stderr
    code, _, err = ltzoo("models", "show", "diffusers:org/other", "--offline")
    assert (code, err.count("\n")) == (4, 1)
    assert "org/other" in err


def test_weights_are_fetched_beforehand(ltzoo, tiny, hub, hub_environment):
    sha = hub.add("org/tiny", contents(tiny("tiny")))
    code, out, err = ltzoo("download", "diffusers:org/tiny", "--json")
    assert code == 0, err
    [found] = json.loads(out)["downloads"]
    assert (found["kind"], found["reference"]) == ("model", f"diffusers:org/tiny@{sha}")
    with forbid_connections():
        load_model(f"diffusers:org/tiny@{sha}")


def test_listing_stays_light():
    code = "from ltzoo.cli.main import run; import sys; run(['models', '-q']); run(['plugins', '--json']); "
    check = f"{code} assert not {{'torch', 'diffusers', 'transformers', 'numpy', 'huggingface_hub'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"diffusers"' in done.stdout


def test_a_tiny_image_is_padded(ltzoo, tiny, tmp_path):
    Image.new("RGB", (1, 1), (200, 30, 60)).save(tmp_path / "dot.png")
    code, _, err = ltzoo(
        *("encode", f"diffusers:local:{tiny('kl')}", str(tmp_path / "dot.png")),
        *("-o", str(tmp_path / "z.safetensors")),
    )
    assert code == 0
    assert "dot.png: 1 x 1 RGB -> 1 x 1 RGB, padded to 4 x 4" in err
    code, _, err = ltzoo(
        *("decode", f"diffusers:local:{tiny('kl')}", str(tmp_path / "z.safetensors")),
        *("-o", str(tmp_path / "back.png")),
    )
    assert code == 0, err
    assert size_of(str(tmp_path / "back.png")) == (1, 1)


def test_half_precision_and_parts_are_read(tiny, tmp_path):
    expected = load_model(f"diffusers:local:{tiny('kl')}").encode(pictures(1, 16, 16))
    half, parts = tmp_path / "half", tmp_path / "parts"
    for folder in (half, parts):
        folder.mkdir()
        (folder / "config.json").write_bytes((tiny("kl") / "config.json").read_bytes())
    weights = load_file(tiny("kl") / WEIGHTS)
    save_file(
        {name: tensor.half() for name, tensor in weights.items()},
        half / "diffusion_pytorch_model.fp16.safetensors",
        metadata={"format": "pt"},
    )
    names = sorted(weights)
    index = {}
    for number, some in enumerate((names[::2], names[1::2])):
        file = f"diffusion_pytorch_model-0000{number + 1}-of-00002.safetensors"
        save_file({name: weights[name] for name in some}, parts / file, metadata={"format": "pt"})
        index |= dict.fromkeys(some, file)
    (parts / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    for folder, tolerance in ((half, 1e-2), (parts, 1e-6)):
        model = load_model(f"diffusers:local:{folder}")
        torch.testing.assert_close(
            model.encode(pictures(1, 16, 16)), expected, atol=tolerance, rtol=tolerance
        )
        assert len(model.spec.source.files) == (2 if folder is half else 4)


# Wrong references


def lose_keys(weights: dict) -> None:
    for name in [name for name in weights if name.startswith("encoder.conv_in")]:
        del weights[name]


def widen(weights: dict) -> None:
    weights["encoder.conv_in.weight"] = torch.zeros(9, 3, 3, 3)


WRONG = {
    "a text model": ({"config.json": b'{"model_type": "bert", "architectures": ["BertModel"]}'}, 2, "transformers (bert)"),
    "another class": ({"config.json": b'{"_class_name": "UNet2DConditionModel"}'}, 2, "is a UNet2DConditionModel"),
    "no statistics": ({"config.json": b'{"_class_name": "AutoencoderKLWan"}'}, 5, "'latents_mean' and 'latents_std' are missing"),
    "patches of a video": ({"config.json": b'{"_class_name": "AutoencoderKLWan", "in_channels": 12, "out_channels": 12}'}, 2, "takes 12 channels and gives 12"),
    "two channels": ({"config.json": b'{"_class_name": "AutoencoderKL", "in_channels": 3, "out_channels": 2}'}, 2, "takes 3 channels and gives 2"),
    "a pipeline": ({"model_index.json": b"{}"}, 2, "is a whole pipeline, not an autoencoder; try: diffusers:"),
    "nothing": ({"README.md": b"# x"}, 2, "has no config.json"),
    "no object": ({"config.json": b"[]"}, 5, "config.json holds no JSON object"),
    "broken JSON": ({"config.json": b"{"}, 5, "config.json cannot be read as JSON"),
    "a pickle": (
        {"config.json": b'{"_class_name": "AutoencoderTiny"}', "diffusion_pytorch_model.bin": b"x"},
        5,
        "only as a pickle (diffusion_pytorch_model.bin)",
    ),
    "no weights": ({"config.json": b'{"_class_name": "AutoencoderTiny"}'}, 1, f"has no {WEIGHTS}"),
    "senseless channels": ({"config.json": b'{"_class_name": "AutoencoderKL", "latent_channels": -1}'}, 5, "'latent_channels'"),
    "senseless levels": ({"config.json": b'{"_class_name": "AutoencoderKL", "block_out_channels": 3}'}, 5, "'block_out_channels'"),
    "senseless scale": ({"config.json": b'{"_class_name": "AutoencoderKL", "scaling_factor": NaN}'}, 5, "'scaling_factor'"),
    "senseless statistics": (
        {"config.json": b'{"_class_name": "AutoencoderKL", "latents_mean": [0], "latents_std": [0]}'},
        5,
        "'latents_mean' must be a list of 4 numbers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("place", ["folder", "hub"])
def test_wrong_references_end_in_one_line(case, place, ltzoo, hub, hub_environment, tmp_path):
    files, *expected = WRONG[case]
    check_refused(ltzoo, "diffusers", place, files, hub, tmp_path, expected)


def test_no_such_repository_or_folder_ends_in_one_line(ltzoo, hub, hub_environment, tmp_path):
    for ref, expected, message in (
        ("diffusers:org/nothing", 1, "no such repository, or a private one"),
        (f"diffusers:local:{tmp_path}/nothing", 2, "is no folder"),
        ("diffusers:nothing", 2, "is not a reference to a repository or a folder"),
        ("diffusers:org/repo#../x", 2, "is not a reference to a repository or a folder"),
    ):
        code, _, err = ltzoo("models", "show", ref)
        assert (code, err.count("\n")) == (expected, 1), err
        assert message in err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lose_keys,
            "its weights lack 2 tensors that its config.json asks for, among them encoder.conv_in.bias",
        ),
        (widen, "its weights and its config.json do not go together"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, message, ltzoo, tmp_path):
    save_tiny("kl", tmp_path / "kl")
    change_weights(tmp_path / "kl" / WEIGHTS, change)
    save_pictures(tmp_path / "photos", 1)
    code, _, err = ltzoo(
        *("encode", f"diffusers:local:{tmp_path / 'kl'}", str(tmp_path / "photos")),
        *("-o", str(tmp_path / "z.safetensors")),
    )
    assert code == 5, err
    assert message in err
    assert err.count("ltzoo: error") == 1
    assert not (tmp_path / "z.safetensors").exists()


def test_weights_that_changed_since_are_refused(tmp_path):
    save_tiny("tiny", tmp_path / "tiny")
    spec = get_model(f"diffusers:local:{tmp_path / 'tiny'}")
    change_weights(tmp_path / "tiny" / WEIGHTS, lambda weights: weights.update(new=torch.zeros(1)))
    with pytest.raises(IntegrityError, match="not the expected"):
        load_model(spec)
    assert get_model(spec.id).fingerprint != spec.fingerprint


def test_a_class_that_diffusers_lacks_is_said(tmp_path, monkeypatch):
    save_tiny("tiny", tmp_path / "tiny")
    config = json.loads((tmp_path / "tiny" / "config.json").read_text())
    monkeypatch.setitem(KINDS, "AutoencoderOfTomorrow", KINDS["AutoencoderTiny"])
    config["_class_name"] = "AutoencoderOfTomorrow"
    (tmp_path / "tiny" / "config.json").write_text(json.dumps(config))
    with pytest.raises(IntegrityError, match="which diffusers .* does not have"):
        load_model(f"diffusers:local:{tmp_path / 'tiny'}")


def test_every_known_class_is_tried():
    assert {name for name, _ in TINY.values()} == set(KINDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import diffusers

        assert all(hasattr(diffusers, name) for name in KINDS)


def test_what_a_config_leaves_out_is_as_in_the_library():
    """The defaults of the classes' own constructors: where one changes there, it must here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import diffusers

        for name, kind in KINDS.items():
            parameters = inspect.signature(getattr(diffusers, name).__init__).parameters
            for entry, value in kind.defaults.items():
                # The one that takes images through its middle: in the library it is called otherwise.
                entry = "input_channels" if entry == "in_channels" and entry not in parameters else entry
                found = parameters[entry].default
                assert (list(found) if isinstance(found, tuple) else found) == value, (name, entry)
            for entry in ("scaling_factor", "shift_factor"):
                if entry in parameters and parameters[entry].default is not inspect.Parameter.empty:
                    usual = {"scaling_factor": 1.0, "shift_factor": 0.0}[entry]
                    assert (parameters[entry].default or usual) == kind.defaults.get(entry, usual), (
                        name,
                        entry,
                    )


def test_rows_of_an_array_are_images_too(tiny, ltzoo, tmp_path):
    np.save(tmp_path / "x.npy", (pictures(3, 16, 20) * 255).round().byte().numpy())
    code, _, err = ltzoo(
        *("encode", f"diffusers:local:{tiny('vq')}", str(tmp_path / "x.npy"), "-o", str(tmp_path / "z.st"))
    )
    assert code == 0, err
    assert LatentSet.load(tmp_path / "z.st").latent_shape == (3, 4, 5)
