"""Loaders of the Fashion-MNIST models and their judge: what the specs name."""

from ltzoo_convnets.adapters import load_judge, load_model

__all__ = ["load", "load_judge"]

load = load_model
