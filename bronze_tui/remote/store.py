"""Keys as objects of a bucket, each written by one conditional PUT of the whole object.

An unknown outcome is resolved by putting again under the same condition and comparing what
stands there. What arrived is proven by the checksum that the server answers; a server that
answers none is asked for the size, and the object is read back.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

from bronze_tui.domain import files
from bronze_tui.domain.errors import StoreConflict, StoreRefused, StoreUnavailable
from bronze_tui.domain.names import KEY_RULE, is_key
from bronze_tui.domain.refusal import refusing
from bronze_tui.domain.writers import temp_name
from bronze_tui.hooks.contracts import StoredObject
from bronze_tui.hooks.metering import RequestCounts, RequestMeter
from bronze_tui.remote.client import Body, BucketClient, Condition, ConditionFailed, MeteredClient
from bronze_tui.remote.clock import Clock
from bronze_tui.remote.lease import Lease, take

T = TypeVar("T")


class BucketStore:
    """A :class:`bronze_tui.hooks.contracts.Store` on one bucket client.

    Args:
        client: a client that honours create-if-absent.
        staging: local folder where files are built before they are sent.
        meter: counts the requests.
        clock: replaceable in tests.
    """

    def __init__(
        self,
        client: BucketClient,
        staging: Path,
        *,
        meter: RequestMeter | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._meter = meter or RequestMeter()
        self._client = MeteredClient(client, self._meter)
        self._staging = staging
        self._clock = clock or Clock()

    def counters(self) -> RequestCounts:
        """See :class:`bronze_tui.hooks.contracts.Counted`."""
        return self._meter.counts()

    def uri(self, key: str) -> str:
        """``s3://bucket/prefix/key`` and the like, not percent-encoded."""
        return f"{self._client.location}/{_checked(key)}"

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

        def put() -> Literal["created", "same"]:
            outcome = self._put_if_absent(key, body, digest)
            if outcome is None:
                raise StoreUnavailable("its name stays contested", where=where)
            return outcome

        outcome = self._patiently(put)
        _consume(data)
        return outcome

    def replace(self, key: str, data: bytes | Path) -> None:
        """See the contract; the last of several writers wins."""
        _checked(key)
        body = _body(data)
        digest = hashlib.sha256(body).hexdigest()
        self._patiently(lambda: self._put(key, body, digest, "overwrite"))
        _consume(data)

    def get(self, key: str) -> bytes:
        """See the contract."""
        _checked(key)
        return self._patiently(lambda: self._client.get(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See the contract; a negative start or length is a ValueError."""
        _checked(key)
        if start < 0 or length < 0:
            raise ValueError("start and length are counted from 0")
        try:
            if length:
                return self._patiently(lambda: self._client.get_range(key, start, length))
        except StoreRefused:
            # servers and clients word "past the end" in several ways: the size decides
            found = self.head(key)
            if found is not None and start < found.size:
                raise
        if self.head(key) is None:
            raise FileNotFoundError(self.uri(key))
        return b""

    def head(self, key: str) -> StoredObject | None:
        """See the contract."""
        _checked(key)
        try:
            return StoredObject(key, self._patiently(lambda: self._client.head(key)).size)
        except FileNotFoundError:
            return None

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
        _checked(key)
        try:
            self._patiently(lambda: self._client.delete(key))
        except FileNotFoundError:
            return

    def local_path(self, key: str) -> Path | None:
        """None: there is no file of this machine."""
        _checked(key)
        return None

    def lock(self, key: str, owner: str) -> Lease:
        """See the contract; a lease that runs out, see :mod:`bronze_tui.remote.lease`."""
        return take(self._client, key, self.uri(key), owner, self._clock)

    def clean(self) -> int:
        """See the contract; staged files are local, unfinished requests leave nothing."""
        with refusing(self._staging):
            return files.sweep(self._staging)

    def close(self) -> None:
        """Connections belong to the client and go with it."""

    def _patiently(self, call: Callable[[], T]) -> T:
        """Call until it is answered, some times with growing pauses.

        Raises:
            StoreUnavailable: it never was; what the last attempt met.
        """
        failure = StoreUnavailable("not tried")
        for attempt in self._clock.attempts():
            if attempt:
                self._meter.retried()
            try:
                return call()
            except StoreUnavailable as error:
                failure = error
        raise failure

    def _list(self, folder: str | None) -> Iterator[StoredObject]:
        try:
            found = self._patiently(lambda: sorted(self._client.list(folder)))
        except FileNotFoundError:
            return
        yield from (StoredObject(key, size) for key, size in found)

    def _put_if_absent(
        self, key: str, body: Body, digest: str
    ) -> Literal["created", "same"] | None:
        try:
            self._put(key, body, digest, "create")
        except ConditionFailed:
            return self._compare(key, digest)
        return "created"

    def _put(self, key: str, body: Body, digest: str, condition: Condition) -> None:
        """One request, and a look at what arrived."""
        if self._client.put(key, body, condition, digest).proven:
            return
        where = self.uri(key)
        try:
            size = self._client.head(key).size
            kept = self._client.digest(key)[0] if size == len(body) else ""
        except FileNotFoundError:
            raise StoreUnavailable("it vanished after it was written", where=where) from None
        if kept != digest:
            amount = f"{size} of {len(body)} bytes" if size != len(body) else "other bytes than"
            raise StoreRefused(
                f"the store kept {amount} sent",
                where=where,
                todo="do not trust this server; remove the object",
            )

    def _compare(self, key: str, digest: str) -> Literal["same"] | None:
        """What stands at a taken name; None when nothing does (a refused race, a deletion).

        Raises:
            StoreConflict: other bytes. StoreUnavailable, StoreRefused: they cannot be read.
        """
        try:
            theirs, _ = self._client.digest(key)
        except FileNotFoundError:
            return None
        if theirs == digest:
            return "same"
        raise StoreConflict(
            f"an object with SHA-256 {theirs} stands where one with SHA-256 {digest} belongs",
            where=self.uri(key),
            todo="nothing was changed; find out who wrote it, or use another version_label",
        )


def _checked(key: str) -> str:
    if not is_key(key):
        raise StoreRefused(f"key {key!r} is not allowed", todo=f"use {KEY_RULE}")
    return key


def _body(data: bytes | Path) -> Body:
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
