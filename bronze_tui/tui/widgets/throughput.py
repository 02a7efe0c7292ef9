"""Throughput over time as a filled curve of block characters: mean rates, one column a bucket."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from textual.content import Content

from bronze_tui.journal import run_figures
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import clock
from bronze_tui.journal.views import RateSample
from bronze_tui.tui.widgets.figures import line, rate, stack, title
from bronze_tui.tui.widgets.figures import put as put_content
from bronze_tui.tui.widgets.lines import Lines

Unit = Literal["ledgers", "bytes"]
WINDOWS: tuple[tuple[str, float | None], ...] = (("6 min", 360.0), ("1 h", 3600.0), ("run", None))
_LEVELS = " ▁▂▃▄▅▆▇█"
_LEAST_WINDOW = 30.0
_AXIS_FROM = 6
"""Rows from which one is given to the axis of time."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second, in the unit; None where nothing was measured."""

    curve: tuple[float | None, ...]
    now: float | None
    minute: float | None
    quarter: float | None
    peak: float | None


def rates(view: RunView, unit: Unit, seconds: float, buckets: int) -> Rates:
    """Means over ``buckets`` equal pieces of the last ``seconds``; peak is the highest sample.

    Pieces begin at whole multiples of their length, so that a sample stays in its piece and only
    the newest one changes.
    """
    width = seconds / buckets
    end = math.ceil(view.time / width) * width
    sums, counts = [0.0] * buckets, [0] * buckets
    peak: float | None = None
    for sample in view.samples:
        value, age = _value(sample, unit), end - sample.time
        peak = value if peak is None else max(peak, value)
        place = buckets - 1 - int(age / width)
        if 0 <= place < buckets:
            sums[place] += value
            counts[place] += 1
    curve = tuple(s / n if n else None for s, n in zip(sums, counts, strict=True))
    now = _value(view.samples[-1], unit) if view.samples else None
    minute, quarter = (
        run_figures.mean_rate(view, span, lambda sample: _value(sample, unit))
        for span in (60.0, 900.0)
    )
    return Rates(_filled(curve), now, minute, quarter, peak)


def _value(sample: RateSample, unit: Unit) -> float:
    return sample.ledgers if unit == "ledgers" else sample.xdr_bytes / 1e6


def _filled(curve: tuple[float | None, ...]) -> tuple[float | None, ...]:
    """Samples may be five seconds apart: a bucket between two takes the one before."""
    filled: list[float | None] = []
    last, empty = None, 0
    for value in curve:
        empty = 0 if value is not None else empty + 1
        last = value if value is not None else last
        filled.append(value if value is not None else last if empty <= 5 else None)
    return tuple(filled)


def grown(age: float) -> float:
    """The shown seconds of a run that has lasted ``age``: they grow by a quarter when they are
    full, so that the curve is not stretched anew with each sample."""
    seconds = _LEAST_WINDOW
    while seconds < age:
        seconds = math.ceil(seconds * 1.25)
    return seconds


def draw_curve(curve: Sequence[float | None], height: int) -> Content:
    """A filled curve from zero to its highest value, ``height`` rows of eight levels."""
    top = max((v for v in curve if v), default=0.0) or 1.0
    levels = [round((v or 0.0) / top * height * 8) for v in curve]
    levels = [max(1, n) if v is not None else n for n, v in zip(levels, curve, strict=True)]
    rows = []
    for row in range(height - 1, -1, -1):
        parts = [_cell(level - row * 8) for level in levels]
        rows.append(line(*(("".join(t for t, _ in run), tone) for tone, run in _runs(parts))))
    return stack(rows)


def axis(seconds: float, width: int, end: str = "now") -> Content:
    """How long ago the left edge, the middle and the right edge are."""
    left, middle = f"-{clock(seconds)}", f"-{clock(seconds / 2)}"
    text = left.ljust(width // 2 - len(middle) // 2) + middle if width >= 30 else left
    return line((f"{text:<{width - len(end)}}{end}"[:width], "muted"))


def _cell(level: int) -> tuple[str, str]:
    """The edge is bright, what lies under it faint."""
    return ("█", "faint") if level > 8 else (_LEVELS[max(0, level)], "accent")


def _runs(
    parts: list[tuple[str, str]],
) -> Iterator[tuple[str, Iterator[tuple[str, str]]]]:
    return groupby(parts, key=lambda part: part[1])


class ThroughputPanel(Lines):
    """The curve with its figures beside it, or under it where it is narrow."""

    def __init__(self) -> None:
        super().__init__(id="throughput", markup=False, classes="panel")
        self.window = 0
        self.unit: Unit = "ledgers"
        self._made_for: tuple[object, ...] = ()
        self._ended = False

    def next_window(self) -> None:
        """6 min, 1 h, run."""
        self.window = (self.window + 1) % len(WINDOWS)

    def next_unit(self) -> None:
        """Ledgers or MB a second."""
        self.unit = "bytes" if self.unit == "ledgers" else "ledgers"

    def show(self, view: RunView, *, ended: bool) -> None:
        """Draw once a sample; ``ended``: there will be no more."""
        self._ended = ended
        name, seconds = self._window(view)
        unit = "ledgers/s" if self.unit == "ledgers" else "MB/s"
        title(self, f"THROUGHPUT {unit}, {name}", "t window  u unit")
        newest = view.samples[-1] if view.samples else None
        made_for = (newest, ended, self.window, self.unit, self.size, int(view.time / 5))
        if made_for != self._made_for:
            self._made_for = made_for
            put_content(self, self._content(view, seconds))

    def _window(self, view: RunView) -> tuple[str, float]:
        """The window's name and seconds: a young run fills the panel, not its right edge."""
        age = view.time - view.samples[0].time if view.samples else 0.0
        age = max(_LEAST_WINDOW, age)
        seconds = age if self._ended else grown(age)
        name, most = WINDOWS[self.window]
        return name, seconds if most is None else min(seconds, most)

    def _content(self, view: RunView, seconds: float) -> Content:
        if not view.samples:
            return line(("no figures yet", "muted"))
        width, height = self.size.width, self.size.height
        beside = height >= 4 and width >= 40
        room = max(10, width - 17) if beside else max(10, width)
        found = rates(view, self.unit, seconds, room)
        figures = [
            ("last" if self._ended else "now", found.now),
            ("1 min", found.minute),
            ("15 min", found.quarter),
            ("peak", found.peak),
        ]
        if beside and height >= _AXIS_FROM:
            end = "end" if self._ended else "now"
            curve = stack([draw_curve(found.curve, height - 1), axis(seconds, room, end)])
            return _beside(curve, figures)
        if beside:
            return _beside(draw_curve(found.curve, height), figures)
        texts = [line((f"{n} ", "muted"), _rate(v)) for n, v in figures]
        return stack([draw_curve(found.curve, max(1, height - 1)), Content("  ").join(texts)])


def _beside(curve: Content, figures: list[tuple[str, float | None]]) -> Content:
    rows = curve.split("\n")
    gap = max(0, len(rows) - len(figures)) // 2
    made = []
    for y, row in enumerate(rows):
        name, value = figures[y - gap] if 0 <= y - gap < len(figures) else ("", None)
        text = _rate(value) if name else ""
        tone = "strong" if name in ("now", "last") else ""
        made.append(line(row, (f"  {name:<6}", "muted"), (f"{text:>9}", tone)))
    return stack(made)


def _rate(value: float | None) -> str:
    return "-" if value is None else rate(value)
