"""Requests as a plugin makes them: counted, and paced to what the operator allows. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Requests of one source or store since it was opened; bytes are those of object bodies."""

    requests: dict[str, int] = field(default_factory=dict)
    """By kind: get, put, head, list, delete. One page of a listing is one request."""
    bytes_in: int = 0
    bytes_out: int = 0
    retries: int = 0
    """Requests made again after one without an answer."""
    throttles: int = 0
    """Answers that asked to slow down (429, 503)."""

    @property
    def total(self) -> int:
        """Requests of every kind."""
        return sum(self.requests.values())


class RequestMeter:
    """Counts requests; the engine gives one to each source and store with its options.

    Args:
        pace: waits until the next request may be made; none by default.
    """

    def __init__(self, pace: Callable[[], None] | None = None) -> None:
        self._pace = pace
        self._lock = threading.Lock()
        self._requests: dict[str, int] = {}
        self._bytes_in = self._bytes_out = self._retries = self._throttles = 0

    def request(self, kind: str) -> None:
        """Wait for the turn of one request and count it; call it just before the request."""
        if self._pace is not None:
            self._pace()
        with self._lock:
            self._requests[kind] = self._requests.get(kind, 0) + 1

    def moved(self, *, bytes_in: int = 0, bytes_out: int = 0) -> None:
        """Count bytes of an object's body."""
        with self._lock:
            self._bytes_in += bytes_in
            self._bytes_out += bytes_out

    def retried(self) -> None:
        """Count a request that is made again."""
        with self._lock:
            self._retries += 1

    def throttled(self) -> None:
        """Count an answer that asked to slow down."""
        with self._lock:
            self._throttles += 1

    def counts(self) -> RequestCounts:
        """Everything so far, as of one moment."""
        with self._lock:
            return RequestCounts(
                dict(self._requests),
                self._bytes_in,
                self._bytes_out,
                self._retries,
                self._throttles,
            )
