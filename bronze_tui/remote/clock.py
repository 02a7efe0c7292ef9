"""Time and patience, replaceable in tests."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ATTEMPTS = 5
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds: ``wall`` since 1970, ``steady`` since some moment, ``sleep`` waits."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def attempts(self) -> Iterator[int]:
        """Count attempts from 0, waiting before each but the first: exponential, full jitter."""
        for attempt in range(ATTEMPTS):
            if attempt:
                longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)
                self.sleep(random.uniform(0, longest))  # noqa: S311
            yield attempt
