"""Read-ahead: the objects of one partition, in order, read by shared threads within one byte
budget for the whole run."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from bronze_tui.domain.errors import SourceUnavailable
from bronze_tui.engine.gate import ReadGate
from bronze_tui.hooks.contracts import BatchRef, LedgerSource

_FIRST_GUESS = 4 * 1024 * 1024
_STEP_BYTES = 4 * 1024 * 1024


class ByteBudget:
    """Bytes that read-ahead may hold; every partition may always read one step, so that no
    partition waits for another one for ever."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._used = 0
        self._size = float(_FIRST_GUESS)
        self._seen = False
        self._starved = False

    @property
    def used(self) -> int:
        """Bytes held now."""
        return self._used

    def expect(self, objects: int) -> int:
        """Estimated bytes of that many objects, from those seen last."""
        return int(self._size * objects)

    def group(self, most: int) -> int:
        """How many objects of the size seen last make one reading step, at most ``most``."""
        return max(1, min(most, int(_STEP_BYTES / max(1.0, self._size))))

    def try_take(self, size: int) -> bool:
        """Take ``size`` bytes if the limit allows."""
        with self._lock:
            if self._used + size > self._limit:
                self._starved = True
                return False
            self._used += size
            return True

    def take_starved(self) -> bool:
        """Whether it refused anything since the last call."""
        with self._lock:
            starved, self._starved = self._starved, False
        return starved

    def take(self, size: int) -> None:
        """Take ``size`` bytes, limit or not."""
        with self._lock:
            self._used += size

    def settle(self, estimated: int, actual: int, objects: int) -> None:
        """Replace an estimate by what was read."""
        with self._lock:
            self._used += actual - estimated
            size = actual / max(1, objects)
            self._size += (size - self._size) * (0.2 if self._seen else 1.0)
            self._seen = True

    def give_back(self, size: int) -> None:
        """Return bytes."""
        with self._lock:
            self._used -= size


@dataclass(slots=True)
class _Step:
    """A group of objects under way; local sources read several in one go to save overhead."""

    refs: Sequence[BatchRef]
    estimated: int
    future: Future[list[bytes]] = field(init=False)


class ReadAhead:
    """Iterate ``(ref, bytes)`` in order; ``close`` gives everything back.

    Args:
        gate: passed by every step's thread.
        group: objects in a step, at most.
        ahead: how many steps may be under way, asked anew for each.
    """

    def __init__(
        self,
        source: LedgerSource,
        refs: Sequence[BatchRef],
        executor: Executor,
        budget: ByteBudget,
        gate: ReadGate,
        group: int,
        ahead: Callable[[], int],
    ) -> None:
        self._source = source
        self._refs = refs
        self._executor = executor
        self._budget = budget
        self._gate = gate
        self._group = max(1, group)
        self._ahead = ahead
        self._next = 0
        self._steps: deque[_Step] = deque()

    def __iter__(self) -> Iterator[tuple[BatchRef, bytes]]:
        while True:
            self._fill()
            if not self._steps:
                return
            step = self._steps[0]
            blobs = step.future.result()
            self._steps.popleft()
            actual = sum(map(len, blobs))
            self._budget.settle(step.estimated, actual, len(blobs))
            self._fill()
            try:
                yield from zip(step.refs, blobs, strict=True)
            finally:
                self._budget.give_back(actual)

    def _fill(self) -> None:
        most = max(1, self._ahead())
        while self._next < len(self._refs) and len(self._steps) < most:
            refs = self._refs[self._next : self._next + self._budget.group(self._group)]
            estimated = self._budget.expect(len(refs))
            if not self._steps:
                self._budget.take(estimated)
            elif not self._budget.try_take(estimated):
                return
            step = _Step(refs, estimated)
            step.future = self._executor.submit(self._read, refs)
            self._steps.append(step)
            self._next += len(refs)

    def _read(self, refs: Sequence[BatchRef]) -> list[bytes]:
        self._gate.enter()
        begin = time.perf_counter()
        blobs: list[bytes] = []
        trouble = False
        try:
            blobs.extend(map(self._source.read, refs))
        except SourceUnavailable:
            trouble = True
            raise
        finally:
            self._gate.leave(
                reads=len(blobs),
                size=sum(map(len, blobs)),
                seconds=time.perf_counter() - begin,
                trouble=trouble,
            )
        return blobs

    def close(self) -> None:
        """Forget what is under way; idempotent."""
        while self._steps:
            step = self._steps.popleft()
            step.future.cancel()
            self._budget.give_back(step.estimated)
