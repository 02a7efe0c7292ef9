"""Ledger ranges of one chain in link order: gaps, overlaps, repeats, disorder.

Every event's range must begin where the ledgers before it end; a hole declared beforehand may be
filled by a later event.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bronze_tui.audit.findings import Finding, Kind, Severity
from bronze_tui.audit.links import EventFile
from bronze_tui.domain.ledger import LedgerRange


class Covered:
    """Disjoint ledger ranges in order; cheap to extend at the end."""

    def __init__(self, ranges: Iterable[LedgerRange] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for item in sorted(ranges):
            self.include(item)

    def include(self, ledgers: LedgerRange) -> None:
        """Add a range of which parts may be inside already."""
        for piece in self.missing(ledgers):
            self.add(piece)

    def add(self, ledgers: LedgerRange) -> None:
        """Add a range that shares no ledger with those inside."""
        i = bisect_right(self._starts, ledgers.start)
        start, end = ledgers.start, ledgers.end
        if i < len(self._starts) and self._starts[i] == end + 1:
            end = self._ends[i]
            del self._starts[i], self._ends[i]
        if i and self._ends[i - 1] == start - 1:
            self._ends[i - 1] = end
        else:
            self._starts.insert(i, start)
            self._ends.insert(i, end)

    def touched(self, ledgers: LedgerRange) -> LedgerRange | None:
        """The first part of ``ledgers`` that is inside."""
        i = bisect_right(self._starts, ledgers.start)
        if i and self._ends[i - 1] >= ledgers.start:
            return LedgerRange(ledgers.start, min(ledgers.end, self._ends[i - 1]))
        if i < len(self._starts) and self._starts[i] <= ledgers.end:
            return LedgerRange(self._starts[i], min(ledgers.end, self._ends[i]))
        return None

    def missing(self, ledgers: LedgerRange) -> list[LedgerRange]:
        """The parts of ``ledgers`` that are not inside."""
        found, start = [], ledgers.start
        while start <= ledgers.end:
            inside = self.touched(LedgerRange(start, ledgers.end))
            stop = inside.start - 1 if inside else ledgers.end
            if start <= stop:
                found.append(LedgerRange(start, stop))
            if inside is None:
                break
            start = inside.end + 1
        return found

    def ranges(self) -> tuple[LedgerRange, ...]:
        """What is covered, neighbours joined."""
        return tuple(LedgerRange(s, e) for s, e in zip(self._starts, self._ends, strict=True))


@dataclass(slots=True)
class _Jump:
    """Ledgers that an event left out; ``open`` shrinks as later events fill them."""

    event: int
    file: EventFile
    open: list[LedgerRange]
    blamed: bool = False


@dataclass(slots=True)
class RangeCheck:
    """Feed ``step`` the events in link order, then take ``finish``."""

    chain_key: str
    holes: Covered
    beside: Covered
    """Ledgers announced on lines that forks lost: their absence is the fork's doing."""
    findings: list[Finding] = field(default_factory=list)
    covered: Covered = field(default_factory=Covered)
    _next: int | None = None
    _jumps: list[_Jump] = field(default_factory=list)
    _seen: dict[LedgerRange, tuple[int, str]] = field(default_factory=dict)

    def restart(self) -> None:
        """The links break here and that was reported: the next event may begin anywhere after."""
        self._next = None

    def step(self, index: int, item: EventFile) -> None:
        """Judge one event."""
        ledgers = item.event.partition
        if self._next == ledgers.start:
            self._take(index, item, ledgers)
            return
        inside = self.covered.touched(ledgers)
        if inside is not None:
            self._repeated(index, item, ledgers, inside)
            for piece in self.covered.missing(ledgers):
                self.covered.add(piece)
                self._fill(piece)
            self._next = max(self._next or 0, ledgers.end + 1)
        elif self._next is not None and ledgers.start > self._next:
            left_out = LedgerRange(self._next, ledgers.start - 1)
            self._jumps.append(_Jump(index, item, [left_out]))
            self._take(index, item, ledgers)
        elif self._next is None:
            self._take(index, item, ledgers)
        else:
            self._late(index, item, ledgers)

    def finish(self) -> list[Finding]:
        """All findings about ranges, gaps that stayed open included."""
        for jump in self._jumps:
            for left_out in jump.open:
                for piece in self.beside.missing(left_out):
                    self._gap(jump, piece)
        return self.findings

    def _take(self, index: int, item: EventFile, ledgers: LedgerRange) -> None:
        self._seen[ledgers] = (index, item.file)
        self.covered.add(ledgers)
        self._next = ledgers.end + 1

    def _repeated(
        self, index: int, item: EventFile, ledgers: LedgerRange, inside: LedgerRange
    ) -> None:
        earlier = self._seen.get(ledgers)
        if earlier is not None:
            text = f"ledgers {ledgers} were announced before, by event {earlier[0]}"
            cause = "the partition was published again, or an old event was put in again"
            self._add("duplicate_range", "error", index, item, text, cause, found=earlier[1])
            return
        text = f"ledgers {inside} were announced before"
        cause = "two partition sizes were mixed, or an event's range was altered"
        self._add("overlap", "error", index, item, text, cause, found=str(inside))

    def _late(self, index: int, item: EventFile, ledgers: LedgerRange) -> None:
        self._seen[ledgers] = (index, item.file)
        self.covered.add(ledgers)
        if not self.holes.missing(ledgers):
            self._fill(ledgers)
            text = f"fills ledgers {ledgers}, which were declared a hole before"
            self._add("hole_filled", "note", index, item, text)
            return
        jump = self._fill(ledgers)
        if jump is not None and not jump.blamed:
            jump.blamed = True
            text = f"comes before ledgers {ledgers}, which only event {index} announces"
            cause = "events were put in another order and linked anew, or a hole was filled late"
            left_out = f"begin at ledger {ledgers.start}"
            self._add(
                "out_of_order", "error", jump.event, jump.file, text, cause, expected=left_out
            )
        elif jump is None:
            text = "announces ledgers from before the chain's first event"
            self._add("out_of_order", "error", index, item, text)

    def _fill(self, ledgers: LedgerRange) -> _Jump | None:
        first = None
        for jump in self._jumps:
            if not any(piece.overlaps(ledgers) for piece in jump.open):
                continue
            first = first or jump
            filled = Covered([ledgers])
            jump.open = [rest for piece in jump.open for rest in filled.missing(piece)]
        return first

    def _gap(self, jump: _Jump, left_out: LedgerRange) -> None:
        begin = f"begin at ledger {left_out.start}"
        if self.holes.missing(left_out):
            text = f"ledgers {left_out} are announced by no event"
            cause = (
                "a partition failed or an event was never written, and the chain went on; or "
                "an event was taken out and the rest linked anew"
            )
            kind: Kind = "gap"
        else:
            text = f"ledgers {left_out} are missing, declared as a hole and not filled"
            cause = "the copier skipped a partition that failed (perf.on_failure: skip)"
            kind = "declared_gap"
        ledgers = str(left_out)
        self._add(kind, "error", jump.event, jump.file, text, cause, begin, "", ledgers)

    def _add(
        self,
        kind: Kind,
        severity: Severity,
        index: int,
        item: EventFile,
        message: str,
        cause: str = "",
        expected: str = "",
        found: str = "",
        ledgers: str = "",
    ) -> None:
        ledgers = ledgers or str(item.event.partition)
        self.findings.append(
            Finding(
                kind,
                severity,
                self.chain_key,
                message,
                index,
                ledgers,
                item.file,
                expected,
                found,
                cause,
            )
        )


def row_count_findings(
    chain_key: str, line: Sequence[EventFile], first_ledger: int, raw_table: str
) -> list[Finding]:
    """Events whose raw table has another number of rows than the partition has ledgers.

    Ledgers before ``first_ledger`` exist in no lake and are not expected.
    """
    findings = []
    for index, item in enumerate(line, 1):
        event = item.event
        ledgers = event.ledger_end - max(event.ledger_start, first_ledger) + 1
        rows = next((t.row_count for name, t in event.tables if name == raw_table), ledgers)
        if rows == ledgers:
            continue
        findings.append(
            Finding(
                "row_count",
                "warning",
                chain_key,
                f"announces {rows} rows of {raw_table} for {ledgers} ledgers",
                index,
                str(event.partition),
                item.file,
                str(ledgers),
                str(rows),
                "a ledger was missing in the source, and the copier published without it"
                if rows < ledgers
                else "the event's range or row count was altered",
            )
        )
    return findings


def ledgers_of(files: Iterable[EventFile]) -> Covered:
    """The ledgers that ``files`` announce."""
    return Covered(item.event.partition for item in files)
