"""Which published partitions a range of ledgers means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.ledger import LedgerRange

if TYPE_CHECKING:
    from bronze_tui.audit.levels.unit import Unit

ALL = "all"


def parse_range(text: str) -> LedgerRange | None:
    """``START-END``; None for ``all``.

    Raises:
        UsageError: it is neither.
    """
    if text == ALL:
        return None
    try:
        return LedgerRange.parse(text)
    except ValueError:
        raise UsageError(
            f"{text!a} is no range of ledgers", where="RANGE", todo="give START-END, or 'all'"
        ) from None


def partitions_in(units: Sequence[Unit], wanted: LedgerRange | None) -> list[Unit]:
    """The partitions of a range, of every dataset that has some there.

    Raises:
        UsageError: there is none, or the range begins or ends inside of one.
    """
    if wanted is None:
        return list(units)
    inside = [unit for unit in units if unit.partition.overlaps(wanted)]
    for unit in inside:
        partition = unit.partition
        if partition.start < wanted.start or partition.end > wanted.end:
            first, last = min(partition.start, wanted.start), max(partition.end, wanted.end)
            raise UsageError(
                f"the range {wanted} cuts partition {partition} of {unit.chain_key}: only whole "
                "partitions can be built again",
                where="RANGE",
                todo=f"give {partition}, or {first}-{last}",
            )
    if not inside:
        there = min(units, key=lambda unit: _distance(unit.partition, wanted))
        raise UsageError(
            f"no partition with ledgers {wanted} is published",
            where="RANGE",
            todo=f"the nearest is {there.partition} of {there.chain_key}",
        )
    return inside


def missing_of(units: Sequence[Unit], wanted: LedgerRange | None) -> tuple[LedgerRange, ...]:
    """Ledgers of the range that no partition holds."""
    from bronze_tui.audit.ranges import Covered

    if wanted is None:
        return ()
    return tuple(Covered(unit.partition for unit in units).missing(wanted))


def _distance(partition: LedgerRange, wanted: LedgerRange) -> int:
    return max(partition.start - wanted.end, wanted.start - partition.end)
