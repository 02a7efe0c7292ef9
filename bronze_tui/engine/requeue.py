"""Why a partition cannot be tried now: one sentence for whoever asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.ledger import LedgerRange

if TYPE_CHECKING:
    from bronze_tui.catalog.records import Hole
    from bronze_tui.engine.schedule import EraRun


def refuse(
    partition: LedgerRange, eras: Sequence[EraRun], building: Sequence[str], held: Sequence[str]
) -> NoReturn:
    """Say what the partition does instead of waiting in back-off.

    Args:
        building: partitions that builders work on now.
        held: partitions that are built and wait for their turn to commit.

    Raises:
        UsageError: always.
    """
    what, todo = _why_not(partition, eras, building, held)
    raise UsageError(what, todo=todo)


def _why_not(
    partition: LedgerRange, eras: Sequence[EraRun], building: Sequence[str], held: Sequence[str]
) -> tuple[str, str]:
    name = str(partition)
    if name in building:
        return f"partition {name} is being built now", "wait: it needs no retry"
    if name in held:
        return f"partition {name} is built and waits for its turn to commit", "retry what failed"
    for era in eras:
        rows = era.context.catalog.rows(era.context.chain_key)
        if any(row.partition == partition for row in rows):
            return f"partition {name} is committed, and is never built again", "nothing is to do"
        if any(hole.partition == partition for hole in _open_holes(era)):
            todo = "end this run, then 'bronze run --repair' works on declared holes"
            return f"partition {name} is a declared hole", todo
        if era.context.era.is_aligned(partition):
            order = "partitions go in ledger order"
            return f"partition {name} has not begun: {order}", "wait for its turn"
    return f"{name} is no partition of this run", "name one as 'bronze ctl status' shows it"


def _open_holes(era: EraRun) -> list[Hole]:
    holes = era.context.catalog.holes(era.context.chain_key)
    return [hole for hole in holes if hole.repaired_at is None]
