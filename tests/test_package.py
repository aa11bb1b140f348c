"""What the package as a whole promises: names, imports, errors, exit codes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ltzoo
from ltzoo import errors, hookspecs

PACKAGE = Path(ltzoo.__file__).parent


def test_every_public_name_is_there_and_says_what_it_is():
    assert ltzoo.__all__ == sorted(ltzoo.__all__)
    for name in ltzoo.__all__:
        assert getattr(ltzoo, name).__doc__, name
    assert set(ltzoo.__all__) <= set(dir(ltzoo))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ltzoo.nothing


def test_type_checkers_see_the_same_names_as_users():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(ltzoo.__all__)


def test_every_error_is_in_the_tree_of_the_docstring():
    classes = [
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert {cls.__name__ for cls in classes} == {*errors.__all__} - {"ExitCode"}
    for cls in classes:
        line = next(line for line in (errors.__doc__ or "").splitlines() if cls.__name__ in line.split())
        assert line.split(cls.__name__)[1].split()[0] == str(int(cls.exit_code)), cls


def test_listing_needs_no_torch():
    for code in (
        "import ltzoo",
        "import ltzoo.zoo, ltzoo.hub, ltzoo.cli",
        "import ltzoo; ltzoo.list_models(); ltzoo.list_bridges()",
    ):
        check = f"{code}; import sys; assert not {{'torch', 'numpy', 'huggingface_hub', 'PIL'}} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", check], check=True)


def test_the_host_reads_no_pickles():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        for banned in (
            "torch.load(",
            "import pickle",
            "weights_only=False",
            "trust_remote_code=True",
            "allow_pickle=True",
        ):
            assert banned not in text, path


def test_the_host_names_no_model():
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        strings = [
            n.value
            for n in ast.walk(tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in docs
        ]
        assert not [s for s in strings if "ltzoo_mnist" in s or "fashion" in s], path


def test_hooks_are_listed():
    hooks = {name for name, value in vars(hookspecs).items() if hasattr(value, "ltzoo_spec")}
    assert hooks == set(hookspecs.HOOK_NAMES)
