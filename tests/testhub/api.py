"""What each address of the Hub answers, without faults: the part of its interface that the client calls."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from . import cards
from .repositories import Account, Commit, File, Repository, git_oid

T = TypeVar("T")


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

    # Accounts, cards, lists

    def whoami(self, request: Request) -> Answer:
        account = self.account(request)
        if account is None:
            raise Refusal(401, "Invalid username or password.")
        organisations = [
            {"type": "org", "name": name, "roleInOrg": "write"} for name in account.organisations
        ]
        token = {"displayName": "test", "role": "write" if account.write else "read"}
        found = {"type": "user", "name": account.name, "fullname": account.name, "orgs": organisations}
        return Answer.json({**found, "auth": {"type": "access_token", "accessToken": token}})

    def agent_harnesses(self, request: Request) -> Answer:
        # The client asks once a day, before its first request, for the names of agents it may run under.
        return Answer.json({"standardEnvVars": [], "harnesses": {}})

    def validate_yaml(self, request: Request) -> Answer:
        errors, warnings = cards.check(request.json()["content"])
        found = {
            name: [{"message": m} for m in ms] for name, ms in (("errors", errors), ("warnings", warnings))
        }
        return Answer.json(found, 400 if errors else 200)

    def models(self, request: Request) -> Answer:
        query = request.query
        account = self.account(request)
        author, search = query.get("author", [""])[0], query.get("search", [""])[0].lower()
        wanted = set(query.get("filter", []))
        found = []
        for repository in self.repositories.values():
            info = self.info(repository, self.commit_at(repository, "main"))
            if (
                (not repository.private or repository.admits(account))
                and (not author or info["author"] == author)
                and search in repository.id.lower()
                and wanted <= {*info["tags"], info.get("pipeline_tag"), info.get("library_name")}
            ):
                found.append(info)
        limit = query.get("limit")
        entries, headers = self.page(request, found, int(limit[0]) if limit else None)
        return Answer.json([self.shown(request, entry, listed=True) for entry in entries], **headers)

    # One repository

    def info(self, repository: Repository, commit: Commit) -> dict[str, Any]:
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
            "siblings": [
                {"rfilename": path, **described(file)} for path, file in sorted(commit.files.items())
            ],
        }
        found |= {
            name: data[name] for name in ("library_name", "pipeline_tag", "model-index") if name in data
        }
        return found

    def shown(self, request: Request, info: dict[str, Any], *, listed: bool = False) -> dict[str, Any]:
        """The part of what is known that was asked for."""
        if expand := request.query.get("expand"):
            return {name: value for name, value in info.items() if name in ("_id", "id", *expand)}
        left_out = set()
        if listed and not request.flag("full"):
            left_out |= {"author", "sha", "lastModified", "gated", "disabled", "siblings"}
        if listed and not request.flag("cardData"):
            left_out |= {"cardData", "model-index"}
        shown = {name: value for name, value in info.items() if name not in left_out}
        if "siblings" in shown and not request.flag("blobs"):
            shown["siblings"] = [{"rfilename": file["rfilename"]} for file in shown["siblings"]]
        return shown

    def model(self, request: Request, repo: str, revision: str = "main") -> Answer:
        repository = self.repository(request, repo)
        return Answer.json(self.shown(request, self.info(repository, self.commit_at(repository, revision))))

    def tree(self, request: Request, repo: str, revision: str, path: str) -> Answer:
        commit = self.commit_at(self.repository(request, repo), revision)
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
        page, headers = self.page(request, found)
        return Answer.json(page, **headers)

    def refs(self, request: Request, repo: str) -> Answer:
        repository = self.repository(request, repo)

        def under(prefix: str) -> list[dict[str, str]]:
            return [
                {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": sha}
                for ref, sha in repository.refs.items()
                if ref.startswith(prefix)
            ]

        found = {"branches": under("refs/heads/"), "converts": [], "tags": under("refs/tags/")}
        return Answer.json({**found, "pullRequests": under("refs/pr/")})

    def commits(self, request: Request, repo: str, revision: str) -> Answer:
        repository = self.repository(request, repo)
        found = [
            {
                "id": c.sha,
                "title": c.title,
                "message": c.description,
                "date": c.date,
                "authors": [{"user": "test"}],
            }
            for c in repository.history(self.commit_at(repository, revision))
        ]
        page, headers = self.page(request, found)
        return Answer.json(page, **headers)

    def discussion(self, request: Request, repo: str, number: str) -> Answer:
        repository = self.repository(request, repo)
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

    # Writing

    def create(self, request: Request) -> Answer:
        wanted = request.json()
        account = self.account(request)
        if account is None:
            raise unauthorised()
        repo = f"{wanted.get('organization') or account.name}/{wanted['name']}"
        url = f"{self.endpoint}/{repo}"
        if not (account.write and account.owns(repo)):
            raise Refusal(
                403, f"You don't have the rights to create a model under the namespace {repo.split('/')[0]}"
            )
        if repo in self.repositories:
            return Answer.json({"error": "You already created this model repo", "url": url}, 409)
        repository = self.repositories[repo] = Repository(repo, private=wanted.get("visibility") == "private")
        first = {
            ".gitattributes": File.of(
                ".gitattributes", b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
            )
        }
        repository.commit(first, "refs/heads/main", title="initial commit", parent=None)
        return Answer.json({"url": url, "name": repo, "id": repo})

    def preupload(self, request: Request, repo: str, revision: str) -> Answer:
        # A pull request may come from anyone who can read.
        repository = self.repository(request, repo, write=not request.flag("create_pr"))
        commit = self.commit_at(repository, revision)
        found = []
        for file in request.json()["files"]:
            lfs = File.of(file["path"], b"\0" * file["size"]).lfs
            there = commit.files.get(file["path"])
            entry = {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
            found.append({**entry, **({"oid": there.etag} if there else {})})
        return Answer.json({"files": found, "commitOid": commit.sha})

    def lfs_batch(self, request: Request, repo: str) -> Answer:
        self.repository(request, repo, write="ref" in request.json())
        found = []
        for item in request.json()["objects"]:
            entry = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in self.uploads:
                upload = {"href": f"{self.cdn}/upload/{item['oid']}"}
                entry["actions"] = {
                    "upload": upload,
                    "verify": {"href": f"{self.endpoint}/{repo}.git/info/lfs/verify"},
                }
            found.append(entry)
        return Answer.json({"transfer": "basic", "objects": found})

    def lfs_upload(self, request: Request, oid: str) -> Answer:
        if hashlib.sha256(request.body).hexdigest() != oid:
            raise Refusal(400, "the content does not have the announced sha256")
        self.uploads[oid] = request.body
        return Answer(200, headers={"ETag": f'"{oid}"'})

    def lfs_verify(self, request: Request, repo: str) -> Answer:
        wanted = request.json()
        if len(self.uploads.get(wanted["oid"], b"")) != wanted["size"]:
            raise Refusal(404, "the object was not uploaded")
        return Answer.json({"success": True})

    def commit(self, request: Request, repo: str, revision: str) -> Answer:
        pull = request.flag("create_pr")
        repository = self.repository(request, repo, write=not pull)
        base = self.commit_at(repository, revision)
        lines = [json.loads(line) for line in request.body.splitlines() if line.strip()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit") not in (None, base.sha):
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        files = self.changed(base.files, lines)
        numbers = [int(ref.rsplit("/", 1)[1]) for ref in repository.refs if ref.startswith("refs/pr/")]
        number = 1 + max(numbers, default=0)
        ref = (
            f"refs/pr/{number}"
            if pull
            else revision
            if revision.startswith("refs/")
            else f"refs/heads/{revision}"
        )
        title, description = header["summary"], header.get("description", "")
        made = repository.commit(files, ref, title=title, description=description, parent=base.sha)
        found = {
            "success": True,
            "commitOid": made.sha,
            "commitUrl": f"{self.endpoint}/{repo}/commit/{made.sha}",
        }
        if pull:
            found["pullRequestUrl"] = f"{self.endpoint}/{repo}/discussions/{number}"
        return Answer.json(found)

    def changed(self, files: Mapping[str, File], lines: Iterable[dict[str, Any]]) -> dict[str, File]:
        """The files after a commit's lines."""
        found = dict(files)
        for line in lines:
            key, value = line["key"], line["value"]
            path = value.get("path", "")
            if key == "file":
                found[path] = File(base64.b64decode(value["content"]), lfs=False)
            elif key == "lfsFile":
                if value["oid"] not in self.uploads:
                    raise Refusal(400, f"the large file {path} was not uploaded")
                found[path] = File(self.uploads[value["oid"]], lfs=True)
            elif key == "deletedFile":
                if path not in found:
                    raise entry_gone()
                del found[path]
            elif key == "deletedFolder":
                found = {
                    name: file for name, file in found.items() if not name.startswith(path.rstrip("/") + "/")
                }
            elif key != "header":
                raise Refusal(400, f"unknown operation {key}")
        return found

    def tag(self, request: Request, repo: str, revision: str) -> Answer:
        repository = self.repository(request, repo, write=True)
        commit = self.commit_at(repository, revision)
        ref = f"refs/tags/{request.json()['tag']}"
        if ref in repository.refs:
            raise Refusal(409, "Tag reference exists already")
        repository.refs[ref] = commit.sha
        return Answer.json({"success": True})

    # Files

    def resolve(self, request: Request, repo: str, revision: str, path: str) -> Answer:
        """Small files are served from an address that names the commit, large ones from the file storage."""
        repository = self.repository(request, repo, files=True)
        commit = self.commit_at(repository, revision)
        file = commit.files.get(path)
        named = {"X-Repo-Commit": commit.sha}
        if file is None:
            raise entry_gone(**named)
        named |= {"X-Linked-Size": str(len(file.content)), "X-Linked-ETag": f'"{file.etag}"'}
        if file.lfs:
            address = f"{self.cdn}/files/{repo}/{commit.sha}/{quote(path)}"
            return Answer(302, headers={**named, "Location": address})
        address = f"/api/resolve-cache/models/{repo}/{commit.sha}/{quote(path)}"
        return Answer(307, headers={**named, "Location": address})

    def content(self, request: Request, repo: str, revision: str, path: str) -> Answer:
        repository = self.repository(request, repo, files=True)
        return self.served(request, repository, revision, path)

    def stored(self, request: Request, repo: str, revision: str, path: str) -> Answer:
        # The real address is signed: who has it needs no token.
        if repo not in self.repositories:
            raise entry_gone()
        return self.served(request, self.repositories[repo], revision, path)

    def served(self, request: Request, repository: Repository, revision: str, path: str) -> Answer:
        file = self.commit_at(repository, revision).files.get(path)
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


def described(file: File) -> dict[str, Any]:
    """A file as a repository's info lists it with ``blobs``."""
    found: dict[str, Any] = {"size": len(file.content), "blobId": file.oid}
    if file.lfs:
        found["lfs"] = {"sha256": file.sha256, "size": len(file.content), "pointerSize": len(file.pointer)}
    return found


def _route(
    method: str, pattern: str, handler: Callable[..., Answer]
) -> tuple[str, re.Pattern[str], Callable[..., Answer]]:
    """{repo} is two steps of a path, {revision} and {number} are one, {path} is all that is left."""
    parts = {"repo": "[^/]+/[^/]+", "path": ".+"}
    expression = re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{parts.get(m[1], '[^/]+')})", pattern)
    return method, re.compile(expression), handler


ROUTES = (
    _route("GET", "/api/whoami-v2", Api.whoami),
    _route("GET", "/api/agent-harnesses", Api.agent_harnesses),
    _route("POST", "/api/validate-yaml", Api.validate_yaml),
    _route("POST", "/api/repos/create", Api.create),
    _route("GET", "/api/models", Api.models),
    _route("GET", "/api/models/{repo}", Api.model),
    _route("GET", "/api/models/{repo}/revision/{revision}", Api.model),
    _route("GET", "/api/models/{repo}/tree/{revision}(?:/{path})?", Api.tree),
    _route("GET", "/api/models/{repo}/refs", Api.refs),
    _route("GET", "/api/models/{repo}/commits/{revision}", Api.commits),
    _route("GET", "/api/models/{repo}/discussions/{number}", Api.discussion),
    _route("POST", "/api/models/{repo}/preupload/{revision}", Api.preupload),
    _route("POST", "/api/models/{repo}/commit/{revision}", Api.commit),
    _route("POST", "/api/models/{repo}/tag/{revision}", Api.tag),
    _route("POST", "/{repo}[.]git/info/lfs/objects/batch", Api.lfs_batch),
    _route("POST", "/{repo}[.]git/info/lfs/verify", Api.lfs_verify),
    _route("PUT", "/upload/{oid}", Api.lfs_upload),
    _route("GET", "/files/{repo}/{revision}/{path}", Api.stored),
    _route("GET", "/api/resolve-cache/models/{repo}/{revision}/{path}", Api.content),
    _route("GET", "/{repo}/resolve/{revision}/{path}", Api.resolve),
)
