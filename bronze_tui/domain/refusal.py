"""What an operating system error means for a store or a state file, in words one can act on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bronze_tui.domain.errors import StoreError, StoreRefused, StoreUnavailable

_RETRYABLE = frozenset({errno.ETIMEDOUT, errno.ESTALE, errno.EAGAIN, errno.ENOMEM, errno.EINTR})
_MEANING = {
    errno.EDQUOT: ("the disk quota is used up", "raise the quota or free space, then run again"),
    errno.EROFS: (
        "the filesystem is read-only",
        "remount it writable (a failing disk turns read-only: check the kernel log) or set "
        "another storage folder",
    ),
    errno.EFBIG: (
        "the file is larger than this process may write",
        "raise 'ulimit -f' or use a smaller partition size",
    ),
    errno.EIO: (
        "the disk reported an I/O error and the bytes were dropped",
        "check the kernel log and the disk's health before running again",
    ),
    errno.ENOTDIR: ("a file stands where a folder belongs", "move it away, then run again"),
    errno.EISDIR: ("a folder stands where a file belongs", "move it away, then run again"),
    errno.ELOOP: (
        "a symbolic link stands inside the output folder",
        "replace it by what it points to",
    ),
    errno.ENOLCK: (
        "this filesystem has no file locks",
        "mount it with locking, or set another storage folder",
    ),
    errno.EMFILE: ("this process has too many open files", "raise 'ulimit -n', then run again"),
    errno.ENAMETOOLONG: ("the path is too long", "use a shorter storage folder or prefix"),
}


def refusal(error: OSError, path: Path) -> StoreError:
    """The store error for ``error`` at ``path``.

    ESTALE, time-outs and the like may pass with a retry. A failed sync (EIO) may not: a second
    sync would succeed although the bytes are gone.
    """
    where, code = str(path), error.errno or 0
    if code in _RETRYABLE:
        return StoreUnavailable(
            os.strerror(code), where=where, todo="check the mount; the step can be repeated"
        )
    if code == errno.ENOSPC:
        return StoreRefused(
            f"the disk is full ({_free(path)})", where=where, todo="free space, then run again"
        )
    if code in {errno.EACCES, errno.EPERM}:
        return StoreRefused(
            f"no permission ({os.strerror(code)}) for user id {os.geteuid()}",
            where=where,
            todo="give this user the folder or run as its owner",
        )
    what, todo = _MEANING.get(code, (error.strerror or str(error), "mend it, then run again"))
    return StoreRefused(what, where=where, todo=todo)


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn every OSError inside into the store error for ``path``."""
    try:
        yield
    except OSError as error:
        raise refusal(error, path) from error


def _free(path: Path) -> str:
    for folder in (path, *path.parents):
        with suppress(OSError):
            seen = os.statvfs(folder)
            if seen.f_files and not seen.f_favail:
                return "no file entries left"
            return f"{seen.f_bavail * seen.f_frsize} bytes free"
    return "free space unknown"
