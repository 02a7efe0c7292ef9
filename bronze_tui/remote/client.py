"""What the bucket store asks of a client library, and the wrapper that counts its requests."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from bronze_tui.domain.errors import StoreThrottled
from bronze_tui.hooks.metering import RequestMeter

T = TypeVar("T")

Body = bytes | mmap.mmap
Condition = Literal["create", "overwrite"] | Mapping[str, str]
"""Write only an absent name, always, or only over the version that ``head`` told."""
LIST_PAGE = 1000
"""Objects that one listing request gives, for counting."""


class ConditionFailed(Exception):
    """The name is taken, its version is another one, or the server refused a race (409)."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object that stands there: bytes, what a compare-and-swap compares, Unix seconds."""

    size: int
    version: Mapping[str, str]
    modified: float


@dataclass(frozen=True, slots=True)
class Written:
    """What a write was answered."""

    version: Mapping[str, str]
    proven: bool
    """The server's own checksum of what it keeps equals that of the bytes sent."""


class BucketClient(Protocol):
    """One client of one bucket, below one prefix. Thread-safe; never retries by itself.

    Every method but ``put`` raises FileNotFoundError for an absent object; all raise
    StoreUnavailable (StoreThrottled) where a retry can help and the outcome is unknown,
    StoreRefused where not.
    """

    @property
    def location(self) -> str:
        """Address of its root without credentials."""
        ...

    def put(self, key: str, body: Body, condition: Condition, sha256: str) -> Written:
        """Write the whole object at once; ``sha256`` (hex) is kept as metadata where possible.

        Raises:
            ConditionFailed: nothing was changed by this request, or an earlier one of ours did.
        """
        ...

    def get(self, key: str) -> bytes:
        """The whole object."""
        ...

    def digest(self, key: str) -> tuple[str, int]:
        """SHA-256 (hex) and size of the object's bytes, read in bounded memory."""
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes, at least 1, from ``start``; fewer or an error past the end."""
        ...

    def head(self, key: str) -> Found:
        """What stands there."""
        ...

    def list(self, folder: str | None) -> Iterator[tuple[str, int]]:
        """Keys and sizes below a folder, in any order; nothing or an error when absent."""
        ...

    def delete(self, key: str) -> None:
        """Remove it."""
        ...


class MeteredClient:
    """A client whose requests, bytes and throttles are counted by ``meter``."""

    def __init__(self, client: BucketClient, meter: RequestMeter) -> None:
        self._client = client
        self._meter = meter

    @property
    def location(self) -> str:
        """See :class:`BucketClient`."""
        return self._client.location

    def put(self, key: str, body: Body, condition: Condition, sha256: str) -> Written:
        """See :class:`BucketClient`."""
        self._meter.moved(bytes_out=len(body))
        return self._counted("put", lambda: self._client.put(key, body, condition, sha256))

    def get(self, key: str) -> bytes:
        """See :class:`BucketClient`."""
        data = self._counted("get", lambda: self._client.get(key))
        self._meter.moved(bytes_in=len(data))
        return data

    def digest(self, key: str) -> tuple[str, int]:
        """See :class:`BucketClient`."""
        digest, size = self._counted("get", lambda: self._client.digest(key))
        self._meter.moved(bytes_in=size)
        return digest, size

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See :class:`BucketClient`."""
        data = self._counted("get", lambda: self._client.get_range(key, start, length))
        self._meter.moved(bytes_in=len(data))
        return data

    def head(self, key: str) -> Found:
        """See :class:`BucketClient`."""
        return self._counted("head", lambda: self._client.head(key))

    def list(self, folder: str | None) -> Iterator[tuple[str, int]]:
        """See :class:`BucketClient`."""
        found = self._counted("list", lambda: self._client.list(folder))
        for number, item in enumerate(found, 1):
            if number % LIST_PAGE == 0:
                self._meter.request("list")
            yield item

    def delete(self, key: str) -> None:
        """See :class:`BucketClient`."""
        self._counted("delete", lambda: self._client.delete(key))

    def _counted(self, kind: str, call: Callable[[], T]) -> T:
        self._meter.request(kind)
        try:
            return call()
        except StoreThrottled:
            self._meter.throttled()
            raise
