"""Lake objects that are files of this machine."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bronze_tui.domain.errors import SourceDataError, SourceDenied, SourceError, SourceUnavailable
from bronze_tui.lake.keys import parse_folder
from bronze_tui.lake.objects import MAX_OBJECT_BYTES

_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_DENIED = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EISDIR, errno.ELOOP)
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""Non-blocking, so that a named pipe in the lake cannot hang the copier."""


class LocalObjects:
    """Plain files below ``root``.

    Raises:
        SourceDenied: ``root`` is not a folder, or may not be entered.
    """

    is_local = True
    can_list = True

    def __init__(self, root: Path) -> None:
        try:
            self._root = _resolve(root, strict=True)
            is_folder = self._root.is_dir()
        except OSError as error:
            if error.errno in _ABSENT:
                raise SourceDenied(
                    "no such lake", where=str(root), todo="correct source.url or mount the disk"
                ) from None
            raise _os_error(error, root) from None
        if not is_folder:
            raise SourceDenied("the lake is not a folder", where=str(root), todo="correct the URL")
        self._prefix = f"{self._root}/"
        self.location = self._root.as_uri()

    def read(self, key: str) -> bytes:
        """See ``LakeObjects.read``; a symbolic link that leaves the lake is refused."""
        path = self._prefix + key
        try:
            handle = self._open(path)
            try:
                return _read_all(handle, path)
            finally:
                os.close(handle)
        except OSError as error:
            if error.errno in _ABSENT:
                self._check_root()
                raise FileNotFoundError(path) from None
            raise _os_error(error, path) from None

    def holds(self, key: str) -> bool:
        """See ``LakeObjects.holds``."""
        return (self._root / key).is_file()

    def list_keys(self) -> Iterator[str]:
        """See ``LakeObjects.list_keys``; folders that are no partition folders are left out."""
        for name in self._names(self._root, folders=True):
            if not name.endswith("/"):
                yield name
            elif parse_folder(name[:-1]):
                for file in self._names(self._root / name, folders=False):
                    yield name + file

    def close(self) -> None:
        """Nothing is held between reads."""

    def _open(self, path: str) -> int:
        try:
            return os.open(path, _OPEN_FLAGS | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        target = _resolve(Path(path))
        if not target.is_relative_to(self._root):
            raise SourceDenied(
                f"the object is a link out of the lake, to {target}",
                where=path,
                todo="put the file itself there",
            )
        return os.open(target, _OPEN_FLAGS)

    def _check_root(self) -> None:
        # A lake that was unmounted must not look like one that lacks a ledger.
        if not self._root.is_dir():
            raise SourceUnavailable(
                "the lake's folder is gone", where=str(self._root), todo="mount it again"
            )

    def _names(self, folder: Path, *, folders: bool) -> list[str]:
        names = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    # Asking every entry for its kind would cost a stat on some file systems.
                    is_folder = folders and "." not in entry.name and entry.is_dir()
                    names.append(f"{entry.name}/" if is_folder else entry.name)
        except OSError as error:
            if error.errno in _ABSENT:
                self._check_root()
                return []
            raise _os_error(error, folder) from None
        names.sort()
        return names


def _resolve(path: Path, *, strict: bool = False) -> Path:
    try:
        return path.resolve(strict=strict)
    except RuntimeError:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def _read_all(handle: int, path: str) -> bytes:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise SourceDenied("the object is not a regular file", where=path, todo="remove it")
    size = status.st_size
    if size > MAX_OBJECT_BYTES:
        raise SourceDataError(
            f"the object has {size} bytes, more than {MAX_OBJECT_BYTES}", where=path
        )
    data = os.read(handle, size)
    if len(data) == size:
        return data
    parts = [data]
    while part := os.read(handle, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _os_error(error: OSError, path: Path | str) -> SourceError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _DENIED:
        return SourceDenied(
            f"cannot be read ({reason})", where=str(path), todo="give this user read permission"
        )
    return SourceUnavailable(f"reading failed ({reason})", where=str(path), todo="check the disk")
