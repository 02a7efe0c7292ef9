"""Keys as objects of a bucket, each written by one conditional PUT of the whole object.

An unknown outcome is resolved by putting again under the same condition and comparing what
stands there. What arrived is checked by size, and on S3 by a SHA-256 that the server verifies;
obstore reads no checksum back from GCS, so there TLS and the size are all.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from obstore.exceptions import AlreadyExistsError

from bronze_store_object.clock import Clock
from bronze_store_object.lease import Lease, take
from bronze_store_object.remote import REMOTE_ERRORS, store_error
from bronze_tui.domain import files
from bronze_tui.domain.errors import StoreConflict, StoreRefused, StoreUnavailable
from bronze_tui.domain.names import KEY_RULE, is_key
from bronze_tui.domain.refusal import refusing
from bronze_tui.domain.writers import temp_name
from bronze_tui.hooks.contracts import StoredObject


class ObjectStore:
    """A :class:`bronze_tui.hooks.contracts.Store` on one obstore client.

    Args:
        client: an ``obstore.store``, or anything with the same methods.
        location: the address of its root without credentials.
        staging: local folder where files are built before they are sent.
        clock: replaceable in tests.
    """

    def __init__(
        self, client: Any, location: str, staging: Path, *, clock: Clock | None = None
    ) -> None:
        self._client = client
        self._location = location
        self._staging = staging
        self._clock = clock or Clock()

    def uri(self, key: str) -> str:
        """``s3://bucket/prefix/key`` and the like, not percent-encoded."""
        return f"{self._location}/{_checked(key)}"

    def stage(self, name: str) -> Path:
        """See the contract; the file is not there yet."""
        if not is_key(name) or "/" in name:
            raise StoreRefused(f"{name!r} cannot name a staged file", todo=f"use {KEY_RULE}")
        with refusing(self._staging):
            files.make_dirs(self._staging)
            path = self._staging / temp_name(name)
            path.touch(exist_ok=False)
            path.unlink()
        return path

    def create(self, key: str, data: bytes | Path) -> Literal["created", "same"]:
        """See the contract.

        The whole object is one request, because only that takes a condition: a staged file is
        mapped, not read into memory. After a lost answer the writer who won is told ``same``.
        """
        where, body = self.uri(key), _body(data)
        digest = hashlib.sha256(body).hexdigest()
        failure = StoreUnavailable("its name stays contested", where=where)
        for _ in self._clock.attempts():
            try:
                outcome = self._put_if_absent(key, body, digest)
            except StoreUnavailable as error:
                failure = error
                continue
            if outcome is not None:
                _consume(data)
                return outcome
        raise failure

    def replace(self, key: str, data: bytes | Path) -> None:
        """See the contract; the last of several writers wins."""
        where, body = self.uri(key), _body(data)
        digest = hashlib.sha256(body).hexdigest()
        failure = StoreUnavailable("not tried", where=where)
        for _ in self._clock.attempts():
            try:
                self._put(key, body, digest, "overwrite")
            except StoreUnavailable as error:
                failure = error
                continue
            _consume(data)
            return
        raise failure

    def get(self, key: str) -> bytes:
        """See the contract."""
        where = self.uri(key)
        try:
            return bytes(self._client.get(key).bytes())
        except REMOTE_ERRORS as error:
            raise _absent_or_error(error, where) from None

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See the contract; a negative start or length is a ValueError."""
        if start < 0 or length < 0:
            raise ValueError("start and length are counted from 0")
        where = self.uri(key)
        try:
            if length:
                return bytes(self._client.get_range(key, start=start, length=length))
        except FileNotFoundError as error:
            raise _absent_or_error(error, where) from None
        except REMOTE_ERRORS as error:
            # servers and obstore word "past the end" in several ways: the size decides
            found = self.head(key)
            if found is not None and start < found.size:
                raise store_error(error, where) from None
        if self.head(key) is None:
            raise FileNotFoundError(where)
        return b""

    def head(self, key: str) -> StoredObject | None:
        """See the contract."""
        where = self.uri(key)
        try:
            return StoredObject(key, self._client.head(key)["size"])
        except REMOTE_ERRORS as error:
            failure = _absent_or_error(error, where)
        if isinstance(failure, FileNotFoundError):
            return None
        raise failure

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """See the contract; the empty prefix lists everything.

        Sorted here, because not every server lists in order: about 200 bytes an object.
        """
        if prefix and not prefix.endswith("/"):
            raise StoreRefused(f"prefix {prefix!r} is no folder", todo="end it with a slash")
        folder = _checked(prefix[:-1]) if prefix else None
        return self._list(folder)

    def delete(self, key: str) -> None:
        """See the contract."""
        where = self.uri(key)
        try:
            self._client.delete(key)
        except REMOTE_ERRORS as error:
            failure = _absent_or_error(error, where)
            if not isinstance(failure, FileNotFoundError):
                raise failure from None

    def local_path(self, key: str) -> Path | None:
        """None: there is no file of this machine."""
        _checked(key)
        return None

    def lock(self, key: str, owner: str) -> Lease:
        """See the contract; a lease that runs out, see :mod:`bronze_store_object.lease`."""
        return take(self._client, key, self.uri(key), owner, self._clock)

    def clean(self) -> int:
        """See the contract; staged files are local, unfinished requests leave nothing."""
        with refusing(self._staging):
            return files.sweep(self._staging)

    def close(self) -> None:
        """Connections belong to the client and go with it."""

    def _list(self, folder: str | None) -> Iterator[StoredObject]:
        try:
            found = [(o["path"], o["size"]) for page in self._client.list(folder) for o in page]
        except REMOTE_ERRORS as error:
            failure = _absent_or_error(error, f"{self._location}/{folder or ''}")
            if isinstance(failure, FileNotFoundError):
                return
            raise failure from None
        yield from (StoredObject(key, size) for key, size in sorted(found))

    def _put_if_absent(
        self, key: str, body: bytes | mmap.mmap, digest: str
    ) -> Literal["created", "same"] | None:
        try:
            self._put(key, body, digest, "create")
        except AlreadyExistsError:
            return self._compare(key, digest)
        return "created"

    def _put(self, key: str, body: bytes | mmap.mmap, digest: str, mode: str) -> None:
        """One request, and a look at what arrived."""
        where, attributes = self.uri(key), {"sha256": digest}
        try:
            self._client.put(key, body, mode=mode, attributes=attributes, use_multipart=False)
        except AlreadyExistsError:
            raise
        except FileNotFoundError:
            todo = "make it, or correct its name"
            raise StoreRefused("no such bucket", where=where, todo=todo) from None
        except REMOTE_ERRORS as error:
            raise store_error(error, where) from None
        found = self.head(key)
        if found is None:
            raise StoreUnavailable("it vanished after it was written", where=where)
        if found.size != len(body):
            raise StoreRefused(
                f"the store kept {found.size} of {len(body)} bytes sent",
                where=where,
                todo="do not trust this server; remove the object",
            )

    def _compare(self, key: str, digest: str) -> Literal["same"] | None:
        """What stands at a taken name; None when nothing does (a refused race, a deletion).

        Raises:
            StoreConflict: other bytes. StoreUnavailable, StoreRefused: they cannot be read.
        """
        where = self.uri(key)
        theirs = hashlib.sha256()
        try:
            for chunk in self._client.get(key).stream():
                theirs.update(chunk)
        except REMOTE_ERRORS as error:
            failure = _absent_or_error(error, where)
            if isinstance(failure, FileNotFoundError):
                return None
            raise failure from None
        if theirs.hexdigest() == digest:
            return "same"
        raise StoreConflict(
            f"an object with SHA-256 {theirs.hexdigest()} stands where one with SHA-256 {digest} "
            "belongs",
            where=where,
            todo="nothing was changed; find out who wrote it, or use another version_label",
        )


def _checked(key: str) -> str:
    if not is_key(key):
        raise StoreRefused(f"key {key!r} is not allowed", todo=f"use {KEY_RULE}")
    return key


def _body(data: bytes | Path) -> bytes | mmap.mmap:
    if isinstance(data, bytes):
        return data
    try:
        with data.open("rb") as file, refusing(data):
            size = data.stat().st_size
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    except FileNotFoundError:
        raise StoreRefused(
            "the staged file is gone", where=str(data), todo="build it again"
        ) from None


def _consume(data: bytes | Path) -> None:
    if isinstance(data, Path):
        data.unlink(missing_ok=True)


def _absent_or_error(error: Exception, where: str) -> Exception:
    if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
        return FileNotFoundError(where)
    return store_error(error, where)
