"""Spoilt files: each is read or refused with an error of ltzoo's, in little time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fuzzing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

KINDS = ("config", "weights", "latents", "golden", "registry", "card")
EXAMPLES = 3500
"""Of each kind: 21,000 together."""

MEASURE = """
import re, sys
from pathlib import Path
import fuzzing
peak = lambda: int(re.search(r"VmHWM:\\s*([0-9]+)", Path("/proc/self/status").read_text())[1]) // 1024
targets = fuzzing.targets(Path(sys.argv[1]))
for name, target in targets.items():
    target.read(target.seed)
for seed in range(400):
    for target in targets.values():
        fuzzing.run(target, seed)
print(peak())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzzing")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_spoilt_files_are_read_or_refused(folder, kind):
    target = fuzzing.targets(folder)[kind]
    target.read(target.seed)
    taken = 0

    @settings(max_examples=EXAMPLES, deadline=2000, database=None, derandomize=True)
    @given(st.integers(0, 2**64))
    def read(seed: int) -> None:
        nonlocal taken
        taken += fuzzing.run(target, seed)

    read()
    # Else the mutations would say nothing of what comes after the first check.
    assert taken > EXAMPLES // 200


def test_every_kind_is_tried(folder):
    assert set(fuzzing.targets(folder)) == set(KINDS)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says what memory a process has had")
def test_spoilt_files_take_little_memory(tmp_path):
    root = Path(__file__).parents[1]
    path = os.pathsep.join([str(root / "tests"), str(root)])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 500
