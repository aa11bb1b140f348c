"""Bridges on the Hugging Face Hub, found by what their cards say. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ltzoo.errors import OfflineError, UsageError
from ltzoo.records import Record
from ltzoo.spec import REPO, Modality

__all__ = ["JOINS", "TAG", "FoundBridge", "search_bridges"]

TAG = "ltzoo"
"""The tag that the card of every bridge has."""
JOINS = "joins:"
"""What the tags begin with that name the models of a bridge."""


@dataclass(frozen=True, kw_only=True)
class FoundBridge(Record):
    """A repository that says it is a bridge. Whoever owns it wrote all of this; nothing of it is checked.

    Attributes:
        reference: ``hf:org/name``.
        models: The models that it says it joins.
        revision: The commit of its default branch.
        likes: How many like it.
        downloads: In the last 30 days.
        modified: The day of its last commit, ``YYYY-MM-DD``.
        private: Only its owner sees it.
        gated: Its owner asks people to agree to terms first.
    """

    reference: str
    models: tuple[str, ...]
    revision: str | None = None
    likes: int = 0
    downloads: int = 0
    modified: str | None = None
    private: bool = False
    gated: bool = False


def search_bridges(
    text: str | None = None,
    *,
    model: str | None = None,
    modality: Modality | None = None,
    author: str | None = None,
    limit: int = 20,
) -> list[FoundBridge]:
    """The repositories of the Hub that are tagged as bridges of ltzoo, the most downloaded first.

    Args:
        text: What the repository's name has in it.
        model: A model that it joins.
        modality: The modality of one of its models.
        author: The user or organisation that it belongs to.
        limit: At most so many.

    Raises:
        UsageError: The limit is none.
        OfflineError: The Hub cannot be reached, or must not be.
        HubError: It refused.
    """
    from ltzoo.hub import is_offline

    if limit < 1:
        raise UsageError(f"a search for {limit} bridges finds none")
    if is_offline():
        raise OfflineError(
            "the Hub cannot be searched: ltzoo is offline", hint="unset HF_HUB_OFFLINE, or ltzoo bridges"
        )
    from ltzoo.hub_client import ask_models

    tags = [TAG, *([f"{JOINS}{model}"] if model else []), *([modality] if modality else [])]
    found = ask_models(tags, text=text, author=author, limit=limit)
    return [_found(one) for one in found if REPO.fullmatch(one["id"])]


def _found(answer: dict[str, Any]) -> FoundBridge:
    def get(name: str, kind: type) -> Any:
        """What the Hub says, if it has the kind that it should have."""
        value = answer.get(name)
        return value if isinstance(value, kind) else None

    tags = [tag for tag in get("tags", list) or [] if isinstance(tag, str)]
    return FoundBridge(
        reference=f"hf:{answer['id']}",
        models=tuple(tag.removeprefix(JOINS) for tag in tags if tag.startswith(JOINS)),
        revision=get("sha", str),
        likes=get("likes", int) or 0,
        downloads=get("downloads", int) or 0,
        modified=(get("lastModified", str) or "")[:10] or None,
        private=bool(answer.get("private")),
        gated=bool(answer.get("gated")),
    )
