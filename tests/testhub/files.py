"""The contents of files, and the redirects to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from .answers import Answer, Refusal, Request, entry_gone
from .repositories import Repository

if TYPE_CHECKING:
    from .api import Api


def resolve(api: Api, request: Request, repo: str, revision: str, path: str) -> Answer:
    """Small files are served from an address that names the commit, large ones from the file storage."""
    repository = api.repository(request, repo, files=True)
    commit = api.commit_at(repository, revision)
    file = commit.files.get(path)
    named = {"X-Repo-Commit": commit.sha}
    if file is None:
        raise entry_gone(**named)
    named |= {"X-Linked-Size": str(len(file.content)), "X-Linked-ETag": f'"{file.etag}"'}
    if file.lfs:
        address = f"{api.cdn}/files/{repo}/{commit.sha}/{quote(path)}"
        return Answer(302, headers={**named, "Location": address})
    address = f"/api/resolve-cache/models/{repo}/{commit.sha}/{quote(path)}"
    return Answer(307, headers={**named, "Location": address})


def content(api: Api, request: Request, repo: str, revision: str, path: str) -> Answer:
    repository = api.repository(request, repo, files=True)
    return served(request, repository, revision, path)


def stored(api: Api, request: Request, repo: str, revision: str, path: str) -> Answer:
    # The real address is signed: who has it needs no token.
    if repo not in api.repositories:
        raise entry_gone()
    return served(request, api.repositories[repo], revision, path)


def served(request: Request, repository: Repository, revision: str, path: str) -> Answer:
    commit = repository.commits.get(revision)
    file = commit.files.get(path) if commit else None
    if file is None:
        raise entry_gone()
    headers = {"ETag": f'"{file.etag}"', "X-Repo-Commit": revision, "Accept-Ranges": "bytes"}
    headers["Content-Type"] = "application/octet-stream"
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if wanted is None:
        return Answer(200, file.content, headers, (repository.id, path))
    size, start = len(file.content), int(wanted[1])
    if start >= size:
        raise Refusal(416, "Range Not Satisfiable", **{"Content-Range": f"bytes */{size}"})
    stop = min(int(wanted[2]) + 1 if wanted[2] else size, size)
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Answer(206, file.content[start:stop], headers, (repository.id, path))
