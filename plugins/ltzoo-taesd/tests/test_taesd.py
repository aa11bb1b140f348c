"""The tiny autoencoders: read from their weights alone, exact in pieces, and TAEF2 itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from family_checks import pictures
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_autoencoders import save_tiny
from tiny_taesd import KINDS, decoder, encoder, save_tiny_taesd

from ltzoo.errors import IntegrityError, UsageError
from ltzoo.latents import LatentSet
from ltzoo.zoo import get_model, load_model
from ltzoo_taesd import adapter, network
from ltzoo_taesd.convert import convert
from ltzoo_taesd.layers import decoder_chain, encoder_chain

pytestmark = pytest.mark.usefixtures("one_thread")

SHARED = Path(__file__).resolve().parents[4] / "shared"


def shapes(tensors) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def test_the_layers_follow_from_the_weights():
    kinds = [layer.kind for layer in encoder_chain(shapes(encoder(4)), "x").layers]
    assert kinds == ["conv", "block", "halve", "block", "halve", "block", "conv"]
    kinds = [layer.kind for layer in encoder_chain(shapes(encoder(4, deep=True)), "x").layers]
    assert kinds == ["halve", "relu", "halve", "relu", "block", "halve", "block", "conv"]
    chain = decoder_chain(shapes(decoder(4, pooled=True)), "x")
    kinds = [layer.kind for layer in chain.layers]
    assert kinds == [
        "clamp",
        "conv",
        "relu",
        "block",
        "double",
        "conv",
        "block",
        "double",
        "conv",
        "block",
        "conv",
    ]
    assert chain.layers[3].pooled == 32
    assert (chain.inputs, chain.outputs, chain.scale) == (4, 3, 4)


def test_it_computes_what_diffusers_computes(tmp_path):
    """For the kind that diffusers has a class for: the same checkpoint gives the same, here and there."""
    save_tiny("tiny", tmp_path / "tiny")
    here, there = (load_model(f"{family}:local:{tmp_path / 'tiny'}") for family in ("taesd", "diffusers"))
    x = pictures(2, 24, 36)
    z = there.encode(x)
    torch.testing.assert_close(here.encode(x), z)
    torch.testing.assert_close(here.decode(4 * z), there.decode(4 * z))


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_give_what_the_whole_gives(kind, tmp_path, monkeypatch):
    """Gated blocks normalise over all positions; they work on the whole all the same."""
    monkeypatch.setattr(network, "TILE", 32)
    model = load_model(f"taesd:local:{save_tiny_taesd(tmp_path / 'net', kind)}")
    x = pictures(1, 256, 320)
    with torch.no_grad():
        z = model.encode(x)
        back = model.decode(z)
        monkeypatch.setattr(adapter, "LARGEST", 100)
        assert not torch.equal(model.encode(x), z) or kind == "plain"
        torch.testing.assert_close(model.encode(x), z, atol=1e-5, rtol=0)
        torch.testing.assert_close(model.decode(z), back, atol=1e-5, rtol=0)


def test_one_file_and_two_hold_the_same(tmp_path):
    two = load_model(f"taesd:local:{save_tiny_taesd(tmp_path / 'two')}")
    one = load_model(f"taesd:local:{save_tiny_taesd(tmp_path / 'one', one_file=True)}")
    x = pictures(1, 16, 16)
    torch.testing.assert_close(one.encode(x), two.encode(x))


@pytest.mark.parametrize("place", ["folder", "hub"])
def test_show_encode_decode_train_translate(place, ltzoo, hub, hub_environment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [save_tiny_taesd(tmp_path / "net", "gated"), save_tiny_taesd(tmp_path / "other", "deep", 6)]
    if place == "hub":
        card = {"README.md": b"---\nlicense: mit\n---\n"}
        commits = [
            hub.add(f"org/{folder.name}", {path.name: path.read_bytes() for path in folder.iterdir()} | card)
            for folder in folders
        ]
        typed = ["taesd:org/net", f"taesd:org/other@{commits[1]}"]
        pinned = [f"taesd:org/net@{commits[0]}", typed[1]]
    else:
        typed = ["taesd:local:net", f"taesd:local:{folders[1]}"]
        pinned = [f"taesd:local:{folder}" for folder in folders]
    code, out, err = ltzoo("models", "show", typed[0])
    assert code == 0, err
    assert ("MIT" if place == "hub" else "other: not stated") in out
    assert f"{typed[0]} is {pinned[0]}" in err
    (tmp_path / "photos").mkdir()
    for i, picture in enumerate(pictures(20, 16, 24)):
        Image.fromarray((picture * 255).byte().permute(1, 2, 0).numpy()).save(f"photos/{i:02d}.png")
    for ref, name in zip(typed, ("a", "b"), strict=True):
        assert ltzoo("encode", ref, "photos", "-o", f"{name}.safetensors")[0] == 0
    assert LatentSet.load("b.safetensors").latent_shape == (6, 2, 3)
    assert ltzoo("decode", typed[1], "b.safetensors", "--rows", "2", "-o", "back.png")[0] == 0
    with Image.open("back.png") as image:
        assert image.size == (24, 16)
    code, out, err = ltzoo(
        *("train", *typed, "--data", f"{typed[0]}=a.safetensors", "--data", f"{typed[1]}=b.safetensors"),
        *("--recipe", "ridge"),
    )
    assert code == 0, err
    bridge = out.strip()
    assert bridge == ("taesd-org-net--taesd-org-other" if place == "hub" else "taesd-net--taesd-other")
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection was opened"))
    Image.new("RGB", (21, 13), (9, 99, 199)).save("odd.png")
    code, _, err = ltzoo(
        *("translate", "odd.png", "--from", pinned[0], "--to", typed[1]),
        *("--bridge", f"local:{bridge}", "-o", "out.png"),
    )
    assert code == 0, err
    with Image.open("out.png") as image:
        assert image.size == (21, 13)
        alone = np.asarray(image)
    # Inputs of several sizes, and each result in its input's place.
    several = ["photos/03.png", "odd.png", "photos/07.png"]
    code, out, err = ltzoo(
        *("translate", *several, "--from", pinned[0], "--to", typed[1]),
        *("--bridge", f"local:{bridge}", "-o", "several", "--sheet", "sheet.png"),
    )
    assert code == 0, err
    sizes = []
    for path in out.split()[:3]:
        with Image.open(path) as image:
            sizes.append(image.size)
            if path.endswith("odd.png"):
                assert np.abs(np.asarray(image).astype(int) - alone).max() <= 1
    assert sizes == [(24, 16), (21, 13), (24, 16)]


# Wrong references


def test_pickles_and_missing_weights_are_refused(ltzoo, hub, hub_environment, tmp_path):
    hub.add("org/pickled", {"pickled_encoder.pth": b"x", "pickled_decoder.pth": b"x"})
    hub.add("org/half", {"half_encoder.safetensors": b"x"})
    for ref, expected, message in (
        ("taesd:org/pickled", 5, "only as a pickle (pickled_encoder.pth)"),
        ("taesd:org/half", 2, "has neither half_encoder.safetensors and half_decoder.safetensors"),
        ("taesd:org/nothing", 1, "no such repository"),
    ):
        code, _, err = ltzoo("models", "show", ref)
        assert (code, err.count("\n")) == (expected, 1), err
        assert message in err


WRONG = {
    "an alien key": lambda tensors: tensors.update({"unet.weight": torch.zeros(1)}),
    "a lost layer": lambda tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("3.")],
    "a lost bias": lambda tensors: tensors.pop("3.conv.0.bias"),
    "another kernel": lambda tensors: tensors.update({"0.weight": torch.zeros(8, 3, 5, 5)}),
    "widths that do not follow": lambda tensors: tensors.update({"0.weight": torch.zeros(9, 3, 3, 3)}),
    "two channels": lambda tensors: tensors.update({"0.weight": torch.zeros(8, 2, 3, 3)}),
    "nothing": lambda tensors: tensors.clear(),
}


@pytest.mark.parametrize("case", WRONG)
def test_weights_of_something_else_are_refused(case, ltzoo, tmp_path):
    folder = save_tiny_taesd(tmp_path / "net")
    tensors = load_file(folder / "net_encoder.safetensors")
    WRONG[case](tensors)
    save_file(tensors, folder / "net_encoder.safetensors")
    code, _, err = ltzoo("models", "show", f"taesd:local:{folder}")
    assert (code, err.count("\n")) == (5, 1), err
    assert "its encoder" in err


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 100, b"\x08\0\0\0\0\0\0\0nonsense", b"\2\0\0\0\0\0\0\0[]"]
)
def test_files_that_are_no_safetensors_are_refused(content, ltzoo, tmp_path):
    folder = save_tiny_taesd(tmp_path / "net")
    (folder / "net_decoder.safetensors").write_bytes(content)
    code, _, err = ltzoo("models", "show", f"taesd:local:{folder}")
    assert (code, err.count("\n")) == (5, 1), err


def test_parts_of_two_autoencoders_are_refused(tmp_path):
    folder = save_tiny_taesd(tmp_path / "net", latent=4)
    save_file(decoder(5), folder / "net_decoder.safetensors")
    with pytest.raises(IntegrityError, match="not of one autoencoder"):
        get_model(f"taesd:local:{folder}")


def test_weights_with_a_wrong_shape_are_refused_when_loaded(tmp_path):
    folder = save_tiny_taesd(tmp_path / "net")
    tensors = load_file(folder / "net_encoder.safetensors")
    tensors["0.bias"] = torch.zeros(3)
    save_file(tensors, folder / "net_encoder.safetensors")
    with pytest.raises(IntegrityError, match="cannot be used"):
        load_model(f"taesd:local:{folder}")


# The authors' files


def test_pth_files_are_converted(tmp_path):
    for part, tensors in (("encoder", encoder(4)), ("decoder", decoder(4))):
        torch.save(tensors, tmp_path / f"net_{part}.pth")
    assert convert(tmp_path, tmp_path / "out") == [tmp_path / "out" / "net"]
    expected = save_tiny_taesd(tmp_path / "net")
    x = pictures(1, 16, 16)
    z = load_model(f"taesd:local:{tmp_path / 'out' / 'net'}").encode(x)
    torch.testing.assert_close(z, load_model(f"taesd:local:{expected}").encode(x))


def test_only_tensors_are_read_from_a_pickle(tmp_path):
    with pytest.raises(UsageError, match="holds no"):
        convert(tmp_path, tmp_path / "out")
    (tmp_path / "net_decoder.pth").write_bytes(b"x")
    for content in ({"0.weight": print}, [1], {"a": 1}):
        torch.save(content, tmp_path / "net_encoder.pth")
        with pytest.raises(IntegrityError):
            convert(tmp_path, tmp_path / "out")
    (tmp_path / "net_encoder.pth").write_bytes(b"no archive")
    with pytest.raises(IntegrityError, match="cannot be read"):
        convert(tmp_path, tmp_path / "out")


@pytest.fixture(scope="module")
def taef2(tmp_path_factory):
    folder, *_ = convert(SHARED / "weights", tmp_path_factory.mktemp("weights"))
    return load_model(f"taesd:local:{folder}")


@pytest.fixture(scope="module")
def emoji():
    """Every 32nd of Google's, four times as large."""
    pixels = torch.from_numpy(np.load(SHARED / "data" / "emoji_pairs.npz")["x_google"][::32])
    small = pixels.permute(0, 3, 1, 2).float() / 255
    return torch.nn.functional.interpolate(small, scale_factor=4, mode="bicubic").clamp(0, 1)


@pytest.mark.data
def test_taef2_brings_emoji_back(taef2, emoji):
    """As measured by others: 34.1 dB, of the mean squared error."""
    with torch.no_grad():
        error = (taef2.decode(taef2.encode(emoji)) - emoji).square().mean()
    assert float(-10 * error.log10()) == pytest.approx(34.1, abs=0.2)


@pytest.mark.data
def test_taef2_has_no_seams(taef2, emoji, monkeypatch):
    """In pieces of 128 px and halos of 72; ``benchmarks/taef2.py --collage 2048`` measures the real size."""
    collage = emoji[:12].view(3, 4, 3, 128, 128).permute(2, 0, 3, 1, 4).reshape(1, 3, 384, 512)
    monkeypatch.setattr(network, "TILE", 128)
    with torch.no_grad():
        z = taef2.encode(collage)
        back = taef2.decode(z)
        monkeypatch.setattr(adapter, "LARGEST", 1)
        torch.testing.assert_close(taef2.encode(collage), z, atol=1e-4, rtol=0)
        assert (taef2.decode(z) - back).abs().max() < 1e-4
