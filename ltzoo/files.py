"""Writing files so that nobody ever meets a half-written one."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replaceable", "replacing"]


def replaceable(path: str | os.PathLike[str]) -> Path:
    """The file that writing to ``path`` makes or replaces: symbolic links are followed.

    Args:
        path: A file to be written; it need not exist.

    Raises:
        OSError: The folder is missing, or ``path`` is a folder or a write-protected file.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"no folder {target.parent}", str(path))
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return target


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary path beside ``path``, which takes the place of ``path`` when the block ends well.

    A block that raises leaves what was at ``path`` as it was, and no temporary file. A device or a pipe
    (``/dev/null``) is written to directly, since it cannot be replaced.

    Args:
        path: The file to write; its folder must exist.

    Yields:
        The path that the block writes to.

    Raises:
        OSError: As in `replaceable`, or the disk is full.
    """
    target = replaceable(path)
    if target.exists() and not target.is_file():
        yield target
        return
    # A short name of its own: adding to the target's could pass the file system's limit.
    temporary = target.with_name(f".ltzoo-{secrets.token_hex(8)}.tmp")
    try:
        temporary.touch(exist_ok=False)
        mode = stat.S_IMODE((target if target.exists() else temporary).stat().st_mode)
        yield temporary
        # The writer may have changed it: safetensors makes files that only their owner can read.
        temporary.chmod(mode)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
