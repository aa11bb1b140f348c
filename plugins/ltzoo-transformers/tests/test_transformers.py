"""Audio codecs and image encoders of transformers by reference: what they compute, long sounds, wrong references."""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from family_checks import change_weights, check_refused, contents, pictures, save_pictures
from PIL import Image
from tiny_taesd import save_tiny_taesd
from tiny_transformers import CODECS, CROPPED, ENCODERS, SQUARE, save_tiny_transformer

from ltzoo.errors import IntegrityError
from ltzoo.latents import LatentSet
from ltzoo.tiling import Tiling
from ltzoo.zoo import get_model, load_model
from ltzoo_transformers import config as configs
from ltzoo_transformers.encoders import prepare
from ltzoo_transformers.preprocessing import read_preprocessing

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a checkpoint of that name."""
    root = tmp_path_factory.mktemp("tiny")

    def folder(name: str) -> Path:
        if not (root / name).exists():
            save_tiny_transformer(name, root / name)
        return root / name

    return folder


def sound(n: int, channels: int, samples: int, seed: int = 0) -> torch.Tensor:
    """A few tones with a little noise, in -1..1."""
    rng = torch.Generator().manual_seed(seed)
    time = torch.arange(samples) / 400
    pitch = 2 + 40 * torch.rand(n, channels, 3, 1, generator=rng)
    tones = torch.sin(2 * torch.pi * pitch * time).sum(dim=2) / 4
    return (tones + 0.05 * torch.randn(n, channels, samples, generator=rng)).clamp(-1, 1)


# What codecs compute


def test_every_known_codec_is_tried():
    assert {cls for cls, *_ in CODECS.values()} == {codec.cls for codec in configs.CODECS.values()}
    saved = {"clip", "clip_vision_model", "siglip", "siglip_vision_model", "dinov2", "dinov2_with_registers"}
    assert saved == set(configs.ENCODERS)
    assert len(ENCODERS) == len(saved)


@pytest.mark.parametrize(
    ("name", "hop"),
    [
        ("Encodec", "hop_length"),
        ("Dac", "hop_length"),
        ("Mimi", "frame_size"),
        ("Xcodec", "hop_length"),
        ("WavTokenizer", "hop_length"),
        ("VibeVoiceAcousticTokenizer", "hop_length"),
        ("PocketTTSAudioTokenizer", "frame_size"),
    ],
)
@pytest.mark.parametrize("bare", [True, False])
def test_configs_are_read_as_the_library_reads_them(name, hop, bare):
    """Those of its classes' defaults, in full and with nothing but the kind: where one changes, it must here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

        config = getattr(transformers, f"{name}Config")()
    content = {"model_type": config.model_type} if bare else json.loads(config.to_json_string(use_diff=False))
    found = configs.read_config(content, "x")
    assert found.hop == getattr(config, hop)
    rate = getattr(config, "sampling_rate", None) or getattr(config, "sample_rate", 24_000)
    assert found.sample_rate == rate
    assert found.channels == (getattr(config, "latent_dim", None) or config.hidden_size)
    assert found.sound_channels == 1


@pytest.mark.parametrize(
    "name", ["CLIP", "CLIPVision", "Siglip", "SiglipVision", "Dinov2", "Dinov2WithRegisters"]
)
@pytest.mark.parametrize("bare", [True, False])
def test_configs_of_encoders_are_read_as_the_library_reads_them(name, bare):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

        config = getattr(transformers, f"{name}Config")()
    content = {"model_type": config.model_type} if bare else json.loads(config.to_json_string(use_diff=False))
    vision = getattr(config, "vision_config", config)
    expected = config.projection_dim if "CLIP" in name else vision.hidden_size
    assert configs.read_config(content, "x").dims == expected


@pytest.mark.parametrize("name", ["encodec", "dac", "mimi", "xcodec", "wavtokenizer"])
def test_quantised_it_gives_what_the_codec_gives(name, tmp_path):
    """Sound to codes and back, as transformers does it at full bandwidth."""
    network = save_tiny_transformer(name, tmp_path / name)
    model = load_model(f"transformers:local:{tmp_path / name}")
    x = sound(2, 1, 480)
    with torch.no_grad():
        if name == "encodec":
            codes = network.encode(x, bandwidth=network.config.target_bandwidths[-1])
            expected = network.decode(codes.audio_codes, codes.audio_scales).audio_values
        else:
            expected = network.decode(audio_codes=network.encode(x).audio_codes).audio_values
        expected = expected if expected.ndim == 3 else expected[:, None]
        z = model.encode(x)
        found = model.decode(z, quantised=True)
        torch.testing.assert_close(found[..., : expected.shape[2]], expected.clamp(-1, 1), atol=1e-5, rtol=0)
        assert not torch.equal(model.quantise(z), z)
        assert not torch.equal(model.decode(z), found)


@pytest.mark.parametrize("name", ["vibevoice", "pocket"])
def test_codecs_without_codes_keep_their_latents(name, tmp_path):
    network = save_tiny_transformer(name, tmp_path / name)
    model = load_model(f"transformers:local:{tmp_path / name}")
    x = sound(2, 1, 480)
    z = model.encode(x)
    with torch.no_grad():
        output = network.encode(x, **({"sample": False} if name == "vibevoice" else {}))
    torch.testing.assert_close(z.transpose(1, 2), output.latents)
    assert torch.equal(model.quantise(z), z)


def test_loudness_goes_through_the_latent(tiny):
    """A codec that scales every sound to one loudness gives back a quiet one quiet."""
    model = load_model(f"transformers:local:{tiny('encodec-stereo')}")
    x = sound(1, 2, 396)
    loud, quiet = model.encode(x), model.encode(x / 100)
    torch.testing.assert_close(loud[:, :-1], quiet[:, :-1], atol=1e-3, rtol=0)
    torch.testing.assert_close(loud[:, -1] - quiet[:, -1], torch.full((1, 99), np.log(100)).float())
    assert model.decode(quiet).std() < model.decode(loud).std() / 20


def test_what_the_spec_says_of_time(tiny):
    spec = get_model(f"transformers:local:{tiny('mimi')}")
    assert (spec.data.sample_rate, spec.data.multiple) == (400, 8)
    assert spec.title.endswith(", 50 steps a second")
    x = sound(1, 1, 403)
    model = load_model(spec)
    z = model.encode(x)
    assert z.shape == (1, 8, 51)
    assert model.decode(z).shape == (1, 1, 408)


# Long sounds


@pytest.mark.parametrize("name", CODECS)
def test_long_sounds_go_through_in_pieces_without_clicks(name, tiny):
    """Where pieces meet, the result is no rougher than anywhere else; where a codec sees little, it is the same."""
    model = load_model(f"transformers:local:{tiny(name)}")
    hop = model.config.hop
    x = sound(1, model.config.sound_channels, 600 * hop)
    with torch.no_grad():
        model.tiling = Tiling(tile=100, overlap=40, halo=15)
        z, starts = model.encode(x), model.tiling.starts(600)
        back = model.decode(z)
        model.tiling = Tiling(tile=1000, overlap=40, halo=15)
        whole = model.encode(x)
        whole_back = model.decode(z)
    assert z.shape == whole.shape
    if name in ("dac", "vibevoice"):
        torch.testing.assert_close(z, whole, atol=1e-4, rtol=0)
        torch.testing.assert_close(back, whole_back, atol=1e-4, rtol=0)
        return
    # The step from one sample to the next within the overlaps, against that of the whole there and elsewhere.
    steps, usual = back.diff(dim=2).abs(), whole_back.diff(dim=2).abs()
    for start in starts[1:]:
        seam = slice(start * hop, (start + 40) * hop)
        assert steps[..., seam].max() < 1.5 * usual.max() + 1e-6
        assert steps[..., seam].mean() < 1.5 * usual.mean() + 1e-6


def test_the_check_of_clicks_can_fail(tiny):
    """Pieces cut hard, without an overlap, do click."""
    model = load_model(f"transformers:local:{tiny('dac')}")
    x = sound(1, 1, 600 * model.config.hop)
    with torch.no_grad():
        z = model.encode(x)
        whole = model.decode(z)
        model.tiling = Tiling(tile=100, overlap=0)
        assert (model.decode(z) - whole).abs().max() > 0.01


def test_ten_minutes_of_stereo(tiny, ltzoo, tmp_path):
    """Mixed down and resampled as it is read, encoded in pieces, and back to as many seconds."""
    rate, seconds = 4000, 600
    rng = np.random.default_rng(0)
    samples = 0.3 * np.sin(np.arange(rate * seconds) / 9)[:, None] + 0.01 * rng.standard_normal(
        (rate * seconds, 2)
    )
    soundfile.write(tmp_path / "long.wav", samples.astype(np.float32), rate)
    ref, target = f"transformers:local:{tiny('dac')}", tmp_path / "z.safetensors"
    code, _, err = ltzoo("encode", ref, str(tmp_path / "long.wav"), "-o", str(target))
    assert code == 0, err
    assert "600.00 s stereo at 4000 Hz -> 600.00 s mono at 600 Hz" in err
    assert LatentSet.load(target).latent_shape == (16, 60_000)
    code, _, err = ltzoo("decode", ref, str(target), "-o", str(tmp_path / "back.wav"))
    assert code == 0, err
    assert soundfile.info(tmp_path / "back.wav").duration == pytest.approx(600)


# What image encoders compute


@pytest.mark.parametrize(
    ("name", "module", "cls", "preprocessing"),
    [
        ("clip", "clip.image_processing_pil_clip", "CLIPImageProcessorPil", CROPPED),
        ("siglip", "siglip.image_processing_pil_siglip", "SiglipImageProcessorPil", SQUARE),
        ("dinov2", "bit.image_processing_pil_bit", "BitImageProcessorPil", {**CROPPED, "resample": 2}),
    ],
)
@pytest.mark.parametrize("size", [(40, 61), (61, 40), (13, 15), (16, 16)])
def test_images_are_prepared_as_by_the_library_s_own(name, module, cls, preprocessing, size):
    """Against its processors that work with Pillow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        processor = getattr(importlib.import_module(f"transformers.models.{module}"), cls)(**preprocessing)
        x = (pictures(1, *size) * 255).round() / 255
        image = Image.fromarray((x[0] * 255).byte().permute(1, 2, 0).numpy())
        expected = torch.from_numpy(np.asarray(processor(images=image, return_tensors="np")["pixel_values"]))
    found = prepare(x, read_preprocessing(preprocessing, 3, "x"))
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "output"), [("clip", "get_image_features"), ("siglip", "get_image_features"), ("dinov2", None)]
)
def test_latents_are_the_library_s_own_features(name, output, tmp_path):
    network = save_tiny_transformer(name, tmp_path / name)
    model = load_model(f"transformers:local:{tmp_path / name}")
    x = pictures(3, 30, 40)
    pixels = prepare(x, model.preprocessing)
    with torch.no_grad():
        found = (getattr(network, output) if output else network)(pixel_values=pixels)
    expected = found if isinstance(found, torch.Tensor) else found.pooler_output
    torch.testing.assert_close(model.encode(x), expected)


def test_images_of_any_size_give_one_vector(tiny):
    model = load_model(f"transformers:local:{tiny('clip')}")
    for size in ((1, 1), (16, 16), (300, 17)):
        assert model.encode(pictures(2, *size)).shape == (2, 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": {"longest_edge": 3}}, "is not known"),
        ({"size": {"height": 0, "width": 3}}, "a side of 0 pixels"),
        ({"resample": 6}, "'resample' must be one of Pillow's numbers"),
        ({"image_mean": [0.5]}, "must be 3 numbers"),
        ({"image_std": [0.5, 0.0, 0.5]}, "must be above 0"),
        ({"image_std": "grey"}, "must be 3 numbers"),
        ({"rescale_factor": "x"}, "could not convert"),
    ],
)
def test_senseless_preprocessing_is_refused(change, message, tmp_path, ltzoo):
    save_tiny_transformer("siglip", tmp_path / "siglip")
    (tmp_path / "siglip" / "preprocessor_config.json").write_text(json.dumps({**SQUARE, **change}))
    code, _, err = ltzoo("models", "show", f"transformers:local:{tmp_path / 'siglip'}")
    assert (code, err.count("\n")) == (5, 1), err
    assert message in err


# From folder and Hub, through all commands


def refs_of(place: str, hub, folders: list[Path]) -> list[str]:
    if place == "folder":
        return [f"transformers:local:{folder}" for folder in folders]
    card = {"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"}
    return [
        f"transformers:org/{folder.name}@{hub.add(f'org/{folder.name}', contents(folder) | card)}"
        for folder in folders
    ]


@pytest.mark.parametrize("place", ["folder", "hub"])
def test_codecs_show_encode_decode_train_translate(
    place, ltzoo, tiny, hub, hub_environment, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    refs = refs_of(place, hub, [tiny("encodec"), tiny("mimi")])
    code, out, err = ltzoo("models", "show", refs[1])
    assert code == 0, err
    assert "audio 1 x ? at 400 Hz" in out
    assert "sequence 8 x ?" in out
    assert "50 steps a second" in out
    if place == "hub":
        assert "license      CC-BY-NC-4.0" in out
        assert not hub.bytes_sent("org/mimi", "model.safetensors")
    Path("sounds").mkdir()
    for i in range(20):
        soundfile.write(f"sounds/{i:02d}.wav", sound(1, 1, 480, seed=i)[0].T.numpy(), 400)
    for ref, name in zip(refs, ("a", "b"), strict=True):
        code, _, err = ltzoo("encode", ref, "sounds", "-o", f"{name}.safetensors")
        assert code == 0, err
    assert LatentSet.load("b.safetensors").latent_shape == (8, 60)
    assert ltzoo("decode", refs[0], "a.safetensors", "--rows", "3", "-o", "back.wav")[0] == 0
    assert soundfile.info("back.wav").frames == 480
    code, out, err = ltzoo(
        *("train", *refs, "--data", f"{refs[0]}=a.safetensors", "--data", f"{refs[1]}=b.safetensors"),
        *("--recipe", "ridge", "-o", "bridge"),
    )
    assert code == 0, err
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection was opened"))
    soundfile.write("odd.wav", sound(1, 1, 1003, seed=50)[0].T.numpy(), 400)
    code, _, err = ltzoo(
        *("translate", "odd.wav", "--from", refs[0], "--to", refs[1]),
        *("--bridge", "local:bridge", "-o", "odd-there.wav"),
    )
    assert code == 0, err
    assert soundfile.info("odd-there.wav").frames == 1003


@pytest.mark.parametrize("place", ["folder", "hub"])
def test_image_encoders_train_and_translate_into_images(
    place, ltzoo, tiny, hub, hub_environment, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    [source] = refs_of(place, hub, [tiny("clip")])
    target = f"taesd:local:{save_tiny_taesd(tmp_path / 'net')}"
    save_pictures(tmp_path / "photos", 30, height=24, width=32)
    for ref, name in ((source, "a"), (target, "b")):
        assert ltzoo("encode", ref, "photos", "-o", f"{name}.safetensors")[0] == 0
    code, _, err = ltzoo("decode", source, "a.safetensors", "-o", "x.png")
    assert (code, "cannot decode" in err) == (2, True)
    code, _, err = ltzoo(
        *("train", source, target, "--data", f"{source}=a.safetensors", "--data", f"{target}=b.safetensors"),
        *("--recipe", "ridge", "-o", "bridge"),
    )
    assert code == 0, err
    code, _, err = ltzoo(
        *("translate", "photos/03.png", "--from", source, "--to", target),
        *("--bridge", "local:bridge", "-o", "seen.png"),
    )
    assert code == 0, err
    with Image.open("seen.png") as image:
        assert image.size == (32, 24)


# Wrong references

WRONG = {
    "a text model": ({"config.json": b'{"model_type": "bert"}'}, 2, "is a 'bert' model, neither"),
    "a model of diffusers": ({"config.json": b'{"_class_name": "AutoencoderKL"}'}, 2, "try: diffusers:"),
    "nothing": ({"README.md": b"# x"}, 2, "has no config.json"),
    "no kind": ({"config.json": b"{}"}, 2, "its config.json does not say what it is"),
    "broken JSON": ({"config.json": b"{"}, 5, "cannot be read as JSON"),
    "a pickle": ({"config.json": b'{"model_type": "encodec"}', "pytorch_model.bin": b"x"}, 5, "only as a pickle (pytorch_model.bin)"),
    "no weights": ({"config.json": b'{"model_type": "dac"}'}, 1, "has no model.safetensors"),
    "no preprocessing": ({"config.json": b'{"model_type": "dinov2"}', "model.safetensors": b"x"}, 2, "has no preprocessor_config.json"),
    "senseless ratios": ({"config.json": b'{"model_type": "encodec", "upsampling_ratios": 3}'}, 5, "'upsampling_ratios'"),
    "senseless rate": ({"config.json": b'{"model_type": "encodec", "sampling_rate": 0}'}, 5, "'sampling_rate'"),
    "senseless channels": ({"config.json": b'{"model_type": "encodec", "audio_channels": 7}'}, 5, "'audio_channels'"),
    "senseless hop": ({"config.json": b'{"model_type": "dac", "downsampling_ratios": [999, 999]}'}, 5, "samples a step"),
    "senseless pieces": ({"config.json": b'{"model_type": "encodec", "chunk_length_s": -1}'}, 5, "'chunk_length_s'"),
    "senseless frames": ({"config.json": b'{"model_type": "mimi", "frame_rate": -1}'}, 5, "'frame_rate'"),
    "a senseless part": ({"config.json": b'{"model_type": "xcodec", "acoustic_model_config": 1}'}, 5, "must be an object"),
    "senseless dims": ({"config.json": b'{"model_type": "clip", "projection_dim": "x"}'}, 5, "'projection_dim'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("place", ["folder", "hub"])
def test_wrong_references_end_in_one_line(case, place, ltzoo, hub, hub_environment, tmp_path):
    files, *expected = WRONG[case]
    check_refused(ltzoo, "transformers", place, files, hub, tmp_path, expected)


def lose_keys(weights: dict) -> None:
    del weights["quantizer.quantizers.0.codebook.weight"]


def widen(weights: dict) -> None:
    weights["encoder.conv1.bias"] = torch.zeros(99)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose_keys, "its weights lack 1 tensors that its config.json asks for"),
        (widen, "its weights and its config.json do not go together"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, message, ltzoo, tmp_path):
    save_tiny_transformer("dac", tmp_path / "dac")
    change_weights(tmp_path / "dac" / "model.safetensors", change)
    soundfile.write(tmp_path / "x.wav", sound(1, 1, 480)[0].T.numpy(), 600)
    code, _, err = ltzoo(
        *("encode", f"transformers:local:{tmp_path / 'dac'}", str(tmp_path / "x.wav")),
        *("-o", str(tmp_path / "z.safetensors")),
    )
    assert code == 5, err
    assert message in err
    assert err.count("\n") == 1, err


def test_an_image_is_no_sound_and_a_sound_no_image(ltzoo, tiny, tmp_path):
    save_pictures(tmp_path / "photos", 1, height=24, width=32)
    soundfile.write(tmp_path / "x.wav", sound(1, 1, 480)[0].T.numpy(), 400)
    for name, file in (("dac", "photos/00.png"), ("clip", "x.wav")):
        code, _, err = ltzoo(
            *("encode", f"transformers:local:{tiny(name)}", str(tmp_path / file)),
            *("-o", str(tmp_path / "z.safetensors")),
        )
        assert (code, err.count("\n")) == (1, 1), err


def test_a_class_that_transformers_lacks_is_said(tmp_path, monkeypatch):
    save_tiny_transformer("dinov2", tmp_path / "dinov2")
    kind = configs.Encoder("Dinov9Model", "DINOv9", defaults={"hidden_size": 8})
    monkeypatch.setitem(configs.ENCODERS, "dinov2", kind)
    with pytest.raises(IntegrityError, match="which transformers .* does not have"):
        load_model(f"transformers:local:{tmp_path / 'dinov2'}")
