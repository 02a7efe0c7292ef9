"""How ranges and times stand in rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bronze_tui.domain.ledger import LedgerRange


def iso_now() -> str:
    """Now in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def key(chain_key: str, partition: LedgerRange) -> dict[str, Any]:
    """The columns that name a partition of a chain."""
    return {
        "chain_key": chain_key,
        "ledger_start": partition.start,
        "ledger_end": partition.end,
    }


def is_partition(
    table: sa.Table, chain_key: str, partition: LedgerRange
) -> list[sa.ColumnElement[bool]]:
    """The conditions that choose a partition's row."""
    return [table.c[name] == value for name, value in key(chain_key, partition).items()]


def insert_missing(c: sa.Connection, table: sa.Table, values: dict[str, Any]) -> None:
    """Insert a row unless one with its key stands there, also when another session races."""
    dialect = postgresql if c.dialect.name == "postgresql" else sqlite
    c.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())
