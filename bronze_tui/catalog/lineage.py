"""Datasets, lineage and quality: the tables that the Go copier has too."""

from __future__ import annotations

import sqlalchemy as sa

from bronze_tui.catalog import schema as s
from bronze_tui.catalog.database import Database
from bronze_tui.catalog.records import Origin
from bronze_tui.catalog.values import insert_missing
from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import TableFile


def register(c: sa.Connection, era: Era, table: str, schema_hash: str) -> int:
    """Id of the dataset's row, made when absent."""
    found = find_dataset(c, era, table)
    if found is None:
        about = {
            "schema_hash": schema_hash,
            "description": f"Raw {table} data from Stellar network",
        }
        insert_missing(c, s.datasets, {**_identity(era, table), **about})
        found = find_dataset(c, era, table)
    assert found is not None
    return found


def find_dataset(c: sa.Connection, era: Era, table: str) -> int | None:
    """Id of the dataset's row."""
    where = [s.datasets.c[name] == value for name, value in _identity(era, table).items()]
    found = c.execute(sa.select(s.datasets.c.id).where(*where)).scalar()
    return None if found is None else int(found)


def _identity(era: Era, table: str) -> dict[str, str]:
    return {
        "domain": "bronze",
        "dataset": table,
        "version": era.version_label,
        "era_id": era.era_id,
        "network": era.network,
    }


def record(
    c: sa.Connection,
    database: Database,
    dataset_id: int,
    partition: LedgerRange,
    table: TableFile,
    origin: Origin,
    prev_hash: str | None,
) -> None:
    """Write a partition's row. A row that the Go copier wrote of the very same file stays, with
    what it left out or got wrong.

    Raises:
        StateError: its row is of another file, or of other ledgers that overlap.
    """
    place = {
        "prev_hash": prev_hash,
        "storage_path": origin.storage_path,
        "storage_uri": origin.storage_uri,
    }
    if check_row(c, database, dataset_id, partition, table.checksum):
        where = _same_range(s.lineage, dataset_id, partition)
        c.execute(sa.update(s.lineage).where(*where).values(**place))
        return
    c.execute(
        s.lineage.insert().values(
            dataset_id=dataset_id,
            ledger_start=partition.start,
            ledger_end=partition.end,
            row_count=table.row_count,
            byte_size=table.byte_size,
            checksum=table.checksum,
            producer_version=origin.producer_version,
            producer_git_sha=origin.producer_git_sha,
            source_type=origin.source_type,
            source_location=origin.source_location,
            **place,
        )
    )


def check_row(
    c: sa.Connection,
    database: Database,
    dataset_id: int,
    partition: LedgerRange,
    checksum: str | None = None,
) -> bool:
    """Whether lineage has the partition already, from the Go copier.

    Args:
        checksum: of the partition's file, None when it is not known yet.

    Raises:
        StateError: as ``record``.
    """
    of = s.lineage.c
    found = c.execute(
        sa.select(of.ledger_start, of.ledger_end, of.checksum)
        .where(of.dataset_id == dataset_id)
        .where(of.ledger_start <= partition.end, of.ledger_end >= partition.start)
        .order_by(of.ledger_start)
        .limit(1)
    ).first()
    if found is None:
        return False
    if (found[0], found[1]) != (partition.start, partition.end):
        raise StateError(
            f"partition {partition} overlaps {found[0]}-{found[1]} of the catalog's lineage",
            where=database.where,
            todo="another copier cut these ledgers differently; use its ledger_start and"
            " partition_size, or a new version_label",
        )
    if checksum is not None and found[2] != checksum:
        raise StateError(
            f"lineage of {partition} in the catalog is of another file: {found[2]}, not {checksum}",
            where=database.where,
            todo="restore that file, or delete the row of _meta_lineage if it is known to be"
            " wrong; a new version_label starts anew",
        )
    return True


def set_quality(
    c: sa.Connection, dataset_id: int, partition: LedgerRange, error: str | None
) -> None:
    """Write whether a partition passed, in place of what was said of it before."""
    c.execute(sa.delete(s.quality).where(*_same_range(s.quality, dataset_id, partition)))
    c.execute(
        s.quality.insert().values(
            dataset_id=dataset_id,
            ledger_start=partition.start,
            ledger_end=partition.end,
            passed=error is None,
            error_message=error,
        )
    )


def _same_range(
    table: sa.Table, dataset_id: int, partition: LedgerRange
) -> list[sa.ColumnElement[bool]]:
    return [
        table.c.dataset_id == dataset_id,
        table.c.ledger_start == partition.start,
        table.c.ledger_end == partition.end,
    ]
