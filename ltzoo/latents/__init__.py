"""Latent sets: the latents of one model with what training needs beside them, and their making."""

from ltzoo.latents.encode import ItemSource, encode_to_file
from ltzoo.latents.inversion import Inversion, InversionErrors
from ltzoo.latents.labelling import LabelledDraws, draw_labelled
from ltzoo.latents.latent_set import SPLITS, LatentSet
from ltzoo.latents.pairing import paired_rows, same_items

__all__ = [
    "SPLITS",
    "Inversion",
    "InversionErrors",
    "ItemSource",
    "LabelledDraws",
    "LatentSet",
    "draw_labelled",
    "encode_to_file",
    "paired_rows",
    "same_items",
]
