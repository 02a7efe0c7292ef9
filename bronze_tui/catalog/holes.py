"""Declared holes, and intents to build."""

from __future__ import annotations

import sqlalchemy as sa

from bronze_tui.catalog import schema as s
from bronze_tui.catalog.records import Hole, Intent
from bronze_tui.catalog.values import is_partition, iso_now, key
from bronze_tui.domain.ledger import LedgerRange


def declare(
    c: sa.Connection, chain_key: str, partition: LedgerRange, reason: str, declared_at: str
) -> None:
    """Note a hole, unless it is noted."""
    where = is_partition(s.holes, chain_key, partition)
    if c.execute(sa.select(s.holes.c.reason).where(*where)).first() is None:
        c.execute(
            s.holes.insert().values(
                **key(chain_key, partition), reason=reason, declared_at=declared_at
            )
        )


def done(c: sa.Connection, chain_key: str, partition: LedgerRange) -> None:
    """A partition is committed: its intent is fulfilled, and a hole that it was is filled."""
    c.execute(sa.delete(s.intents).where(*is_partition(s.intents, chain_key, partition)))
    hole = is_partition(s.holes, chain_key, partition)
    c.execute(sa.update(s.holes).where(*hole).values(repaired_at=iso_now()))


def listed(c: sa.Connection, chain_key: str) -> list[Hole]:
    """Holes in ledger order, repaired ones too."""
    query = (
        sa.select(s.holes).where(s.holes.c.chain_key == chain_key).order_by(s.holes.c.ledger_start)
    )
    return [
        Hole(
            LedgerRange(r["ledger_start"], r["ledger_end"]),
            r["reason"],
            r["declared_at"],
            r["repaired_at"],
        )
        for r in c.execute(query).mappings()
    ]


def intend(c: sa.Connection, chain_key: str, partition: LedgerRange, writer: str) -> Intent:
    """Note the intent to build; the stored one when it was noted before with this writer."""
    where = is_partition(s.intents, chain_key, partition)
    row = c.execute(sa.select(s.intents).where(*where)).mappings().first()
    if row is not None and row["writer"] == writer:
        return Intent(partition, writer, row["created_at"])
    c.execute(sa.delete(s.intents).where(*where))
    created = iso_now()
    c.execute(
        s.intents.insert().values(**key(chain_key, partition), writer=writer, created_at=created)
    )
    return Intent(partition, writer, created)
