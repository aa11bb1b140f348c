"""Trains the judge and the VAEs of MNIST: ``python -m ltzoo_mnist.train --data mnist.npz --out DIR``."""

from ltzoo_convnets.classifier import ClassifierShape
from ltzoo_convnets.starter import StarterZoo, run
from ltzoo_convnets.training import ClassifierRecipe, VAERecipe
from ltzoo_convnets.vae import VAEShape
from ltzoo_mnist import DIGITS, IMAGE, LATENT_DIMS, LICENSE, model_specs

ZOO = StarterZoo(
    module="ltzoo_mnist",
    judge=ClassifierRecipe(
        shape=ClassifierShape(image=IMAGE, classes=len(DIGITS), width=20),
        epochs=14,
        seed=101,
        mirror=False,
    ),
    vaes={
        "vae": VAERecipe(
            shape=VAEShape(image=IMAGE, latent=LATENT_DIMS, width=24),
            pixel_std=0.2,
            epochs=14,
            seed=1,
        ),
        "vae-b": VAERecipe(
            shape=VAEShape(image=IMAGE, latent=LATENT_DIMS, width=16),
            pixel_std=0.2,
            epochs=14,
            seed=2,
        ),
    },
    model_specs=model_specs,
    data_license=LICENSE,
    keys_of="mnist/train+test",
)

if __name__ == "__main__":
    run(ZOO)
