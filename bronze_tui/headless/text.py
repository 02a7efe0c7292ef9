"""Log lines of a run on stderr, as text or JSON: for pipes, containers and cron."""

from __future__ import annotations

from typing import TextIO

from bronze_tui.headless.feed import Record
from bronze_tui.headless.final import final_text
from bronze_tui.headless.lines import LEVELS, LogLine, log_line
from bronze_tui.headless.units import duration, rate, size
from bronze_tui.headless.verdicts import VerdictWatch
from bronze_tui.journal import run_figures as figures
from bronze_tui.journal.verdict import BAD, WORRYING

PROGRESS_EVERY = 10.0
"""Seconds of the run between two progress lines."""


class TextSink:
    """Writes one line a record, a progress line now and then, and the closing block.

    Args:
        stream: where lines go, stderr as a rule.
        json: JSON log lines instead of text; then there is no closing block.
        level: debug, info, warn or error: the least level to show.
        next_step: what the closing block advises.
    """

    interval: float | None = None

    def __init__(
        self, stream: TextIO, *, json: bool = False, level: str = "info", next_step: str = ""
    ) -> None:
        self._stream = stream
        self._json = json
        self._least = LEVELS.get(level, LEVELS["info"])
        self._next_step = next_step
        self._progress_at = 0.0
        self._verdicts = VerdictWatch()
        self._view = self._verdicts.view

    def show(self, record: Record) -> None:
        """Write the record's line, if its level is high enough."""
        line = log_line(record)
        if line is not None:
            self._write(line)
        self._show_verdict(record)
        if record.get("kind") == "throughput" and self._view.finished is None:
            self._show_progress()

    def tick(self) -> None:
        """Make what was written visible."""
        self._stream.flush()

    def finish(self, skipped: int) -> None:
        """Say how much was left out, then the closing block."""
        if skipped:
            text = "log lines were left out because the output was slow; the journal has them"
            self._write(LogLine(self._view.time, "warn", text, {"skipped": skipped}))
        if self._view.finished is not None and not self._json:
            self._stream.write(final_text(self._view, self._next_step) + "\n")
        self._stream.flush()

    def _write(self, line: LogLine) -> None:
        if LEVELS[line.level] >= self._least:
            self._stream.write((line.json() if self._json else line.text()) + "\n")

    def _show_verdict(self, record: Record) -> None:
        """One line when the word changes: the same that the screens show."""
        before = self._verdicts.word
        verdict = self._verdicts.take(record)
        if verdict is None or verdict.word == before or verdict.word == "STARTING":
            return
        level = "warn" if verdict.word in (*BAD, *WORRYING) else "info"
        fields = {"evidence": verdict.evidence, "next": verdict.next_step}
        self._write(LogLine(self._verdicts.view.time, level, f"verdict {verdict.word}", fields))

    def _show_progress(self) -> None:
        view = self._view
        if view.time - self._progress_at < PROGRESS_EVERY:
            return
        first, self._progress_at = self._progress_at == 0.0, view.time
        if first:
            return
        fraction, flow = figures.fraction(view), figures.rate(view)
        fields = {
            "state": view.engine_state,
            "done": f"{fraction:.1%}" if fraction is not None else "unknown",
            "partitions": figures.partitions_done(view),
            "partitions_total": view.started.get("partitions_total"),
            "ledgers_per_second": rate(flow.ledgers) if flow else None,
            "xdr_per_second": size(flow.xdr_bytes) if flow else None,
            "eta": duration(figures.eta_seconds(view)),
            "limited_by": view.throughput.get("limited_by"),
            "fetchers": figures.fetchers(view),
        }
        known = {k: v for k, v in fields.items() if v not in (None, "")}
        self._write(LogLine(view.time, "info", "progress", known))
