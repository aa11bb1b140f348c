"""Files with a known hash: found in an installed package or on the Hugging Face Hub, and checked.

Every file that ltzoo loads weights or latents from passes `resolve_file`, `fetch_file` or `check_file`: this is
the one place where a wrong file is refused. Downloads lie in the Hub's own cache, under its own variables
(``HF_HOME``, ``HF_ENDPOINT``, ``HF_HUB_OFFLINE``, ``HF_TOKEN``).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ltzoo.errors import IntegrityError, OfflineError, PluginError
from ltzoo.files import replacing
from ltzoo.spec import REVISION, SHA256, FileSpec, Source

__all__ = [
    "HubFile",
    "announced_sha256",
    "cached_file",
    "check_file",
    "fetch_checked",
    "fetch_file",
    "file_sha256",
    "is_offline",
    "offline",
    "package_file",
    "repository_files",
    "resolve_commit",
    "resolve_file",
]

DEFAULT_REVISION = "main"


@dataclass(frozen=True)
class HubFile:
    """A file of a Hub repository, as the Hub describes it.

    Attributes:
        name: Path in the repository.
        size: Bytes.
        sha256: Of a large file; None for a small one.
    """

    name: str
    size: int
    sha256: str | None


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
        path = package_file(source.package, file)
        check_file(path, file)
        return path
    if source.folder:
        path = Path(source.folder, *file.name.split("/"))
        check_file(path, file)
        return path
    return fetch_checked(source.repo or "", source.revision or "", file)


def fetch_checked(repo: str, revision: str, file: FileSpec) -> Path:
    """A file of a Hub repository, with the content that is asked for.

    Args:
        repo: ``org/name``.
        revision: The full commit.
        file: Its name and hash.

    Raises:
        OfflineError, HubError, IntegrityError: As `fetch_file`; or its hash is another one. If it was damaged in
            the cache, it is there no more.
    """
    path = fetch_file(repo, revision, file.name)
    found = file_sha256(path)
    if found != file.sha256:
        if not _as_named(path):
            _remove(path)
            raise IntegrityError(
                f"{repo}/{file.name} was damaged in the cache, and has been removed from it",
                hint="give the same command again to download it anew",
            )
        raise IntegrityError(
            f"{repo}/{file.name} at {revision[:12]}: sha256 is {found[:12]}…, not the expected {file.sha256[:12]}…",
            hint="whoever listed the file must correct the hash: ltzoo registry check --online names the row",
        )
    return path


def fetch_file(repo: str, revision: str, name: str) -> Path:
    """A file of a Hub repository at a full commit: from the cache, or downloaded into it.

    Args:
        repo: ``org/name``.
        revision: The full commit, 40 hex digits: what is cached at one never changes.
        name: Path in the repository.

    Raises:
        OfflineError: It is not cached, and the Hub cannot be reached or must not be.
        HubError: The Hub refused.
        IntegrityError: What came is not what the Hub had announced; nothing of it is kept.
    """
    if path := cached_file(repo, revision, name):
        return path
    what = f"{repo}/{name} at {revision[:12]}"
    if is_offline():
        raise OfflineError(
            f"{what} is not cached, and ltzoo is offline",
            hint="go online once: leave out --offline, and unset HF_HUB_OFFLINE",
        )
    from ltzoo.hub_client import download

    path = download(repo, revision, name, what)
    if not _as_named(path):
        _remove(path)
        raise IntegrityError(
            f"{what}: what came is not what the Hub had announced; it was not kept",
            hint="give the same command again",
        )
    return path


def cached_file(repo: str, revision: str, name: str) -> Path | None:
    """The same, if it is in the Hub's cache. The Hub is not asked, and its client not imported.

    Args:
        repo: ``org/name``.
        revision: The full commit.
        name: Path in the repository.
    """
    # The layout is documented; the client itself takes longer to import than a bridge takes to load.
    path = _repo_folder(repo) / "snapshots" / revision / name
    return path if path.is_file() else None


def announced_sha256(repo: str, revision: str, name: str) -> str:
    """The sha256 of a file of a Hub repository at a full commit.

    A large file is not downloaded for it: the Hub knows its sha256, and the cache names it by that. A small one is.

    Args:
        repo: ``org/name``.
        revision: The full commit.
        name: Path in the repository.

    Raises:
        NoSuchFileError: The repository has no such file.
        OfflineError, HubError: As `fetch_file`.
    """
    if path := cached_file(repo, revision, name):
        stored = Path(os.path.realpath(path)).name
        return stored if SHA256.fullmatch(stored) else file_sha256(path)
    if not is_offline():
        from ltzoo.hub_client import ask_etag

        etag = ask_etag(repo, revision, name, f"{repo}/{name} at {revision[:12]}")
        if etag is not None and SHA256.fullmatch(etag):
            return etag
    return file_sha256(fetch_file(repo, revision, name))


def resolve_commit(repo: str, revision: str | None = None) -> str:
    """The full commit that a branch or tag of a Hub repository stands at.

    It is recorded in the Hub's cache, where `is_offline` finds it.

    Args:
        repo: ``org/name``.
        revision: A branch, a tag or a full commit; the default branch if left out.

    Raises:
        OfflineError: The Hub cannot be reached, or must not be and has not been asked before.
        HubError: It has no such repository or revision, or refused.
    """
    revision = revision or DEFAULT_REVISION
    if REVISION.fullmatch(revision):
        return revision
    record = _repo_folder(repo) / "refs" / revision
    if is_offline():
        if record.is_file() and REVISION.fullmatch(text := record.read_text("utf-8").strip()):
            return text
        raise OfflineError(
            f"hf:{repo}@{revision} has not been resolved to a commit before, and ltzoo is offline",
            hint="go online once: leave out --offline, and unset HF_HUB_OFFLINE",
        )
    from ltzoo.hub_client import ask_commit

    commit = ask_commit(repo, revision)
    record.parent.mkdir(parents=True, exist_ok=True)
    with replacing(record) as temporary:
        temporary.write_text(commit, "utf-8")
    return commit


def repository_files(repo: str, revision: str) -> list[HubFile]:
    """The files of a Hub repository; none is downloaded.

    Args:
        repo: ``org/name``.
        revision: The full commit.

    Raises:
        OfflineError: The Hub cannot be reached, or must not be.
        HubError: It has no such repository or commit, or refused.
    """
    if is_offline():
        raise OfflineError(
            f"the Hub cannot be asked about hf:{repo}: ltzoo is offline",
            hint="unset HF_HUB_OFFLINE, and go online",
        )
    from ltzoo.hub_client import ask_files

    return [HubFile(*described) for described in ask_files(repo, revision)]


def is_offline() -> bool:
    """Whether the Hub must not be asked: ``HF_HUB_OFFLINE`` or `offline` says so."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


@contextmanager
def offline() -> Iterator[None]:
    """Keeps ltzoo, and whatever else uses the Hub's client in this process, from asking the Hub."""
    from huggingface_hub import constants

    before, variable = constants.HF_HUB_OFFLINE, os.environ.get("HF_HUB_OFFLINE")
    constants.HF_HUB_OFFLINE = True
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        if variable is None:
            # Another may have taken it away: a command that fails while its options are read is left late.
            os.environ.pop("HF_HUB_OFFLINE", None)
        else:
            os.environ["HF_HUB_OFFLINE"] = variable


def check_file(path: Path, file: FileSpec) -> None:
    """Refuses a file whose hash is not the expected one.

    Raises:
        IntegrityError: The hash differs, or the file cannot be read.
    """
    found = file_sha256(path)
    if found != file.sha256:
        raise IntegrityError(
            f"{path}: sha256 is {found[:12]}…, not the expected {file.sha256[:12]}…",
            hint="the file is damaged or was changed: remove it and install or download it again",
        )


def file_sha256(path: Path) -> str:
    """The file's sha256 as 64 hex digits.

    Raises:
        IntegrityError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read: {error.strerror or error}") from error


def package_file(package: str, file: FileSpec) -> Path:
    """The path of a file that an installed package carries. Its content is not looked at.

    Raises:
        PluginError: The package is not installed, or lacks the file.
    """
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations if found else None) or ():
        if (path := Path(folder, *file.name.split("/"))).is_file():
            return path
    problem = "is not installed" if found is None else f"lacks its file '{file.name}'"
    raise PluginError(
        f"the package {package} {problem}", hint=f"ltzoo install -U {package.replace('_', '-')}"
    )


def _repo_folder(repo: str) -> Path:
    """Where the Hub's cache keeps a repository."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE, f"models--{repo.replace('/', '--')}")


def _as_named(path: Path) -> bool:
    """Whether a cached file has the content that its name in the cache promises.

    The cache names a file by what the Hub announced of it: its sha256, or git's hash of a small file. Where the
    file system has no symbolic links that name is not kept, and there is nothing to compare with.
    """
    name = Path(os.path.realpath(path)).name
    if SHA256.fullmatch(name):
        return file_sha256(path) == name
    if REVISION.fullmatch(name):
        content = path.read_bytes()
        # Not for safety: it is how git names content.
        digest = hashlib.sha1(b"blob %d\0" % len(content), usedforsecurity=False)
        digest.update(content)
        return digest.hexdigest() == name
    # An etag that is no hash is not the Hub's.
    return not path.is_symlink()


def _remove(path: Path) -> None:
    """Takes a file out of the cache."""
    content = Path(os.path.realpath(path))
    for part in (path, content):
        part.unlink(missing_ok=True)
