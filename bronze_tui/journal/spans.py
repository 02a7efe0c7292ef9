"""Disjoint ledger ranges: what of a chain is committed, failed or declared missing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from bronze_tui.domain.ledger import LedgerRange


class Spans:
    """Disjoint ledger ranges, merged, in order."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __iter__(self) -> Iterator[LedgerRange]:
        return (LedgerRange(s, e) for s, e in zip(self._starts, self._ends, strict=True))

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def ledgers(self) -> int:
        """Ledgers covered."""
        return sum(self._ends) - sum(self._starts) + len(self._starts)

    @property
    def last_end(self) -> int:
        """The highest ledger covered, -1 when none is."""
        return self._ends[-1] if self._ends else -1

    def add(self, span: LedgerRange) -> None:
        """Cover ``span``."""
        first = bisect_left(self._ends, span.start - 1)
        last = bisect_right(self._starts, span.end + 1)
        start, end = span.start, span.end
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def covered(self, start: int, end: int) -> int:
        """How many of the ledgers ``start`` to ``end`` are covered."""
        total = 0
        for i in range(bisect_left(self._ends, start), len(self._starts)):
            if self._starts[i] > end:
                break
            total += min(end, self._ends[i]) - max(start, self._starts[i]) + 1
        return total

    def gaps(self, start: int, end: int) -> list[LedgerRange]:
        """What of ``start`` to ``end`` is not covered."""
        found = []
        position = start
        for span in self:
            if span.end < position:
                continue
            if span.start > end:
                break
            if span.start > position:
                found.append(LedgerRange(position, span.start - 1))
            position = span.end + 1
        if position <= end:
            found.append(LedgerRange(position, end))
        return found
