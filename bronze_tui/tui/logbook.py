"""The journal as lines for a person: what passes the filter, what a search finds, what was skipped.

Lines are made when they are needed and cut before anything is matched against them; the words are
those of the headless log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bronze_tui.domain.text import safe_text
from bronze_tui.headless.lines import LEVELS, LogLine, level_of, log_line, stamp

Record = Mapping[str, Any]

CUT = 1_000
KEPT = 5_000
A_TICK = 200
"""Most lines taken in one tick; a reader sees no more, and the loop must stay free."""

_SOURCES = {
    "partition_started": "build",
    "partition_progress": "build",
    "partition_built": "build",
    "partition_committed": "commit",
    "partition_retried": "build",
    "partition_failed": "build",
    "partition_quarantined": "commit",
    "event_linked": "audit",
    "coverage": "catalog",
    "stage_figures": "figures",
    "throughput": "figures",
}
_HASH = re.compile(r"sha256:([0-9a-f]{10})[0-9a-f]{54}")
_IN_COLUMNS = frozenset(("chain_key", "partition", "component"))


class Line:
    """One record, or how many were skipped."""

    __slots__ = ("_line", "_lower", "_message", "record", "skipped")

    def __init__(self, record: Record, skipped: int = 0) -> None:
        self.record = record
        self.skipped = skipped
        self._line: LogLine | None = None
        self._message: str | None = None
        self._lower: str | None = None

    @property
    def level(self) -> str:
        """debug, info, warn or error."""
        return level_of(self.record)

    @property
    def source(self) -> str:
        """Which part of the engine says it."""
        kind = self.record.get("kind")
        if kind == "alert":
            return safe_text(str(self.record.get("component", "-"))[:40])
        return _SOURCES.get(str(kind), "engine")

    @property
    def partition(self) -> str:
        """``S-E``, or a dash."""
        return safe_text(str(self.record.get("partition") or "-")[:40])

    @property
    def time(self) -> float:
        """Unix seconds; 0 when the record has none."""
        value = self.record.get("time")
        return float(value) if isinstance(value, int | float) else 0.0

    @property
    def clock(self) -> str:
        """``10:22:09.114Z``."""
        return stamp(self.time)[11:]

    @property
    def message(self) -> str:
        """What happened and its figures, cut at ``CUT`` characters."""
        if self._message is None:
            if self.skipped:
                self._message = f"{self.skipped:,} skipped, too fast to show; the journal has them"
            else:
                self._message = _words(self.record)[:CUT]
        return self._message

    def text(self) -> str:
        """The whole line, columns apart."""
        if self.skipped:
            return f"... {self.message}"
        level = self.level.upper()
        return f"{self.clock}  {level:<5}  {self.source:<9} {self.partition:<17} {self.message}"

    def holds(self, lowered: str) -> bool:
        """Whether the line, cut, contains a text."""
        if self._lower is None:
            self._lower = self.text()[:CUT].lower()
        return lowered in self._lower

    def json(self) -> str:
        """The record as it stands in the journal."""
        return json.dumps(self.record, default=str)


@dataclass(frozen=True, slots=True)
class Filter:
    """What is shown; empty texts let all pass."""

    level: str = "info"
    source: str = ""
    partition: str = ""
    text: str = ""

    @property
    def only_level(self) -> bool:
        """Whether nothing but the level decides."""
        return not (self.source or self.partition or self.text)

    def level_passes(self, record: Record) -> bool:
        """Whether the record's level is shown; needs no line."""
        return LEVELS.get(level_of(record), 20) >= LEVELS[self.level]

    def passes(self, line: Line) -> bool:
        """Whether the line is shown."""
        if not self.level_passes(line.record):
            return False
        if self.source and line.source != self.source:
            return False
        if self.partition and line.partition != self.partition:
            return False
        return not self.text or line.holds(self.text.lower())


class LogBook:
    """The shown lines, oldest first."""

    def __init__(self) -> None:
        self.filter = Filter()
        self.lines: list[Line] = []
        self.pattern = ""
        self.matches = 0
        self.skipped = 0
        self.dropped = 0
        """Lines that left the front since the last ``take`` or ``read_again``."""

    def read_again(self, records: Iterable[Record], found: Filter | None = None) -> None:
        """Show what of ``records`` passes the filter."""
        if found is not None:
            self.filter = found
        lines = (Line(record) for record in records)
        self.lines = [line for line in lines if self.filter.passes(line)]
        self.dropped = 0
        self.find(self.pattern)

    def take(self, records: list[Record]) -> int:
        """Add new records, the newest ``A_TICK`` of those that pass; how many lines came."""
        passing = [record for record in records if self.filter.level_passes(record)]
        if not self.filter.only_level:
            passing = [r for r in passing if self.filter.passes(Line(r))]
        left_out = max(0, len(passing) - A_TICK)
        fresh = [Line(record) for record in passing[left_out:]]
        if left_out:
            self.skipped += left_out
            fresh.insert(0, Line(passing[left_out - 1], left_out))
        self.lines += fresh
        if self.pattern:
            self.matches += sum(line.holds(self.pattern) for line in fresh)
        self.dropped = max(0, len(self.lines) - KEPT)
        if self.dropped:
            if self.pattern:
                gone = self.lines[: self.dropped]
                self.matches -= sum(line.holds(self.pattern) for line in gone)
            del self.lines[: self.dropped]
        return len(fresh)

    def find(self, pattern: str) -> int:
        """Mark lines that hold ``pattern``; how many."""
        self.pattern = pattern.lower()
        self.matches = sum(line.holds(self.pattern) for line in self.lines) if pattern else 0
        return self.matches

    def next_match(self, start: int, step: int) -> int | None:
        """Index of the next line that holds the pattern, going round."""
        count = len(self.lines)
        for k in range(1, count + 1):
            index = (start + step * k) % count
            if self.lines[index].holds(self.pattern):
                return index
        return None


def _words(record: Record) -> str:
    line = log_line(record)
    if line is None:
        return safe_text(json.dumps(record, default=str)[:CUT])
    pairs = line.pairs(_IN_COLUMNS)
    return _HASH.sub(r"\1..", safe_text(f"{line.message[:CUT]}  {pairs}".rstrip()))
