"""The one-copier lock of a dataset: flock on a file that says who holds it.

The kernel frees it when its holder dies, however it dies, so no lock ever goes stale. Filesystems
without flock are refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from bronze_tui.domain.errors import LockedError
from bronze_tui.domain.refusal import refusing

HEARTBEAT_SECONDS = 5.0
_MAX_NOTE = 4096


class FileLock:
    """A held flock; see :func:`acquire`. Thread-safe."""

    def __init__(self, path: Path, fd: int, owner: str) -> None:
        self._path = path
        self._fd = fd
        self._guard = threading.Lock()
        self._note = {
            "owner": owner,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": _now(),
        }
        self._written = 0.0

    def heartbeat(self) -> None:
        """Check that the file is still ours; write the time into it every few seconds.

        Raises:
            LockedError: the file was removed or replaced, so another copier may hold a lock too.
        """
        with self._guard:
            if self._fd < 0 or not _names(self._path, self._fd):
                raise LockedError(
                    "the lock was lost: its file was removed or replaced",
                    where=str(self._path),
                    todo="make sure that no other copier works on this dataset, then run again",
                )
            if time.monotonic() - self._written >= HEARTBEAT_SECONDS:
                with suppress(OSError):  # the note is for people; the kernel holds the lock
                    self.write_note()

    def release(self) -> None:
        """Remove the file, if it is still ours, and free the lock; idempotent."""
        with self._guard:
            if self._fd < 0:
                return
            with suppress(OSError):
                if _names(self._path, self._fd):
                    self._path.unlink()
            with suppress(OSError):
                os.close(self._fd)
            self._fd = -1

    def write_note(self) -> None:
        """Say in the file who holds it.

        Raises:
            OSError: disk full, I/O error.
        """
        text = json.dumps({**self._note, "heartbeat": _now()}, indent=2).encode()
        os.ftruncate(self._fd, os.pwrite(self._fd, text, 0))
        self._written = time.monotonic()


def acquire(path: Path, owner: str) -> FileLock:
    """Lock ``path``, making it when absent; its folder exists.

    Raises:
        LockedError: somebody holds it. StoreRefused, StoreUnavailable: it cannot be locked here.
    """
    while True:
        with refusing(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            with refusing(path):
                if not _lock_now(fd):
                    raise _held(path, fd)
            # a release between our open and our lock removed the name: then lock the new file
            if _names(path, fd):
                return _begun(FileLock(path, fd, owner), path)
        except BaseException:
            with suppress(OSError):
                os.close(fd)
            raise
        os.close(fd)


def _begun(lock: FileLock, path: Path) -> FileLock:
    try:
        with refusing(path):
            lock.write_note()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return lock


def _lock_now(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _names(path: Path, fd: int) -> bool:
    """Whether the path still leads to the open file."""
    try:
        seen = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(seen.st_mode) and os.path.samestat(seen, os.fstat(fd))


def _held(path: Path, fd: int) -> LockedError:
    note: object = None
    with suppress(OSError, ValueError):
        note = json.loads(os.pread(fd, _MAX_NOTE, 0))
    who = "another process (it left no readable note)"
    if isinstance(note, dict):
        owner, pid, host, started, heard = (
            note.get(name, "?") for name in ("owner", "pid", "host", "started", "heartbeat")
        )
        who = f"{owner} (process {pid} on {host}, since {started}, last heard {heard})"
    return LockedError(
        f"this dataset is locked by {who}",
        where=str(path),
        todo="wait for it or stop it; the lock frees itself when that process ends",
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
