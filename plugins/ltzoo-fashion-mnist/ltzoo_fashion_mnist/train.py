"""Trains the judge and the VAE of Fashion-MNIST.

``python -m ltzoo_fashion_mnist.train --data fashion_mnist.npz --out DIR``
"""

from ltzoo_convnets.classifier import ClassifierShape
from ltzoo_convnets.starter import StarterZoo, run
from ltzoo_convnets.training import ClassifierRecipe, VAERecipe
from ltzoo_convnets.vae import VAEShape
from ltzoo_fashion_mnist import GARMENTS, IMAGE, LATENT_DIMS, LICENSE, model_specs

ZOO = StarterZoo(
    module="ltzoo_fashion_mnist",
    judge=ClassifierRecipe(
        shape=ClassifierShape(image=IMAGE, classes=len(GARMENTS), width=20),
        epochs=20,
        seed=101,
        mirror=True,
    ),
    vaes={
        "vae": VAERecipe(
            shape=VAEShape(image=IMAGE, latent=LATENT_DIMS, width=24),
            pixel_std=0.1,
            epochs=18,
            seed=1,
        ),
    },
    model_specs=model_specs,
    data_license=LICENSE,
    keys_of="fashion-mnist/train+test",
)

if __name__ == "__main__":
    run(ZOO)
