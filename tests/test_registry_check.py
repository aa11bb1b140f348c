"""``ltzoo registry check``: rows against the files beside the registry, and against the tests' Hub."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace

import pytest
from registry_samples import FILES, publish, registry_text, row
from testhub import Fault, closed_port
from toy_plugin import toy_zoo

from ltzoo.spec import FileSpec
from ltzoo.zoo import set_default_zoo


@pytest.fixture(autouse=True)
def zoo():
    set_default_zoo(toy_zoo())


@pytest.fixture
def check(hub, hub_environment, ltzoo, tmp_path):
    """Checks rows online; gives the exit code, and stderr line by line."""

    def call(*rows, options=("--online",)) -> tuple[int, list[str]]:
        path = tmp_path / "registry.toml"
        path.write_text(registry_text(*rows))
        code, out, err = ltzoo("registry", "check", str(path), *options)
        assert out == ""
        return code, err.splitlines()

    return call


@pytest.fixture
def there(hub):
    """The row of a bridge that is on the Hub."""
    return row(revision=hub.add("org/bridge", FILES))


def with_hash(one, name: str, content: bytes = b"other"):
    sha256 = hashlib.sha256(content).hexdigest()
    return replace(
        one, files=tuple(FileSpec(name=f.name, sha256=sha256) if f.name == name else f for f in one.files)
    )


def test_a_true_row_is_found_to_be_true_without_its_weights(check, hub, there):
    code, err = check(there)
    assert (code, len(err)) == (0, 1)
    assert "1 bridges and 0 plugins, nothing wrong" in err[0]
    assert hub.bytes_sent("org/bridge", "config.json") == len(FILES["config.json"])
    assert hub.bytes_sent("org/bridge", "model.safetensors") == 0


def test_offline_it_says_what_it_has_not_asked(check, hub, there):
    code, err = check(replace(there, repo="org/gone"), options=())
    assert (code, hub.requests) == (0, [])
    assert "nothing wrong; --online asks the Hub about the 1 that lie there" in err[0]


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda r: replace(r, repo="org/gone"), 1, "no such repository"),
        (lambda r: replace(r, revision="b" * 40), 1, "no such revision"),
        (lambda r: replace(r, size=r.size + 1), 1, "its files have 20 bytes, and the row says 21"),
        (
            lambda r: replace(r, files=(*r.files, FileSpec(name="golden.safetensors", sha256="0" * 64))),
            1,
            "has no golden.safetensors at",
        ),
        (lambda r: with_hash(r, "model.safetensors"), 5, "model.safetensors has sha256"),
        (lambda r: with_hash(r, "config.json"), 5, "config.json at"),
    ],
)
def test_a_row_that_is_not_true_is_named(check, there, change, code, message):
    got, err = check(there, replace(change(there), id="wrong"))
    assert got == code
    assert len(err) == 2
    assert err[0].startswith("ltzoo: bridge 'wrong': ")
    assert message in err[0]
    assert "1 of 2 rows are wrong" in err[1]


def test_all_problems_are_listed_and_the_worst_gives_the_exit_code(check, there, ltzoo, tmp_path):
    wrong = [
        replace(there, id="gone", repo="org/gone"),
        replace(with_hash(there, "config.json"), id="forged", size=1),
        there,
    ]
    code, err = check(*wrong)
    assert code == 5
    assert [line.split("'")[1] for line in err[:-1]] == ["gone", "forged", "forged"]
    assert "2 of 3 rows are wrong" in err[-1]
    code, out, _ = ltzoo("registry", "check", str(tmp_path / "registry.toml"), "--online", "--json")
    assert code == 5
    problems = json.loads(out)["problems"]
    assert [(p["bridge"], p["is_integrity"]) for p in problems] == [
        ("gone", False),
        ("forged", True),
        ("forged", False),
    ]


@pytest.mark.parametrize(
    ("fault", "match", "code"),
    [
        (Fault.GATED, "*/config.json", 1),
        (Fault.UNAUTHORISED, "*", 1),
        (Fault.SERVER_ERROR, "/api/*", 1),
        (Fault.RATE_LIMITED, "/api/*", 1),
        (Fault.REDIRECT_LOOP, "/api/*", 1),
        (Fault.TRUNCATE, "*/config.json", 1),
        (Fault.FLIP, "*/config.json", 5),
    ],
)
def test_a_fault_of_the_hub_is_a_problem_of_the_row_and_passes(check, hub, there, fault, match, code):
    hub.faults.add(fault, match=match)
    got, err = check(there)
    assert got == code
    assert len(err) == 2
    assert err[0].startswith("ltzoo: bridge 'a-b': ")
    hub.faults.clear()
    assert check(there)[0] == 0


def test_an_unreachable_hub_ends_it_at_once(check, hub_environment, there, monkeypatch):
    hub_environment.use(endpoint=f"http://127.0.0.1:{closed_port()}")
    start = time.monotonic()
    code, err = check(there, replace(there, id="b"))
    assert (code, len(err)) == (4, 1)
    assert time.monotonic() - start < 5
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    code, err = check(there)
    assert (code, len(err)) == (4, 1)
    assert "ltzoo is offline" in err[0]


def test_the_files_beside_a_registry_are_checked(check, tmp_path):
    beside = row(path="bridge", repo=None, revision=None)
    (tmp_path / "bridge").mkdir()
    for name, content in FILES.items():
        (tmp_path / "bridge" / name).write_bytes(content)
    assert check(beside)[0] == 0
    code, err = check(replace(beside, size=1))
    assert code == 1
    assert "its files have 20 bytes, and the row says 1" in err[0]
    (tmp_path / "bridge" / "config.json").write_text("changed")
    (tmp_path / "bridge" / "README.md").unlink()
    code, err = check(beside, replace(beside, id="second"), options=())
    assert code == 5
    assert [line.split("'")[1] for line in err[:-1]] == ["a-b", "a-b", "second", "second"]


def test_registries_are_named_as_they_are_listed(ltzoo, hub, hub_environment, there):
    publish(hub, there)
    assert ltzoo("registry", "check", "hf:org/registry", "--online")[0] == 0
    assert ltzoo("registry", "check", "ltzoo", "--online")[0] == 0
    code, _, err = ltzoo("registry", "check", "ltzo")
    assert code == 2
    assert "did you mean ltzoo?" in err
