"""The docs say what is so: links, commands, signatures and examples."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import typing
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
import torch
from toy_plugin import LABELS, toy_zoo
from wheels import Environment, Wheel

import ltzoo as package
from ltzoo import hookspecs, settings
from ltzoo.cli.base import NounGroup
from ltzoo.cli.main import root
from ltzoo.errors import UnknownModelError
from ltzoo.latents import LatentSet
from ltzoo.plugins import PluginHost, Status
from ltzoo.spec import Capability, Fit, LatentKind, Modality
from ltzoo.zoo import Zoo, set_default_zoo

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
REGISTRY_HOSTS = re.compile(r"pypi\.org|pythonhosted|npmjs|anaconda\.org|crates\.io|index-url", re.IGNORECASE)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in these languages, in order."""
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [match["body"] for match in found if match["language"] in languages]


def prose(page: Path) -> str:
    """A page without its fenced blocks and comments."""
    return re.sub(r"<!--.*?-->", "", FENCE.sub("", page.read_text(encoding="utf-8")), flags=re.DOTALL)


# Links


def anchors(page: Path) -> set[str]:
    """What the page's headings can be linked by, as GitHub and MyST make it."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@each_page
def test_every_relative_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert file.is_relative_to(ROOT), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}"


@each_page
def test_no_page_names_a_package_registry(page):
    assert not REGISTRY_HOSTS.search(page.read_text(encoding="utf-8"))


# Commands


def command_lines() -> Iterator[tuple[str, list[str], bool]]:
    """Every command line that runs ltzoo: where, the words behind ``ltzoo``, and whether it is to be typed as is."""
    for page in PAGES:
        for block in blocks(page, "sh", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                while words and re.match(r"\w+=", words[0]):
                    words = words[1:]
                if words[:1] == ["ltzoo"]:
                    yield f"{page.name}: {line}", words[1:], True
        for span in re.findall(r"`(?:\w+=\S+ )?ltzoo ([a-z-][^`]*)`", prose(page)):
            yield f"{page.name}: {span}", shlex.split(span), False


def check_command(words: list[str], *, complete: bool) -> None:
    """Refuses words that ltzoo does not know, without asking for the models and files that they name.

    Args:
        words: What stands behind ``ltzoo``.
        complete: Nothing that the command needs may be missing.
    """
    words = ["--no-plugins=*" if word == "--no-plugins" else word for word in words if word != "..."]
    command: click.Command = root
    context = click.Context(root, info_name="ltzoo", **root.context_settings)
    while True:
        if isinstance(command, NounGroup) and (not words or words[0] not in command.list_commands(context)):
            words = ["list", *words]
        values, words, _ = command.make_parser(context).parse_args([*words])
        if not isinstance(command, click.Group) or not words:
            break
        inner = command.get_command(context, words[0])
        if inner is None:
            raise click.UsageError(f"no command '{words[0]}'")
        context = click.Context(inner, context, words[0], **inner.context_settings)
        command, words = inner, words[1:]
    if words:
        raise click.UsageError(f"too many words: {' '.join(words)}")
    for parameter in command.params:
        value = values.get(parameter.name or "")
        given = [
            one for one in (value if isinstance(value, tuple | list) else [value]) if isinstance(one, str)
        ]
        if complete and parameter.required and not given:
            raise click.MissingParameter(param=parameter, ctx=context)
        if isinstance(parameter.type, click.Choice | click.IntRange):
            for one in given:
                parameter.type.convert(one, parameter, context)


def test_every_command_line_is_one_that_ltzoo_knows():
    lines = list(command_lines())
    assert len(lines) > 30
    for where, words, complete in lines:
        try:
            check_command(words, complete=complete)
        except click.UsageError as error:
            pytest.fail(f"{where}: {error.format_message()}")


def test_the_check_of_command_lines_can_fail():
    for line in (
        "models",
        "models --json a/b",
        "models show a/b",
        "--no-plugins models",
        "path home",
        "sample x -n 3",
    ):
        check_command(line.split(), complete=True)
    for line in (
        "modles",
        "models --jsn",
        "models show",
        "models show a b",
        "path nowhere",
        "sample x -n many",
    ):
        with pytest.raises(click.UsageError):
            check_command(line.split(), complete=True)
    check_command(["models", "show"], complete=False)


@each_page
def test_inputs_named_in_commands_are_there(page):
    for name in re.findall(r"docs/inputs/[\w.-]+", page.read_text(encoding="utf-8")):
        assert (ROOT / name).is_file(), name


def test_help_and_tables_are_made_without_torch_and_without_a_terminal():
    code = (
        "import sys, _cog\n"
        "text = _cog.help_texts() + _cog.exit_codes() + _cog.environment()\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
        "assert '\\x1b' not in text\n"
        "print(max(len(line) for line in _cog.help_texts().splitlines()))"
    )
    environment = {**os.environ, "COLUMNS": "40", "TERM": "dumb", "PYTHONPATH": str(DOCS)}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert 80 < int(result.stdout) <= 100


# Names


def test_every_environment_variable_is_in_the_reference():
    used = {f"LTZOO_{name.upper()}" for name in settings.DEFAULTS}
    for path in (ROOT / "ltzoo").rglob("*.py"):
        used |= set(re.findall(r"\bLTZOO_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))) - {"LTZOO_NAME"}
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    for name in used:
        assert f"`{name}`" in text, name
    # And none in the pages that nothing heeds.
    for page in PAGES:
        named = set(re.findall(r"(?<!_)\bLTZOO_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8")))
        assert named <= used, page.name


def test_the_pages_name_every_status_kind_and_capability():
    hooks = (DOCS / "hooks.md").read_text(encoding="utf-8")
    for status in typing.get_args(Status):
        assert f"| `{status}` |" in hooks
    concepts = (DOCS / "concepts.md").read_text(encoding="utf-8")
    for word in (*typing.get_args(Modality), *typing.get_args(Capability), *typing.get_args(LatentKind)):
        assert re.search(rf"\b{word}\b", concepts), word
    tutorial = (DOCS / "plugin-tutorial.md").read_text(encoding="utf-8")
    for fit in set(typing.get_args(Fit)) - {"loudest"}:
        assert f"`{fit}`" in tutorial


@each_page
def test_python_examples_import_what_is_there(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ltzoo":
                home = import_module(node.module or "")
                for alias in node.names:
                    assert hasattr(home, alias.name), f"{node.module}.{alias.name}"
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "ltzoo"
            ):
                assert node.attr in package.__all__, node.attr


# Hooks


def hook_blocks(mark: str) -> dict[str, str]:
    """The blocks of hooks.md with that decorator, by the hook's name."""
    found = {}
    for block in blocks(DOCS / "hooks.md", "python"):
        for node in ast.parse(block).body:
            if isinstance(node, ast.FunctionDef) and any(mark in ast.unparse(d) for d in node.decorator_list):
                found[node.name] = block
    return found


def signatures(source: str) -> dict[str, str]:
    """Decorator, arguments and result of every hook specification in Python source."""
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return {
        node.name: f"@{ast.unparse(node.decorator_list[0])} {ast.unparse(node.args)} -> {ast.unparse(node.returns)}"
        for node in functions
        if node.returns is not None and node.decorator_list
    }


def test_hooks_are_documented_with_their_exact_signatures():
    written = {name: signatures(block)[name] for name, block in hook_blocks("hookspec").items()}
    assert written == signatures(Path(hookspecs.__file__).read_text(encoding="utf-8"))
    assert tuple(written) == hookspecs.HOOK_NAMES
    assert set(hookspecs.HOOK_NAMES) <= anchors(DOCS / "hooks.md")


def test_every_hook_is_tested():
    tests = [*(ROOT / "tests").glob("*.py"), *(ROOT / "plugins").glob("*/tests/*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in tests)
    for name in hookspecs.HOOK_NAMES:
        assert f"{name}(" in text or f'"{name}"' in text, name


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """Gives a zoo whose only plugin is the example of one hook, as hooks.md shows it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def make(hook: str) -> Zoo:
        (tmp_path / f"acme_{hook}.py").write_text(hook_blocks("hookimpl")[hook])
        zoo = Zoo(PluginHost([EntryPoint("acme", f"acme_{hook}", "ltzoo")], strict=True))
        assert [info.hooks for info in zoo.host.infos] == [(hook,)]
        return zoo

    return make


def test_every_hook_has_an_example():
    assert tuple(hook_blocks("hookimpl")) == hookspecs.HOOK_NAMES


def test_example_of_register_models(acme):
    assert acme("register_models").list_models() == ["acme/vae"]


def test_example_of_resolve_model(acme):
    zoo = acme("resolve_model")
    assert zoo.get_model("acme:small").latent.shape == (4, None, None)
    assert zoo.list_models() == []
    with pytest.raises(UnknownModelError):
        zoo.get_model("acme:huge")


def test_example_of_register_datasets(acme):
    zoo = acme("register_datasets")
    assert list(zoo.datasets) == ["acme/signs"]
    assert zoo.dataset_of("acme/vae") is zoo.datasets["acme/signs"]


def test_example_of_register_registries(acme, tmp_path, caplog):
    row = {"id": "acme-mnist", "path": "acme", "license": "MIT", "command": "x", "recipe": "default"}
    lines = [f'{key} = "{value}"' for key, value in row.items()]
    files = [f'{{name = "{name}", sha256 = "{"0" * 64}"}}' for name in ("config.json", "model.safetensors")]
    (tmp_path / "registry.toml").write_text(
        "schema = 1\n[[bridges]]\n"
        + "\n".join(lines)
        + f'\nmodels = ["acme/vae", "mnist/vae"]\nplugins = []\nsize = 1\ndate = "2026-01-01"\nfiles = [{", ".join(files)}]\n'
    )
    zoo = acme("register_registries")
    bridge = zoo.get_bridge("acme-mnist")
    assert bridge.registry.name == "acme"
    assert bridge.folder == tmp_path / "acme"
    # One that is not valid is left out, and the bundled one stays.
    (tmp_path / "registry.toml").write_text("schema = 99\n")
    assert "acme-mnist" not in acme("register_registries").bridges
    assert "registry 'acme' is left out" in caplog.text
    assert Zoo(PluginHost([])).bridges.keys() == acme("register_registries").bridges.keys()


def latent_options(folder: Path) -> list[str]:
    """Options for training with latents of the toy models, which are written to the folder."""
    options = []
    for seed, name in enumerate("ab"):
        spec = toy_zoo().get_model(f"toy/{name}")
        rng = torch.Generator().manual_seed(seed)
        LatentSet(
            model=spec.id,
            fingerprint=spec.fingerprint,
            latents=torch.randn(60, 64, generator=rng),
            labels=torch.arange(60) % 2,
            label_names=LABELS,
        ).save(folder / f"{name}.safetensors")
        options += ["--data", f"{spec.id}={folder / name}.safetensors"]
    return [*options, "--set", "steps=3", "--set", "batch=8", "--set", "width=8"]


@pytest.mark.parametrize("raises", [False, True])
def test_example_of_bridge_trained_and_one_that_raises(acme, ltzoo, tmp_path, caplog, raises):
    acme("bridge_trained")
    points = [EntryPoint("acme", "acme_bridge_trained", "ltzoo"), EntryPoint("toy", "toy_plugin", "ltzoo")]
    set_default_zoo(Zoo(PluginHost(points)))
    if raises:
        (tmp_path / "bridges.jsonl").mkdir()
    code, out, err = ltzoo("train", "toy/a", "toy/b", "-o", "bridge", *latent_options(tmp_path))
    assert (code, out) == (0, "bridge\n"), err
    assert (tmp_path / "bridge" / "config.json").is_file()
    if raises:
        assert "plugin 'acme'" in caplog.text
        assert "bridge_trained() raised IsADirectoryError" in caplog.text
    else:
        row = json.loads((tmp_path / "bridges.jsonl").read_text())
        assert row["models"] == ["toy/a", "toy/b"]
        assert row["steps"] == 3


def test_misspelt_hooks_and_unknown_arguments_are_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for number, (code, message) in enumerate(
        {
            "def register_model(): ...": "unknown hook 'register_model'",
            "def register_models(zoo): ...": "zoo",
        }.items()
    ):
        (tmp_path / f"wrong_{number}.py").write_text(f"from ltzoo import hookimpl\n@hookimpl\n{code}\n")
        (info,) = PluginHost([EntryPoint("wrong", f"wrong_{number}", "ltzoo")]).infos
        assert info.status == "failed"
        assert message in (info.error or "")


@pytest.mark.slow
def test_example_of_a_command(tmp_path):
    (block,) = (block for block in blocks(DOCS / "hooks.md", "python") if "@click.command" in block)
    environment = Environment(tmp_path / "venv")
    environment.install(
        Wheel(
            "ltzoo-acme",
            block,
            {"ltzoo.commands": {"signs": "ltzoo_acme:signs", "models": "ltzoo_acme:signs"}},
        ),
        Wheel("ltzoo-wrong", "raise ImportError('gone')", {"ltzoo.commands": {"wrong": "ltzoo_wrong:wrong"}}),
    )
    listed = environment.ltzoo("--help").stdout
    assert re.search(r"^  signs +from ltzoo-acme$", listed, re.MULTILINE)
    result = environment.ltzoo("signs", "Norway")
    assert (result.returncode, result.stdout) == (0, "no signs of Norway yet\n")
    assert json.loads(environment.ltzoo("models", "--json").stdout)["schema"] == "ltzoo/models/1"
    result = environment.ltzoo("wrong")
    assert (result.returncode, result.stdout) == (3, "")
    assert "ltzoo uninstall ltzoo-wrong" in result.stderr
