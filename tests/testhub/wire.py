"""HTTP: reads requests, answers them with the faults that are set, and keeps a log."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from . import answers
from .answers import Answer, Request
from .faults import ANSWER, BODY, HEADERS, Fault, Rule

if TYPE_CHECKING:
    from .server import TestHub


@dataclass
class Logged:
    """A request as it was answered."""

    method: str
    path: str  # unquoted, without the query
    status: int
    authorised: bool  # whether it carried a token
    range: str | None
    file: tuple[str, str] | None  # the repository and the path of the file whose content was sent
    fault: Fault | None
    sent: int = 0  # bytes of the body handed to the connection


class Listener(socketserver.ThreadingTCPServer):
    """One of the hub's two addresses. Ends with all its connections and threads."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, hub: TestHub, port: int = 0) -> None:
        self.hub = hub
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        # A short poll: shutdown waits for it.
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def process_request(self, request, client_address) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request) -> None:
        self.connections.discard(request)
        self.close_request(request)  # without the FIN of a shutdown: a reset must come first

    def handle_error(self, request, client_address) -> None:
        """A client that goes away is no error of the hub; what is one is raised at its end."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.hub.errors.append(error)

    def stop(self) -> None:
        self.shutdown()
        self.thread.join()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def do_GET(self) -> None:
        hub = self.server.hub
        request = Request(self.command, self.path, self.headers, self._body())
        rule = hub.faults.take(ANSWER, request.method, request.path)
        if rule and rule.fault is Fault.LATE:
            hub.stopping.wait(None if rule.value is None else float(rule.value))
            rule = None
        answer = refused(rule, request) if rule else hub.api.answer(request)
        if rule is None and {"etag", "x-linked-etag"} & {name.lower() for name in answer.headers}:
            rule = hub.faults.take(HEADERS, request.method, request.path)
            if rule:
                forge_etag(answer, rule)
        if rule is None and request.method == "GET" and answer.status in (200, 206) and answer.body:
            rule = hub.faults.take(BODY, request.method, request.path)
        logged = Logged(
            request.method,
            request.path,
            answer.status,
            "Authorization" in self.headers,
            self.headers.get("Range"),
            answer.file if request.method == "GET" else None,
            rule.fault if rule else None,
        )
        hub.requests.append(logged)
        self._send(answer, logged, rule)

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """The log is kept in `TestHub.requests`."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, answer: Answer, logged: Logged, rule: Rule | None) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        body, middle = answer.body, len(answer.body) // 2
        fault = rule.fault if rule else None
        value = rule.value if rule and isinstance(rule.value, int) else None
        if fault is Fault.FLIP:
            place = middle if value is None else value
            body = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        elif fault in (Fault.TRUNCATE, Fault.RESET):
            body = body[: middle if value is None else value]
            self.close_connection = True
        if fault is Fault.TRICKLE:
            self._trickle(body, logged, value or 1)
            return
        logged.sent += len(body)  # before it goes out: who has received it all may look at once
        self.wfile.write(body)
        if fault is Fault.RESET:
            # Time for the first half to arrive; then no FIN but an RST, for nothing lingers.
            self.server.hub.stopping.wait(0.05)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _trickle(self, body: bytes, logged: Logged, rate: int) -> None:
        piece = max(1, rate // 20)
        for start in range(0, len(body), piece):
            part = body[start : start + piece]
            logged.sent += len(part)
            self.wfile.write(part)
            if self.server.hub.stopping.wait(len(part) / rate):
                self.close_connection = True
                return


def refused(rule: Rule, request: Request) -> Answer:
    """The answer of a fault that stands in place of one."""
    simple: dict[Fault, Callable[[], answers.Refusal]] = {
        Fault.REPOSITORY_GONE: answers.repository_gone,
        Fault.REVISION_GONE: lambda: answers.revision_gone("unknown"),
        Fault.ENTRY_GONE: answers.entry_gone,
        Fault.UNAUTHORISED: answers.unauthorised,
        Fault.GATED: lambda: answers.gated("this", known=True),
    }
    if rule.fault in simple:
        return simple[rule.fault]().answer
    if rule.fault is Fault.REDIRECT_LOOP:
        return Answer(302, headers={"Location": request.target})
    if rule.fault is Fault.RATE_LIMITED:
        message = "We had to rate limit your IP."
        return Answer.json({"error": message}, 429, **{"Retry-After": str(rule.value or 0)})
    return Answer.json({"error": "Internal Error - We're working hard to fix this."}, int(rule.value or 500))


def forge_etag(answer: Answer, rule: Rule) -> None:
    """Another ETag in an answer's headers."""
    for name in ("ETag", "X-Linked-ETag"):
        if name in answer.headers:
            length = len(answer.headers[name].strip('"'))
            wrong = rule.value or hashlib.sha256(b"another file").hexdigest()[:length]
            answer.headers[name] = f'"{wrong}"'
