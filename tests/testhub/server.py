"""The hub itself: what tests put in, what they set, and what they may look at."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType

from .api import Api
from .faults import Faults
from .repositories import Account, File, Repository
from .wire import Listener, Logged

WRITER = "hf_writer"  # the token of "tester", who may write to the organisation "org"
READER = "hf_reader"  # the token of "visitor", who may read what is public

ACCOUNTS = {WRITER: Account("tester", ("org",)), READER: Account("visitor", write=False)}


class TestHub(AbstractContextManager["TestHub"]):
    """A Hub at 127.0.0.1, between ``with`` and its end; while it is stopped nothing listens there.

    Attributes:
        endpoint: The address for ``HF_ENDPOINT``.
        cdn: The address that large files are served from and uploaded to: another origin, as the real one.
        requests: All requests so far, in the order of their answers.
        faults: What goes wrong.
        accounts: By their tokens; tests may add some.
        page_size: The most entries of a list in one answer.
    """

    __test__ = False  # pytest takes it for a class of tests otherwise

    def __init__(self) -> None:
        self.api = Api(ACCOUNTS)
        self.faults = Faults()
        self.requests: list[Logged] = []
        self.errors: list[BaseException] = []  # the hub's own
        self.stopping = threading.Event()
        self._listeners: list[Listener] = []
        self._ports = (0, 0)

    def __enter__(self) -> TestHub:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self.errors:
            raise self.errors[0]

    def start(self) -> None:
        """Listens, at the same ports as before if it was stopped."""
        self.stopping.clear()
        self._listeners = [Listener(self, port) for port in self._ports]
        self.api.endpoint, self.api.cdn = (listener.address for listener in self._listeners)
        self._ports = tuple(listener.server_address[1] for listener in self._listeners)

    def stop(self) -> None:
        """Ends all connections and listens no more: the hub cannot be reached. What is in it stays."""
        self.stopping.set()
        for listener in self._listeners:
            listener.stop()
        self._listeners = []

    @property
    def endpoint(self) -> str:
        return self.api.endpoint

    @property
    def cdn(self) -> str:
        return self.api.cdn

    @property
    def accounts(self) -> dict[str, Account]:
        return self.api.accounts

    @property
    def page_size(self) -> int:
        return self.api.page_size

    @page_size.setter
    def page_size(self, size: int) -> None:
        self.api.page_size = size

    def add(
        self,
        repo: str,
        files: Mapping[str, bytes],
        *,
        branch: str = "main",
        tags: Iterable[str] = (),
        private: bool = False,
        gated: bool = False,
        readers: Iterable[str] = (),
    ) -> str:
        """A commit of exactly these files on a branch, in a new repository if there is none of the name.

        Args:
            repo: ``org/name``.
            files: Contents by path. What is large or ends as weights do is a file of the large file storage.
            branch: The branch that moves to the commit.
            tags: Names that point to the commit; those that exist are moved.
            private, gated: Of a new repository.
            readers: Accounts, beside the owner's, that may read it although it is private or gated.

        Returns:
            The commit's sha.
        """
        with self.api.lock:
            new = Repository(repo, private=private, gated=gated, readers=set(readers))
            repository = self.api.repositories.setdefault(repo, new)
            held = {path: File.of(path, content) for path, content in files.items()}
            self.api.uploads |= {file.sha256: file.content for file in held.values() if file.lfs}
            ref = f"refs/heads/{branch}"
            parent = repository.refs.get(ref)
            sha = repository.commit(held, ref, title=f"Add {len(held)} files", parent=parent).sha
            repository.refs |= {f"refs/tags/{tag}": sha for tag in tags}
        return sha

    def move(self, repo: str, ref: str, sha: str) -> None:
        """Points a tag, if there is one of the name, or else a branch to another commit of the repository.

        A full name (refs/heads/main, refs/tags/v1, refs/pr/1) is taken as it is.
        """
        with self.api.lock:
            repository = self.api.repositories[repo]
            assert sha in repository.commits, f"{repo} has no commit {sha}"
            full = ref if ref.startswith("refs/") else f"refs/tags/{ref}"
            if not ref.startswith("refs/") and full not in repository.refs:
                full = f"refs/heads/{ref}"
            repository.refs[full] = sha

    def remove(self, repo: str) -> None:
        """Deletes a repository."""
        with self.api.lock:
            del self.api.repositories[repo]

    def repository(self, repo: str) -> Repository:
        """A repository as it is now, with its commits and refs."""
        return self.api.repositories[repo]

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        """The contents of a repository's files."""
        commit = self.api.repositories[repo].find(revision)
        assert commit is not None, f"{repo} has no {revision}"
        return {path: file.content for path, file in commit.files.items()}

    def bytes_sent(self, repo: str, path: str | None = None) -> int:
        """How many bytes of a file's content went out, or of all files of the repository, in all requests."""
        sent = [logged for logged in self.requests if logged.file and logged.file[0] == repo]
        return sum(logged.sent for logged in sent if path is None or logged.file == (repo, path))
