"""What the Hub tells of accounts, cards, models and one repository."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from . import cards
from .answers import Answer, Refusal, Request, entry_gone
from .repositories import Commit, File, Repository, git_oid

if TYPE_CHECKING:
    from .api import Api


def whoami(api: Api, request: Request) -> Answer:
    account = api.account(request)
    if account is None:
        raise Refusal(401, "Invalid username or password.")
    organisations = [{"type": "org", "name": name, "roleInOrg": "write"} for name in account.organisations]
    token = {"displayName": "test", "role": "write" if account.write else "read"}
    found = {"type": "user", "name": account.name, "fullname": account.name, "orgs": organisations}
    return Answer.json({**found, "auth": {"type": "access_token", "accessToken": token}})


def agent_harnesses(api: Api, request: Request) -> Answer:
    # The client asks once a day, before its first request, for the names of agents it may run under.
    return Answer.json({"standardEnvVars": [], "harnesses": {}})


def validate_yaml(api: Api, request: Request) -> Answer:
    errors, warnings = cards.check(request.json()["content"])
    found = {name: [{"message": m} for m in ms] for name, ms in (("errors", errors), ("warnings", warnings))}
    return Answer.json(found, 400 if errors else 200)


def models(api: Api, request: Request) -> Answer:
    query = request.query
    account = api.account(request)
    author, search = query.get("author", [""])[0], query.get("search", [""])[0].lower()
    wanted = set(query.get("filter", []))
    found = []
    for repository in api.repositories.values():
        if (commit := repository.find("main")) is None:
            continue
        entry = info(repository, commit)
        if (
            (not repository.private or repository.admits(account))
            and (not author or entry["author"] == author)
            and search in repository.id.lower()
            and wanted <= {*entry["tags"], entry.get("pipeline_tag"), entry.get("library_name")}
        ):
            found.append(entry)
    limit = query.get("limit")
    entries, headers = api.page(request, found, int(limit[0]) if limit else None)
    return Answer.json([shown(request, entry, listed=True) for entry in entries], **headers)


def info(repository: Repository, commit: Commit) -> dict[str, Any]:
    """All that is known of a repository at a commit."""
    readme = commit.files.get("README.md")
    data = cards.metadata(readme.content.decode(errors="replace")) if readme else {}
    found: dict[str, Any] = {
        "_id": hashlib.sha1(repository.id.encode()).hexdigest()[:24],
        "id": repository.id,
        "modelId": repository.id,
        "author": repository.id.split("/")[0],
        "sha": commit.sha,
        "createdAt": repository.history(commit)[-1].date,
        "lastModified": commit.date,
        "private": repository.private,
        "gated": "manual" if repository.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": cards.tags(data),
        "cardData": data or None,
        "siblings": [{"rfilename": path, **described(file)} for path, file in sorted(commit.files.items())],
    }
    found |= {name: data[name] for name in ("library_name", "pipeline_tag", "model-index") if name in data}
    return found


def shown(request: Request, known: dict[str, Any], *, listed: bool = False) -> dict[str, Any]:
    """The part of what is known that was asked for."""
    if expand := request.query.get("expand"):
        return {name: value for name, value in known.items() if name in ("_id", "id", *expand)}
    left_out = set()
    if listed and not request.flag("full"):
        left_out |= {"author", "sha", "lastModified", "gated", "disabled", "siblings"}
    if listed and not request.flag("cardData"):
        left_out |= {"cardData", "model-index"}
    found = {name: value for name, value in known.items() if name not in left_out}
    if "siblings" in found and not request.flag("blobs"):
        found["siblings"] = [{"rfilename": file["rfilename"]} for file in found["siblings"]]
    return found


def model(api: Api, request: Request, repo: str, revision: str = "main") -> Answer:
    repository = api.repository(request, repo)
    return Answer.json(shown(request, info(repository, api.commit_at(repository, revision))))


def tree(api: Api, request: Request, repo: str, revision: str, path: str) -> Answer:
    commit = api.commit_at(api.repository(request, repo), revision)
    inside = f"{path}/" if path else ""
    entries: dict[str, dict[str, Any]] = {}
    for name, file in sorted(commit.files.items()):
        if not name.startswith(inside):
            continue
        steps = name.removeprefix(inside).split("/")
        for depth in range(1, len(steps)):
            folder = inside + "/".join(steps[:depth])
            oid = git_oid(f"{commit.sha} {folder}".encode())
            entries[folder] = {"type": "directory", "oid": oid, "size": 0, "path": folder}
        entry = {"type": "file", "oid": file.oid, "size": len(file.content), "path": name}
        if file.lfs:
            size = len(file.content)
            entry["lfs"] = {"oid": file.sha256, "size": size, "pointerSize": len(file.pointer)}
        entries[name] = entry
    if path and not entries:
        raise entry_gone()
    found = [
        entry
        for name, entry in entries.items()
        if request.flag("recursive") or "/" not in name[len(inside) :]
    ]
    page, headers = api.page(request, found)
    return Answer.json(page, **headers)


def refs(api: Api, request: Request, repo: str) -> Answer:
    repository = api.repository(request, repo)

    def under(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": sha}
            for ref, sha in repository.refs.items()
            if ref.startswith(prefix)
        ]

    found = {"branches": under("refs/heads/"), "converts": [], "tags": under("refs/tags/")}
    return Answer.json({**found, "pullRequests": under("refs/pr/")})


def commits(api: Api, request: Request, repo: str, revision: str) -> Answer:
    repository = api.repository(request, repo)
    found = [
        {
            "id": c.sha,
            "title": c.title,
            "message": c.description,
            "date": c.date,
            "authors": [{"user": "test"}],
        }
        for c in repository.history(api.commit_at(repository, revision))
    ]
    page, headers = api.page(request, found)
    return Answer.json(page, **headers)


def discussion(api: Api, request: Request, repo: str, number: str) -> Answer:
    repository = api.repository(request, repo)
    sha = repository.refs.get(f"refs/pr/{number}")
    if sha is None:
        raise Refusal(404, "Discussion not found")
    commit = repository.commits[sha]
    found = {
        "title": commit.title,
        "num": int(number),
        "author": {"name": "test"},
        "createdAt": commit.date,
    }
    found |= {"status": "open", "isPullRequest": True, "events": [], "filesWithConflicts": []}
    found |= {"repo": {"name": repo, "type": "model"}, "changes": {"base": "refs/heads/main"}}
    return Answer.json(found)


def described(file: File) -> dict[str, Any]:
    """A file as a repository's info lists it with ``blobs``."""
    found: dict[str, Any] = {"size": len(file.content), "blobId": file.oid}
    if file.lfs:
        found["lfs"] = {"sha256": file.sha256, "size": len(file.content), "pointerSize": len(file.pointer)}
    return found
