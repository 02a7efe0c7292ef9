"""The verdict of a run without screens: judged from the same records, by the same rules."""

from __future__ import annotations

from bronze_tui.headless.feed import Record
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Circumstances, Verdict, judge

_TELLING = (
    "run_started",
    "throughput",
    "state_changed",
    "partition_failed",
    "partition_committed",
    "run_finished",
)
"""Kinds that can change the word; throughput is also the heartbeat, so a stall is seen by it."""
_UNMOVED = ("STARTING", "RUNNING")
"""A commit does not change these: the next throughput is soon enough."""
_HERE = Circumstances(engine_alive=True)
"""The engine is this process."""


class VerdictWatch:
    """Keeps the view of a run and its newest verdict."""

    def __init__(self) -> None:
        self.view = RunView()
        self.word = ""
        """The newest verdict's word."""

    def take(self, record: Record) -> Verdict | None:
        """Apply one record; the verdict, where the record can have changed it."""
        self.view.apply(record)
        self.view.changed.clear()
        kind = record.get("kind")
        if kind not in _TELLING or (kind == "partition_committed" and self.word in _UNMOVED):
            return None
        verdict = judge(self.view, self.view.time, _HERE)
        self.word = verdict.word
        return verdict
