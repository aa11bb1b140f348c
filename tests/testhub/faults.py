"""What can go wrong on the way from a Hub, set for so many requests at an address."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase


class Fault(Enum):
    """What goes wrong. A value, where there is one, is given to `Faults.add`."""

    # In place of the answer.
    LATE = "there is none for long; value: for how many seconds, until the hub stops unless given"
    REDIRECT_LOOP = "redirected to itself"
    RATE_LIMITED = "429; value: the seconds of Retry-After, 0 unless given"
    SERVER_ERROR = "a status of 5xx; value: which, 500 unless given"
    REPOSITORY_GONE = "404, RepoNotFound"
    REVISION_GONE = "404, RevisionNotFound"
    ENTRY_GONE = "404, EntryNotFound"
    UNAUTHORISED = "401, RepoNotFound: what a private repository gives to those without a token"
    GATED = "403, GatedRepo"
    # In the headers of a file.
    WRONG_ETAG = "another file's ETag; value: which, a valid one of the same kind unless given"
    # In the body of a successful GET.
    TRUNCATE = "the connection is closed before the announced length; value: bytes kept, half unless given"
    FLIP = "one bit is wrong; value: in which byte of this body, the middle one unless given"
    RESET = "the connection is reset (RST); value: after how many bytes, half unless given"
    TRICKLE = "the body comes slowly; value: bytes a second"


HEADERS = frozenset({Fault.WRONG_ETAG})
BODY = frozenset({Fault.TRUNCATE, Fault.FLIP, Fault.RESET, Fault.TRICKLE})
ANSWER = frozenset(Fault) - HEADERS - BODY


@dataclass
class Rule:
    fault: Fault
    match: str
    method: str | None
    times: int | None
    value: int | str | None


class Faults:
    """The faults that are set. Each request takes at most one of each stage, the earliest set first."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(
        self,
        fault: Fault,
        *,
        match: str = "*",
        method: str | None = None,
        times: int | None = None,
        value: int | str | None = None,
    ) -> None:
        """Sets a fault.

        Args:
            fault: What goes wrong.
            match: At which addresses: a pattern of `fnmatch` for the path, unquoted and without the query.
                A file's path ends with its name in the repository, whoever serves it.
            method: For which method (HEAD, GET, POST, PUT); for every one unless given.
            times: For how many requests; for all of them unless given.
            value: What the fault's description says of it.
        """
        with self._lock:
            self._rules.append(Rule(fault, match, method, times, value))

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def take(self, stage: frozenset[Fault], method: str, path: str) -> Rule | None:
        """The fault of a stage that this request gets; one less is left of it."""
        with self._lock:
            for rule in self._rules:
                if (
                    rule.fault in stage
                    and rule.times != 0
                    and rule.method in (None, method)
                    and fnmatchcase(path, rule.match)
                ):
                    if rule.times is not None:
                        rule.times -= 1
                    return rule
        return None
