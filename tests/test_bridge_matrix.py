"""``ltzoo bridges --matrix``: which models lead to which."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import permutations

import pytest
from registry_samples import accuracy, registry_text, row
from toy_plugin import toy_zoo

from ltzoo.zoo import set_default_zoo

LAST = "other:org/repo@main"
# toy/a <-> other/middle is measured, one way doubtful; other/middle <-> toy/b is not; the last is joined to nothing
# that the others are.
ROWS = (
    row(
        "first",
        ("toy/a", "other/middle"),
        metrics=(accuracy("toy/a", "other/middle", 0.9), accuracy("other/middle", "toy/a", 0.5)),
    ),
    row("second", ("other/middle", "other/third"), metrics=(accuracy("other/middle", "other/third", 0.5),)),
    row("unmeasured", ("other/third", "toy/b")),
    row("island", ("toy:open", LAST), metrics=(accuracy("toy:open", LAST, 1.0),)),
)


@pytest.fixture
def matrix(ltzoo, tmp_path, monkeypatch):
    """The matrix of the rows alone, by the columns' names and the rows'."""
    path = tmp_path / "registry.toml"
    path.write_text(registry_text(*ROWS))
    monkeypatch.setenv("LTZOO_REGISTRY", str(path))
    set_default_zoo(toy_zoo())
    own = [one.id for one in ROWS]

    def call(*options: str, patterns=own) -> tuple[dict[str, dict[str, str]], str]:
        code, out, err = ltzoo("bridges", "--matrix", *patterns, *options)
        assert code == 0
        header, *lines = out.splitlines()
        starts = [column.start() for column in re.finditer(r"\S+( \S+)*", header)]
        ends = [*starts[1:], None]
        cells = [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in (header, *lines)]
        return {cell[0]: dict(zip(cells[0][1:], cell[1:], strict=True)) for cell in cells[1:]}, err

    return call


def test_the_matrix_has_the_best_way_between_all_models(matrix):
    found, err = matrix()
    assert list(found) == ["other/middle!", "other/third!", f"{LAST}!", "toy/a", "toy/b", "toy:open"]
    assert found["toy/a"] == {
        "other/middle!": "0.90",
        "other/third!": "0.45*",
        f"{LAST}!": "-",
        "toy/a": "",
        "toy/b": "yes*",
        "toy:open": "-",
    }
    assert found["other/middle!"]["toy/a"] == "0.50"
    assert found["other/third!"]["other/middle!"] == "yes"
    assert found["toy:open"][f"{LAST}!"] == "1.00"
    assert found[f"{LAST}!"]["toy:open"] == "yes"
    assert err.count("\n") == 1
    assert "transfer accuracy from the row's model to the column's" in err


def test_patterns_say_through_which_bridges_and_source_and_target_what_is_shown(matrix):
    found, _ = matrix(patterns=["first", "unm*"])
    assert found["toy/a"] == {"other/middle!": "0.90", "other/third!": "-", "toy/a": "", "toy/b": "-"}
    found, _ = matrix("--source", "toy/a", "--target", "toy/b")
    assert found == {"toy/a": {"toy/b": "yes*"}}


def test_json_has_the_ways(matrix, ltzoo):
    code, out, err = ltzoo("bridges", "list", "--matrix", "--json", *(one.id for one in ROWS))
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["schema"] == "ltzoo/bridge-matrix/1"
    installed = {model["id"]: model["installed"] for model in document["models"]}
    assert [id for id, there in installed.items() if there] == ["toy/a", "toy/b", "toy:open"]
    routes = {(one["source"], one["target"]): one for one in document["routes"]}
    chain = ["toy/a", "other/middle", "other/third", "toy/b"]
    assert set(routes) == {*permutations(chain, 2), *permutations(["toy:open", LAST], 2)}
    assert routes["toy/a", "toy/b"] == {
        "source": "toy/a",
        "target": "toy/b",
        "accuracy": None,
        "models": chain,
        "bridges": ["first", "second", "unmeasured"],
    }


def test_there_may_be_no_bridges_and_there_are_no_ids(matrix, ltzoo):
    assert matrix(patterns=["nothing*"])[0] == {}
    code, _, err = ltzoo("bridges", "--matrix", "-q")
    assert code == 2
    assert "--matrix has no ids" in err


def test_the_matrix_needs_no_torch():
    code = (
        "import sys; from ltzoo.cli.main import run; assert run(['bridges', '--matrix']) == 0\n"
        "assert not {'torch', 'numpy', 'huggingface_hub', 'PIL', 'tomlkit'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
