"""Files with a known hash: found in an installed package or on the Hugging Face Hub, and checked.

Every file that ltzoo loads weights or latents from passes `resolve_file` or `check_file`: this is the
one place where a wrong file is refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from ltzoo.errors import HubError, IntegrityError, OfflineError, PluginError, UnknownBridgeError, UsageError
from ltzoo.registry import BRIDGE_FILES
from ltzoo.spec import REPO, REVISION, FileSpec, Source
from ltzoo.zoo import get_bridge

__all__ = ["bridge_folder", "check_file", "file_sha256", "resolve_file"]


def resolve_file(source: Source, name: str) -> Path:
    """The path of one of a source's files, its content checked.

    Args:
        source: Where the files come from.
        name: Which one.

    Raises:
        SpecError: The source lists no such file.
        PluginError: The package that carries the file is not installed, or lacks it.
        OfflineError: The file is not cached and the Hub cannot be reached.
        HubError: The Hub refused.
        IntegrityError: The file's hash is not the one that the source gives.
    """
    file = source.file(name)
    if source.package:
        path = _package_file(source.package, file)
    else:
        path = _fetch(source.repo or "", source.revision or "", file.name)
    check_file(path, file)
    return path


def bridge_folder(ref: str) -> Path:
    """The folder of a bridge, its files checked.

    Args:
        ref: A registry's id, ``hf:org/repo@commit``, or ``local:PATH``. A bare string is only ever an
            id: a folder and a repository of the same name cannot be mistaken for each other.

    Raises:
        UnknownBridgeError: No registry lists the id, or the folder does not exist.
        OfflineError, HubError: The bridge's files cannot be fetched.
        IntegrityError: A file's hash is not the one that the registry gives.
    """
    if ref.startswith("local:"):
        folder = Path(ref.removeprefix("local:")).expanduser()
        if not (folder / "config.json").is_file():
            raise UnknownBridgeError(
                f"{folder}: no bridge there (a bridge is a folder with a config.json)",
                hint="ltzoo bridges lists the published ones",
            )
        return folder
    if ref.startswith("hf:"):
        repo, _, revision = ref.removeprefix("hf:").partition("@")
        if not REPO.fullmatch(repo) or not REVISION.fullmatch(revision):
            raise UsageError(
                f"'{ref}' is not a full reference to a Hub repository",
                hint="write hf:org/repo@COMMIT with the commit's 40 hex digits",
            )
        fetched = [_fetch(repo, revision, name) for name in BRIDGE_FILES]
        return fetched[0].parent
    published = get_bridge(ref)
    row = published.row
    if published.folder is not None:
        paths = [published.folder / file.name for file in row.files]
    else:
        paths = [_fetch(row.repo or "", row.revision or "", file.name) for file in row.files]
    for path, file in zip(paths, row.files, strict=True):
        check_file(path, file)
    return paths[0].parent


def check_file(path: Path, file: FileSpec) -> None:
    """Refuses a file whose hash is not the expected one.

    Raises:
        IntegrityError: The hash differs, or the file cannot be read.
    """
    try:
        found = file_sha256(path)
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read: {error.strerror or error}") from error
    if found != file.sha256:
        raise IntegrityError(
            f"{path}: sha256 is {found[:12]}…, not the expected {file.sha256[:12]}…",
            hint="the file is damaged or was changed: remove it and install or download it again",
        )


def file_sha256(path: Path) -> str:
    """The file's sha256 as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _package_file(package: str, file: FileSpec) -> Path:
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations if found else None) or ():
        if (path := Path(folder, *file.name.split("/"))).is_file():
            return path
    problem = "is not installed" if found is None else f"lacks its file '{file.name}'"
    raise PluginError(
        f"the package {package} {problem}", hint=f"ltzoo install -U {package.replace('_', '-')}"
    )


def _fetch(repo: str, revision: str, name: str) -> Path:
    """One file of a Hub repository at a full commit, through the Hub's own cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        # The cache first: a file at a full commit never changes, so the network has nothing to add.
        return Path(hf_hub_download(repo, name, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(hf_hub_download(repo, name, revision=revision))
    except LocalEntryNotFoundError as error:
        raise OfflineError(
            f"{repo}/{name} is not cached, and the Hub cannot be reached",
            hint="go online once, or check HF_ENDPOINT and HF_HUB_OFFLINE",
        ) from error
    except HfHubHTTPError as error:
        raise HubError(f"{repo}/{name} at {revision}: {error}") from error
