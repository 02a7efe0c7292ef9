"""Which partitions a run works on, in ledger order, given what is committed and where the source
ends; pure but for the tip that it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bronze_tui.domain.era import Era
from bronze_tui.domain.ledger import LedgerRange


@dataclass(frozen=True, slots=True)
class EraPlan:
    """What is left of one era: declared holes stay out unless ``repair`` asks for them alone."""

    era: Era
    next_ledger: int
    holes: tuple[LedgerRange, ...]
    repair: bool = False
    flush: bool = False
    """Whether a short partition up to the source's end is wanted (``--flush-partial``)."""

    @property
    def finished(self) -> bool:
        """Whether nothing of a bounded era is left."""
        if self.repair:
            return not self.holes
        return self.era.ledger_end is not None and self.next_ledger > self.era.ledger_end

    def partitions(self, last: int) -> Iterator[LedgerRange]:
        """Partitions left that end by ledger ``last``."""
        if self.repair:
            yield from (hole for hole in self.holes if hole.end <= last)
            return
        position = self.next_ledger
        for partition in self.era.partitions(position, last):
            position = partition.end + 1
            if partition not in self.holes:
                yield partition
        if self.flush and (tail := tail_partition(self.era, position, last)):
            yield tail

    def without(self, partition: LedgerRange) -> EraPlan:
        """The plan when ``partition``, its first one, was handed out."""
        if self.repair:
            return replace(self, holes=tuple(h for h in self.holes if h != partition))
        ends = {hole.start: hole.end for hole in self.holes}
        position = partition.end + 1
        while position in ends:
            position = ends[position] + 1
        return replace(self, next_ledger=position)

    def count(self, last: int | None) -> tuple[int, int] | None:
        """Partitions and ledgers left up to ``last`` (None: the era's end), None when endless."""
        stop = self.era.ledger_end if last is None else last
        if self.repair:
            return len(self.holes), sum(map(len, self.holes))
        if stop is None:
            return None
        if self.era.ledger_end is not None:
            stop = min(stop, self.era.ledger_end)
        return _count(self.era, self.next_ledger, stop, self.holes)


def _count(era: Era, first: int, stop: int, holes: Sequence[LedgerRange]) -> tuple[int, int]:
    """Without stepping through the partitions: an era has millions of them at size 1."""
    if first > stop:
        return 0, 0
    head = era.partition_at(max(first, era.first_ledger))
    if head.end > stop:
        return 0, 0
    size = era.partition_size
    whole = 1 + (stop - head.end) // size
    end = head.end + (whole - 1) * size
    if era.ledger_end is not None and stop == era.ledger_end and end < stop:
        whole, end = whole + 1, stop
    inside = [h for h in holes if first <= h.start and h.end <= end]
    ledgers = end - max(first, era.first_ledger) + 1 - sum(map(len, inside))
    return whole - len(inside), ledgers


def next_ledger(era: Era, committed: Sequence[LedgerRange], holes: Sequence[LedgerRange]) -> int:
    """The first ledger behind the contiguous run of committed partitions and declared holes."""
    position = era.first_ledger
    for partition in sorted({*committed, *holes}):
        if partition.start == position:
            position = partition.end + 1
    return position


def tail_partition(era: Era, next_ledger: int, tip: int) -> LedgerRange | None:
    """The short partition that ``--flush-partial`` commits at the tip."""
    if next_ledger > tip or (era.ledger_end is not None and next_ledger > era.ledger_end):
        return None
    end = min(era.partition_at(next_ledger).end, tip)
    return LedgerRange(next_ledger, end)
