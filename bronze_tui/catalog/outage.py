"""How long to go on trying a database server that does not answer, and what is said meanwhile."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bronze_tui.domain.errors import CatalogUnavailable
from bronze_tui.domain.events import Alert

_FIRST_DELAY, _LONGEST_DELAY = 0.1, 15.0
_REMIND = 60.0
"""Seconds between two alerts of one outage."""


def _silent(alert: Alert) -> None:
    """Takes alerts that nobody reads."""


def _at_once() -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Patience:
    """What a caller wants to happen while the server is away."""

    limit: Callable[[], float | None] = _at_once
    """Seconds after which to give up, None for never; asked again before every wait."""
    wait: Callable[[float], None] = time.sleep
    """Waits for so many seconds; may raise to give up."""
    say: Callable[[Alert], None] = _silent


class Outage:
    """Failures in a row; thread-safe.

    It is over when a transaction succeeds, not when a connection is made: a server that takes
    connections and fails in every transaction is away too.
    """

    def __init__(self, where: str, patience: Patience) -> None:
        self._where = where
        self._patience = patience
        self._lock = threading.Lock()
        self._began: float | None = None
        self._failures = 0
        self._said = 0.0

    def note(self, error: CatalogUnavailable) -> float:
        """Count a failure and tell of it; seconds to wait before the next attempt."""
        now = time.monotonic()
        with self._lock:
            if self._began is None:
                self._began, self._failures, self._said = now, 0, now - _REMIND
            self._failures += 1
            delay = min(_FIRST_DELAY * 2.0 ** min(self._failures - 1, 20), _LONGEST_DELAY)
            due = now - self._said >= _REMIND
            if due:
                self._said = now
            away = now - self._began
        if due:
            since = f" for {away:.0f} s" if away >= 1 else ""
            self._patience.say(
                Alert(
                    "error",
                    "catalog",
                    f"{self._where}: {error.what}{since}",
                    "the run waits and tries again; nothing is lost meanwhile",
                )
            )
        return delay * random.uniform(0.5, 1.0)  # noqa: S311

    def hold_out(self, error: CatalogUnavailable) -> None:
        """Count a failure and wait before the next attempt.

        Raises:
            CatalogUnavailable: patience is at its end.
        """
        began = self._began or time.monotonic()
        limit = self._patience.limit()
        if limit is not None and time.monotonic() - began >= limit:
            raise _given_up(error, time.monotonic() - began) from None
        self._patience.wait(self.note(error))

    def over(self) -> None:
        """A transaction succeeded."""
        with self._lock:
            if self._began is None:
                return
            away, self._began = time.monotonic() - self._began, None
        self._patience.say(
            Alert("info", "catalog", f"{self._where}: answers again, after {away:.1f} s")
        )


def _given_up(error: CatalogUnavailable, seconds: float) -> CatalogUnavailable:
    after = f"; given up after {seconds:.0f} s" if seconds >= 1 else ""
    made = CatalogUnavailable(f"{error.what}{after}", where=error.where, todo=error.todo)
    made.retryable = False
    return made
