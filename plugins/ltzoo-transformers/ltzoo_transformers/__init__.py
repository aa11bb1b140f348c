"""Audio codecs and image encoders of the transformers library for ltzoo: ``transformers:ORG/REPO``, ``transformers:local:PATH``.

Importing this module imports neither torch nor transformers: a spec is made from a repository's ``config.json`` alone.
"""

from __future__ import annotations

from ltzoo import hookimpl
from ltzoo.spec import ModelSpec

__all__ = ["resolve_model"]


@hookimpl
def resolve_model(ref: str) -> ModelSpec:
    """The codec or encoder that the reference leads to.

    Raises:
        UnknownModelError: There is neither there.
        IntegrityError: There are no safetensors, or the config makes no sense.
        OfflineError, HubError: The Hub cannot be asked, or refuses.
    """
    from ltzoo_transformers.specs import resolve

    return resolve(ref)
