"""Requests of the run's source and store: counted, and together no faster than the operator allows
(``perf.max_requests_per_second``)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from bronze_tui.domain.events import Requests
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.hooks.contracts import (
    BatchRef,
    Created,
    LedgerSource,
    Store,
    StoredObject,
)
from bronze_tui.hooks.metering import RequestCounts, RequestMeter

T = TypeVar("T")


class Pace:
    """Lets one request pass every ``1 / per_second`` seconds; thread-safe.

    Args:
        per_second: 0 for no limit.
        clock, sleep: replaceable in tests.
    """

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1.0 / per_second if per_second else 0.0
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = 0.0
        self._waited = 0.0

    def wait(self) -> None:
        """Wait for the next free place; places are given in the order of asking."""
        if not self._gap:
            return
        with self._lock:
            now = self._clock()
            place = max(now, self._next)
            self._next = place + self._gap
            self._waited += place - now
        if place > now:
            self._sleep(place - now)

    def take_waited(self) -> float:
        """Seconds that requests were made to wait since the last call, summed."""
        with self._lock:
            waited, self._waited = self._waited, 0.0
        return waited


class Traffic:
    """The meters of one run's source and store, which share one pace.

    Places on this machine (``file:`` URLs) are neither paced nor counted: they cost no requests.
    """

    def __init__(self, per_second: float) -> None:
        self._pace = Pace(per_second)
        self._meters: dict[str, RequestMeter] = {}
        self._said: dict[str, RequestCounts] = {}

    def take_waited(self) -> float:
        """Seconds that requests were made to wait since the last call, summed."""
        return self._pace.take_waited()

    def meter(self, role: str) -> RequestMeter:
        """The meter of ``source`` or ``store``, to give along with the options."""
        return self._meters.setdefault(role, RequestMeter(self._pace.wait))

    def source(self, source: LedgerSource, url: str) -> LedgerSource:
        """``source``, counted here when it does not count itself."""
        if hasattr(source, "counters") or url.startswith("file:"):
            return source
        return cast(LedgerSource, _CountedSource(source, self.meter("source")))

    def store(self, store: Store, url: str) -> Store:
        """``store``, counted here when it does not count itself."""
        if hasattr(store, "counters") or url.startswith("file:"):
            return store
        return cast(Store, _CountedStore(store, self.meter("store")))

    def news(self) -> Iterator[Requests]:
        """Totals of each meter that moved since the last call."""
        for role, meter in self._meters.items():
            counts = meter.counts()
            if counts.total and counts != self._said.get(role):
                self._said[role] = counts
                yield _event(role, counts)


class _Counted:
    """Anything, with some of its calls counted as one request each."""

    def __init__(self, real: Any, meter: RequestMeter) -> None:
        self._real = real
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _call(self, kind: str, call: Callable[[], T]) -> T:
        self._meter.request(kind)
        return call()

    def _get(self, call: Callable[[], bytes]) -> bytes:
        data = self._call("get", call)
        self._meter.moved(bytes_in=len(data))
        return data


class _CountedSource(_Counted):
    def tip(self) -> int | None:
        return cast("int | None", self._call("list", self._real.tip))

    def batches(self, ledgers: LedgerRange) -> Sequence[BatchRef]:
        return cast(Sequence[BatchRef], self._real.batches(ledgers))

    def read(self, ref: BatchRef) -> bytes:
        return self._get(lambda: self._real.read(ref))


class _CountedStore(_Counted):
    def create(self, key: str, data: bytes | Path) -> Created:
        self._sent(data)
        return self._call("put", lambda: cast(Created, self._real.create(key, data)))

    def replace(self, key: str, data: bytes | Path) -> None:
        self._sent(data)
        self._call("put", lambda: self._real.replace(key, data))

    def get(self, key: str) -> bytes:
        return self._get(lambda: self._real.get(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self._get(lambda: self._real.get_range(key, start, length))

    def head(self, key: str) -> StoredObject | None:
        return cast("StoredObject | None", self._call("head", lambda: self._real.head(key)))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        return cast("Iterator[StoredObject]", self._call("list", lambda: self._real.list(prefix)))

    def delete(self, key: str) -> None:
        self._call("delete", lambda: self._real.delete(key))

    def _sent(self, data: bytes | Path) -> None:
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        self._meter.moved(bytes_out=size)


def _event(role: str, counts: RequestCounts) -> Requests:
    of = counts.requests
    known = ("get", "put", "head", "list", "delete")
    return Requests(
        role=role,
        total=counts.total,
        gets=of.get("get", 0),
        puts=of.get("put", 0),
        heads=of.get("head", 0),
        lists=of.get("list", 0),
        deletes=of.get("delete", 0),
        others=sum(number for kind, number in of.items() if kind not in known),
        bytes_in=counts.bytes_in,
        bytes_out=counts.bytes_out,
        retries=counts.retries,
        throttles=counts.throttles,
    )
