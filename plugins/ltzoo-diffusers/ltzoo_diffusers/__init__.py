"""Any image autoencoder of the diffusers library for ltzoo: ``diffusers:ORG/REPO`` and ``diffusers:local:PATH``.

Importing this module imports neither torch nor diffusers: a spec is made from a repository's ``config.json`` alone.
"""

from __future__ import annotations

from ltzoo import hookimpl
from ltzoo.spec import ModelSpec

__all__ = ["resolve_model"]


@hookimpl
def resolve_model(ref: str) -> ModelSpec:
    """The autoencoder that the reference leads to.

    Raises:
        UnknownModelError: There is no image autoencoder of a known class there.
        IntegrityError: There are no safetensors, or the config makes no sense.
        OfflineError, HubError: The Hub cannot be asked, or refuses.
    """
    from ltzoo_diffusers.specs import resolve

    return resolve(ref)
