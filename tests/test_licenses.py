"""What licences of models and data ask of a bridge's."""

from __future__ import annotations

import pytest

from ltzoo.licenses import LicensedPart, find_license, license_objections


def objections(chosen: str, *licenses: str) -> tuple[list[str], list[LicensedPart]]:
    license = find_license(chosen)
    assert license is not None
    return license_objections(license, [LicensedPart(f"part {i}", text) for i, text in enumerate(licenses)])


@pytest.mark.parametrize(
    ("chosen", "parts"),
    [
        ("MIT", ["MIT", "Apache-2.0", "CC0-1.0", "CC-BY-4.0"]),
        ("CC-BY-SA-4.0", ["CC-BY-SA-3.0", "CC-BY-SA-4.0", "MIT"]),
        ("CC-BY-NC-4.0", ["CC-BY-NC-3.0", "MIT"]),
        ("CC-BY-NC-SA-4.0", ["CC-BY-NC-SA-4.0", "CC-BY-NC-4.0"]),
        ("GPL-3.0-only", ["GPL-3.0-or-later", "MIT"]),
        ("CreativeML-OpenRAIL-M", ["OpenRAIL", "MIT"]),
        ("cc-by-sa-4.0", ["cc-by-sa-4.0"]),
    ],
)
def test_terms_that_are_kept(chosen, parts):
    assert objections(chosen, *parts) == ([], [])


@pytest.mark.parametrize(
    ("chosen", "part", "reason"),
    [
        ("MIT", "CC-BY-ND-4.0", "no derived works"),
        ("CC-BY-NC-ND-4.0", "CC-BY-NC-ND-4.0", "no derived works"),
        ("MIT", "CC-BY-NC-4.0", "forbids the commercial use"),
        ("CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "forbids the commercial use"),
        ("CC-BY-4.0", "CC-BY-SA-4.0", "derived works must keep"),
        ("CC-BY-SA-3.0", "CC-BY-SA-4.0", "derived works must keep"),
        ("CC-BY-NC-SA-4.0", "CC-BY-SA-4.0", "derived works must keep"),
        ("Apache-2.0", "GPL-3.0-only", "derived works must keep"),
        ("MIT", "OpenRAIL", "derived works must keep"),
    ],
)
def test_terms_that_are_not(chosen, part, reason):
    reasons, unknown = objections(chosen, "MIT", part)
    assert len(reasons) == 1
    assert reasons[0].startswith("part 1 is under")
    assert reason in reasons[0]
    assert not unknown


def test_what_is_not_known_is_left_to_people():
    reasons, unknown = objections("MIT", "other: https://example.org/terms", "MIT", "CC-BY-ND-SA-4.0")
    assert not reasons
    assert [part.license for part in unknown] == ["other: https://example.org/terms", "CC-BY-ND-SA-4.0"]


def test_the_hub_has_names_of_its_own():
    names = {"GPL-3.0-only": "gpl-3.0", "ODbL-1.0": "odbl", "CC-BY-SA-3.0": "cc-by-sa-3.0", "MIT": "mit"}
    assert {spdx: find_license(spdx).hub for spdx in names} == names
    assert find_license("Proprietary") is None
