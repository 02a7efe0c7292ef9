"""Rates, ETA and whether the sequencer is behind: pure arithmetic over the engine's counters."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW = 15.0
"""Seconds that a rate looks back."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters at one moment (seconds of a monotonic clock)."""

    time: float
    ledgers: int
    xdr_bytes: int
    source_bytes: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Per second over the window."""

    ledgers: float
    xdr_bytes: float
    source_bytes: float


class Rates:
    """A sliding window of samples."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> Rate:
        """Take a sample; the rate over the window that ends with it."""
        samples = self._samples
        samples.append(sample)
        while len(samples) > 2 and sample.time - samples[1].time >= WINDOW:
            samples.popleft()
        first = samples[0]
        seconds = sample.time - first.time
        if seconds <= 0:
            return Rate(0.0, 0.0, 0.0)
        return Rate(
            (sample.ledgers - first.ledgers) / seconds,
            (sample.xdr_bytes - first.xdr_bytes) / seconds,
            (sample.source_bytes - first.source_bytes) / seconds,
        )


def eta(ledgers_left: int | None, sample: Sample, rate: Rate) -> float | None:
    """Seconds left by source bytes, taking what is left to weigh as the ledgers so far did; None
    when unknown or nothing moves (never a stale number)."""
    if ledgers_left is None or rate.source_bytes <= 0 or sample.ledgers == 0:
        return None
    per_ledger = sample.source_bytes / sample.ledgers
    return ledgers_left * per_ledger / rate.source_bytes


_SATURATED = 0.85


def saturated(held: int, committing: float, seconds: float) -> bool:
    """Whether the sequencer committed for nearly all of ``seconds`` while built partitions wait."""
    return held > 0 and committing >= _SATURATED * seconds
