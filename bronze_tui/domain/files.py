"""Durable local files: create if absent, replace, make folders, sweep what dead writers left.

The only I/O of this layer: the store, the checkpoint writer and the event emitter all stand on
it, and those layers may not import one another. Standard library only, POSIX only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from bronze_tui.domain.writers import TEMP_PREFIX, is_abandoned, temp_name

CHUNK = 1 << 20
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_NO_FLAG = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
_RENAME_NOREPLACE = 1
_READ_ONLY = 0o444


def make_dirs(path: Path, *, below: Path | None = None) -> None:
    """Make ``path`` and its missing parents, each new name durable before this returns.

    ``below`` also settles the folders beneath it that exist already: a crash between making and
    syncing one leaves a name that a power cut can still take away.

    Raises:
        OSError: a parent cannot be made or synced, or is no folder.
    """
    missing = []
    folder = path
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        with suppress(FileExistsError):
            new.mkdir()
        if not new.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(new))
        sync_folder(new.parent)
    if below is None:
        return
    for old in (folder, *folder.parents):
        if old == below or below not in old.parents:
            break
        sync_folder(old.parent)


def create(
    path: Path, data: bytes | Path, *, staging: Path | None = None
) -> Literal["created", "same"]:
    """Make ``path`` exist with exactly these bytes, read-only, if it is absent.

    Bytes go through a temp file in ``staging`` (default: beside ``path``). A Path is a finished
    file, best on the same filesystem: it is synced, linked into place and consumed. The order is
    bytes, file sync, link, folder sync, so a crash at any point leaves the old state or the whole
    new one; on return the bytes and the name survive a power cut. The temp's own folder is not
    synced: a temp name that comes back after a power cut is swept.

    Returns ``same`` when these very bytes stand there already; they are synced too, as whoever
    wrote them may not have done so.

    Raises:
        FileExistsError: something else stands there; a Path is kept.
        OSError: nothing is promised. No temp stays behind. A Path is kept, save when its own sync
            failed: its bytes may be gone although a second sync would succeed, so it is removed.
    """
    source = data if isinstance(data, Path) else (staging or path.parent) / temp_name()
    with _place(path) as target, _place(source) as temp:
        if isinstance(data, Path):
            _settle(temp, _READ_ONLY)
            outcome = _publish(temp, target)
            _sync(target.folder)
            temp.remove()
            return outcome
        _write(temp, data, _READ_ONLY)
        try:
            outcome = _publish(temp, target)
        finally:
            temp.remove()
        _sync(target.folder)
        return outcome


def replace(path: Path, data: bytes | Path, *, staging: Path | None = None) -> None:
    """Atomically put these bytes at ``path``, whatever file was there.

    Permissions are never wider than those of the file before. Bytes, Path, ``staging`` and the
    order are those of :func:`create`.

    Raises:
        OSError: the old file stands, or the new one does but may not survive a power cut. No temp
            stays behind; a Path is kept, save when its own sync failed.
    """
    source = data if isinstance(data, Path) else (staging or path.parent) / temp_name()
    with _place(path) as target, _place(source) as temp:
        before = target.mode()
        mask = 0o777 if before is None else before
        if isinstance(data, Path):
            _settle(temp, mask)
            _move(temp, target, mask)
        else:
            _write(temp, data, mask)
            try:
                _move(temp, target, mask)
            finally:
                temp.remove()
        _sync(target.folder)


def sync_folder(path: Path) -> None:
    """Make the names inside a folder durable.

    Raises:
        OSError: they may not survive a power cut.
    """
    with _descriptor(os.open(path, os.O_RDONLY | os.O_DIRECTORY)) as folder:
        _sync(folder)


def sweep(folder: Path) -> int:
    """Remove temp files of dead writers from a folder and those below; the number removed.

    Files of living writers stay. What another machine or container left, or a name without a
    writer, goes when it is a day old. Symbolic links are not followed.

    Raises:
        OSError: a folder cannot be listed or a file not removed.
    """
    removed = 0
    for path, _, names in os.walk(folder, onerror=_unless_absent):
        for temp in (Path(path, name) for name in names if name.startswith(TEMP_PREFIX)):
            with suppress(FileNotFoundError):
                seen = temp.lstat()
                if stat.S_ISREG(seen.st_mode) and is_abandoned(temp.name, seen.st_mtime):
                    temp.unlink()
                    removed += 1
    return removed


def _unless_absent(error: OSError) -> None:
    if error.errno != errno.ENOENT:
        raise error


@dataclass(frozen=True, slots=True)
class _Place:
    """A name inside an open folder, so that renaming the folder cannot misdirect a write."""

    folder: int
    name: str

    def open(self, flags: int, mode: int = 0o666) -> int:
        return os.open(self.name, flags | os.O_NOFOLLOW, mode, dir_fd=self.folder)

    def remove(self) -> None:
        """Forget a temp; a failure here leaves a name to sweep, and no promise broken."""
        with suppress(OSError):
            os.unlink(self.name, dir_fd=self.folder)

    def mode(self) -> int | None:
        """Permission bits of the regular file that stands here, None when there is none."""
        try:
            status = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return stat.S_IMODE(status.st_mode) if stat.S_ISREG(status.st_mode) else None


@contextmanager
def _place(path: Path) -> Iterator[_Place]:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _Place(folder, path.name)
    finally:
        with suppress(OSError):  # read-only: closing it cannot lose anything
            os.close(folder)


@contextmanager
def _descriptor(fd: int) -> Iterator[int]:
    """Close checked: network filesystems report lost writes there."""
    try:
        yield fd
    except BaseException:
        with suppress(OSError):
            os.close(fd)
        raise
    os.close(fd)


def _sync(fd: int) -> None:
    """Reach the disk itself; folders of filesystems that cannot sync them are left as they are."""
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC or not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise


def _write_all(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _seal(fd: int, mask: int) -> None:
    """Leave only the permissions that ``mask`` has too, and sync."""
    os.fchmod(fd, os.fstat(fd).st_mode & mask)
    _sync(fd)


def _write(temp: _Place, data: bytes | _Place, mask: int) -> None:
    """A new, synced file with these bytes, or with another file's; gone again on any error."""
    fd = temp.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with _descriptor(fd):
            if isinstance(data, bytes):
                _write_all(fd, data)
            else:
                _copy(data, fd)
            _seal(fd, mask)
    except BaseException:
        temp.remove()
        raise


def _copy(source: _Place, fd: int) -> None:
    with _descriptor(source.open(os.O_RDONLY)) as reader:
        while chunk := os.read(reader, CHUNK):
            _write_all(fd, chunk)


def _settle(temp: _Place, mask: int) -> None:
    """Sync a file that others wrote; never twice, as a failed sync marks lost pages clean."""
    with _descriptor(temp.open(os.O_RDONLY)) as fd:
        try:
            _seal(fd, mask)
        except OSError:
            temp.remove()
            raise


def _publish(temp: _Place, target: _Place) -> Literal["created", "same"]:
    """Give a synced file its final name unless the name is taken."""
    try:
        _link(temp, target)
    except FileExistsError:
        if not _same(temp, target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target.name) from None
        return "same"
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return _publish_across(temp, target)
    return "created"


def _publish_across(temp: _Place, target: _Place) -> Literal["created", "same"]:
    """The staged file is on another filesystem: copy it beside its place first."""
    near = _Place(target.folder, temp_name())
    _write(near, temp, _READ_ONLY)
    try:
        return _publish(near, target)
    finally:
        near.remove()


def _link(temp: _Place, target: _Place) -> None:
    """Name without ever replacing; three ways, for filesystems that lack hard links."""
    try:
        os.link(
            temp.name,
            target.name,
            src_dir_fd=temp.folder,
            dst_dir_fd=target.folder,
            follow_symlinks=False,
        )
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        return
    if not _rename_absent(temp, target):
        _rename_reserved(temp, target)


@cache
def _renameat2() -> Callable[..., int] | None:
    try:
        call: Callable[..., int] = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
    return call


def _rename_absent(temp: _Place, target: _Place) -> bool:
    """Linux ``renameat2(RENAME_NOREPLACE)``; False where it does not exist."""
    call = _renameat2()
    if call is None:
        return False
    old, new = os.fsencode(temp.name), os.fsencode(target.name)
    if call(temp.folder, old, target.folder, new, _RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_FLAG:
        return False
    raise OSError(code, os.strerror(code), target.name)


def _rename_reserved(temp: _Place, target: _Place) -> None:
    """Reserve the name with an empty file, then rename over it.

    Weaker: a kill between the two leaves an empty file, which a later create reports as a
    conflict; never torn bytes.
    """
    with _descriptor(target.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL)):
        pass
    try:
        os.rename(temp.name, target.name, src_dir_fd=temp.folder, dst_dir_fd=target.folder)
    except BaseException:
        target.remove()
        raise


def _same(temp: _Place, target: _Place) -> bool:
    """Whether a regular file with the temp's bytes stands at the target, which is then synced."""
    if target.mode() is None:
        return False
    with (
        _descriptor(temp.open(os.O_RDONLY)) as ours,
        _descriptor(target.open(os.O_RDONLY)) as theirs,
    ):
        if os.fstat(ours).st_size != os.fstat(theirs).st_size:
            return False
        while chunk := os.read(ours, CHUNK):
            if chunk != _read_exactly(theirs, len(chunk)):
                return False
        _sync(theirs)
    return True


def _read_exactly(fd: int, length: int) -> bytes:
    parts = b""
    while len(parts) < length and (chunk := os.read(fd, length - len(parts))):
        parts += chunk
    return parts


def _move(temp: _Place, target: _Place, mask: int) -> None:
    try:
        os.rename(temp.name, target.name, src_dir_fd=temp.folder, dst_dir_fd=target.folder)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        return
    near = _Place(target.folder, temp_name())
    _write(near, temp, mask)
    try:
        os.rename(near.name, target.name, src_dir_fd=near.folder, dst_dir_fd=target.folder)
    except BaseException:
        near.remove()
        raise
    temp.remove()
