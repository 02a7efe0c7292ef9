"""How often the page in front is drawn: as often as asked while that is cheap, else less often.

The copy needs the cores more than the screen does. A key is answered at once all the same: only
drawing by the clock is paced.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SHARE = 0.02
"""Most of one core that drawing by the clock may take."""
SLOWEST = 1.0
"""Seconds: it is drawn this often whatever it costs."""


class Pace:
    """Decides at each beat of the clock whether to draw.

    Args:
        fastest: seconds between two drawings at best.
        clock: monotonic seconds.
        spent: CPU seconds the thread that draws has used so far.
    """

    def __init__(
        self,
        fastest: float,
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        self._fastest, self._clock, self._spent = fastest, clock, spent
        self._last, self._before = clock(), spent()
        self._wait = 0.0

    def due(self) -> bool:
        """Whether to draw now; what was used since the last time sets the wait for the next."""
        now = self._clock()
        # Half a beat of grace: timers are never exactly on time.
        if now - self._last < self._wait - self._fastest / 2:
            return False
        used = self._spent() - self._before
        self._last, self._before = now, self._before + used
        self._wait = min(SLOWEST, max(self._fastest, used / SHARE))
        return True
