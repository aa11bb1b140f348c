"""New repositories, uploads, commits, pull requests and tags."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .answers import Answer, Refusal, Request, entry_gone, unauthorised
from .repositories import File, Repository

if TYPE_CHECKING:
    from .api import Api


def create(api: Api, request: Request) -> Answer:
    wanted = request.json()
    account = api.account(request)
    if account is None:
        raise unauthorised()
    repo = f"{wanted.get('organization') or account.name}/{wanted['name']}"
    url = f"{api.endpoint}/{repo}"
    if not (account.write and account.owns(repo)):
        raise Refusal(403, "You don't have the rights to create a model under this namespace")
    if repo in api.repositories:
        return Answer.json({"error": "You already created this model repo", "url": url}, 409)
    repository = api.repositories[repo] = Repository(repo, private=wanted.get("visibility") == "private")
    attributes = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
    first = {".gitattributes": File.of(".gitattributes", attributes)}
    repository.commit(first, "refs/heads/main", title="initial commit", parent=None)
    return Answer.json({"url": url, "name": repo, "id": repo})


def preupload(api: Api, request: Request, repo: str, revision: str) -> Answer:
    # A pull request may come from anyone who can read.
    repository = api.repository(request, repo, write=not request.flag("create_pr"))
    commit = api.commit_at(repository, revision)
    found = []
    for file in request.json()["files"]:
        lfs = File.of(file["path"], b"\0" * file["size"]).lfs
        there = commit.files.get(file["path"])
        entry = {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
        found.append({**entry, **({"oid": there.etag} if there else {})})
    return Answer.json({"files": found, "commitOid": commit.sha})


def lfs_batch(api: Api, request: Request, repo: str) -> Answer:
    api.repository(request, repo, write="ref" in request.json())
    found = []
    for item in request.json()["objects"]:
        entry = {"oid": item["oid"], "size": item["size"]}
        if item["oid"] not in api.uploads:
            upload = {"href": f"{api.cdn}/upload/{item['oid']}"}
            verify = {"href": f"{api.endpoint}/{repo}.git/info/lfs/verify"}
            entry["actions"] = {"upload": upload, "verify": verify}
        found.append(entry)
    return Answer.json({"transfer": "basic", "objects": found})


def lfs_upload(api: Api, request: Request, oid: str) -> Answer:
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise Refusal(400, "the content does not have the announced sha256")
    api.uploads[oid] = request.body
    return Answer(200, headers={"ETag": f'"{oid}"'})


def lfs_verify(api: Api, request: Request, repo: str) -> Answer:
    wanted = request.json()
    if len(api.uploads.get(wanted["oid"], b"")) != wanted["size"]:
        raise Refusal(404, "the object was not uploaded")
    return Answer.json({"success": True})


def commit(api: Api, request: Request, repo: str, revision: str) -> Answer:
    pull = request.flag("create_pr")
    repository = api.repository(request, repo, write=not pull)
    base = api.commit_at(repository, revision)
    lines = [json.loads(line) for line in request.body.splitlines() if line.strip()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    if header.get("parentCommit") not in (None, base.sha):
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    files = changed(base.files, lines, api.uploads)
    number = 1 + sum(ref.startswith("refs/pr/") for ref in repository.refs)
    ref = revision if revision.startswith("refs/") else f"refs/heads/{revision}"
    if pull:
        ref = f"refs/pr/{number}"
    title, description = header["summary"], header.get("description", "")
    made = repository.commit(files, ref, title=title, description=description, parent=base.sha)
    url = f"{api.endpoint}/{repo}/commit/{made.sha}"
    found = {"success": True, "commitOid": made.sha, "commitUrl": url}
    if pull:
        found["pullRequestUrl"] = f"{api.endpoint}/{repo}/discussions/{number}"
    return Answer.json(found)


def changed(
    files: Mapping[str, File], lines: Iterable[dict[str, Any]], uploads: Mapping[str, bytes]
) -> dict[str, File]:
    """The files after a commit's lines."""
    found = dict(files)
    for line in lines:
        key, value = line["key"], line["value"]
        path = value.get("path", "")
        if key == "file":
            found[path] = File(base64.b64decode(value["content"]), lfs=False)
        elif key == "lfsFile":
            if value["oid"] not in uploads:
                raise Refusal(400, f"the large file {path} was not uploaded")
            found[path] = File(uploads[value["oid"]], lfs=True)
        elif key == "deletedFile":
            if path not in found:
                raise entry_gone()
            del found[path]
        elif key == "deletedFolder":
            folder = path.rstrip("/") + "/"
            found = {name: file for name, file in found.items() if not name.startswith(folder)}
        elif key != "header":
            raise Refusal(400, f"unknown operation {key}")
    return found


def tag(api: Api, request: Request, repo: str, revision: str) -> Answer:
    repository = api.repository(request, repo, write=True)
    commit = api.commit_at(repository, revision)
    ref = f"refs/tags/{request.json()['tag']}"
    if ref in repository.refs:
        raise Refusal(409, "Tag reference exists already")
    repository.refs[ref] = commit.sha
    return Answer.json({"success": True})
