"""Inversion of models that cannot encode: from Python and from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from inversion_plugin import flat_zoo
from PIL import Image

from ltzoo.errors import CapabilityError, LatentsError, UsageError
from ltzoo.latents import Inversion, LatentSet, encode_to_file
from ltzoo.latents.inversion import DRAWS
from ltzoo.media import MemoryItems
from ltzoo.zoo import set_default_zoo

QUICK = ("--set", "inference_steps=10")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def zoo(monkeypatch, tmp_path):
    zoo = flat_zoo()
    set_default_zoo(zoo)
    monkeypatch.chdir(tmp_path)
    return zoo


@pytest.fixture
def gan(zoo):
    return zoo.load_model("flat/gan")


def clips(model, n=5, seed=7):
    return model.decode(model.sample(n, seed))


@pytest.mark.parametrize("name", ["flat/gan", "flat/featured"])
def test_the_decode_of_what_is_found_comes_near_the_data(zoo, name):
    model = zoo.load_model(name)
    x = clips(model)
    inversion = Inversion(model)
    z = inversion.encode(x)
    errors = inversion.errors(z, x)
    assert z.shape == (5, 64)
    assert not z.requires_grad
    torch.testing.assert_close(errors.data, (model.decode(z) - x).square().mean((1, 2, 3)))
    assert (errors.data < 0.01 * errors.data_of_draw).all()
    assert (errors.features is None) == (name == "flat/gan")


def test_the_draw_to_compare_with_is_the_nearest(gan):
    x = clips(gan)
    inversion = Inversion(gan)
    apart = (gan.decode(inversion.draws)[None] - x[:, None]).square().mean((2, 3, 4))
    assert apart.shape == (5, DRAWS)
    torch.testing.assert_close(inversion.errors(inversion.encode(x), x).data_of_draw, apart.amin(1))


def test_latents_are_as_long_as_draws(gan):
    inversion = Inversion(gan)
    norms = inversion.draws.norm(dim=1)
    # Latents of the extremes, without the bound, would be far longer.
    found = inversion.encode(torch.stack([torch.ones(1, 8, 8), torch.full((1, 8, 8), 0.5)])).norm(dim=1)
    assert norms.min() - 1e-4 <= found[1] <= found[0] <= norms.max() + 1e-4
    assert found[1] == pytest.approx(norms.min().item(), rel=1e-4)


def test_the_seed_decides_and_items_are_apart(gan):
    x = clips(gan)
    z = Inversion(gan, seed=3).encode(x)
    assert torch.equal(z, Inversion(gan, seed=3).encode(x))
    assert not torch.equal(z, Inversion(gan, seed=4).encode(x))
    torch.testing.assert_close(Inversion(gan, seed=3).encode(x[1:2]), z[1:2], rtol=0, atol=1e-3)


def test_starts_have_nothing_in_common_with_draws_of_the_same_seed(gan):
    assert torch.cdist(Inversion(gan, seed=0).draws, gan.sample(DRAWS, 0)).min() > 1


def test_it_works_where_gradients_are_off(gan):
    x = clips(gan)
    z = Inversion(gan).encode(x)
    with torch.no_grad():
        assert torch.equal(Inversion(gan).encode(x), z)
    with torch.inference_mode():
        assert torch.equal(Inversion(gan).encode(clips(gan)), z)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("toy/a", UsageError, "can encode, so there is nothing to invert"),
        ("toy/deaf", CapabilityError, "takes decode and sample"),
        ("flat/wordy", CapabilityError, "text, which has no gradient"),
        (
            "flat/closed",
            CapabilityError,
            "decode gives no gradient, .*no inversion_target and inversion_features",
        ),
        ("flat/stepped", CapabilityError, "decode gives no gradient"),
    ],
)
def test_what_cannot_be_inverted_is_refused(zoo, name, error, message):
    with pytest.raises(error, match=f"{name}.*{message}"):
        Inversion(zoo.load_model(name)).encode(torch.rand(2, 1, 8, 8))


def test_data_of_another_size_is_refused(gan):
    with pytest.raises(LatentsError, match="what it draws has size 1 x 8 x 8, but the input has 1 x 9 x 8"):
        Inversion(gan).encode(torch.rand(2, 1, 9, 8))


def test_a_half_done_file_of_another_seed_is_not_gone_on_with(gan, tmp_path):
    items = MemoryItems(clips(gan, 6))

    def encode(seed, path, progress=None):
        inversion = Inversion(gan, seed=seed)
        encode_to_file(
            inversion, items, tmp_path / path, batch_size=2, method=inversion.method, progress=progress
        )
        return LatentSet.load(tmp_path / path).latents

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    expected = encode(1, "whole")
    for seed, begun in ((0, 0), (1, 2)):
        with pytest.raises(KeyboardInterrupt):
            encode(seed, "set", stop)
        seen = []
        assert torch.equal(encode(1, "set", lambda done, total: seen.append(done)), expected)  # noqa: B023
        assert seen[0] == begun


def pictures(tmp_path, n=2):
    for i in range(n):
        pixels = np.random.default_rng(i).integers(60, 200, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    return [f"{i}.png" for i in range(n)]


def test_encode_inverts_and_says_what_is_left(ltzoo, zoo, tmp_path):
    arguments = ("encode", "flat/gan", *pictures(tmp_path), "-o", "z.safetensors", "--invert", "--json")
    code, out, err = ltzoo(*arguments, "--seed", "5", "--batch-size", "1")
    assert code == 0
    content = json.loads(out)
    assert content["inverted"]
    inversion = content["inversion"]
    assert (inversion["seed"], inversion["compared"], len(inversion["items"])) == (5, "data", 2)
    latents = LatentSet.load("z.safetensors", model=zoo.get_model("flat/gan")).latents
    for i, item in enumerate(inversion["items"]):
        assert set(item) == {"mse", "mse_of_nearest_draw"}
        x = torch.from_numpy(np.array(Image.open(f"{i}.png"))) / 255
        left = (zoo.load_model("flat/gan").decode(latents[i : i + 1])[0, 0] - x).square().mean()
        assert item["mse"] == pytest.approx(left.item(), rel=1e-3)
        assert item["mse"] < item["mse_of_nearest_draw"]
        assert f"{i}.png: inverted with a mean squared error of {item['mse']:.4g}" in err
    first = (tmp_path / "z.safetensors").read_bytes()
    assert json.loads(ltzoo(*arguments, "--seed", "5", "--batch-size", "1")[1]) == content
    assert (tmp_path / "z.safetensors").read_bytes() == first
    ltzoo(*arguments)
    assert (tmp_path / "z.safetensors").read_bytes() != first


def test_encode_says_what_was_compared(ltzoo, zoo, tmp_path):
    code, out, err = ltzoo(
        "encode", "flat/featured", *pictures(tmp_path), "-o", "z.safetensors", "--invert", "--json"
    )
    assert code == 0
    inversion = json.loads(out)["inversion"]
    assert inversion["compared"] == "features"
    assert all(item["feature_mse"] < item["feature_mse_of_nearest_draw"] for item in inversion["items"])
    assert "inverted with a mean squared error of features of" in err


def test_of_many_items_the_errors_of_the_first_are_said_and_the_average(ltzoo, zoo, tmp_path):
    np.save("many.npy", np.random.default_rng(0).integers(60, 200, (23, 8, 8), dtype=np.uint8))
    code, out, err = ltzoo("encode", "flat/gan", "many.npy", "-o", "z.safetensors", "--invert", "--json")
    assert code == 0
    assert err.count("inverted with") == 20
    mean = np.mean([item["mse"] for item in json.loads(out)["inversion"]["items"]])
    assert f"and 3 more; on average of all a mean squared error of {mean:.4g}" in err


def test_translate_inverts(ltzoo, zoo, tmp_path):
    data = []
    for name in ("toy/a", "flat/gan"):
        path = f"{name.partition('/')[0]}.safetensors"
        drawn = ltzoo(
            "sample", name, "--label-with", "toy/squares", "-n", "40", "--confidence", "0.6", "-o", path
        )
        assert drawn[0] == 0
        data += ["--data", f"{name}={path}"]
    assert (
        ltzoo("train", "toy/a", "flat/gan", "-o", "bridge", *data, "--recipe", "class-gaussian", *QUICK)[0]
        == 0
    )
    (name,) = pictures(tmp_path, 1)
    arguments = ("translate", name, "--from", "flat/gan", "--to", "toy/a", "--bridge", "local:bridge")
    code, _, err = ltzoo(*arguments, "-o", "out.png")
    assert code == 2
    assert "cannot encode, so it cannot be translated from" in err
    assert "try: add --invert" in err
    code, out, err = ltzoo(*arguments, "-o", "out.png", "--invert", "--seed", "3", "--json")
    assert code == 0
    content = json.loads(out)
    assert content["inverted"]
    (item,) = content["inversion"]["items"]
    assert item["mse"] < item["mse_of_nearest_draw"]
    assert "0.png: inverted with" in err
    first = (tmp_path / "out.png").read_bytes()
    assert ltzoo(*arguments, "-o", "out.png", "--invert", "--seed", "3")[0] == 0
    assert (tmp_path / "out.png").read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("encode", "flat/gan", "x.png", "-o", "z"), "cannot encode; try: add --invert"),
        (("encode", "toy/deaf", "x.png", "-o", "z"), "cannot encode; try: ltzoo models"),
        (("encode", "toy/deaf", "x.png", "-o", "z", "--invert"), "toy/deaf cannot be inverted"),
        (("encode", "toy/a", "x.png", "-o", "z", "--invert"), "nothing to invert"),
        (("encode", "toy/a", "x.png", "-o", "z", "--seed", "1"), "--seed goes with --invert"),
        (
            ("translate", "x.png", "--from", "toy/a", "--to", "toy/b", "-o", "y", "--invert"),
            "nothing to invert",
        ),
    ],
)
def test_the_commands_refuse_what_makes_no_sense(ltzoo, zoo, tmp_path, arguments, message):
    code, out, err = ltzoo(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(tmp_path.iterdir())
