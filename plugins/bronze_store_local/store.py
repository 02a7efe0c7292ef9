"""Keys as files below one root, written once, durably, read-only from then on.

Files are built in one staging folder at the root and linked into place, so that cleaning is one
listing and no partition folder exists before it has a file. Symbolic links below the root are
refused, never followed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from bronze_store_local.lock import FileLock, acquire
from bronze_tui.domain import files
from bronze_tui.domain.errors import ConfigError, StoreConflict, StoreRefused
from bronze_tui.domain.names import KEY_RULE, is_key
from bronze_tui.domain.refusal import refusal, refusing
from bronze_tui.domain.writers import TEMP_PREFIX, temp_name
from bronze_tui.hooks.contracts import StoredObject

STAGING = ".bronze-staging"
_MAX_SETTLED = 10_000


def root_of(url: str) -> Path:
    """The folder a file URL names.

    Raises:
        ConfigError: not a file URL, a host in it, or no absolute path.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or not path.startswith("/"):
        raise ConfigError([f"{url!r} is not a local folder; use file:///absolute/path"])
    if parts.query or parts.fragment or "\0" in path:
        raise ConfigError([f"{url!r}: write '?' as %3F and '#' as %23 in a file URL"])
    return Path(path)


class LocalStore:
    """A :class:`bronze_tui.hooks.contracts.Store` on a folder of this machine.

    Args:
        root: absolute; made by the first write.

    Raises:
        StoreRefused: something else than a folder stands there.
    """

    def __init__(self, root: Path) -> None:
        self._url = f"file://{_quoted(str(root))}".removesuffix("/")
        with refusing(root):
            self._root = root.resolve()
            if self._root.exists() and not self._root.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        self._staging = self._root / STAGING
        self._settled: set[Path] = set()

    def uri(self, key: str) -> str:
        """``file://`` URL, percent-encoded."""
        return "/".join((self._url, *map(_quoted, _check(key))))

    def stage(self, name: str) -> Path:
        """See the contract; the file is not there yet, and the folder proved writable."""
        if not is_key(name) or "/" in name:
            raise StoreRefused(f"{name!r} cannot name a staged file", todo=f"use {KEY_RULE}")
        self._settle(self._staging)
        path = self._staging / temp_name(name)
        with refusing(path):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            path.unlink()
        return path

    def create(self, key: str, data: bytes | Path) -> Literal["created", "same"]:
        """See the contract."""
        path = self._writable(key, data)
        with refusing(path):
            try:
                return files.create(path, data, staging=self._staging)
            except FileExistsError:
                conflict = _conflict(path, data)
        raise conflict

    def replace(self, key: str, data: bytes | Path) -> None:
        """See the contract."""
        path = self._writable(key, data)
        with refusing(path):
            files.replace(path, data, staging=self._staging)

    def get(self, key: str) -> bytes:
        """See the contract."""
        with self._reading(key) as file:
            return file.readall()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See the contract; a negative start or length is a ValueError."""
        if start < 0 or length < 0:
            raise ValueError("start and length are counted from 0")
        with self._reading(key) as file:
            file.seek(start)
            parts = []
            while length and (chunk := file.read(length)):
                parts.append(chunk)
                length -= len(chunk)
            return b"".join(parts)

    def head(self, key: str) -> StoredObject | None:
        """See the contract; a folder is no object."""
        path = self._path(key)
        with refusing(path):
            try:
                seen = path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return StoredObject(key, seen.st_size) if stat.S_ISREG(seen.st_mode) else None

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """See the contract; the empty prefix lists everything.

        Raises:
            StoreRefused: also when ``prefix`` has no final slash.
        """
        if not prefix:
            return self._walk(self._root, "")
        if not prefix.endswith("/"):
            raise StoreRefused(f"prefix {prefix!r} is no folder", todo="end it with a slash")
        return self._walk(self._path(prefix[:-1]), prefix)

    def delete(self, key: str) -> None:
        """See the contract; the removal is durable, the folder stays."""
        path = self._path(key)
        with refusing(path), suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
            files.sync_folder(path.parent)

    def local_path(self, key: str) -> Path | None:
        """The file of ``key``, whether it exists or not."""
        return self._path(key)

    def lock(self, key: str, owner: str) -> FileLock:
        """See the contract; ``key`` is a file that names its owner while it is held."""
        path = self._path(key)
        self._settle(path.parent)
        self._settle(self._staging)
        return acquire(path, owner)

    def clean(self) -> int:
        """See the contract; what other machines left goes when it is a day old."""
        with refusing(self._root):
            return files.sweep(self._root)

    def close(self) -> None:
        """Nothing to release."""

    def _path(self, key: str) -> Path:
        """Where ``key`` lies.

        Raises:
            StoreRefused: it is no safe key, or a symbolic link stands on the way.
        """
        path = self._root
        for part in _check(key):
            path = path / part
            with refusing(path):
                if path.is_symlink():
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return path

    def _writable(self, key: str, data: bytes | Path) -> Path:
        path = self._path(key)
        if isinstance(data, Path) and not data.is_file():
            raise StoreRefused("the staged file is gone", where=str(data), todo="build it again")
        if isinstance(data, bytes):
            self._settle(self._staging)
        self._settle(path.parent)
        return path

    def _settle(self, folder: Path) -> None:
        """Make a folder durable, once in this store's life unless somebody removes it."""
        if folder in self._settled and folder.is_dir():
            return
        with refusing(folder):
            files.make_dirs(folder, below=self._root)
        if len(self._settled) >= _MAX_SETTLED:
            self._settled.clear()
        self._settled.add(folder)

    @contextmanager
    def _reading(self, key: str) -> Iterator[FileIO]:
        path = self._path(key)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
        except OSError as error:
            raise refusal(error, path) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise FileNotFoundError(errno.ENOENT, "no regular file", str(path))
        with refusing(path), FileIO(fd) as file:
            yield file

    def _walk(self, folder: Path, prefix: str) -> Iterator[StoredObject]:
        with refusing(folder):
            try:
                entries = sorted(os.scandir(folder), key=_in_key_order)
            except (FileNotFoundError, NotADirectoryError):
                return
        for entry in entries:
            key = prefix + entry.name
            if entry.name == STAGING or entry.name.startswith(TEMP_PREFIX) or not is_key(key):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path), f"{key}/")
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    yield StoredObject(key, entry.stat(follow_symlinks=False).st_size)


def _quoted(path: str) -> str:
    """As much percent-encoding as a URL needs; ``range=1-2`` stays legible."""
    return quote(os.fsencode(path), safe="/=:@+,")


def _check(key: str) -> tuple[str, ...]:
    parts = tuple(key.split("/"))
    if not is_key(key) or STAGING in parts or any(p.startswith(TEMP_PREFIX) for p in parts):
        raise StoreRefused(f"key {key!r} is not allowed", todo=f"use {KEY_RULE}")
    return parts


def _in_key_order(entry: os.DirEntry[str]) -> str:
    """Folders sort by the slash that follows them in a key."""
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


def _conflict(path: Path, data: bytes | Path) -> StoreConflict:
    ours = _sha256(data) if isinstance(data, Path) else hashlib.sha256(data).hexdigest()
    standing = f"a file with SHA-256 {_sha256(path)}" if path.is_file() else "no regular file"
    return StoreConflict(
        f"{standing} stands where one with SHA-256 {ours} belongs",
        where=str(path),
        todo="nothing was changed; find out who wrote it, or use another version_label",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
