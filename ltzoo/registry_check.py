"""Whether what a registry's rows say is true of their files: those beside the registry, and those on the Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ltzoo.errors import HubError, IntegrityError, OfflineError
from ltzoo.hub import HubFile, check_file, fetch_checked, repository_files
from ltzoo.registry import BridgeRow, Registry, RegistrySource
from ltzoo.spec import FileSpec

__all__ = ["Problem", "check_rows"]

Progress = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that a row says, and that is not so.

    Attributes:
        bridge: The row's id.
        text: What is wrong.
        is_integrity: A file has another content than the row says.
    """

    bridge: str
    text: str
    is_integrity: bool = False


def check_rows(
    source: RegistrySource, registry: Registry, *, online: bool, progress: Progress | None = None
) -> list[Problem]:
    """Checks the files of a registry's bridges.

    Args:
        source: Where the registry lies.
        registry: Its content.
        online: Ask the Hub about the bridges there. Large files are not downloaded: their hashes are asked for.
        progress: Told the share that is done, and which row is next.

    Returns:
        All that is wrong, in the order of the rows.

    Raises:
        OfflineError: The Hub cannot be reached, or must not be.
    """
    problems: list[Problem] = []
    for index, row in enumerate(registry.bridges):
        if progress:
            progress(index / len(registry.bridges), row.id)
        if row.path is not None:
            problems += _beside(source, row)
        elif online:
            problems += _on_the_hub(row)
    return problems


def _beside(source: RegistrySource, row: BridgeRow) -> Iterator[Problem]:
    assert source.path is not None
    assert row.path is not None
    paths = [source.path.parent / row.path / file.name for file in row.files]
    is_right = True
    for path, file in zip(paths, row.files, strict=True):
        try:
            check_file(path, file)
        except IntegrityError as error:
            is_right = False
            yield Problem(bridge=row.id, text=str(error), is_integrity=True)
    # Of other files the size says nothing more.
    if is_right:
        yield from _sized(row, sum(path.stat().st_size for path in paths))


def _on_the_hub(row: BridgeRow) -> Iterator[Problem]:
    assert row.repo is not None
    assert row.revision is not None
    try:
        there = {file.name: file for file in repository_files(row.repo, row.revision)}
    except OfflineError:
        raise
    except HubError as error:
        yield Problem(bridge=row.id, text=str(error))
        return
    missing = [file.name for file in row.files if file.name not in there]
    for name in missing:
        yield Problem(bridge=row.id, text=f"hf:{row.repo} has no {name} at {row.revision[:12]}")
    for file in row.files:
        if file.name in there:
            yield from _content(row, file, there[file.name])
    if not missing:
        yield from _sized(row, sum(there[file.name].size for file in row.files))


def _content(row: BridgeRow, file: FileSpec, found: HubFile) -> Iterator[Problem]:
    """What is wrong with one file; a small one, of which the Hub does not tell the sha256, is downloaded."""
    if found.sha256 is not None:
        if found.sha256 != file.sha256:
            text = f"hf:{row.repo}: {file.name} has sha256 {found.sha256[:12]}…, not {file.sha256[:12]}…"
            yield Problem(bridge=row.id, text=text, is_integrity=True)
        return
    try:
        fetch_checked(row.repo or "", row.revision or "", file)
    except OfflineError:
        raise
    except (IntegrityError, HubError) as error:
        yield Problem(bridge=row.id, text=str(error), is_integrity=isinstance(error, IntegrityError))


def _sized(row: BridgeRow, size: int) -> Iterator[Problem]:
    if size != row.size:
        yield Problem(bridge=row.id, text=f"its files have {size} bytes, and the row says {row.size}")
