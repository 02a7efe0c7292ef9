"""The bytes that verification reads: a folder of this machine, or a store, and nothing outside it.

Keys come from events that nobody vouches for; none leaves the root. Nothing is written there.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bronze_tui.domain.errors import SourceDenied, StoreRefused

if TYPE_CHECKING:
    from bronze_tui.hooks.contracts import Store

CHUNK = 1 << 20
_REMOTE_CHUNK = 8 << 20


class Outside(ValueError):
    """A key leaves the data folder."""


class Data(Protocol):
    """A dataset's store below its prefix. Every method may be called from several threads.

    Raises:
        Outside: the key leaves the root. FileNotFoundError: absent. OSError: cannot be read.
        StoreUnavailable: the store does not answer, so that nothing can be said.
    """

    where: str
    """For people, without credentials."""

    def get(self, key: str, limit: int) -> bytes:
        """The object, or its first ``limit + 1`` bytes when it is larger."""
        ...

    def chunks(self, key: str) -> Iterator[memoryview]:
        """The object's bytes; a chunk is valid until the next one is taken."""
        ...

    def names(self, folder: str) -> Iterator[str]:
        """Keys of the objects below ``folder``, relative to it; nothing when absent.

        Raises:
            SourceDenied: it cannot be listed.
        """
        ...


class Folder:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.where = str(root)
        self._root = root.resolve()

    def path(self, key: str) -> Path:
        """The file of ``key``, links resolved."""
        if not key or "\0" in key:
            raise Outside(key)
        try:
            path = (self._root / key).resolve()
        except RuntimeError as error:
            raise OSError(0, "symbolic links run in a circle") from error
        if not path.is_relative_to(self._root):
            raise Outside(key)
        return path

    def get(self, key: str, limit: int) -> bytes:
        """See Data."""
        with _opened(self.path(key)) as file:
            return bytes(file.read(limit + 1) or b"")

    def chunks(self, key: str) -> Iterator[memoryview]:
        """See Data."""
        with _opened(self.path(key)) as file:
            space = memoryview(bytearray(CHUNK))
            while size := file.readinto(space):
                yield space[:size]

    def names(self, folder: str) -> Iterator[str]:
        """See Data."""
        top = self.path(folder or ".")
        if not top.is_dir():
            return
        for place, folders, files in os.walk(top, onerror=_raise):
            folders.sort()
            base = Path(place).relative_to(top)
            yield from ((base / name).as_posix() for name in sorted(files))


class Remote:
    """A store of a plugin; keys get the prefix in front."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.where = store.uri(prefix.rstrip("/") or ".")
        self._store, self._prefix = store, prefix

    def get(self, key: str, limit: int) -> bytes:
        """See Data."""
        full = self._key(key)
        with _store_words(full):
            if self._store.head(full) is None:
                raise FileNotFoundError(full)
            return self._store.get_range(full, 0, limit + 1)

    def chunks(self, key: str) -> Iterator[memoryview]:
        """See Data."""
        full = self._key(key)
        with _store_words(full):
            known = self._store.head(full)
        if known is None:
            raise FileNotFoundError(full)
        for start in range(0, known.size, _REMOTE_CHUNK):
            length = min(_REMOTE_CHUNK, known.size - start)
            with _store_words(full):
                yield memoryview(self._store.get_range(full, start, length))

    def names(self, folder: str) -> Iterator[str]:
        """See Data."""
        top = f"{self._key(folder)}/" if folder else self._prefix
        try:
            for found in self._store.list(top):
                yield found.key.removeprefix(top)
        except StoreRefused as error:
            raise SourceDenied(error.what, where=error.where or top, todo=error.todo) from error

    def _key(self, key: str) -> str:
        parts = key.split("/")
        if "\0" in key or "\\" in key or any(part in ("", ".", "..") for part in parts):
            raise Outside(key)
        return self._prefix + key


class Fetched:
    """Remote objects kept in a temporary folder, so that several checks cost one download."""

    def __init__(self, data: Data) -> None:
        self.where = data.where
        self._data = data
        self._folder = tempfile.TemporaryDirectory(prefix="bronze-verify-")

    def close(self) -> None:
        """Remove the copies; idempotent."""
        with suppress(OSError):
            self._folder.cleanup()

    def get(self, key: str, limit: int) -> bytes:
        """See Data."""
        return self._data.get(key, limit)

    def chunks(self, key: str) -> Iterator[memoryview]:
        """See Data."""
        path = self.path(key)
        return Folder(path.parent).chunks(path.name)

    def names(self, folder: str) -> Iterator[str]:
        """See Data."""
        return self._data.names(folder)

    def path(self, key: str) -> Path:
        """The copy of an object."""
        path = Path(self._folder.name) / sha256(key.encode()).hexdigest()
        if not path.exists():
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                for chunk in self._data.chunks(key):
                    file.write(chunk)
            part.rename(path)
        return path


class _opened:
    """An unbuffered regular file; a pipe in its place must not make anybody wait."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _File:
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(0, "not a regular file")
        self._file = os.fdopen(fd, "rb", buffering=0)
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _File(Protocol):
    def read(self, size: int) -> bytes | None: ...
    def readinto(self, space: memoryview) -> int | None: ...


class _store_words:
    """A store that refuses says it in its own words; here that is a file that cannot be read."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, StoreRefused):
            raise OSError(0, error.what) from error


def _raise(error: OSError) -> None:
    raise SourceDenied(f"cannot be listed ({error.strerror})", where=str(error.filename)) from error
