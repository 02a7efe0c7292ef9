"""Contiguous partitions told as few ranges."""

from __future__ import annotations

from collections.abc import Iterable

from bronze_tui.domain.ledger import LedgerRange


def merged(partitions: Iterable[LedgerRange]) -> list[str]:
    """``S-E`` texts in ledger order, so that a long run's coverage stays short."""
    spans: list[LedgerRange] = []
    for partition in sorted(partitions):
        if spans and partition.start == spans[-1].end + 1:
            spans[-1] = LedgerRange(spans[-1].start, partition.end)
        else:
            spans.append(partition)
    return [str(span) for span in spans]
