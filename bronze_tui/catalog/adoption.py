"""Tables that the Go copier left in a database: what they lack is added, what contradicts our
rules is told in words before a constraint would."""

from __future__ import annotations

import sqlalchemy as sa

from bronze_tui.catalog import schema as s
from bronze_tui.catalog.database import Database
from bronze_tui.domain.errors import StateError


def complete_columns(c: sa.Connection, database: Database) -> None:
    """Add the columns that later versions of the Go copier brought.

    Raises:
        StateError: a table of that name is not the Go copier's.
    """
    look = sa.inspect(c)
    for table in s.GO_TABLES:
        if not look.has_table(table.name):
            continue
        there = {column["name"] for column in look.get_columns(table.name)}
        for column in table.columns:
            if column.name in there:
                continue
            if not column.nullable:
                raise StateError(
                    f"table {table.name} has no column {column.name}: it is not the Go copier's",
                    where=database.where,
                    todo="use another database, or a schema of its own in search_path",
                )
            kind = column.type.compile(c.dialect)
            c.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}")


def refuse_overlaps(c: sa.Connection, database: Database) -> None:
    """Lineage of one dataset must not say a ledger twice.

    Raises:
        StateError: it does; the first such pair is named.
    """
    look = sa.inspect(c)
    if not (look.has_table(s.lineage.name) and look.has_table(s.datasets.name)):
        return
    one, other = s.lineage.alias("one"), s.lineage.alias("other")
    d = s.datasets.c
    query = (
        sa.select(
            d.network,
            d.era_id,
            d.version,
            one.c.ledger_start,
            one.c.ledger_end,
            other.c.ledger_start,
            other.c.ledger_end,
        )
        .join_from(one, other, one.c.dataset_id == other.c.dataset_id)
        .join(s.datasets, d.id == one.c.dataset_id)
        .where(
            one.c.id != other.c.id,
            one.c.ledger_start <= other.c.ledger_start,
            one.c.ledger_end >= other.c.ledger_start,
        )
        .order_by(one.c.dataset_id, one.c.ledger_start, other.c.ledger_start)
        .limit(1)
    )
    found = c.execute(query).first()
    if found is None:
        return
    network, era, version, *edges = found
    raise StateError(
        f"lineage of {network}/{era}/{version} says ledgers twice: {edges[0]}-{edges[1]} and"
        f" {edges[2]}-{edges[3]} overlap, so the catalog cannot be adopted; nothing was changed",
        where=database.where,
        todo="find out which partition stands in the store and delete the other's row of"
        " _meta_lineage, or set catalog.postgres_dsn to an empty database",
    )
