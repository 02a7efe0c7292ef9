"""Carries records from the engine's threads to a renderer's own thread without ever waiting.

When the renderer is behind, progress is replaced by newer progress of the same thing; what is
dropped is counted, and the journal still has it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

from bronze_tui.domain.events import RunFinished, to_record

BEHIND = 256
"""Waiting records from which on progress is thinned out."""
FULL = 20_000
"""Waiting records beyond which even others are dropped, the end of the run excepted."""
CLOSE_TIMEOUT = 5.0

Record = Mapping[str, Any]


class Sink(Protocol):
    """What a renderer does, always on the feed's thread."""

    interval: float | None
    """Seconds between ticks; None when only records matter."""

    def show(self, record: Record) -> None:
        """Take one record in."""
        ...

    def tick(self) -> None:
        """Draw what has gathered."""
        ...

    def finish(self, skipped: int) -> None:
        """The run is over: ``skipped`` records were dropped; draw the end and let go."""
        ...


class Feed:
    """A renderer: call it with each record, close it at the end."""

    def __init__(self, sink: Sink, *, behind: int = BEHIND, full: int = FULL) -> None:
        self._sink = sink
        self._behind = behind
        self._full = full
        self._waiting: OrderedDict[Any, Record] = OrderedDict()
        self._count = 0
        self._skipped = 0
        self._saw_end = False
        self._closed = False
        self._wake = threading.Condition()
        self.failure: BaseException | None = None
        """What ended the renderer early: a closed pipe, most often."""
        self._thread = threading.Thread(target=self._run, name="renderer", daemon=True)
        self._thread.start()

    @property
    def skipped(self) -> int:
        """Records that were not shown."""
        with self._wake:
            return self._skipped

    def __call__(self, record: Record) -> None:
        """Queue one record; never waits, never raises."""
        with self._wake:
            if self._closed or self.failure is not None:
                return
            self._saw_end |= record.get("kind") == "run_finished"
            self._queue(record)
            self._wake.notify()

    def close(self, finished: RunFinished | None = None) -> None:
        """Show what waits and the end of the run, for at most five seconds; idempotent.

        Args:
            finished: shown when its record did not come through the journal.
        """
        with self._wake:
            if finished is not None and not self._saw_end and not self._closed:
                self._queue(to_record(finished))
            self._closed = True
            self._wake.notify()
        self._thread.join(CLOSE_TIMEOUT)

    def _queue(self, record: Record) -> None:
        self._count += 1
        key: Any = self._count
        if len(self._waiting) >= self._behind:
            key = _thing(record) or key
            if self._waiting.pop(key, None) is not None:
                self._skipped += 1
        if len(self._waiting) >= self._full and record.get("kind") != "run_finished":
            self._skipped += 1
            return
        self._waiting[key] = record

    def _run(self) -> None:
        try:
            while self._step():
                pass
            self._sink.finish(self.skipped)
        except BaseException as error:
            self.failure = error
            with self._wake:
                self._waiting.clear()

    def _step(self) -> bool:
        """Show a batch; false when the feed is closed and empty."""
        with self._wake:
            if not self._waiting and not self._closed:
                self._wake.wait(self._sink.interval)
            batch = list(self._waiting.values())
            self._waiting.clear()
            closed = self._closed
        for record in batch:
            self._sink.show(record)
        self._sink.tick()
        return bool(batch) or not closed


def _thing(record: Record) -> tuple[Any, ...] | None:
    """What a record is the newest state of, None when each one counts."""
    kind = record.get("kind")
    if kind == "partition_progress":
        return kind, record.get("chain_key"), record.get("partition")
    if kind == "requests":
        return kind, record.get("role")
    return (kind,) if kind in ("throughput", "stage_figures") else None
