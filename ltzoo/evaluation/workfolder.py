"""`WorkFolder`: where a bench keeps what it has done, so that it can go on after an interruption."""

from __future__ import annotations

import re
from pathlib import Path

from ltzoo.errors import LtzooError, SpecError, UsageError
from ltzoo.evaluation.bench_records import Run
from ltzoo.files import replacing

__all__ = ["WorkFolder"]


class WorkFolder:
    """A folder with one JSON file, and for recipes one bridge, per way and seed.

    Args:
        path: The folder; made when the first run is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, way: str, seed: int) -> Path:
        """The file of a run."""
        return self.path / f"{self._stem(way, seed)}.json"

    def bridge(self, way: str, seed: int) -> Path:
        """The folder of the bridge of a run."""
        return self.path / self._stem(way, seed)

    def checkpoint(self, way: str, seed: int) -> Path:
        """The state of a training that was interrupted."""
        return self.path / f"{self._stem(way, seed)}.checkpoint.safetensors"

    def make(self) -> None:
        """Makes the folder, if it is not there.

        Raises:
            LtzooError: It cannot be made.
        """
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise LtzooError(f"{self.path}: cannot be made: {error.strerror or error}") from error

    def read(self, way: str, seed: int, identity: str) -> Run | None:
        """A run that was done before; None if there is none.

        Raises:
            UsageError: The file is not one, or is of another bench.
        """
        path = self.file(way, seed)
        if not path.exists():
            return None
        hint = f"give --work ANOTHER, or remove {path}"
        try:
            run = Run.from_json(path.read_bytes(), where=str(path))
        except (OSError, SpecError) as error:
            raise UsageError(f"{path} is not the result of a run: {error}", hint=hint) from error
        if run.identity != identity:
            raise UsageError(
                f"{path} is of another bench: other models, latents, labels, protocol, recipe or version",
                hint=hint,
            )
        return run

    def write(self, run: Run) -> None:
        """Stores a run, whole or not at all.

        Raises:
            LtzooError: The file cannot be written.
        """
        path = self.file(run.way, run.seed)
        try:
            with replacing(path) as temporary:
                temporary.write_text(run.to_json(), encoding="utf-8")
        except OSError as error:
            raise LtzooError(f"{path}: cannot be written: {error.strerror or error}") from error

    @staticmethod
    def _stem(way: str, seed: int) -> str:
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', way)}-{seed}"
