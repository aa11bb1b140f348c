"""What licences of models and data ask of a bridge that is made from them. Torch-free.

A bridge is trained on latents, which models made of data. Whether that makes it a derived work is for lawyers; ltzoo
takes the careful view, that it does, and asks its licence to keep what theirs pass on. It knows what the licences'
own texts say in short, and does not know the law of a country.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["License", "LicensedPart", "find_license", "license_objections", "license_of_hub"]

CREATIVE_COMMONS = re.compile(r"CC-BY(-NC)?(-ND)?(-SA)?-(\d)\.(\d)", re.IGNORECASE)


@dataclass(frozen=True)
class License:
    """What matters of a licence here.

    Attributes:
        spdx: SPDX identifier.
        hub: What the Hugging Face Hub calls it.
        commercial: It allows commercial use.
        derivatives: It allows derived works.
        family: Derived works must be under a licence of this family; None where any may be taken.
        version: Within the family. Derived works may be under a later one.
    """

    spdx: str
    hub: str
    commercial: bool = True
    derivatives: bool = True
    family: str | None = None
    version: tuple[int, int] = (0, 0)


KNOWN = {
    one.spdx.lower(): one
    for one in (
        *(
            License(spdx, spdx.lower())
            for spdx in (
                "Apache-2.0",
                "MIT",
                "BSD-2-Clause",
                "BSD-3-Clause",
                "ISC",
                "Zlib",
                "Unlicense",
                "CC0-1.0",
            )
        ),
        License("PDDL-1.0", "pddl"),
        License("ODC-By-1.0", "odc-by"),
        License("BSL-1.0", "bsl-1.0"),
        License("MPL-2.0", "mpl-2.0", family="MPL", version=(2, 0)),
        License("ODbL-1.0", "odbl", family="ODbL", version=(1, 0)),
        *(
            License(
                f"{name}-{version}.0-{which}",
                f"{name.lower()}-{version}.0",
                family=name,
                version=(version, 0),
            )
            for name, version in (("GPL", 2), ("GPL", 3), ("AGPL", 3), ("LGPL", 3))
            for which in ("only", "or-later")
        ),
        *(
            License(spdx, spdx.lower(), family="OpenRAIL")
            for spdx in ("OpenRAIL", "OpenRAIL++", "CreativeML-OpenRAIL-M", "BigScience-OpenRAIL-M")
        ),
    )
}


@dataclass(frozen=True)
class LicensedPart:
    """Something that a bridge is made from.

    Attributes:
        what: What it is, for messages.
        license: SPDX identifier, or ``other: where to read it``.
    """

    what: str
    license: str


def find_license(text: str) -> License | None:
    """The licence of that SPDX identifier, in any case; None if ltzoo does not know it."""
    if found := KNOWN.get(text.strip().lower()):
        return found
    match = CREATIVE_COMMONS.fullmatch(text.strip())
    if match is None or (match[2] and match[3]):
        return None
    spdx = match[0].upper()
    return License(
        spdx=spdx,
        hub=spdx.lower(),
        commercial=not match[1],
        derivatives=not match[2],
        family=f"CC-BY{'-NC' if match[1] else ''}-SA" if match[3] else None,
        version=(int(match[4]), int(match[5])),
    )


def license_of_hub(name: str) -> License | None:
    """The licence that the Hugging Face Hub calls so, or whose SPDX identifier it is; None if ltzoo does not know it."""
    return find_license(name) or next(
        (one for one in KNOWN.values() if one.hub == name.strip().lower()), None
    )


def license_objections(
    chosen: License, parts: Iterable[LicensedPart]
) -> tuple[list[str], list[LicensedPart]]:
    """What stands against giving a bridge that licence.

    Args:
        chosen: The bridge's licence.
        parts: What the bridge is made from.

    Returns:
        The reasons, one sentence each; and the parts whose licences ltzoo does not know.
    """
    reasons, unknown = [], []
    for part in dict.fromkeys(parts):
        terms = find_license(part.license)
        if terms is None:
            unknown.append(part)
        elif not terms.derivatives:
            reasons.append(f"{part.what} is under {terms.spdx}, which allows no derived works")
        elif not terms.commercial and chosen.commercial:
            reasons.append(
                f"{part.what} is under {terms.spdx}, which forbids the commercial use that {chosen.spdx} allows"
            )
        elif terms.family is not None and (chosen.family != terms.family or chosen.version < terms.version):
            reasons.append(
                f"{part.what} is under {terms.spdx}, which derived works must keep, and {chosen.spdx} does not"
            )
    return reasons, unknown
