"""An era: a named ledger range with network, version label and partition size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bronze_tui.domain.ledger import FIRST_LEDGER, LedgerRange


@dataclass(frozen=True, slots=True)
class Era:
    """Aligned partitions over ``ledger_start`` to ``ledger_end`` (None: no end, follow the tip)."""

    network: str
    era_id: str
    version_label: str
    ledger_start: int
    ledger_end: int | None
    partition_size: int

    @property
    def chain_key(self) -> str:
        """Key of its audit chain: ``network/era_id/version_label``."""
        return f"{self.network}/{self.era_id}/{self.version_label}"

    @property
    def first_ledger(self) -> int:
        """The first ledger a lake can hold of it."""
        return max(self.ledger_start, FIRST_LEDGER)

    def partition_at(self, sequence: int) -> LedgerRange:
        """The aligned partition that holds ``sequence``.

        Partition k is the k-th block of ``partition_size`` ledgers counted from the configured
        ``ledger_start``, whatever a run's start: only the era's own ends shorten one.

        Raises:
            ValueError: the ledger is outside the era.
        """
        if sequence < self.first_ledger or (self.ledger_end and sequence > self.ledger_end):
            raise ValueError(f"ledger {sequence} is outside era {self.era_id}")
        k = (sequence - self.ledger_start) // self.partition_size
        start = self.ledger_start + k * self.partition_size
        end = start + self.partition_size - 1
        return LedgerRange(
            max(start, self.first_ledger), min(end, self.ledger_end) if self.ledger_end else end
        )

    def partitions(self, first: int, last: int) -> Iterator[LedgerRange]:
        """Partitions in order from ledger ``first`` on that end by ``last``.

        The first one is the rest of its block when ``first`` lies inside a block, which happens
        only behind a partition that was flushed short on request.
        """
        sequence = max(first, self.first_ledger)
        stop = min(last, self.ledger_end) if self.ledger_end else last
        while sequence <= stop:
            end = self.partition_at(sequence).end
            if end > stop:
                return
            yield LedgerRange(sequence, end)
            sequence = end + 1

    def is_aligned(self, partition: LedgerRange) -> bool:
        """Whether ``partition`` is one of this era's partitions."""
        try:
            return self.partition_at(partition.start) == partition
        except ValueError:
            return False
