"""Which function answers at which address."""

from __future__ import annotations

import re
from collections.abc import Callable

from . import files, reading, writing
from .answers import Answer


def _route(
    method: str, pattern: str, handler: Callable[..., Answer]
) -> tuple[str, re.Pattern[str], Callable[..., Answer]]:
    """{repo} is two steps of a path, {revision} and {number} are one, {path} is all that is left."""
    parts = {"repo": "[^/]+/[^/]+", "path": ".+"}
    expression = re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{parts.get(m[1], '[^/]+')})", pattern)
    return method, re.compile(expression), handler


ROUTES = (
    _route("GET", "/api/whoami-v2", reading.whoami),
    _route("GET", "/api/agent-harnesses", reading.agent_harnesses),
    _route("POST", "/api/validate-yaml", reading.validate_yaml),
    _route("POST", "/api/repos/create", writing.create),
    _route("GET", "/api/models", reading.models),
    _route("GET", "/api/models/{repo}", reading.model),
    _route("GET", "/api/models/{repo}/revision/{revision}", reading.model),
    _route("GET", "/api/models/{repo}/tree/{revision}(?:/{path})?", reading.tree),
    _route("GET", "/api/models/{repo}/refs", reading.refs),
    _route("GET", "/api/models/{repo}/commits/{revision}", reading.commits),
    _route("GET", "/api/models/{repo}/discussions/{number}", reading.discussion),
    _route("POST", "/api/models/{repo}/preupload/{revision}", writing.preupload),
    _route("POST", "/api/models/{repo}/commit/{revision}", writing.commit),
    _route("POST", "/api/models/{repo}/tag/{revision}", writing.tag),
    _route("POST", "/{repo}[.]git/info/lfs/objects/batch", writing.lfs_batch),
    _route("POST", "/{repo}[.]git/info/lfs/verify", writing.lfs_verify),
    _route("PUT", "/upload/{oid}", writing.lfs_upload),
    _route("GET", "/files/{repo}/{revision}/{path}", files.stored),
    _route("GET", "/api/resolve-cache/models/{repo}/{revision}/{path}", files.content),
    _route("GET", "/{repo}/resolve/{revision}/{path}", files.resolve),
)
