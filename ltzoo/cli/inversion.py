"""What the commands with ``--invert`` share: the option, what they refuse, and what they say of the errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ltzoo.cli.output import note, one_line
from ltzoo.errors import CapabilityError, UsageError
from ltzoo.spec import ModelSpec

if TYPE_CHECKING:
    from ltzoo.latents import InversionErrors

__all__ = ["check_encodes", "inversion_content", "invert_option", "note_errors"]

NAMED = 20
"""Items whose errors are said one by one."""

invert_option = click.option(
    "--invert",
    is_flag=True,
    help="For a model that cannot encode: search for latents whose decodes come near the input.",
)


def check_encodes(model: ModelSpec, *, invert: bool, purpose: str = "", hint: str = "ltzoo models") -> None:
    """Refuses a model that cannot encode, or that can and is to be inverted.

    Args:
        model: The model.
        invert: The ``--invert`` option.
        purpose: Goes on where the message says that the model cannot encode.
        hint: For models that cannot be inverted either.

    Raises:
        UsageError: The model can encode, and is to be inverted.
        CapabilityError: It can neither encode nor be inverted, or was not asked to be.
    """
    invertible = model.can("decode") and model.can("sample")
    if model.can("encode"):
        if invert:
            raise UsageError(
                f"{model.id} can encode, so there is nothing to invert", hint="leave --invert out"
            )
    elif invert and not invertible:
        raise CapabilityError(
            f"{model.id} cannot be inverted: that takes decode and sample",
            hint="ltzoo models lists what each model can do",
        )
    elif not invert:
        if invertible:
            hint = "add --invert to search for latents whose decodes come near the input"
        raise CapabilityError(f"{model.id} cannot encode{purpose}", hint=hint)


def note_errors(errors: InversionErrors, name: Callable[[int], str]) -> None:
    """Says on stderr what is left of each item; of many, of the first ones and on average."""
    own, drawn = errors.compared
    what = "mean squared error" if errors.features is None else "mean squared error of features"
    pairs = list(zip(own.tolist(), drawn.tolist(), strict=True))
    for row, (left, of_draw) in enumerate(pairs[:NAMED]):
        note(
            f"{one_line(name(row))}: inverted with a {what} of {left:.4g} (nearest random draw: {of_draw:.4g})"
        )
    if len(pairs) > NAMED:
        note(
            f"and {len(pairs) - NAMED} more; on average of all a {what} of {own.mean():.4g} "
            f"(nearest random draw: {drawn.mean():.4g}); --json has each"
        )


def inversion_content(errors: InversionErrors, seed: int) -> dict[str, Any]:
    """What ``--json`` says of an inversion."""
    from ltzoo.latents.inversion import DRAWS, STARTS, STEPS

    columns: dict[str, Sequence[float]] = {
        "mse": errors.data.tolist(),
        "mse_of_nearest_draw": errors.data_of_draw.tolist(),
    }
    if errors.features is not None and errors.features_of_draw is not None:
        columns["feature_mse"] = errors.features.tolist()
        columns["feature_mse_of_nearest_draw"] = errors.features_of_draw.tolist()
    return {
        "inverted": True,
        "inversion": {
            "seed": seed,
            "draws": DRAWS,
            "starts": STARTS,
            "steps": STEPS,
            "compared": "data" if errors.features is None else "features",
            "items": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
        },
    }
