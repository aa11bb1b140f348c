"""Repositories in memory, as git has them: commits never change; branches, tags and pull requests move."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

# What a new model repository's .gitattributes sends to large file storage, as far as tests need it.
LFS_SUFFIXES = (".safetensors", ".bin", ".gguf", ".h5", ".npy", ".npz", ".onnx", ".pt", ".pth", ".zip")
LFS_SIZE = 10_000_000
SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Account:
    """Whom a token belongs to, the organisations that the account is in, and whether the token may write."""

    name: str
    organisations: tuple[str, ...] = ()
    write: bool = True

    def owns(self, repo: str) -> bool:
        return repo.split("/")[0] in (self.name, *self.organisations)


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class File:
    """One file's content; a large file is known by its sha256, in git there is only a pointer to it."""

    content: bytes
    lfs: bool

    @classmethod
    def of(cls, path: str, content: bytes) -> File:
        return cls(content, lfs=bool(content) and (path.endswith(LFS_SUFFIXES) or len(content) > LFS_SIZE))

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        lines = ("version https://git-lfs.github.com/spec/v1", f"oid sha256:{self.sha256}")
        return "\n".join((*lines, f"size {len(self.content)}", "")).encode()

    @cached_property
    def oid(self) -> str:
        return git_oid(self.pointer if self.lfs else self.content)

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid


@dataclass(frozen=True)
class Commit:
    sha: str
    files: Mapping[str, File]
    title: str
    description: str
    parent: str | None
    date: str


@dataclass
class Repository:
    """A model repository. Refs have their full names: refs/heads/main, refs/tags/v1, refs/pr/1."""

    id: str
    private: bool = False
    gated: bool = False
    # Who else may read a private or gated repository, by account name.
    readers: set[str] = field(default_factory=set)
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(
        self, files: Mapping[str, File], ref: str, *, title: str, description: str = "", parent: str | None
    ) -> Commit:
        """A commit that holds exactly these files; the ref moves to it."""
        # Counted, so that the same files committed twice are two commits, and the same in every run.
        identity = [self.id, str(len(self.commits)), title, str(parent)]
        identity += [f"{path} {file.oid}" for path, file in sorted(files.items())]
        sha = hashlib.sha1("\n".join(identity).encode()).hexdigest()
        date = datetime(2025, 1, 1, tzinfo=UTC).replace(microsecond=1000 * (len(self.commits) % 1000))
        commit = Commit(sha, dict(files), title, description, parent, date.isoformat().replace("+00:00", "Z"))
        self.commits[sha] = commit
        self.refs[ref] = sha
        return commit

    def find(self, revision: str) -> Commit | None:
        """The commit of a branch, a tag, a full ref or a commit's sha."""
        for ref in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if ref in self.refs:
                return self.commits[self.refs[ref]]
        return self.commits.get(revision) if SHA.fullmatch(revision) else None

    def history(self, commit: Commit) -> list[Commit]:
        """The commit and its ancestors, the newest first."""
        found = [commit]
        while found[-1].parent:
            found.append(self.commits[found[-1].parent])
        return found

    def admits(self, account: Account | None) -> bool:
        """Whether an account may read what is private or gated here."""
        return account is not None and (account.owns(self.id) or account.name in self.readers)
