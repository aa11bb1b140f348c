"""Runs the contract on a plugin's models, in a process of its own: ``python -m ltzoo.contract_run``.

`ltzoo.plugin_check` starts it. What to check comes as one JSON document on stdin, what was found leaves as one
JSON document a line on stdout. A plugin that prints, exits or crashes so harms nobody but itself.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

# Before ltzoo.testing is imported: failed asserts then say what they compared.
pytest.register_assert_rewrite("ltzoo.testing")

__all__ = ["main"]

Emit = Callable[..., None]

# The contract of a model that its project does not test itself.
DEFAULT_TESTS = """
import pytest
from ltzoo.testing import ModelContract, shipped_latents

class TestModel(ModelContract):
    model_id = {model!r}

    def test_round_trip_stays_within_the_stated_error(self, spec, model, data):
        if spec.data.modality != "text" and shipped_latents(spec) is None:
            pytest.skip("needs data of the model's kind: give it in the project's tests, and check the project")
        super().test_round_trip_stays_within_the_stated_error(spec, model, data)
"""


class Recorder:
    """A plugin of pytest: keeps the contract's tests, and says how each ended.

    Args:
        emit: Takes what is to be said.
        accepts: Whether a model's tests are to be run; asked once a test.
    """

    def __init__(self, emit: Emit, accepts: Callable[[str], bool]) -> None:
        self.emit, self.accepts = emit, accepts
        self.models: dict[str, tuple[str, str]] = {}
        self.seconds: dict[str, float] = {}
        self.ended: dict[str, tuple[str, str, str]] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            lines = report.longreprtext.strip().splitlines()
            self.emit("problem", text=f"{report.nodeid} cannot be collected: {lines[-1] if lines else ''}")

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        from ltzoo.testing import ModelContract

        kept, others = [], []
        for item in items:
            cls = getattr(item, "cls", None)
            model = getattr(cls, "model_id", None)
            if isinstance(cls, type) and issubclass(cls, ModelContract) and model and self.accepts(model):
                self.models[item.nodeid] = (model, item.name)
                kept.append(item)
            else:
                others.append(item)
        items[:] = kept
        config.hook.pytest_deselected(items=others)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        id = report.nodeid
        self.seconds[id] = self.seconds.get(id, 0.0) + report.duration
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            cause = crash.message if crash else report.longreprtext
            self.ended[id] = ("failed", _one_line(cause), report.longreprtext)
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self.ended.setdefault(id, ("skipped", str(reason).removeprefix("Skipped: "), ""))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        model, name = self.models[nodeid]
        status, cause, detail = self.ended.get(nodeid, ("ok", "", ""))
        words = name.removeprefix("test_").replace("_", " ")
        self.emit(
            "check",
            model=model,
            name=words,
            status=status,
            seconds=self.seconds[nodeid],
            cause=cause,
            detail=detail,
        )


def check(names: list[str], references: list[str], tests: Path | None, emit: Emit) -> None:
    """Checks plugins and says what it found.

    Args:
        names: Of the plugins' entry points.
        references: Models of open families to check beside those that are registered.
        tests: The project's own tests, whose contract tests are taken.
        emit: Takes what is to be said.
    """
    from ltzoo import __version__
    from ltzoo.zoo import default_zoo, list_plugins

    working = []
    for info in list_plugins():
        if info.name in names:
            working += [info.name] if info.status == "ok" else []
            emit(
                "plugin",
                name=info.name,
                distribution=info.distribution,
                version=info.version,
                status=info.status,
                cause=info.error or info.warning or "",
                hooks=list(info.hooks),
                import_ms=info.import_ms,
            )
    emit(
        "versions",
        ltzoo=__version__,
        torch=version("torch"),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
    )
    zoo = default_zoo()
    models = [*(id for name in working for id in zoo.list_models(plugin=name)), *references]
    usable: dict[str, bool] = {}

    def loads_once(model: str) -> bool:
        # One that does not load would fail every test for the same reason.
        if model not in usable:
            emit("model", id=model)
            usable[model] = loads(model, emit)
        return usable[model]

    def is_own(model: str) -> bool:
        return any(model.startswith((f"{name}/", f"{name}:")) for name in working) and loads_once(model)

    with tempfile.TemporaryDirectory(prefix="ltzoo-check-") as folder:
        if tests is not None and working:
            run_tests([str(tests)], Recorder(emit, is_own))
        for number, model in enumerate(model for model in dict.fromkeys(models) if model not in usable):
            if loads_once(model):
                file, settings = Path(folder, f"test_model_{number}.py"), Path(folder, "pytest.ini")
                file.write_text(DEFAULT_TESTS.format(model=model), encoding="utf-8")
                settings.write_text("[pytest]\n", encoding="utf-8")
                run_tests([str(file), "-c", str(settings)], Recorder(emit, is_own))


def loads(model: str, emit: Emit) -> bool:
    """Loads a model before its tests do: weights that are not cached yet are fetched, and faults said once."""
    import time

    from ltzoo.zoo import load_model

    start, cause = time.perf_counter(), ""
    try:
        load_model(model)
    except (Exception, SystemExit) as error:
        cause = _one_line(f"{type(error).__name__}: {error}")
    seconds = time.perf_counter() - start
    status = "failed" if cause else "ok"
    emit("check", model=model, name="loads", status=status, seconds=seconds, cause=cause, detail="")
    return not cause


def run_tests(arguments: Iterable[str], recorder: Recorder) -> None:
    """Runs tests under pytest, without a project's own options, such as those for coverage."""
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "--import-mode=importlib"]
    pytest.main([*options, *arguments], plugins=[recorder])


def _one_line(cause: str) -> str:
    """What matters of a failure's message: the first line, or the last if it is that of another process."""
    lines = [" ".join(line.split()) for line in cause.splitlines() if line.strip()]
    if not lines:
        return ""
    return lines[-1] if "Traceback (most recent call last)" in lines[0] else lines[0]


def main() -> None:
    """Reads what to check, checks it, and says that the end was reached."""
    order = json.load(sys.stdin)
    # What plugins and pytest print must not get among what is said.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as channel:
        os.dup2(2, 1)

        def emit(kind: str, **content: Any) -> None:
            channel.write(json.dumps({"kind": kind, **content}) + "\n")
            channel.flush()

        tests = Path(order["tests"]) if order["tests"] else None
        check(order["plugins"], order["models"], tests, emit)
        emit("end")


if __name__ == "__main__":
    main()
