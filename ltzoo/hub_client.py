"""Questions to the Hugging Face Hub, through its own client, and what its refusals mean. Imported when they are asked."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff  # type: ignore[attr-defined]
from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

from ltzoo.errors import HubError, IntegrityError, LtzooError, NoSuchFileError, OfflineError
from ltzoo.spec import REVISION

try:
    import httpx2 as httpx
except ImportError:  # what the client used before its version 2.4
    import httpx  # type: ignore[import-not-found, no-redef]

__all__ = [
    "api",
    "ask_commit",
    "ask_etag",
    "ask_files",
    "ask_models",
    "asking",
    "check_reachable",
    "download",
]

CONNECT_SECONDS = 3.0
"""How long the Hub may take to answer at all. Its client would try for some 23 s."""
ETAG = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""Of a file: git's hash, or the sha256 of a large one."""
LONGEST_WAIT = 60
"""Seconds that the Hub may ask to wait for; the client waits for hours without a word."""


def download(repo: str, revision: str, name: str, what: str) -> Path:
    """Downloads one file of a repository at a full commit into the Hub's cache.

    Args:
        repo: ``org/name``.
        revision: The full commit.
        name: Path in the repository.
        what: What to call it in messages.

    Raises:
        OfflineError: The Hub cannot be reached.
        HubError: It refused, or the connection broke off too often.
    """
    with asking(what):
        _reach(hf_hub_url(repo, name, revision=revision))
        return Path(hf_hub_download(repo, name, revision=revision))


def ask_etag(repo: str, revision: str, name: str, what: str) -> str | None:
    """What the Hub names the content of a file by: the sha256 of a large one, git's hash of a small one.

    Args:
        repo: ``org/name``.
        revision: The full commit.
        name: Path in the repository.
        what: What to call it in messages.

    Returns:
        64 or 40 hex digits; None if the Hub has trouble of the kind that passes.

    Raises:
        NoSuchFileError: The repository has no such file.
        OfflineError, HubError: As `download`.
    """
    with asking(what):
        return _reach(hf_hub_url(repo, name, revision=revision))


def ask_commit(repo: str, revision: str) -> str:
    """The full commit that a branch or tag stands at.

    Raises:
        OfflineError: The Hub cannot be reached.
        HubError: It has no such repository or revision, or refused.
    """
    what = f"hf:{repo}@{revision}"
    with asking(what), _understanding(what):
        commit = api().model_info(repo, revision=revision, timeout=CONNECT_SECONDS).sha
    # It becomes the name of a folder in the cache.
    if commit is None or not REVISION.fullmatch(str(commit)):
        raise HubError(f"{what}: the Hub says no commit", hint=_endpoint_hint())
    return commit


def ask_files(repo: str, revision: str) -> list[tuple[str, int, str | None]]:
    """The files of a repository at a commit: name, bytes, and the sha256 where the Hub knows it.

    Raises:
        OfflineError: The Hub cannot be reached.
        HubError: It has no such repository or revision, or refused.
    """
    what = f"hf:{repo}@{revision}"
    with asking(what), _understanding(what):
        info = api().model_info(repo, revision=revision, files_metadata=True, timeout=CONNECT_SECONDS)
        if info.sha != revision:
            raise HubError(f"{what}: the Hub answers with commit {info.sha}", hint=_endpoint_hint())
        return [
            (file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None)
            for file in info.siblings or ()
        ]


def ask_models(
    tags: Sequence[str], *, text: str | None, author: str | None, limit: int
) -> list[dict[str, Any]]:
    """The most downloaded models with all of the tags, as the Hub describes them.

    Args:
        tags: What every one of them has.
        text: What its name has in it.
        author: The user or organisation that it belongs to.
        limit: At most so many.

    Raises:
        OfflineError: The Hub cannot be reached.
        HubError: It refused, or what came is no list of models.
    """
    what = "the list of bridges"
    question = {"search": text, "author": author, "filter": list(tags), "limit": limit, "sort": "downloads"}
    params: dict[str, Any] = {name: value for name, value in question.items() if value}
    params["expand"] = ["tags", "likes", "downloads", "lastModified", "sha", "private", "gated"]
    url: str | None = f"{constants.ENDPOINT}/api/models"
    found: list[dict[str, Any]] = []
    # HfApi.list_models would wait for ever for an answer that does not come.
    with asking(what), _understanding(what):
        while url and len(found) < limit:
            response = http_backoff(
                "GET",
                url,
                params=params or None,
                headers=build_hf_headers(library_name="ltzoo"),
                timeout=CONNECT_SECONDS,
                max_retries=2,
                retry_on_exceptions=(),
                retry_on_status_codes=(500, 502, 503, 504),
            )
            hf_raise_for_status(response)
            found += [{**model, "id": str(model["id"])} for model in response.json()]
            # The address of the next page has the question in it.
            url, params = response.links.get("next", {}).get("url"), {}
    return found[:limit]


def api() -> HfApi:
    """The Hub's own interface."""
    from ltzoo import __version__

    return HfApi(library_name="ltzoo", library_version=__version__)


def check_reachable() -> None:
    """Asks the Hub anything, so that one that cannot be reached is known within seconds; for use in `asking`."""
    httpx.head(constants.ENDPOINT, timeout=CONNECT_SECONDS)


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turns what the Hub's client raises in the block into errors of ltzoo.

    Args:
        what: What is asked for.
    """
    logger = logging.getLogger("huggingface_hub")
    level, telemetry = logger.level, constants.HF_HUB_DISABLE_TELEMETRY
    # It says every try that failed in lines of its own; the last one is said here.
    logger.setLevel(logging.ERROR)
    # Else it first asks, once a day, for a list of programs to tell the Hub of.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    no_bars = not sys.stderr.isatty() and constants.HF_HUB_DISABLE_PROGRESS_BARS is None
    if no_bars:
        disable_progress_bars()
    try:
        yield
    except LtzooError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, OSError, EntryNotFoundError, HFValidationError) as error:
        raise _meaning(error, what) from error
    finally:
        logger.setLevel(level)
        constants.HF_HUB_DISABLE_TELEMETRY = telemetry
        if no_bars:
            enable_progress_bars()


@contextmanager
def _understanding(what: str) -> Iterator[None]:
    """Says that it was no Hub that answered, where the block cannot make sense of the answer."""
    try:
        yield
    except HFValidationError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, LtzooError):
            raise
        raise HubError(f"{what}: no answer of a Hub: {_first_line(error)}", hint=_endpoint_hint()) from error


def _reach(url: str) -> str | None:
    """Asks for a file once, so that a Hub that cannot be reached, or has no time, is known within seconds.

    Gives what the Hub names its content by; None if asking again may help, as the client does. The client names
    a file in its cache by that, whatever it is: here it must be a hash.
    """
    try:
        etag = get_hf_file_metadata(url, timeout=CONNECT_SECONDS).etag
        if etag is not None and not ETAG.fullmatch(etag):
            raise IntegrityError(
                "the Hub announces a file by something that is no hash", hint=_endpoint_hint()
            )
        return etag
    except HfHubHTTPError as error:
        wait = error.response.headers.get("Retry-After", "")
        if error.response.status_code == 429 and wait.isdigit() and int(wait) > LONGEST_WAIT:
            raise HubError(
                f"the Hub asks to wait for {wait} s before the next download",
                hint="give the same command again then; logged in, more is allowed: hf auth login",
            ) from error
        if error.response.status_code != 429 and error.response.status_code < 500:
            raise
        return None


def _meaning(error: Exception, what: str) -> LtzooError:
    """An error of the client, as one of ltzoo's."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and isinstance(cause, Exception):
        causes.append(cause)
    for cause in causes:
        if found := _known(cause, what):
            return found
    return HubError(f"{what}: {_first_line(error)}", hint="give the same command again")


def _known(error: Exception, what: str) -> LtzooError | None:
    if isinstance(error, GatedRepoError):
        return HubError(
            f"{what}: its owner asks people to agree to terms first",
            hint=f"agree to them at {constants.ENDPOINT}/{_repo(what)}, then: hf auth login",
        )
    if isinstance(error, RepositoryNotFoundError):
        return HubError(
            f"{what}: no such repository, or a private one",
            hint=f"ltzoo search {_repo(what).rsplit('/')[-1]}; for a private one first: hf auth login",
        )
    if isinstance(error, RevisionNotFoundError):
        return HubError(
            f"{what}: the repository has no such revision", hint=f"hf:{_repo(what)} is the newest one"
        )
    if isinstance(error, EntryNotFoundError) and isinstance(error, HfHubHTTPError):
        return NoSuchFileError(
            f"{what}: the repository has no such file", hint="ltzoo search finds repositories of ltzoo"
        )
    if isinstance(error, HfHubHTTPError):
        return _status(error, what)
    if isinstance(error, FileMetadataError | httpx.TooManyRedirects):
        return HubError(f"{what}: no answer of a Hub: {_first_line(error)}", hint=_endpoint_hint())
    if isinstance(error, httpx.ConnectError | httpx.TimeoutException | OfflineModeIsEnabled):
        return OfflineError(
            f"{what} is not cached, and the Hub cannot be reached ({constants.ENDPOINT})",
            hint="go online and give the same command again, or check HF_ENDPOINT and HF_HUB_OFFLINE",
        )
    if isinstance(error, httpx.TransportError) or "Consistency check failed" in str(error):
        return HubError(
            f"{what}: the download broke off; nothing of it was kept", hint="give the same command again"
        )
    return None


def _status(error: HfHubHTTPError, what: str) -> HubError:
    status = error.response.status_code
    if status in (401, 403):
        return HubError(f"{what}: the Hub does not allow it ({status})", hint="hf auth login")
    if status == 429:
        return HubError(
            f"{what}: the Hub has had too many questions", hint="give the same command again in a minute"
        )
    if status >= 500:
        return HubError(
            f"{what}: the Hub has trouble of its own ({status})", hint="give the same command again later"
        )
    return HubError(f"{what}: {_first_line(error)}")


def _repo(what: str) -> str:
    """``org/name`` out of what is asked for."""
    return "/".join(what.removeprefix("hf:").split("@")[0].split(" ")[0].split("/")[:2])


def _endpoint_hint() -> str:
    return f"check HF_ENDPOINT ({constants.ENDPOINT})"


def _first_line(error: Exception) -> str:
    lines: list[Any] = [line for line in str(error).splitlines() if line.strip()]
    return f"{lines[0]}" if lines else type(error).__name__
