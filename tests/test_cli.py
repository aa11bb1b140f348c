"""Streams, exit codes, suggestions and completion of the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from toy_plugin import toy_zoo

from ltzoo.cli.main import COMMANDS, root, run
from ltzoo.errors import ExitCode
from ltzoo.zoo import set_default_zoo


@pytest.fixture(autouse=True)
def zoo():
    set_default_zoo(toy_zoo())


def test_help_names_every_command_and_every_command_has_help(ltzoo):
    code, out, err = ltzoo("--help")
    assert (code, err) == (0, "")
    for name, (_, text) in COMMANDS.items():
        assert f"  {name} " in out
        assert text in out
        assert ltzoo(name, "-h")[0] == 0
        assert ltzoo(name, "--help")[0] == 0


def test_one_line_helps_are_those_of_the_commands():
    for name, (_, text) in COMMANDS.items():
        command = root.get_command(None, name)
        assert command is not None
        assert command.help
        assert text.endswith(".")


def test_version(ltzoo):
    assert ltzoo("--version") == (0, "ltzoo 0.1.0\n", "")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("modles",), 2, "no command 'modles'; did you mean models?"),
        (("models", "shwo", "toy/a"), 2, "no command 'shwo'; did you mean show?"),
        (("models", "show", "toy/muet"), 2, "did you mean toy/mute?"),
        (("models", "--modality", "smell"), 2, "'smell' is not one of"),
        (("models", "show", "mnist/vae"), 3, "ltzoo install ltzoo-mnist"),
        (("bridges", "show", "nothing"), 2, "no bridge 'nothing'"),
        (("translate",), 2, "Missing argument 'INPUT...'"),
        (("translate", "x.png", "--from", "toy/a"), 2, "Missing option '--to'"),
        (
            ("translate", "x.png", "--from", "toy/deaf", "--to", "toy/b", "-o", "y.png"),
            2,
            "toy/deaf cannot encode",
        ),
        (
            ("translate", "x.png", "--from", "toy/a", "--to", "toy/mute", "-o", "y.png"),
            2,
            "toy/mute cannot decode",
        ),
        (("translate", "x.png", "--from", "toy/a", "--to", "toy/b"), 2, "nowhere to write to"),
        (
            ("translate", "x.png", "--from", "toy/a", "--to", "toy/b", "-o", "y", "--seed", "1"),
            2,
            "--seed goes with",
        ),
        (("sample", "toy/mute", "-o", "x.png"), 2, "toy/mute cannot sample"),
        (("encode", "toy/deaf", "x", "-o", "y"), 2, "toy/deaf cannot encode"),
        (("decode", "toy/mute", "x", "-o", "y"), 2, "toy/mute cannot decode"),
        (("train", "toy/a"), 2, "two or more different models"),
        (("train", "toy/a", "toy/a"), 2, "two or more different models"),
        (("train", "toy/a", "toy/b"), 1, "no installed plugin ships latents of toy/a"),
        (("train", "toy/a", "toy/b", "--set", "steps"), 2, "not FIELD=VALUE"),
        (("train", "toy/a", "toy/b", "--recipe", "defualt"), 2, "did you mean 'default'?"),
        (("train", "toy/a", "toy/b", "--data", "toy/c=x"), 2, "not MODEL=FILE"),
        (("uninstall", "nothing"), 2, "no plugin 'nothing' is installed"),
        (("uninstall",), 2, "Missing argument"),
        (("install",), 2, "nothing to install"),
        (("install", "mnist"), 2, "its package is ltzoo-mnist"),
    ],
)
def test_a_wrong_request_gets_its_exit_code_and_one_line(
    ltzoo, arguments, code, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    got, out, err = ltzoo(*arguments)
    assert (got, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_lists_come_as_table_json_and_ids(ltzoo):
    code, table, _ = ltzoo("models", "*/[ab]")
    assert code == 0
    assert table.splitlines()[0].split() == ["MODEL", "KIND", "DATA", "LATENT", "CAN", "LICENSE", "TITLE"]
    assert [line.split()[0] for line in table.splitlines()[1:]] == ["toy/a", "toy/b"]
    document = json.loads(ltzoo("models", "--json", "toy/a")[1])
    assert document["schema"] == "ltzoo/models/1"
    assert document["models"][0]["fingerprint"]
    assert ltzoo("models", "list", "-q", "toy/a", "toy/b")[1] == "toy/a\ntoy/b\n"
    assert json.loads(ltzoo("models", "show", "toy/a", "--json")[1])["model"]["id"] == "toy/a"
    assert "fingerprint" in ltzoo("models", "show", "toy/a")[1]
    plugins = json.loads(ltzoo("plugins", "--json")[1])["plugins"]
    assert [row["status"] for row in plugins] == ["ok"]
    assert plugins[0]["hooks"] == ["register_datasets", "register_models", "resolve_model"]
    for command in ("bridges", "plugins"):
        assert ltzoo(command)[0] == 0
        assert ltzoo(command, "-q")[0] == 0


def test_path_prints_one_path(ltzoo):
    for what in ("home", "config", "registry", "cache"):
        code, out, err = ltzoo("path", what)
        assert (code, err, out.count("\n")) == (0, "", 1)
    assert ltzoo("path", "registry")[1].strip().endswith("registry.toml")


def test_no_plugins_blocks_them(ltzoo):
    set_default_zoo(None)
    assert ltzoo("--no-plugins", "models", "-q") == (0, "", "")
    code, _, err = ltzoo("--no-plugins=nothing", "models")
    assert code == 2
    assert "no plugin 'nothing' is installed" in err


def test_a_bug_is_one_line_and_a_traceback_only_on_demand(ltzoo, monkeypatch):
    monkeypatch.setattr("ltzoo.zoo.Zoo.list_models", lambda *a, **k: 1 / 0)
    code, out, err = ltzoo("models")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "internal error: ZeroDivisionError" in err
    for arguments in (("-v", "models"), ("models", "list", "-v")):
        code, _, err = ltzoo(*arguments)
        assert code == 1
        assert "Traceback" in err
    monkeypatch.setenv("LTZOO_DEBUG", "1")
    assert "Traceback" in ltzoo("models")[2]


def test_ctrl_c_ends_with_130(ltzoo, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("ltzoo.zoo.Zoo.list_models", interrupt)
    code, _, err = ltzoo("models")
    assert code == ExitCode.INTERRUPTED
    assert "interrupted" in err


def test_control_characters_of_a_file_name_do_not_reach_the_terminal(ltzoo):
    code, _, err = ltzoo("models", "show", "evil\x1b[2J\nname")
    assert code == 2
    assert "\x1b" not in err
    assert err.count("\n") == 1


def test_a_reader_that_leaves_early_gets_no_complaint():
    script = "import sys; from ltzoo.cli.main import run; sys.exit(run(['--help']))"
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run([sys.executable, "-c", script], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")


def complete(words: str, n: int, shell: str = "bash") -> list[str]:
    result = subprocess.run(
        [sys.executable, "-m", "ltzoo"],
        env={**os.environ, "_LTZOO_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(n)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = result.stdout.splitlines()
    # zsh gets a type, a value and a help, each on its line; bash the first two on one.
    return lines[1::3] if shell == "zsh" else [line.split(",", 1)[1] for line in lines if line]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ltzoo mod", ["models"]),
        ("ltzoo models sh", ["show"]),
        ("ltzoo plugins ", ["check", "list", "new"]),
        ("ltzoo plugins check mni", ["mnist"]),
        ("ltzoo models show mnist/vae-", ["mnist/vae-b"]),
        ("ltzoo translate seven.png --from spoken-digits/g", ["spoken-digits/gan"]),
        ("ltzoo translate seven.png --from mnist/vae --to fashion", ["fashion-mnist/vae"]),
        ("ltzoo translate seven.png --bridge mnist-f", ["mnist-fashion"]),
        ("ltzoo train mnist/vae fash", ["fashion-mnist/vae"]),
        ("ltzoo train --recipe class-", ["class-axes", "class-gaussian"]),
        ("ltzoo bridges show spoken", ["spoken-mnist"]),
        ("ltzoo export mnist-spoken-gan --from mnist/vae-", ["mnist/vae-b"]),
        ("ltzoo explain fash", ["fashion-spoken-gan"]),
        ("ltzoo eval --req", ["--require"]),
        ("ltzoo completion z", ["zsh"]),
        ("ltzoo --vers", ["--version"]),
        ("ltzoo nothing-of-the-kind", []),
    ],
)
def test_the_shell_completes(words, expected):
    assert complete(words, words.count(" ")) == expected


def test_an_option_of_list_is_no_misspelt_command(ltzoo):
    code, out, err = ltzoo("plugins", "--check", "-q")
    assert (code, err) == (0, "")
    assert "toy" in out.splitlines()


def test_commands_complete_without_being_imported():
    code = (
        "import sys; from ltzoo.cli.main import root; import click; "
        "items = root.shell_complete(click.Context(root), ''); "
        "assert {'translate', 'models'} <= {item.value for item in items}; "
        "assert all(item.help for item in items); assert 'ltzoo.cli.translate' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bash_itself_completes_with_the_script(ltzoo, tmp_path):
    code, script, _ = ltzoo("completion", "bash")
    assert code == 0
    (tmp_path / "ltzoo").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ltzoo "$@"\n')
    (tmp_path / "ltzoo").chmod(0o755)
    ask = (
        "COMP_WORDS=(ltzoo models show mnist/v); COMP_CWORD=3; _ltzoo_completion ltzoo; echo ${COMPREPLY[*]}"
    )
    result = subprocess.run(
        ["bash", "-c", f"{script}\ncomplete -p ltzoo\n{ask}"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines() == [
        "complete -o nosort -F _ltzoo_completion ltzoo",
        "mnist/vae mnist/vae-b",
    ]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_of_other_shells(ltzoo, shell):
    code, script, _ = ltzoo("completion", shell)
    assert code == 0
    assert f"_LTZOO_COMPLETE={shell}_complete" in script
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script, text=True, check=True)
    if shell == "zsh":
        assert "mnist/vae" in complete("ltzoo models show mnist", 3, shell)
    else:
        words = {
            **os.environ,
            "_LTZOO_COMPLETE": "fish_complete",
            "COMP_WORDS": "ltzoo models show mn",
            "COMP_CWORD": "mn",
        }
        result = subprocess.run(
            [sys.executable, "-m", "ltzoo"], env=words, capture_output=True, text=True, check=True
        )
        assert "mnist/vae" in result.stdout


def test_an_unknown_shell_is_refused(ltzoo):
    code, out, err = ltzoo("completion", "tcsh")
    assert (code, out) == (2, "")
    assert "bash" in err


def test_model_and_recipe_names_complete(capsys, monkeypatch):
    from ltzoo.cli.params import MODEL
    from ltzoo.cli.train import complete_recipe

    assert [item.value for item in MODEL.shell_complete(None, None, "toy/m")] == ["toy/mute"]  # type: ignore[arg-type]
    assert [item.value for item in complete_recipe(None, None, "tian")] == ["tian-engel-2019"]  # type: ignore[arg-type]


def test_run_without_arguments_shows_help(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ltzoo"])
    assert run() == 2
    assert "Commands:" in capsys.readouterr().err
