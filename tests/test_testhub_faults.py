"""What the real client makes of a Hub that misbehaves, and of none; what it waits for is in the tests' figures."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hub_samples import CONFIG, FILES, LARGE, WEIGHTS
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session
from testhub import ConnectionForbidden, Fault, TestHub, closed_port, forbid_connections


@pytest.fixture
def filled(hub, hub_environment):
    """A hub with one repository, and its commit's sha; this process's client asks it, without a token."""
    return hub, hub.add("org/name", FILES, tags=["v1"])


def download(name: str = LARGE) -> bytes:
    return Path(hf_hub_download("org/name", name)).read_bytes()


def test_a_truncated_body_is_asked_for_again(filled, waits):
    hub, _ = filled
    hub.faults.add(Fault.TRUNCATE, match=f"*/{LARGE}", times=1, value=100)
    assert download() == WEIGHTS
    assert waits == [1]
    assert [r.sent for r in hub.requests if r.file] == [100, len(WEIGHTS)]


def test_a_body_that_is_always_truncated_leaves_nothing(filled, waits, hub_environment):
    hub, _ = filled
    hub.faults.add(Fault.TRUNCATE, match=f"*/{LARGE}", value=0)
    with pytest.raises(Exception, match="peer closed connection"):
        download()
    assert waits == [1] * 5
    assert not [path for path in hub_environment.cache.glob("*/blobs/*") if path.is_file()]
    hub.faults.clear()
    assert download() == WEIGHTS


def test_a_flipped_bit_is_not_seen_by_the_client(filled):
    hub, _ = filled
    hub.faults.add(Fault.FLIP, match=f"*/{LARGE}", times=1, value=9)
    found = download()
    assert [i for i, (a, b) in enumerate(zip(found, WEIGHTS, strict=True)) if a != b] == [9]


def test_a_reset_connection_ends_a_download(filled, waits):
    hub, _ = filled
    hub.faults.add(Fault.RESET, match=f"*/{LARGE}", times=1)
    with pytest.raises(Exception, match="reset by peer"):
        download()
    assert waits == []
    assert hub.bytes_sent("org/name", LARGE) == len(WEIGHTS) // 2
    assert download() == WEIGHTS


def test_a_trickle_takes_its_time(filled):
    import time

    hub, _ = filled
    hub.faults.add(Fault.TRICKLE, match=f"*/{LARGE}", value=40_000)
    started = time.monotonic()
    assert download() == WEIGHTS
    assert time.monotonic() - started > 0.45


@pytest.mark.parametrize(("value", "blob"), [(None, None), ("forged", "forged")])
def test_a_wrong_etag_names_the_file_in_the_cache(filled, hub_environment, value, blob):
    hub, _ = filled
    hub.faults.add(Fault.WRONG_ETAG, match=f"*/{LARGE}", method="HEAD", times=1, value=value)
    path = Path(hf_hub_download("org/name", LARGE))
    right = hub.repository("org/name").find("main").files[LARGE].etag
    assert path.resolve().name != right
    assert blob in (None, path.resolve().name)
    assert hub.requests[1].fault is Fault.WRONG_ETAG


def test_a_late_answer_is_waited_for_as_long_as_the_caller_says(filled):
    hub, _ = filled
    hub.faults.add(Fault.LATE, match="/api/models/*", times=1, value=30)
    with pytest.raises(Exception, match="timed out"):
        HfApi().model_info("org/name", timeout=0.1)
    assert HfApi().model_info("org/name", timeout=5).id == "org/name"


def test_a_redirect_loop_is_given_up(filled, waits):
    hub, _ = filled
    hub.faults.add(Fault.REDIRECT_LOOP, match="*/config.json")
    with pytest.raises(Exception, match="Exceeded 20 redirects"):
        download("config.json")
    assert waits == []
    assert download() == WEIGHTS


@pytest.mark.parametrize(("method", "times", "waited"), [("HEAD", 1, []), ("HEAD", 2, [3]), ("GET", 1, [3])])
def test_a_limited_rate_is_waited_for(filled, waits, method, times, waited):
    hub, _ = filled
    hub.faults.add(Fault.RATE_LIMITED, match=f"*/{LARGE}", method=method, times=times, value=2)
    assert download() == WEIGHTS
    assert waits == waited
    assert [r.status for r in hub.requests if r.method == method].count(429) == times


@pytest.mark.parametrize(("times", "waited"), [(1, []), (3, [1, 2]), (None, [1, 2, 4, 8, 8])])
def test_a_server_error_is_tried_again(filled, waits, times, waited):
    hub, _ = filled
    hub.faults.add(Fault.SERVER_ERROR, match=f"*/{LARGE}", times=times, value=503)
    if times is None:
        with pytest.raises(LocalEntryNotFoundError):
            download()
    else:
        assert download() == WEIGHTS
    assert waits == waited


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        (Fault.REPOSITORY_GONE, RepositoryNotFoundError, 404),
        (Fault.REVISION_GONE, RevisionNotFoundError, 404),
        (Fault.ENTRY_GONE, RemoteEntryNotFoundError, 404),
        (Fault.UNAUTHORISED, RepositoryNotFoundError, 401),
        (Fault.GATED, GatedRepoError, 403),
    ],
)
def test_a_refusal_is_the_error_that_the_client_has_for_it(filled, waits, fault, error, status):
    hub, _ = filled
    hub.faults.add(fault, match=f"*/{LARGE}", times=1)
    with pytest.raises(error) as caught:
        download()
    assert caught.value.response.status_code == status
    assert waits == []
    assert download() == WEIGHTS


def test_a_removed_repository_is_gone(filled):
    hub, _ = filled
    hub.remove("org/name")
    assert not HfApi().repo_exists("org/name")


def test_a_tag_is_moved_to_another_commit(filled):
    hub, old = filled
    new = hub.add("org/name", {"config.json": b"{}"}, branch="rewritten")
    hub.move("org/name", "v1", new)
    assert HfApi().model_info("org/name", revision="v1").sha == new
    assert HfApi().model_info("org/name", revision="main").sha == old
    hub.move("org/name", "main", new)
    assert Path(hf_hub_download("org/name", "config.json")).read_bytes() == b"{}"
    assert Path(hf_hub_download("org/name", "config.json", revision=old)).read_bytes() == CONFIG


def test_a_hub_that_is_down_comes_back_at_the_same_address(filled, waits):
    hub, _ = filled
    endpoint = hub.endpoint
    hub.stop()
    with pytest.raises(LocalEntryNotFoundError):
        download()
    assert waits == [1, 2, 4, 8, 8]  # why the client takes 23 s
    hub.start()
    assert hub.endpoint == endpoint
    assert download() == WEIGHTS


def test_a_closed_port_refuses(hub_environment):
    hub_environment.use(endpoint=f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(Exception, match="refused"):
        HfApi().model_info("org/name")


# Other processes, and no connections


def test_another_process_asks_the_same_hub(filled, hub_environment):
    hub, _ = filled
    script = f"from huggingface_hub import hf_hub_download as get; print(get('org/name', '{LARGE}'))"
    done = hub_environment.python("-c", script)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == WEIGHTS
    assert hub_environment.cache in Path(done.stdout.strip()).parents
    assert hub.bytes_sent("org/name", LARGE) == len(WEIGHTS)


def test_a_guarded_process_may_connect_to_nothing(hub, hub_environment):
    assert hub_environment.ltzoo("--version", guard=True).returncode == 0
    script = (
        f"import urllib.request\ntry: urllib.request.urlopen('{hub.endpoint}')\nexcept BaseException: pass"
    )
    with pytest.raises(pytest.fail.Exception, match="connections were attempted"):
        hub_environment.python("-c", script, guard=True)
    assert hub.requests == []


def test_a_connection_is_forbidden_even_to_those_who_catch_errors(hub):
    def connect(host: str) -> None:
        try:
            socket.create_connection((host, int(hub.endpoint.rsplit(":", 1)[1]))).close()
        except Exception:
            pytest.fail("it was caught")

    with forbid_connections() as attempts:
        for host in ("127.0.0.1", "huggingface.co"):
            with pytest.raises(ConnectionForbidden):
                connect(host)
    connect("127.0.0.1")
    assert len(attempts) == 2


def test_a_cached_file_is_found_without_a_connection(filled, request):
    from huggingface_hub import try_to_load_from_cache

    _, sha = filled
    download()
    attempts = request.getfixturevalue("no_connections")
    assert Path(try_to_load_from_cache("org/name", LARGE, revision=sha)).read_bytes() == WEIGHTS
    assert attempts == []


def test_an_error_of_the_hub_s_own_is_not_taken_for_a_fault(hub_environment):
    hub = TestHub()
    hub.start()
    with pytest.raises(Exception, match="disconnected"):
        get_session().post(f"{hub.endpoint}/api/validate-yaml", json={})
    with pytest.raises(KeyError, match="content"):
        hub.__exit__(None, None, None)
