"""What the lake source needs of a place that holds objects, and patience with remote ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from bronze_tui.domain.errors import SourceThrottled, SourceUnavailable
from bronze_tui.hooks.metering import RequestMeter
from bronze_tui.remote.clock import Clock

T = TypeVar("T")

MAX_OBJECT_BYTES = 1 << 30
"""Larger objects are refused before they are read (the Go SDK's bound of a batch)."""
LIST_PAGE = 1000
"""Keys that one listing request gives, for counting."""


class LakeObjects(Protocol):
    """Read-only objects below one root. Every method may be called from several threads."""

    @property
    def location(self) -> str:
        """The root's address without credentials."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether reads cost no round trip."""
        ...

    @property
    def can_list(self) -> bool:
        """Whether ``list_keys`` works."""
        ...

    def read(self, key: str) -> bytes:
        """The object's bytes.

        Raises:
            FileNotFoundError: absent. SourceUnavailable: retryable. SourceDenied: permanent.
            SourceDataError: larger than ``MAX_OBJECT_BYTES``.
        """
        ...

    def holds(self, key: str) -> bool:
        """Whether the object is there.

        Raises:
            SourceUnavailable: retryable. SourceDenied: permanent.
        """
        ...

    def list_keys(self) -> Iterator[str]:
        """Keys at the root and one folder deep, in lexicographic order, read as they are asked.

        Raises:
            SourceUnavailable: retryable. SourceDenied: permanent.
        """
        ...

    def close(self) -> None:
        """Release connections; idempotent."""
        ...


class PatientObjects:
    """Remote objects whose requests are counted, and made again when they had no answer."""

    def __init__(
        self, objects: LakeObjects, meter: RequestMeter, clock: Clock | None = None
    ) -> None:
        self._objects = objects
        self._meter = meter
        self._clock = clock or Clock()

    @property
    def location(self) -> str:
        """See ``LakeObjects.location``."""
        return self._objects.location

    @property
    def is_local(self) -> bool:
        """See ``LakeObjects.is_local``."""
        return self._objects.is_local

    @property
    def can_list(self) -> bool:
        """See ``LakeObjects.can_list``."""
        return self._objects.can_list

    def read(self, key: str) -> bytes:
        """See ``LakeObjects.read``."""
        data = self._patiently(lambda: self._counted("get", lambda: self._objects.read(key)))
        self._meter.moved(bytes_in=len(data))
        return data

    def holds(self, key: str) -> bool:
        """See ``LakeObjects.holds``."""
        return self._patiently(lambda: self._counted("head", lambda: self._objects.holds(key)))

    def list_keys(self) -> Iterator[str]:
        """See ``LakeObjects.list_keys``; only the first page is asked for again."""

        def first() -> tuple[Iterator[str], str | None]:
            keys = self._objects.list_keys()
            return keys, self._counted("list", lambda: next(keys, None))

        keys, key = self._patiently(first)
        seen = 0
        while key is not None:
            yield key
            seen += 1
            if seen % LIST_PAGE == 0:
                self._meter.request("list")
            key = next(keys, None)

    def close(self) -> None:
        """See ``LakeObjects.close``."""
        self._objects.close()

    def _patiently(self, call: Callable[[], T]) -> T:
        failure = SourceUnavailable("not tried")
        for attempt in self._clock.attempts():
            if attempt:
                self._meter.retried()
            try:
                return call()
            except SourceUnavailable as error:
                failure = error
        raise failure

    def _counted(self, kind: str, call: Callable[[], T]) -> T:
        self._meter.request(kind)
        try:
            return call()
        except SourceThrottled:
            self._meter.throttled()
            raise


def public_url(url: str) -> str:
    """``url`` without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")
