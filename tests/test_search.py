"""``ltzoo search``: bridges on the tests' Hub, found by what their cards say."""

from __future__ import annotations

import json
import time

import pytest
from testhub import WRITER, Fault, closed_port

from ltzoo.errors import OfflineError, UsageError
from ltzoo.search import search_bridges


def card(*tags: str, library: str = "ltzoo") -> dict[str, bytes]:
    lines = "".join(f"- {json.dumps(tag)}\n" for tag in ("ltzoo", *tags))
    return {"README.md": f"---\nlibrary_name: {library}\ntags:\n{lines}---\n# x\n".encode()}


@pytest.fixture
def filled(hub, hub_environment):
    hub.add("org/digits-garments", card("image", "joins:mnist/vae", "joins:fashion-mnist/vae"))
    hub.add("org/digits-spoken", card("image", "audio", "joins:mnist/vae", "joins:spoken-digits/gan"))
    hub.add("lab/texts", card("text", "joins:diffusers:org/repo@main"))
    hub.add("org/hidden", card("joins:mnist/vae"), private=True)
    hub.add("org/other", {"README.md": b"---\nlibrary_name: timm\ntags:\n- image\n---\n"})
    return hub


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], ["lab/texts", "org/digits-garments", "org/digits-spoken"]),
        (["GARM"], ["org/digits-garments"]),
        (["--model", "mnist/vae"], ["org/digits-garments", "org/digits-spoken"]),
        (["--model", "mnist/va"], []),
        (["--model", "diffusers:org/repo@main"], ["lab/texts"]),
        (["--modality", "audio"], ["org/digits-spoken"]),
        (["--author", "lab"], ["lab/texts"]),
        (["digits", "--modality", "image", "--author", "lab"], []),
    ],
)
def test_bridges_are_found_by_name_model_modality_and_owner(filled, ltzoo, arguments, names):
    code, out, _ = ltzoo("search", *arguments, "-q")
    assert code == 0
    assert sorted(out.splitlines()) == [f"hf:{name}" for name in names]
    found = json.loads(ltzoo("search", *arguments, "--json")[1])["bridges"]
    assert sorted(one["reference"] for one in found) == [f"hf:{name}" for name in names]


def test_the_table_says_what_the_card_says(filled, ltzoo):
    code, out, err = ltzoo("search", "garments")
    assert (code, err) == (0, "")
    header, line = out.splitlines()
    assert header.split() == ["BRIDGE", "MODELS", "LIKES", "DOWNLOADS", "MODIFIED"]
    assert line.split() == [
        "hf:org/digits-garments",
        "mnist/vae,",
        "fashion-mnist/vae",
        "0",
        "0",
        "2025-01-01",
    ]
    code, out, err = ltzoo("search", "nothing-like-it")
    assert (code, len(out.splitlines())) == (0, 1)
    assert "the Hub has no such bridge" in err


def test_what_is_private_is_found_by_its_owner(filled, hub_environment):
    hub_environment.use(token=WRITER)
    assert [one.private for one in search_bridges("hidden")] == [True]


def test_pages_are_followed_up_to_the_limit(filled, ltzoo):
    filled.page_size = 2
    for index in range(5):
        filled.add(f"many/bridge-{index}", card())
    assert len(search_bridges(author="many")) == 5
    assert len(search_bridges(author="many", limit=3)) == 3
    code, out, err = ltzoo("search", "--author", "many", "--limit", "3", "-q")
    assert (code, len(out.splitlines())) == (0, 3)
    assert "there may be more than these 3" in err
    assert ltzoo("search", "--limit", "0")[0] == 2
    with pytest.raises(UsageError):
        search_bridges(limit=0)


def test_no_card_writes_to_the_terminal(filled, ltzoo):
    filled.add("org/evil", card("joins:a\x1b[2J\x9b\nb", "joins:\u202egnp"))
    for options in ([], ["-q"]):
        code, out, err = ltzoo("search", "evil", *options)
        assert code == 0
        assert not set("\x1b\x9b\u202e") & set(out + err)
        assert len(out.splitlines()) == (1 if options else 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>log in first</html>",
        b"[1, 2]",
        b'{"error": "x"}',
        b'[{"id": null}]',
        b"[]",
        b'[{"id": "../../x", "tags": 3}, {"id": "a/b", "tags": [1, "ltzoo"], "likes": "many", "lastModified": 3}]',
    ],
)
def test_any_answer_is_a_list_or_an_error_of_ltzoo(filled, ltzoo, monkeypatch, answer):
    from testhub.answers import Answer

    monkeypatch.setattr(filled.api, "answer", lambda request: Answer(200, answer))
    code, out, err = ltzoo("search")
    assert "internal error" not in err
    assert (code, err.count("\n")) in [(0, 0), (0, 1), (1, 1)]
    assert "../" not in out


def test_nothing_else_is_asked(filled):
    search_bridges()
    assert [(request.method, request.path) for request in filled.requests] == [("GET", "/api/models")]


def test_a_server_that_recovers_is_asked_again(filled):
    filled.faults.add(Fault.SERVER_ERROR, match="/api/models", times=1, value=503)
    assert len(search_bridges()) == 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault.RATE_LIMITED, "too many questions"),
        (Fault.SERVER_ERROR, "trouble of its own"),
        (Fault.REDIRECT_LOOP, "no answer of a Hub"),
        (Fault.TRUNCATE, "broke off"),
    ],
)
def test_a_fault_is_one_line_and_passes(filled, ltzoo, fault, message):
    filled.faults.add(fault, match="/api/models")
    code, out, err = ltzoo("search")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err
    filled.faults.clear()
    assert ltzoo("search")[0] == 0


def test_without_the_hub_it_fails_at_once(hub_environment, ltzoo, monkeypatch):
    hub_environment.use(endpoint=f"http://127.0.0.1:{closed_port()}")
    start = time.monotonic()
    code, out, err = ltzoo("search")
    assert (code, out, err.count("\n")) == (4, "", 1)
    assert time.monotonic() - start < 5
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OfflineError, match="ltzoo is offline"):
        search_bridges()


def test_a_hub_that_never_answers_is_unreachable_within_seconds(hub_environment, ltzoo):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub_environment.use(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        code, _, err = ltzoo("search")
    assert code == 4, err
    assert time.monotonic() - start < 5
