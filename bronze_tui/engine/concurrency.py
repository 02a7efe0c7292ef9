"""How many objects to read at the same time: a hill climb on bytes a second that gives way to
throttling.

Pure: windows of measurement in, a limit out; no clock, no threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

GROWTH = 1.5
"""Factor of a try upwards."""
FIRST_GROWTH = 2.0
"""The same until a try brings nothing: a far source wants many, and every second counts."""
SHRINK = 0.8
"""Factor of a try downwards: fewer connections that bring the same are better for everybody."""
BACK_OFF = 0.7
"""Factor after throttling or time-outs."""
_GAIN = 0.1
"""Part of the growth that must come back as bytes a second, or the growth was for nothing."""
_NOISE = 0.03
"""A difference of the rate below this is none."""
_SATURATED = 0.5
"""Part of the time at the limit above which the limit is what holds reads back."""
_TURNS = 2
"""Reads of each place that a judgement needs."""
_LONGEST = 10.0
"""Seconds after which a judgement is made with fewer reads."""
_HOLD, _LONGEST_HOLD = 4, 64
"""Judgements without a try after one that brought nothing; doubled each time."""
_TROUBLE = 0.02
"""Part of the reads that may go wrong without meaning anything."""
_DRIFT = 0.25
"""A change of the rate that says that the source is not what it was."""
_CEILING = 40
"""Judgements during which a limit that was throttled is not tried again."""


@dataclass(frozen=True, slots=True)
class Window:
    """What was measured since the last one."""

    seconds: float
    reads: int
    size: int
    """Bytes read."""
    full: float
    """Seconds during which as many reads went on as were allowed."""
    troubles: int = 0
    """Throttled answers, time-outs and lost connections."""

    def __add__(self, other: Window) -> Window:
        return Window(
            self.seconds + other.seconds,
            self.reads + other.reads,
            self.size + other.size,
            self.full + other.full,
            self.troubles + other.troubles,
        )


_NOTHING = Window(0.0, 0, 0, 0.0)
_Try = Literal["", "up", "down"]


class Climber:
    """Finds the limit and keeps looking, for sources change.

    Args:
        start: the first limit.
        most: the limit never exceeds it; it never falls below 1.
    """

    def __init__(self, start: int, most: int) -> None:
        self.most = max(1, most)
        self.limit = min(max(1, start), self.most)
        self._sum = _NOTHING
        self._settling = True
        """Reads begun under the old limit say nothing of the new one."""
        self._trying: _Try = ""
        self._next_try: _Try = "up"
        self._before = self.limit
        self._base = 0.0
        self._hold = 0
        self._patience = _HOLD
        self._ceiling = self.most
        self._ceiling_left = 0
        self._starting = True
        self._eased = False
        """Answers to what was asked before giving way still come in."""

    def observe(self, window: Window) -> int:
        """Take a window; the limit from now on."""
        if window.troubles and window.troubles >= _TROUBLE * window.reads:
            if not self._eased:
                self._give_way()
            self._eased = not self._eased
            return self.limit
        self._eased = False
        self._sum += window
        enough = self._sum.reads >= _TURNS * self.limit or self._sum.seconds >= _LONGEST
        if self._settling and enough:
            self._settling, self._sum = False, _NOTHING
        elif enough and self._sum.seconds > 0:
            judged, self._sum = self._sum, _NOTHING
            self._judge(judged)
        return self.limit

    def _give_way(self) -> None:
        self._ceiling, self._ceiling_left = max(1, self.limit - 1), _CEILING
        self._trying, self._next_try, self._base = "", "up", 0.0
        self._starting = False
        self._hold = self._patience = _HOLD
        self._set(int(self.limit * BACK_OFF))

    def _judge(self, window: Window) -> None:
        self._ceiling_left -= 1
        if self._ceiling_left <= 0:
            self._ceiling = self.most
        if window.full < _SATURATED * window.seconds:
            # Something else is slower than the source: nothing can be learned of this limit.
            self._trying = ""
            return
        rate = window.size / window.seconds
        if self._trying == "up":
            self._judge_up(rate)
        elif self._trying == "down":
            self._judge_down(rate)
        elif self._hold > 0 and not self._has_drifted(rate):
            self._hold -= 1
        else:
            self._base = rate
            self._try(self._next_try)

    def _has_drifted(self, rate: float) -> bool:
        drifted = self._base > 0 and abs(rate / self._base - 1) > _DRIFT
        if drifted:
            self._patience = _HOLD
        return drifted

    def _judge_up(self, rate: float) -> None:
        wanted = max(_NOISE, _GAIN * (self.limit / self._before - 1))
        if rate >= self._base * (1 + wanted):
            self._base, self._patience = rate, _HOLD
            self._try("up")
        else:
            self._rest(self._before)

    def _judge_down(self, rate: float) -> None:
        if rate >= self._base * (1 - _NOISE):
            # The rate to beat stays: many small losses would add up.
            self._try("down")
        else:
            self._rest(self._before)

    def _try(self, way: _Try) -> None:
        growth = FIRST_GROWTH if self._starting else GROWTH
        wanted = self.limit * (growth if way == "up" else SHRINK)
        limit = math.ceil(wanted) if way == "up" else int(wanted)
        limit = min(max(1, limit), self.most, self._ceiling)
        if limit == self.limit or (limit < self.limit) == (way == "up"):
            self._rest(self.limit)
            return
        self._trying, self._before = way, self.limit
        self._set(limit)

    def _rest(self, limit: int) -> None:
        """Stay here for a while, then try the other way."""
        self._starting = False
        self._next_try = "down" if self._trying == "up" or self._next_try == "up" else "up"
        self._trying = ""
        self._hold, self._patience = self._patience, min(2 * self._patience, _LONGEST_HOLD)
        self._set(limit)

    def _set(self, limit: int) -> None:
        self.limit = min(max(1, limit), self.most)
        self._settling, self._sum = True, _NOTHING
