"""Log lines of a run on stderr, as text or JSON: for pipes, containers and cron."""

from __future__ import annotations

from typing import TextIO

from bronze_tui.headless.feed import Record
from bronze_tui.headless.final import final_text
from bronze_tui.headless.lines import LEVELS, LogLine, log_line
from bronze_tui.headless.summary import RunSummary, advance
from bronze_tui.headless.units import duration, rate, size
from bronze_tui.headless.verdicts import VerdictWatch
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
        self._summary = RunSummary()
        self._progress_at = 0.0
        self._verdicts = VerdictWatch()

    def show(self, record: Record) -> None:
        """Write the record's line, if its level is high enough."""
        self._summary = advance(self._summary, record)
        line = log_line(record)
        if line is not None:
            self._write(line)
        self._show_verdict(record)
        if record.get("kind") == "throughput" and self._summary.finished is None:
            self._show_progress()

    def tick(self) -> None:
        """Make what was written visible."""
        self._stream.flush()

    def finish(self, skipped: int) -> None:
        """Say how much was left out, then the closing block."""
        if skipped:
            text = "log lines were left out because the output was slow; the journal has them"
            self._write(LogLine(self._summary.time, "warn", text, {"skipped": skipped}))
        if self._summary.finished is not None and not self._json:
            self._stream.write(final_text(self._summary, self._next_step) + "\n")
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
        state = self._summary
        if state.time - self._progress_at < PROGRESS_EVERY:
            return
        first, self._progress_at = self._progress_at == 0.0, state.time
        if first:
            return
        fraction = state.fraction
        fields = {
            "state": state.state,
            "done": f"{fraction:.1%}" if fraction is not None else "unknown",
            "partitions": state.partitions_before + state.partitions_committed,
            "partitions_total": state.partitions_total,
            "ledgers_per_second": rate(state.ledgers_per_second),
            "xdr_per_second": size(state.xdr_bytes_per_second),
            "eta": duration(state.eta_seconds),
            "limited_by": state.limited_by,
        }
        known = {k: v for k, v in fields.items() if v not in (None, "")}
        self._write(LogLine(state.time, "info", "progress", known))
