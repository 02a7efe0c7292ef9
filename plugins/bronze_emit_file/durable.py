"""Writing that survives a power cut: create without overwriting, replace, move aside.

Every function leaves the folder's names durable when it returns; an fsync that fails is never
tried again, because the kernel forgets the lost pages.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bronze_tui.audit.names import TEMP_PREFIX

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_LOCKS = {errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_EVENT_MODE = 0o444
_HEADS_MODE = 0o644


def make_folder(path: Path) -> None:
    """Make ``path`` and its parents, each name durable."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with suppress(FileExistsError):
        path.mkdir(mode=0o755)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the folder's names durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
    """Make a read-only file of these bytes unless the name is taken; whether it was made.

    The caller holds ``locked``.
    """
    temp = _write_temp(path.parent, data, _EVENT_MODE)
    try:
        os.link(temp, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A filesystem without hard links: the lock keeps other emitters out between the two.
        if os.path.lexists(path):
            return False
        temp.rename(path)
    finally:
        temp.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def replace(path: Path, data: bytes) -> None:
    """Atomically put these bytes at ``path``, whatever was there."""
    temp = _write_temp(path.parent, data, _HEADS_MODE)
    try:
        temp.rename(path)
    finally:
        temp.unlink(missing_ok=True)
    sync_folder(path.parent)


def move_aside(path: Path) -> Path:
    """Give the file the first free name ``*.damaged-N`` and return it; nothing is deleted."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    path.rename(aside)
    sync_folder(path.parent)
    return aside


def clean(folder: Path) -> int:
    """Remove temporary files of killed emitters; the caller holds ``locked``."""
    stale = list(folder.glob(f"{TEMP_PREFIX}*"))
    for temp in stale:
        temp.unlink(missing_ok=True)
    return len(stale)


def _write_temp(folder: Path, data: bytes, mode: int) -> Path:
    temp = folder / f"{TEMP_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    return temp
