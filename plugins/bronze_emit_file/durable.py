"""What the emitter's folder needs beside the project's durable files: a lock, a create that tells
whether it made the file, and a move that keeps evidence."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bronze_tui.domain import files

_NO_LOCKS = {errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder against other emitters, of this process or another."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _flock(fd)
        yield
    finally:
        os.close(fd)


def _flock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        # Some network filesystems cannot lock; the dataset's own lock still keeps copiers apart.
        if error.errno not in _NO_LOCKS:
            raise


def create(path: Path, data: bytes) -> bool:
    """Make a read-only file of these bytes unless the name is taken; whether it was made."""
    try:
        return files.create(path, data) == "created"
    except FileExistsError:
        return False


def move_aside(path: Path) -> Path:
    """Give the file the first free name ``*.damaged-N`` and return it; nothing is deleted."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    path.rename(aside)
    files.sync_folder(path.parent)
    return aside
