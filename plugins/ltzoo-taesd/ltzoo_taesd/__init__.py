"""The tiny autoencoders TAESD, TAEF2 and their like for ltzoo: ``taesd:madebyollin/taef2`` and ``taesd:local:PATH``.

Importing this module imports neither torch nor numpy.
"""

from __future__ import annotations

from ltzoo import hookimpl
from ltzoo.spec import ModelSpec

__all__ = ["resolve_model"]


@hookimpl
def resolve_model(ref: str) -> ModelSpec:
    """The autoencoder that the reference leads to. Its weights, a few megabytes, say what it is: they are fetched.

    Raises:
        UnknownModelError: There is no such autoencoder there.
        IntegrityError: The weights are pickles, or not those of such an autoencoder.
        OfflineError, HubError: The Hub cannot be asked, or refuses.
    """
    from ltzoo_taesd.specs import resolve

    return resolve(ref)
