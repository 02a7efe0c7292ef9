"""Between the journal and the app: a thread reads records into a bounded queue, the app's timer
drains it; commands go to the control socket from a worker thread. Nothing here draws."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bronze_tui.domain.errors import BronzeError
from bronze_tui.journal.newest import follow
from bronze_tui.journal.reader import last_run
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.wire import call, engine_info
from bronze_tui.tui.session import Session

QUEUE = 20_000
"""Records read ahead; the journal itself is the buffer, so that a flood costs no memory."""
DRAIN_SECONDS = 0.008
"""Most time spent applying records at once; a key waits no longer for it."""

_POLL = 0.1
_FULL = 0.02
"""Seconds between looks whether a full queue has room again."""
_GRAIN = 0.02
"""A replay waits no shorter than this: thousands of short waits cost more than what they pace."""


class Bridge:
    """Feeds a RunView from the session's journal.

    Args:
        clock: Unix seconds, for replays too.
    """

    def __init__(self, session: Session, clock: Callable[[], float] = time.time) -> None:
        self._session = session
        self._clock = clock
        self._queue: deque[dict[str, Any]] = deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.ended = False
        """The recording is at its end."""
        self.error = ""

    def start(self) -> None:
        """Begin to read; returns at once."""
        if self._session.journal is None:
            self.ended = True
            return
        self._thread = threading.Thread(target=self._read, name="journal", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def drain(self, view: RunView) -> int:
        """Apply waiting records to ``view`` for a bounded time; how many."""
        begin = time.perf_counter()
        applied = 0
        while self._queue:
            view.apply(self._queue.popleft())
            applied += 1
            if applied % 128 == 0 and time.perf_counter() - begin > DRAIN_SECONDS:
                break
        return applied

    @property
    def backlog(self) -> int:
        """Records read and not yet applied."""
        return len(self._queue)

    def _read(self) -> None:
        try:
            for record in self._records():
                self._queue.append(record)
                while len(self._queue) >= QUEUE and not self._stop.wait(_FULL):
                    pass
                if self._stop.is_set():
                    return
        except OSError as error:
            self.error = f"{self._session.journal}: {error.strerror or error}"
        self.ended = True

    def _records(self) -> Iterator[dict[str, Any]]:
        path = self._session.journal
        assert path is not None
        if self._session.kind == "replay":
            return _paced(last_run(path), self._session.speed, self._stop)
        records = follow(path, stop=self._stop.is_set, poll=_POLL)
        after = self._session.after
        return (r for r in records if not _older(r, after)) if after else records


def _older(record: dict[str, Any], than: float) -> bool:
    time = record.get("time")
    return isinstance(time, int | float) and time < than


def _paced(
    records: Iterator[dict[str, Any]], speed: float, stop: threading.Event
) -> Iterator[dict[str, Any]]:
    """Records at ``speed`` times the pace they were written at; 0 means at once."""
    first: float | None = None
    begin = time.monotonic()
    for record in records:
        stamp = record.get("time")
        if speed > 0 and isinstance(stamp, int | float):
            first = stamp if first is None else first
            wait = (stamp - first) / speed - (time.monotonic() - begin)
            if wait > _GRAIN and stop.wait(wait):
                return
        yield record


class Controls:
    """Sends commands to the engine and looks whether it lives; call from worker threads."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def allowed(self) -> bool:
        """Whether this session may change anything."""
        return self._session.control and self._session.state_dir is not None

    def send(self, command: str, **args: Any) -> dict[str, Any]:
        """One command to the engine's socket.

        Raises:
            BronzeError: not allowed, no engine, or it refuses.
        """
        if not self.allowed or self._session.state_dir is None:
            raise BronzeError("this view is read-only", todo="attach with --control")
        return dict(call(self._session.state_dir, command, **args))

    def engine_alive(self) -> bool | None:
        """Whether the engine's process lives; None when nobody can tell."""
        child = self._session.child
        if child is not None and child.poll() is None:
            return True
        if not self._session.live or self._session.state_dir is None:
            return None if child is None else False
        with contextlib.suppress(BronzeError):
            info = engine_info(self._session.state_dir)
            return info is not None and Path(f"/proc/{info.pid}").exists()
        return False
