"""The audit chain with its outbox bytes, and the rules of what may come next."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from bronze_tui.catalog import schema as s
from bronze_tui.catalog.database import Database
from bronze_tui.catalog.records import ChainRow
from bronze_tui.catalog.values import iso_now, key
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.ledger import LedgerRange


def rows(c: sa.Connection, chain_key: str) -> list[ChainRow]:
    """All committed partitions in chain order."""
    query = sa.select(s.chain).where(s.chain.c.chain_key == chain_key).order_by(s.chain.c.seq)
    return [chain_row(r) for r in c.execute(query).mappings()]


def head(c: sa.Connection, chain_key: str) -> ChainRow | None:
    """The last link."""
    query = (
        sa.select(s.chain)
        .where(s.chain.c.chain_key == chain_key)
        .order_by(s.chain.c.seq.desc())
        .limit(1)
    )
    row = c.execute(query).mappings().first()
    return None if row is None else chain_row(row)


def append(c: sa.Connection, row: ChainRow) -> None:
    """Add a link that was checked to be next."""
    c.execute(
        s.chain.insert().values(
            **key(row.chain_key, row.partition),
            seq=row.seq,
            prev_event_hash=row.prev_event_hash,
            event_hash=row.event_hash,
            event=row.event,
            first_previous_hash=row.first_previous_hash,
            last_ledger_hash=row.last_ledger_hash,
            content_hash=row.content_hash,
            checksum=row.checksum,
            commit_sha256=row.commit_sha256,
            filed=row.filed,
            delivered=False,
            created_at=iso_now(),
        )
    )


def mark_filed(c: sa.Connection, chain_key: str, seq: int, filed: bool) -> None:
    """Note whether the event's file is durable."""
    of = s.chain.c
    c.execute(
        sa.update(s.chain).where(of.chain_key == chain_key, of.seq == seq).values(filed=filed)
    )


def stands(c: sa.Connection, row: ChainRow) -> bool:
    """Whether this very link is committed: how an unknown outcome is looked up."""
    of = s.chain.c
    found = c.execute(
        sa.select(of.event_hash, of.event, of.commit_sha256).where(
            of.chain_key == row.chain_key, of.seq == row.seq
        )
    ).first()
    return found is not None and (found[0], bytes(found[1]), found[2]) == (
        row.event_hash,
        row.event,
        row.commit_sha256,
    )


def check_next(c: sa.Connection, database: Database, row: ChainRow) -> None:
    """One child per event is the database's rule; contiguity and overlap are checked here.

    Raises:
        StateError: it is not next in the chain, or its ledgers are not.
    """
    last = head(c, row.chain_key)
    seq, tail = (-1, "") if last is None else (last.seq, last.event_hash)
    if row.seq != seq + 1 or row.prev_event_hash != tail:
        raise StateError(
            f"event of {row.partition} is not next in chain {row.chain_key}",
            where=database.where,
            todo="another writer was here; run bronze verify",
        )
    check_place(c, database, row.chain_key, row.partition)


def check_place(
    c: sa.Connection, database: Database, chain_key: str, partition: LedgerRange
) -> None:
    """A partition must overlap nothing and leave nothing out.

    Raises:
        StateError: it does.
    """
    overlap = c.execute(
        sa.select(s.chain.c.ledger_start, s.chain.c.ledger_end)
        .where(s.chain.c.chain_key == chain_key)
        .where(s.chain.c.ledger_start <= partition.end)
        .where(s.chain.c.ledger_end >= partition.start)
        .limit(1)
    ).first()
    if overlap is not None:
        raise StateError(
            f"partition {partition} overlaps {overlap[0]}-{overlap[1]}",
            where=database.where,
            todo="a committed ledger is never committed again; was era.ledger_start changed?",
        )
    _check_contiguous(c, database, chain_key, partition)


def _check_contiguous(
    c: sa.Connection, database: Database, chain_key: str, partition: LedgerRange
) -> None:
    """The next ledgers, or behind declared holes, or into one of them."""
    end = c.execute(
        sa.select(sa.func.max(s.chain.c.ledger_end)).where(s.chain.c.chain_key == chain_key)
    ).scalar()
    holes = c.execute(
        sa.select(s.holes.c.ledger_start, s.holes.c.ledger_end)
        .where(s.holes.c.chain_key == chain_key)
        .order_by(s.holes.c.ledger_start)
    ).all()
    start = partition.start
    if end is None or start == end + 1 or (start, partition.end) in {tuple(h) for h in holes}:
        return
    if start <= end:
        raise StateError(
            f"partition {partition} lies before ledger {end}, which is committed",
            where=database.where,
            todo="was era.ledger_start changed? use the dataset's own",
        )
    reached = end
    for hole_start, hole_end in holes:
        if hole_start == reached + 1:
            reached = hole_end
    if start != reached + 1:
        raise StateError(
            f"partition {partition} leaves ledgers {reached + 1} to {start - 1} out",
            where=database.where,
            todo="a hole must be declared before the chain goes on behind it",
        )


def checksum_before(c: sa.Connection, row: ChainRow) -> str | None:
    """Checksum of the partition with the ledgers before, for lineage's ``prev_hash``."""
    found = c.execute(
        sa.select(s.chain.c.checksum)
        .where(s.chain.c.chain_key == row.chain_key)
        .where(s.chain.c.ledger_end < row.partition.start)
        .order_by(s.chain.c.ledger_end.desc())
        .limit(1)
    ).scalar()
    return None if found is None else str(found)


def chain_row(row: Any) -> ChainRow:
    """A row of the chain's table by column name."""
    return ChainRow(
        chain_key=row["chain_key"],
        seq=row["seq"],
        partition=LedgerRange(row["ledger_start"], row["ledger_end"]),
        prev_event_hash=row["prev_event_hash"],
        event_hash=row["event_hash"],
        event=bytes(row["event"]),
        first_previous_hash=row["first_previous_hash"],
        last_ledger_hash=row["last_ledger_hash"],
        content_hash=row["content_hash"],
        checksum=row["checksum"],
        commit_sha256=row["commit_sha256"],
        filed=bool(row["filed"]),
    )
