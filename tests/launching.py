"""Runs a script of the tests in several processes, as ``torchrun`` does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def launch(
    script: str, scenario: str, folder: Path, *arguments: str, processes: int = 2
) -> subprocess.CompletedProcess[str]:
    """Runs a scenario of a script in so many processes."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]),
    }
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    words = [*launcher, "--nproc-per-node", str(processes), TESTS / script, scenario, folder, *arguments]
    with subprocess.Popen(
        words,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=300)
        except BaseException:
            # The launcher ends its processes, which are of sessions of their own.
            process.terminate()
            process.wait(60)
            raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def found(run: subprocess.CompletedProcess[str], folder: Path, processes: int = 2) -> list[dict]:
    """What the processes have written down."""
    assert run.returncode == 0, run.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(processes)]


def ours(stderr: str) -> list[str]:
    """The lines that ltzoo has written among those of the launcher."""
    return [line for line in stderr.splitlines() if line.startswith("ltzoo:")]
