"""A bridge's files, wherever they are: beside a registry, on the Hub, or in a folder. Torch-free."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ltzoo.errors import NoSuchFileError, UnknownBridgeError
from ltzoo.hub import cached_file, check_file, fetch_checked, fetch_file, is_offline
from ltzoo.published import PublishedBridge
from ltzoo.references import local_path, parse_hub_reference, reference_kind
from ltzoo.registry import BRIDGE_FILES, NEEDED_FILES
from ltzoo.zoo import get_bridge

__all__ = ["bridge_files", "bridge_folder", "published_folder"]


def bridge_folder(reference: str) -> Path:
    """The folder of a bridge, its files downloaded if need be, and checked.

    Args:
        reference: A registry's id, ``hf:org/repo`` or ``hf:org/repo@revision``, or ``local:PATH``.

    Raises:
        UnknownBridgeError: No registry lists the id, or the folder does not exist.
        UsageError: The reference has none of these forms.
        OfflineError, HubError: The bridge's files cannot be fetched.
        IntegrityError: A file's hash is not the one that the registry or the Hub gives.
    """
    kind = reference_kind(reference)
    if kind == "local":
        folder = local_path(reference)
        if not (folder / "config.json").is_file():
            raise UnknownBridgeError(
                f"{folder}: no bridge there (a bridge is a folder with a config.json)",
                hint="ltzoo bridges lists the published ones",
            )
        return folder
    if kind == "hub":
        at = parse_hub_reference(reference).pin()
        assert at.revision is not None
        paths = [fetch_file(at.repo, at.revision, name) for name in NEEDED_FILES]
        return paths[0].parent
    return published_folder(get_bridge(reference))


def published_folder(bridge: PublishedBridge) -> Path:
    """The folder of a published bridge, its files downloaded if need be, and checked against its row.

    Raises:
        OfflineError, HubError, IntegrityError: As `bridge_folder`.
    """
    row = bridge.row
    if bridge.folder is None:
        paths = [fetch_checked(row.repo or "", row.revision or "", file) for file in row.files]
        return paths[0].parent
    for file in row.files:
        check_file(bridge.folder / file.name, file)
    return bridge.folder


def bridge_files(reference: str) -> list[Path]:
    """All files of a bridge, downloaded if need be, and checked: the needed ones first.

    Args:
        reference: As `bridge_folder` takes it.

    Raises:
        LtzooError: As `bridge_folder`.
    """
    folder = bridge_folder(reference)
    if reference_kind(reference) != "hub":
        return [path for name in BRIDGE_FILES if (path := folder / name).is_file()]
    at = parse_hub_reference(reference).pin()
    assert at.revision is not None
    paths = [folder / name for name in NEEDED_FILES]
    for name in BRIDGE_FILES[len(NEEDED_FILES) :]:
        if is_offline():
            # Whether the repository has a file that is not cached cannot be known then.
            paths += filter(None, [cached_file(at.repo, at.revision, name)])
            continue
        with suppress(NoSuchFileError):
            paths.append(fetch_file(at.repo, at.revision, name))
    return paths
