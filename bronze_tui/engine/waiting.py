"""What a run does while its catalog's server is away: it waits, keeps its locks, and listens to
the operator."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bronze_tui.catalog.outage import Patience
from bronze_tui.domain.errors import CatalogUnavailable
from bronze_tui.domain.events import EngineEvent
from bronze_tui.engine.context import BuildStopped
from bronze_tui.engine.control import RunControl

_BREATH = 1.0


class Waiting:
    """Made by the thread that commits.

    Args:
        strict: give up after ``limit`` seconds; else wait as long as it takes, unless the run is
            asked to end.
    """

    def __init__(
        self, *, strict: bool, limit: float, control: RunControl, say: Callable[[EngineEvent], None]
    ) -> None:
        self._strict = strict
        self._limit = limit
        self._control = control
        self._say = say
        self._committer = threading.current_thread()
        self.waits = False
        """Whether the committing thread waits, and so looks after the connection itself."""
        self.idle: Callable[[], None] = lambda: None
        """Called about every second by the thread that commits; may raise LockedError."""

    def patience(self) -> Patience:
        """For the catalog."""
        return Patience(self._patience_left, self._wait, self._say)

    def _patience_left(self) -> float | None:
        return self._limit if self._strict or self._control.ending else None

    def _wait(self, seconds: float) -> None:
        commits = threading.current_thread() is self._committer
        deadline = time.monotonic() + seconds
        while True:
            if self._control.stopping:
                raise self._stopped(commits)
            left = deadline - time.monotonic()
            if left <= 0:
                return
            if commits:
                self.waits = True
                try:
                    self.idle()
                finally:
                    self.waits = False
            with self._control.changed:
                if not self._control.stopping:
                    self._control.changed.wait(min(left, _BREATH))

    @staticmethod
    def _stopped(commits: bool) -> Exception:
        if not commits:
            return BuildStopped("the run stops; nothing of this partition was committed")
        error = CatalogUnavailable(
            "the run was stopped while it waited for PostgreSQL",
            todo="nothing is lost; run again once it is back",
        )
        error.retryable = False
        return error
