"""What the catalog says was committed, compared with itself and with the store's listing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from bronze_tui.audit.canonical import recompute
from bronze_tui.audit.event import EventRejected, parse_event
from bronze_tui.catalog.records import ChainRow
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import CommitRecord
from bronze_tui.engine.context import EraContext

NEW_VERSION = "restore it from a backup, or start a new version_label"


def outbox_event(row: ChainRow) -> AuditEvent:
    """The event of a catalog row, from the exact bytes kept there.

    Raises:
        StateError: the bytes are not what the row linked.
    """
    try:
        event = parse_event(row.event, where="catalog")
    except EventRejected as error:
        raise _damaged(row, error.what) from error
    said = (event.event_hash, event.prev_event_hash, event.partition)
    if said != (row.event_hash, row.prev_event_hash, row.partition):
        raise _damaged(row, "it is another event")
    if recompute(event) != row.event_hash:
        raise _damaged(row, "its hash does not recompute")
    return event


def check_rows(
    context: EraContext,
    rows: Sequence[ChainRow],
    announced: Mapping[LedgerRange, tuple[bytes, AuditEvent]],
    committed: Mapping[LedgerRange, str],
    sizes: Mapping[str, int],
) -> None:
    """Everything the catalog calls committed must still be in the store, whole in size.

    Args:
        announced: file bytes and event of the audit folder, proven sound.
        committed: keys of the commit records in the store.
        sizes: bytes of the table's objects in the store.

    Raises:
        StateError: it is not, or the catalog is damaged.
    """
    for row in rows:
        if row.partition not in committed:
            raise StateError(
                f"commit record of {row.partition} is missing",
                where=context.store.uri(context.layout.commit_record(row.partition)),
                todo=NEW_VERSION,
            )
        _check_size(context, row, announced, sizes)
    if rows:
        _check_record(context, max(rows, key=lambda row: row.partition.end))


def _check_record(context: EraContext, row: ChainRow) -> None:
    """The row that the next partition is linked to is what its commit record says; one read."""
    key = context.layout.commit_record(row.partition)
    data = context.store.get(key)
    where = context.store.uri(key)
    if "sha256:" + hashlib.sha256(data).hexdigest() == row.commit_sha256:
        record = CommitRecord.from_json(data, context.era, where=where)
        if (record.links.last_hash, record.tables[0].checksum) == (
            row.last_ledger_hash,
            row.checksum,
        ):
            return
    raise StateError(
        f"catalog and commit record of {row.partition} disagree: one of them is damaged",
        where=where,
        todo="restore the record from a backup; if it is sound, move the catalog aside and run"
        " again: it is rebuilt",
    )


def _check_size(
    context: EraContext,
    row: ChainRow,
    announced: Mapping[LedgerRange, tuple[bytes, AuditEvent]],
    sizes: Mapping[str, int],
) -> None:
    filed = announced.get(row.partition)
    # Hashing is spared for the many events whose proven file has these very bytes.
    event = filed[1] if filed and filed[0] == row.event else outbox_event(row)
    size = event.tables[0][1].byte_size
    file = context.layout.parquet(context.table, row.partition)
    found = sizes.get(file)
    if found is None:
        raise StateError(
            f"file of committed partition {row.partition} is missing",
            where=context.store.uri(file),
            todo=NEW_VERSION,
        )
    if found != size:
        raise StateError(
            f"file of committed partition {row.partition} has {found} bytes, {size} were committed",
            where=context.store.uri(file),
            todo=NEW_VERSION,
        )


def _damaged(row: ChainRow, why: str) -> StateError:
    return StateError(
        f"the catalog's event {row.seq} of {row.chain_key} is damaged ({why})",
        where=f"catalog, partition {row.partition}",
        todo="run 'bronze catalog rebuild --replace': it is made again from commit records and"
        " audit events",
    )
