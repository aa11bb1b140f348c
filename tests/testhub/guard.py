"""No connection may be opened: each attempt is recorded and refused, whoever makes it and whatever they catch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")

# Where a process that was started under the guard writes its attempts down, one a line.
RECORD = "TESTHUB_ATTEMPTS"

_attempts: list[list[str]] = []  # one list for each guard that stands
_hooked = False


class ConnectionForbidden(BaseException):
    """Not an Exception: a client that gives up quietly, or tries again, must not hide it."""


@contextmanager
def forbid_connections() -> Iterator[list[str]]:
    """Refuses connections in this process and gives the list of attempts.

    Python's own audit events show them, so that it does not matter which library makes them; compiled code
    that does not go through Python's sockets (hf_xet) is not seen. Sockets of this machine's file system,
    which multiprocessing uses, are no connections.
    """
    global _hooked
    if not _hooked:
        sys.addaudithook(_audit)  # for good: a hook cannot be taken away
        _hooked = True
    attempts: list[str] = []
    _attempts.append(attempts)
    try:
        yield attempts
    finally:
        _attempts.remove(attempts)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _attempts or event not in EVENTS:
        return
    where = arguments[0] if event in ("socket.getaddrinfo", "socket.gethostbyname") else arguments[1]
    if event in ("socket.connect", "socket.sendto") and not isinstance(where, tuple):
        return
    attempt = f"{event} {where}"
    for attempts in _attempts:
        attempts.append(attempt)
    if record := os.environ.get(RECORD):
        with open(record, "a") as stream:
            stream.write(f"{attempt}\n")
    raise ConnectionForbidden(attempt)
