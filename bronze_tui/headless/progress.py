"""The live display of a run on a terminal: one overall bar, one a partition, the last alerts.

Everything shown is ``rich.text.Text``: names, paths and errors of foreign origin are never parsed
as markup and carry no control characters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bronze_tui.headless.feed import Record
from bronze_tui.headless.final import final_text
from bronze_tui.headless.plain import plain
from bronze_tui.headless.units import count, duration, rate, size
from bronze_tui.headless.verdicts import VerdictWatch
from bronze_tui.journal import run_figures as figures
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import BAD, WORRYING, Verdict
from bronze_tui.journal.views import Notice, PartitionView, RateSample

REFRESH = 0.25
"""Seconds between two frames."""
SHOWN_ALERTS = 3
_FIXED_LINES = 9 + SHOWN_ALERTS
_STATE_STYLE = {
    "running": "bold green",
    "done": "bold green",
    "at_tip": "bold green",
    "halted": "bold reverse red",
    "failed": "bold reverse red",
}
_LEVEL_STYLE = {"warn": "yellow", "error": "bold red"}


class ProgressSink:
    """Draws at most four frames a second; leaves the last one and the closing block behind."""

    interval: float | None = REFRESH

    def __init__(
        self,
        console: Console,
        *,
        next_step: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._next_step = next_step
        self._clock = clock
        self._drawn_at = float("-inf")
        self._live: Live | None = None
        self._verdicts = VerdictWatch()
        self._view = self._verdicts.view
        self._verdict: Verdict | None = None

    def show(self, record: Record) -> None:
        """Fold the record in; drawing comes with the tick."""
        self._verdict = self._verdicts.take(record) or self._verdict

    def tick(self) -> None:
        """Draw a frame when one is due."""
        now = self._clock()
        if now - self._drawn_at >= REFRESH:
            self._drawn_at = now
            self._draw()

    def finish(self, skipped: int) -> None:  # noqa: ARG002 - thinning progress changes no total
        """Leave the final frame, give the cursor back, print the closing block."""
        self._draw()
        if self._live is not None:
            self._live.stop()
        if self._view.finished is not None:
            block = final_text(self._view, self._next_step)
            self._console.print(Text(block), soft_wrap=True)

    def _draw(self) -> None:
        if self._view.started_at is None and self._view.finished is None:
            return
        picture = frame(self._view, self._console.size.height, self._verdict)
        if self._live is None:
            self._live = Live(
                picture, console=self._console, auto_refresh=False, redirect_stdout=False
            )
            self._live.start()
        self._live.update(picture, refresh=True)


def frame(view: RunView, height: int, verdict: Verdict | None = None) -> Group:
    """The whole display for a terminal of ``height`` lines."""
    parts: list[RenderableType] = [_title(view), _overall(view), _rates(view)]
    if view.finished is None:
        parts += _partitions(view, max(1, height - _FIXED_LINES))
    if verdict is not None and verdict.word != "STARTING":
        parts.append(_verdict(verdict))
    if view.notices:
        last = list(view.notices)[-SHOWN_ALERTS:]
        parts += [Text("last alerts", style="bold"), *map(_alert, last)]
    return Group(*parts)


def _title(view: RunView) -> Text:
    keys = ", ".join(view.started.get("chain_keys", []))
    state = view.engine_state
    title = _line()
    title.append("bronze ", style="bold")
    title.append(state.upper().replace("_", " "), style=_STATE_STYLE.get(state, "bold"))
    title.append(f" {duration(figures.elapsed(view))}  ")
    title.append(plain(keys))
    title.append(f"  run {plain(view.run_id)}")
    return title


def _overall(view: RunView) -> Table:
    fraction = figures.fraction(view)
    planned = view.started.get("partitions_total")
    total = "?" if planned is None else count(planned)
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(ratio=1)
    for _ in range(3):
        grid.add_column(no_wrap=True)
    grid.add_row(
        _bar(fraction, view.time),
        Text("  -  " if fraction is None else f"{fraction:6.1%}", style="bold"),
        Text(f"{count(figures.partitions_done(view))}/{total} partitions"),
        Text("" if view.finished else f"ETA {duration(figures.eta_seconds(view))}"),
    )
    return grid


def _rates(view: RunView) -> Text:
    """The figures, most wanted first: a narrow terminal cuts the others."""
    text = _line()
    flow = figures.rate(view) or RateSample(view.time, 0.0, 0.0, 0.0)
    text.append(f"{rate(flow.ledgers)} ledgers/s", style="bold")
    text.append(f"  {size(flow.xdr_bytes)}/s")
    limit = figures.limited_by(view)
    if limit and view.finished is None:
        text.append(f"  limited by {plain(limit)}", style="bold")
    text.append(f"  {count(figures.workers(view) or 0)} workers")
    reads = figures.fetchers(view)
    if reads:
        text.append(f"  {count(reads)} reads at a time")
    text.append(f"  {size(figures.resident_bytes(view) or 0)} memory")
    if view.retries:
        text.append(f"  {view.retries} retries")
    if waiting := view.outbox.get("waiting"):
        text.append(f"  {count(waiting)} events to deliver")
    return text


def _partitions(view: RunView, room: int) -> list[RenderableType]:
    active = figures.in_flight(view)
    if not active:
        return []
    shown = active[:room]
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column(no_wrap=True)
    for item in shown:
        grid.add_row(
            Text(str(item.partition)),
            _bar(item.fraction, view.time),
            Text(f"{count(item.ledgers)}/{count(len(item.partition))}"),
            _stage(item),
        )
    hidden = len(active) - len(shown)
    more = [Text(f"and {hidden} more in flight", style="dim")] if hidden else []
    return [Text("partitions in flight", style="bold"), grid, *more]


def _verdict(verdict: Verdict) -> Text:
    bad = "bold reverse red" if verdict.word in BAD else "bold"
    text = _line()
    text.append(verdict.word, style="bold yellow" if verdict.word in WORRYING else bad)
    text.append(f"  {plain(verdict.evidence)}; next: {plain(verdict.next_step)}")
    return text


def _stage(item: PartitionView) -> Text:
    if item.state == "held":
        return Text("to commit", style="green")
    if item.state == "retrying":
        return Text("to retry", style="yellow")
    return Text(f"try {item.attempt}", style="yellow") if item.attempt > 1 else Text("building")


def _alert(notice: Notice) -> Text:
    text = _line()
    try:
        moment = f"{datetime.fromtimestamp(notice.time, UTC):%H:%M:%SZ} "
    except (ValueError, OverflowError, OSError):
        moment = ""
    text.append(moment, style="dim")
    text.append(f"{plain(notice.level).upper():<5} ", style=_LEVEL_STYLE.get(notice.level, ""))
    text.append(plain(notice.text, 400))
    if notice.todo:
        text.append(f"; {plain(notice.todo, 200)}", style="dim")
    return text


def _bar(fraction: float | None, moment: float) -> ProgressBar:
    if fraction is None:
        return ProgressBar(total=1, completed=0, pulse=True, animation_time=moment)
    return ProgressBar(total=1.0, completed=fraction, finished_style="bar.complete")


def _line() -> Text:
    """Text that is cut, not wrapped, so that the frame keeps its height."""
    return Text(no_wrap=True, overflow="ellipsis")
