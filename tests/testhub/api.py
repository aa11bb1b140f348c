"""The Hub's state, and how a request finds its answer. There are no faults here."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import unquote, urlencode, urlsplit

from .answers import Answer, Refusal, Request, gated, repository_gone, revision_gone, unauthorised
from .repositories import Account, Commit, Repository
from .routes import ROUTES

T = TypeVar("T")


class Api:
    """The Hub's state, and the answers to requests.

    Attributes:
        endpoint, cdn: The addresses of the Hub and of its file storage, which is another origin.
        repositories: By their ids.
        accounts: By their tokens.
        page_size: The most entries of a list in one answer.
    """

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self.endpoint = self.cdn = ""
        self.repositories: dict[str, Repository] = {}
        self.accounts = dict(accounts)
        self.page_size = 1000
        self.uploads: dict[str, bytes] = {}  # large files by sha256, before a commit names them
        self.lock = threading.RLock()  # one request at a time: all is in memory and quick

    def answer(self, request: Request) -> Answer:
        """The answer to a request to either address. HEAD is answered as GET."""
        path = urlsplit(request.target).path
        method = "GET" if request.method == "HEAD" else request.method
        with self.lock:
            try:
                for verb, pattern, handler in ROUTES:
                    if verb == method and (found := pattern.fullmatch(path)):
                        parts = {name: unquote(part) for name, part in found.groupdict(default="").items()}
                        return handler(self, request, **parts)
                raise Refusal(404, f"Sorry, we can't find the page you are looking for: {path}")
            except Refusal as refusal:
                return refusal.answer

    # Who asks for what

    def account(self, request: Request) -> Account | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.accounts:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return self.accounts.get(token)

    def repository(
        self, request: Request, repo: str, *, write: bool = False, files: bool = False
    ) -> Repository:
        account = self.account(request)
        found = self.repositories.get(repo)
        if found is None or (found.private and not found.admits(account)):
            raise unauthorised() if account is None else repository_gone()
        if write and not (account and account.write and account.owns(repo)):
            raise Refusal(403 if account else 401, "You don't have the rights to write to this repository")
        if files and found.gated and not found.admits(account):
            raise gated(repo, known=account is not None)
        return found

    @staticmethod
    def commit_at(repository: Repository, revision: str) -> Commit:
        commit = repository.find(revision)
        if commit is None:
            raise revision_gone(revision)
        return commit

    def page(
        self, request: Request, entries: list[T], size: int | None = None
    ) -> tuple[list[T], dict[str, str]]:
        """The entries of one page, and the header with the address of the next one, as GitHub has it."""
        size = min(size or self.page_size, self.page_size)
        start = int(request.query.get("cursor", ["0"])[0])
        if start + size >= len(entries):
            return entries[start:], {}
        query = urlencode({**request.query, "cursor": [str(start + size)]}, doseq=True)
        address = f"{self.endpoint}{urlsplit(request.target).path}?{query}"
        return entries[start : start + size], {"Link": f'<{address}>; rel="next"'}
