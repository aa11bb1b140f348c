"""References to bridges: a registry's id, ``hf:org/repo[@revision]``, or ``local:PATH``. Torch-free.

The forms are told apart by how they are written and never by what exists: a folder and a repository of the same
name cannot be mistaken for each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ltzoo.errors import UsageError
from ltzoo.spec import REPO, REVISION

__all__ = ["HubReference", "local_path", "parse_hub_reference", "pinned", "reference_kind"]

HUB, LOCAL = "hf:", "local:"
REVISION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}")
"""Of a branch or tag; it becomes a file name in the Hub's cache."""


@dataclass(frozen=True)
class HubReference:
    """A repository of the Hub.

    Attributes:
        repo: ``org/name``.
        revision: A full commit, a branch or a tag; None for the default branch.
    """

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{HUB}{self.repo}" + (f"@{self.revision}" if self.revision else "")

    @property
    def is_pinned(self) -> bool:
        """Whether it names a full commit, which never changes."""
        return self.revision is not None and bool(REVISION.fullmatch(self.revision))

    def pin(self) -> HubReference:
        """The same at a full commit; see `ltzoo.hub.resolve_commit`.

        Raises:
            OfflineError, HubError: The commit cannot be found out.
        """
        if self.is_pinned:
            return self
        from ltzoo.hub import resolve_commit  # only here: listings are measured in milliseconds

        return HubReference(self.repo, resolve_commit(self.repo, self.revision))


def reference_kind(text: str) -> Literal["hub", "local", "id"]:
    """Which form a reference has."""
    if text.startswith(HUB):
        return "hub"
    return "local" if text.startswith(LOCAL) else "id"


def parse_hub_reference(text: str) -> HubReference:
    """``hf:org/repo`` or ``hf:org/repo@revision``.

    Raises:
        UsageError: The text has another form.
    """
    repo, at, revision = text.removeprefix(HUB).partition("@")
    named = bool(REVISION_NAME.fullmatch(revision)) and not re.search(r"\.\.|//|/$|\.lock$", revision)
    if not text.startswith(HUB) or not REPO.fullmatch(repo) or (at and not named):
        raise UsageError(
            f"'{text}' is not a reference to a Hub repository",
            hint="write hf:org/repo, or hf:org/repo@COMMIT with the commit's 40 hex digits",
        )
    return HubReference(repo, revision or None)


def pinned(text: str) -> str:
    """The reference, with a full commit in place of a branch or tag; other forms stay as they are.

    Raises:
        UsageError: It begins like a reference to the Hub, and is none.
        OfflineError, HubError: The commit cannot be found out.
    """
    return str(parse_hub_reference(text).pin()) if reference_kind(text) == "hub" else text


def local_path(text: str) -> Path:
    """The path of a ``local:`` reference."""
    return Path(text.removeprefix(LOCAL)).expanduser()
