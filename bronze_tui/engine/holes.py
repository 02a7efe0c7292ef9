"""Declared holes: partitions left out on purpose, said by a record beside the commit records."""

from __future__ import annotations

from datetime import UTC, datetime

from bronze_tui.domain.errors import StateError, StoreConflict
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import dump, load
from bronze_tui.engine.context import EraContext


def declare_hole(context: EraContext, partition: LedgerRange, reason: str) -> None:
    """Create the hole's record (create-if-absent), then note it in the catalog."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    data = dump(
        {
            "format": "bronze-hole/1",
            "chain_key": context.chain_key,
            "partition": {"start": partition.start, "end": partition.end},
            "reason": reason,
            "declared_at": now,
        }
    )
    try:
        context.store.create(context.layout.hole(partition), data)
    except StoreConflict:
        note_hole(context, partition)
        return
    context.catalog.declare_hole(context.dataset_id, context.chain_key, partition, reason, now)


def note_hole(context: EraContext, partition: LedgerRange) -> None:
    """Note in the catalog a hole that the store declares.

    Raises:
        StateError: its record is malformed.
    """
    key = context.layout.hole(partition)
    doc = load(context.store.get(key), key)
    if doc.get("format") != "bronze-hole/1" or doc.get("chain_key") != context.chain_key:
        raise StateError("not a hole record of this dataset", where=context.store.uri(key))
    context.catalog.declare_hole(
        context.dataset_id,
        context.chain_key,
        partition,
        str(doc.get("reason", "")),
        str(doc.get("declared_at", "")),
    )
