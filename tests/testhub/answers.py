"""Requests and answers apart from their transport, and the refusals as the Hub words them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    target: str  # as sent: quoted, with the query
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    def flag(self, name: str) -> bool:
        return self.query.get(name, ["false"])[0].lower() in ("1", "true")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    file: tuple[str, str] | None = None  # the repository and the path whose content this is

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Answer:
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


class Refusal(Exception):
    """An answer that is an error, as the Hub words it: the client reads the code and the message's header."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        named = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self.answer = Answer.json({"error": message}, status, **named, **headers)


def repository_gone() -> Refusal:
    return Refusal(404, "Repository not found", "RepoNotFound")


def revision_gone(revision: str) -> Refusal:
    return Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def entry_gone(**headers: str) -> Refusal:
    return Refusal(404, "Entry not found", "EntryNotFound", **headers)


def unauthorised() -> Refusal:
    # The Hub does not tell those without a token whether there is a private repository of that name.
    return Refusal(401, "Invalid username or password.", "RepoNotFound")


def gated(repo: str, *, known: bool) -> Refusal:
    if known:
        message = f"Access to model {repo} is restricted and you are not in the authorized list."
        return Refusal(403, message, "GatedRepo")
    message = f"Access to model {repo} is restricted. You must be authenticated to access it."
    return Refusal(401, message, "GatedRepo")
