"""Holds back reads above a limit that moves, and measures what they bring."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bronze_tui.engine.concurrency import Climber, Window
from bronze_tui.engine.context import EngineOptions
from bronze_tui.hooks.contracts import LedgerSource

_PERIOD = 0.5
"""Seconds of a window."""


@dataclass(frozen=True, slots=True)
class GateFigures:
    """Seconds since the last figures: spent reading (summed over reads) and at the limit."""

    reading: float
    full: float


class ReadGate:
    """At most ``limit`` reads at the same time; thread-safe.

    Args:
        limit: fixed, or where a climber begins.
        climber: finds the limit while reads go on; None keeps it.
        throttles: answers so far that asked to slow down, of clients that retry by themselves.
    """

    def __init__(
        self,
        limit: int,
        climber: Climber | None = None,
        throttles: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = climber.limit if climber is not None else limit
        self._climber = climber
        self._throttles = throttles
        self._clock = clock
        self._free = threading.Condition()
        self._active = 0
        self._counted = self._begun = clock()
        self._throttled = throttles()
        self._window = Window(0.0, 0, 0, 0.0)
        self._reading = 0.0
        self._full = 0.0

    @property
    def most(self) -> int:
        """The limit never exceeds it."""
        return self._climber.most if self._climber is not None else self._limit

    @property
    def limit(self) -> int:
        """Reads allowed at the same time now."""
        return self._limit

    def enter(self) -> None:
        """Wait for a place."""
        with self._free:
            self._count()
            while self._active >= self._limit:
                self._free.wait()
                self._count()
            self._active += 1

    def leave(self, *, reads: int, size: int, seconds: float, trouble: bool = False) -> None:
        """Give the place back.

        Args:
            reads: objects that were read.
            size: their bytes.
            seconds: time it took.
            trouble: the source did not answer or asked to slow down.
        """
        with self._free:
            now = self._count()
            self._active -= 1
            self._reading += seconds
            self._window += Window(0.0, reads, size, 0.0, int(trouble))
            if self._climber is not None and now - self._begun >= _PERIOD:
                self._adapt(self._climber, now)
            self._free.notify()

    def take(self) -> GateFigures:
        """Figures since the last call."""
        with self._free:
            self._count()
            figures = GateFigures(self._reading, self._full)
            self._reading = self._full = 0.0
            return figures

    def _count(self) -> float:
        """Account for the time until now; now."""
        now = self._clock()
        if self._active >= self._limit:
            self._full += now - self._counted
            self._window += Window(0.0, 0, 0, now - self._counted)
        self._counted = now
        return now

    def _adapt(self, climber: Climber, now: float) -> None:
        throttled = self._throttles()
        window = self._window + Window(
            now - self._begun, 0, 0, 0.0, max(0, throttled - self._throttled)
        )
        self._throttled, self._begun = throttled, now
        self._window = Window(0.0, 0, 0, 0.0)
        self._limit = climber.observe(window)
        self._free.notify_all()


def open_gate(options: EngineOptions, source: LedgerSource) -> ReadGate:
    """The gate of a run: fixed where the operator says so, and for local sources, whose reads
    wait for no answer."""
    if not options.adaptive:
        return ReadGate(options.fetchers)
    return adaptive_gate(source, options.fetchers, options.fetchers_max)


def adaptive_gate(source: LedgerSource, first: int, most: int) -> ReadGate:
    """A gate that begins at ``first`` and finds how much a remote source bears."""
    if source.describe().local:
        return ReadGate(first)
    climber = Climber(first, most)
    counters = getattr(source, "counters", None)
    if counters is None:
        return ReadGate(first, climber)
    return ReadGate(first, climber, lambda: int(counters().throttles))
