import pytest
import torch

from ltzoo.errors import IntegrityError, SpecError
from ltzoo.spec import DataSpec, LatentSpec, ModelSpec
from ltzoo_convnets.adapters import Reader, VAEModel
from ltzoo_convnets.classifier import ClassifierShape, ConvClassifier
from ltzoo_convnets.files import load_classifier, load_vae, save_network
from ltzoo_convnets.prior import GaussianMixture, fit_mixture
from ltzoo_convnets.vae import ConvVAE, VAEShape

IMAGE = (3, 16, 24)
VAE = VAEShape(image=IMAGE, latent=5, width=4, components=3)
CLASSIFIER = ClassifierShape(image=IMAGE, classes=7, width=2)


@pytest.fixture
def images():
    return torch.rand(6, *IMAGE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def vae_path(tmp_path):
    torch.manual_seed(0)
    save_network(ConvVAE(VAE), tmp_path / "vae.safetensors")
    return tmp_path / "vae.safetensors"


@pytest.fixture
def classifier_path(tmp_path):
    torch.manual_seed(0)
    save_network(ConvClassifier(CLASSIFIER), tmp_path / "judge.safetensors")
    return tmp_path / "judge.safetensors"


@pytest.fixture
def model(vae_path):
    spec = ModelSpec(
        id="test/vae",
        title="test",
        data=DataSpec(modality="image", shape=IMAGE),
        latent=LatentSpec(shape=(5,), stochastic=True),
        capabilities=frozenset({"encode", "decode", "sample"}),
        license="MIT",
        loader="test:load",
    )
    return VAEModel(spec, load_vae(vae_path))


def test_vae_takes_colour_images_of_any_multiple_of_four(model, images):
    mean, std = model.posterior(images)
    assert mean.shape == std.shape == (6, 5)
    assert (std > 0).all()
    assert torch.equal(model.encode(images), mean)
    decoded = model.decode(mean)
    assert decoded.shape == images.shape
    assert decoded.min() >= 0
    assert decoded.max() <= 1


def test_vae_refuses_sizes_that_it_cannot_halve_twice():
    with pytest.raises(ValueError, match="multiples of 4, not 28 x 30"):
        ConvVAE(VAEShape(image=(1, 28, 30), latent=5, width=4))


def test_decode_is_differentiable_in_the_latents_alone(model):
    z = torch.zeros(2, 5, requires_grad=True)
    model.decode(z).sum().backward()
    assert z.grad is not None
    assert z.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in model.network.parameters())


def test_encode_leaves_no_gradient(model, images):
    assert not model.encode(images.requires_grad_()).requires_grad


def test_items_of_a_batch_do_not_touch_each_other(model, images):
    one_by_one = torch.cat([model.encode(image[None]) for image in images])
    assert torch.allclose(model.encode(images), one_by_one, atol=1e-5)


def test_sample_is_seeded(model):
    assert model.sample(8, 3).shape == (8, 5)
    assert torch.equal(model.sample(8, 3), model.sample(8, 3))
    assert not torch.equal(model.sample(8, 3), model.sample(8, 4))


def test_the_prior_finds_clusters_and_draws_from_them():
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    slant = torch.tensor([[0.6, 0.0], [0.5, 0.2]])
    points = centres.repeat(400, 1) + torch.randn(1200, 2, generator=generator) @ slant.T
    torch.manual_seed(0)
    mixture = GaussianMixture(3, 2)
    before = mixture.log_likelihoods(points).logsumexp(1).mean().item()
    after = fit_mixture(mixture, points)
    assert after > before + 5
    assert torch.cdist(centres, mixture.means).min(1).values.max() < 0.15
    draws = mixture.sample(3000, generator)
    assert torch.allclose(draws.mean(0), points.mean(0), atol=0.2)
    assert torch.allclose(draws.T.cov(), points.T.cov(), atol=0.5)
    assert torch.cdist(draws, centres).min(1).values.max() < 4


def test_files_hold_half_precision_and_load_as_float32(vae_path, images):
    torch.manual_seed(0)
    original = ConvVAE(VAE).eval()
    loaded = load_vae(vae_path)
    assert loaded.shape == VAE
    assert not loaded.training
    for name, weight in loaded.state_dict().items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, original.state_dict()[name].half().float())
    weights = sum(weight.numel() for weight in original.state_dict().values())
    assert 2 * weights < vae_path.stat().st_size < 2 * weights + 4096


def test_judge_gives_logits_and_the_features_before_them(classifier_path, images):
    judge = Reader(load_classifier(classifier_path))
    logits, features = judge.logits(images), judge.features(images)
    assert logits.shape == (6, 7)
    assert features.shape == (6, 128)
    assert torch.allclose(judge.network.head[1](features), logits, atol=1e-6)
    assert torch.equal(judge.logits(images), logits)


def test_a_judge_is_not_taken_for_a_vae(classifier_path):
    with pytest.raises(SpecError, match=r"judge\.safetensors"):
        load_vae(classifier_path)


@pytest.mark.parametrize("content", [b"", b"not a safetensors file", b"\xff" * 64])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "vae.safetensors").write_bytes(content)
    with pytest.raises(IntegrityError, match="not a safetensors file"):
        load_vae(tmp_path / "vae.safetensors")


def test_weights_of_another_shape_are_refused(tmp_path):
    network = ConvVAE(VAE)
    network.shape = VAEShape(image=IMAGE, latent=6, width=4, components=3)
    save_network(network, tmp_path / "vae.safetensors")
    with pytest.raises(IntegrityError, match="size mismatch"):
        load_vae(tmp_path / "vae.safetensors")
