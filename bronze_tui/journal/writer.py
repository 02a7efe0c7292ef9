"""Appends engine events to the run's journal, one JSON line each, and tells listeners.

The journal is a record of work, never the truth of it: no event can block, slow or end a copy,
whatever happens to the disk the journal lies on.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bronze_tui.domain.events import (
    Alert,
    EngineEvent,
    PartitionProgress,
    Throughput,
    to_record,
)

JOURNAL_NAME = "bronze.jsonl"
MAX_BYTES = 64 << 20
"""Size in bytes at which a journal file is closed and shifted to ``.1``."""
KEEP = 5
"""Rotated files kept beside the current one."""
PROGRESS_INTERVAL = 0.25
THROUGHPUT_INTERVAL = 1.0
RETRY_AFTER = 5.0
"""Seconds between attempts to write after the disk refused."""

Record = dict[str, Any]
Listener = Callable[[Record], None]


@dataclass(slots=True)
class _Bound:
    """One rate-bounded stream: when it was last written and the newest state held back."""

    interval: float
    written: float
    pending: EngineEvent | None = None


@dataclass(frozen=True, slots=True)
class JournalCounts:
    """What became of the events: ``held`` were replaced by a newer state of the same thing."""

    emitted: int
    held: int
    lost: int
    """Not recorded because the disk refused."""
    listener_errors: int


class Journal:
    """The run's event record; every method may be called from any thread.

    Args:
        path: the current file; rotated ones are ``path.1`` (newest) to ``path.N``.
        run_id: stands in each line, so that one file can hold several runs.
        clock: Unix seconds.
        max_bytes: file size that causes a rotation.
        keep: rotated files to keep.
        redact: applied to each text value before it is written or told.
    """

    def __init__(
        self,
        path: Path,
        run_id: str,
        clock: Callable[[], float] = time.time,
        *,
        max_bytes: int = MAX_BYTES,
        keep: int = KEEP,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self.path = path
        self.run_id = run_id
        self._clock = clock
        self._redact = redact
        self._file = _JournalFile(path, max_bytes, keep)
        self._lock = threading.Lock()
        self._delivery = threading.Lock()
        self._told: deque[Record] = deque()
        self._listeners: tuple[Listener, ...] = ()
        self._bounds: dict[tuple[str, ...], _Bound] = {}
        self._sequence = 0
        self._held = 0
        self._lost = 0
        self._lost_told = 0
        self._retry_at: float | None = None
        self._listener_errors = 0

    @property
    def counts(self) -> JournalCounts:
        """Figures since the start."""
        with self._lock:
            return JournalCounts(self._sequence, self._held, self._lost, self._listener_errors)

    def emit(self, event: EngineEvent) -> None:
        """Record ``event``, or hold it back when its kind comes too often.

        A state held back is written before any later event of its partition, when its interval
        is over, or at ``close``: the last one is never lost. Nothing is raised.
        """
        with self._lock:
            now = self._clock()
            self._flush_due(now)
            if not self._hold(event, now):
                self._release(event, now)
                self._record(event, now)
        self._tell()

    def subscribe(self, callback: Listener) -> Callable[[], None]:
        """Call ``callback(record)`` for each line, in order, outside all locks.

        What it raises is counted and goes no further. Returns a function that ends it.
        """
        with self._lock:
            self._listeners = (*self._listeners, callback)

        def unsubscribe() -> None:
            with self._lock:
                self._listeners = tuple(x for x in self._listeners if x is not callback)

        return unsubscribe

    def close(self) -> None:
        """Write what is held back and close the file; idempotent."""
        with self._lock:
            now = self._clock()
            self._retry_at = now if self._retry_at is not None else None
            for key in list(self._bounds):
                self._write_pending(key, now)
            self._bounds.clear()
            self._file.close()
        self._tell()

    def _hold(self, event: EngineEvent, now: float) -> bool:
        bound = _bound_of(event)
        if bound is None:
            return False
        key, interval = bound
        slot = self._bounds.get(key)
        if slot is None:
            self._bounds[key] = _Bound(interval, now)
            return False
        if slot.pending is not None:
            self._held += 1
        if 0 <= now - slot.written < slot.interval:
            slot.pending = event
            return True
        slot.pending = None
        slot.written = now
        return False

    def _flush_due(self, now: float) -> None:
        for key, slot in list(self._bounds.items()):
            if slot.pending is not None and now - slot.written >= slot.interval:
                self._write_pending(key, now)

    def _write_pending(self, key: tuple[str, ...], now: float) -> None:
        slot = self._bounds[key]
        if slot.pending is not None:
            event, slot.pending, slot.written = slot.pending, None, now
            self._record(event, now)

    def _release(self, event: EngineEvent, now: float) -> None:
        """Write a partition's last progress before the event that ends or restarts it."""
        if isinstance(event, PartitionProgress | Throughput):
            return
        if event.kind == "run_finished":
            for key in list(self._bounds):
                self._write_pending(key, now)
            return
        key = (
            PartitionProgress.kind,
            str(getattr(event, "chain_key", "")),
            str(getattr(event, "partition", "")),
        )
        if key in self._bounds:
            self._write_pending(key, now)
            del self._bounds[key]

    def _record(self, event: EngineEvent, now: float) -> None:
        self._sequence += 1
        record = {
            "seq": self._sequence,
            "time": round(now, 6),
            "run": self.run_id,
            **to_record(event),
        }
        if self._redact is not None:
            record = {key: _redacted(value, self._redact) for key, value in record.items()}
        self._told.append(record)
        if self._retry_at is not None and now < self._retry_at:
            self._lost += 1
            return
        try:
            self._file.append(json.dumps(record, separators=(",", ":"), default=str).encode())
        except (OSError, ValueError) as error:
            self._refused(error, now)
        else:
            self._recovered(now)

    def _refused(self, error: Exception, now: float) -> None:
        self._lost += 1
        first = self._retry_at is None
        self._retry_at = now + RETRY_AFTER
        if first:
            self._told.append(self._aside(_refusal(self.path, error), now))

    def _recovered(self, now: float) -> None:
        if self._retry_at is None:
            return
        self._retry_at = None
        missing, self._lost_told = self._lost - self._lost_told, self._lost
        self._record(
            Alert(
                level="warn",
                component="journal",
                message=f"the journal is written again; {missing} events are not in it",
            ),
            now,
        )

    def _aside(self, alert: Alert, now: float) -> Record:
        """A record for listeners only: the file cannot take it now."""
        return {"seq": self._sequence, "time": round(now, 6), "run": self.run_id} | to_record(alert)

    def _tell(self) -> None:
        """Deliver in order; whoever holds the delivery lock delivers for all."""
        while self._told:
            if not self._delivery.acquire(blocking=False):
                return
            try:
                while self._told:
                    self._deliver(self._told.popleft())
            finally:
                self._delivery.release()

    def _deliver(self, record: Record) -> None:
        for listener in self._listeners:
            try:
                listener(record)
            except Exception:
                self._listener_errors += 1


class _JournalFile:
    """The descriptor: append, rotate, and repair of a line that was cut. Not thread-safe."""

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._fd = -1
        self._size = 0
        self._cut = False

    def append(self, line: bytes) -> None:
        """Write one line with one system call.

        Raises:
            OSError: the disk refused; a part of the line may stand in the file.
        """
        if self._fd < 0:
            self._open()
        data = (b"\n" if self._cut else b"") + line + b"\n"
        written = os.write(self._fd, data)
        self._size += written
        self._cut = written != len(data) if written else self._cut
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._size >= self._max_bytes:
            self._rotate()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size
        self._cut = self._size > 0 and os.pread(self._fd, 1, self._size - 1) != b"\n"

    def _rotate(self) -> None:
        """Shift the files; one that cannot be shifted goes on growing, which loses nothing."""
        try:
            for number in range(self._keep - 1, 0, -1):
                older = rotated(self._path, number)
                if older.exists():
                    older.replace(rotated(self._path, number + 1))
            if self._keep > 0:
                self._path.replace(rotated(self._path, 1))
            else:
                self._path.unlink()
        except OSError:
            return
        self.close()


def rotated(path: Path, number: int) -> Path:
    """The ``number``-th file shifted away, 1 being the newest."""
    return path.with_name(f"{path.name}.{number}")


def _bound_of(event: EngineEvent) -> tuple[tuple[str, ...], float] | None:
    if isinstance(event, PartitionProgress):
        return (event.kind, event.chain_key, event.partition), PROGRESS_INTERVAL
    if isinstance(event, Throughput):
        return (event.kind,), THROUGHPUT_INTERVAL
    return None


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redacted(item, redact) for item in value]
    return value


def _refusal(path: Path, error: Exception) -> Alert:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return Alert(
        level="warn",
        component="journal",
        message=f"journal {path} cannot be written ({reason}); the copy goes on without it",
        todo="free space or mend the folder; it is tried again every few seconds",
    )
