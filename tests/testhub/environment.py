"""Points the Hub's client at a test hub and a home folder of its own: in this process, and in others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .guard import RECORD

TESTS = Path(__file__).resolve().parents[1]
# What would lead the client elsewhere if the machine that runs the tests has it set.
ELSEWHERE = [
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_OIDC_RESOURCE",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_ASSETS_CACHE",
    "HF_XET_CACHE",
    "HF_TOKEN_PATH",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HUB_ETAG_TIMEOUT",
    "HF_HUB_DOWNLOAD_TIMEOUT",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HF_HUB_DISABLE_TELEMETRY",
    "DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
]


def closed_port() -> int:
    """A port of 127.0.0.1 at which nothing listens: connections are refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class HubEnvironment:
    """A machine, as the Hub's client sees it: which Hub it asks, its home folder, its token.

    The client reads the environment once, when ``huggingface_hub.constants`` is imported, but looks its
    constants up in that module at each call. So `use` sets them there, for code in this process, and the few
    copies that other modules hold; the shared session is closed, so that no connection outlives its hub. With
    ``huggingface_hub`` 2.4 that is all of them for what ltzoo calls. Where that is in doubt, or several
    processes are wanted, `python` and `ltzoo` start others, which see the same through the environment.

    The client's state is that of a fresh process: its first request is for ``/api/agent-harnesses``, once
    for each home folder, even for ``hf_hub_download(..., local_files_only=True)``.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, endpoint: str, home: Path) -> None:
        self._monkeypatch = monkeypatch
        self.endpoint = endpoint
        self.home = home
        self.token: str | None = None
        self.use()

    @property
    def cache(self) -> Path:
        """Where the client keeps what it has downloaded."""
        return self.home / "hub"

    @property
    def variables(self) -> dict[str, str]:
        """The environment's variables that say all this to another process."""
        found = {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(self.home),
            # Xet's client is compiled and asks servers that the test hub does not have.
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
        }
        return found | ({"HF_TOKEN": self.token} if self.token else {})

    def use(
        self, *, endpoint: str | None = None, home: Path | None = None, token: str | None = None
    ) -> HubEnvironment:
        """Sets this process's environment and client; what is not given stays. An empty token is none."""
        self.endpoint = self.endpoint if endpoint is None else endpoint
        self.home = self.home if home is None else home
        self.token = self.token if token is None else token or None
        for name in ELSEWHERE:
            self._monkeypatch.delenv(name, raising=False)
        for name, value in self.variables.items():
            self._monkeypatch.setenv(name, value)
        self._set_client()
        return self

    def _set_client(self) -> None:
        from huggingface_hub import constants, hf_api
        from huggingface_hub.utils import _cache_manager, _detect_agent, close_session

        close_session()
        cache = str(self.cache)
        settings = {
            "ENDPOINT": self.endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": self.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HOME": str(self.home),
            "HF_HUB_CACHE": cache,
            "HUGGINGFACE_HUB_CACHE": cache,
            "HF_ASSETS_CACHE": str(self.home / "assets"),
            "HF_XET_CACHE": str(self.home / "xet"),
            "HF_TOKEN_PATH": str(self.home / "token"),
            "HF_STORED_TOKENS_PATH": str(self.home / "stored_tokens"),
            "AGENT_HARNESSES_PATH": str(self.home / ".agent_harnesses.json"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": False,
            "HF_HUB_DISABLE_TELEMETRY": False,
        }
        for name, value in settings.items():
            self._monkeypatch.setattr(constants, name, value)
        # The copies: functions such as huggingface_hub.model_info are methods of this one object.
        self._monkeypatch.setattr(hf_api.api, "endpoint", self.endpoint)
        self._monkeypatch.setattr(_cache_manager, "HF_HUB_CACHE", cache)
        self._monkeypatch.setattr(_detect_agent, "_registry", None)

    def python(
        self, *words: str | Path, guard: bool = False, timeout: float = 120, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs Python with these words, as a process of this machine.

        Args:
            words: What follows ``python``.
            guard: Refuse all connections, and fail if one was attempted.
            timeout: Seconds.
            variables: More of the environment's.
        """
        environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        paths = [str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")]
        environment |= {"OMP_NUM_THREADS": "1", **self.variables, **variables}
        record = self.home / "attempts.txt"
        if guard:
            self.home.mkdir(parents=True, exist_ok=True)
            record.unlink(missing_ok=True)
            paths.insert(0, str(Path(__file__).parent / "guarded"))
            environment[RECORD] = str(record)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        done = subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True, timeout=timeout
        )
        if guard and record.exists():
            pytest.fail(f"connections were attempted: {record.read_text()}\n{done.stderr}")
        return done

    def ltzoo(self, *arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
        """Runs ``python -m ltzoo`` with these arguments; options as of `python`."""
        return self.python("-m", "ltzoo", *arguments, **options)
