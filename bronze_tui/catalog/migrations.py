"""Versions of the catalog's schema: an ordered list of steps, each in a transaction of its own,
each noted in ``_bronze_info`` by the same transaction. Two copiers that start together take turns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from bronze_tui.catalog import adoption
from bronze_tui.catalog import schema as s
from bronze_tui.catalog.database import Database
from bronze_tui.domain.errors import StateError

_KEY = "schema_version"


@dataclass(frozen=True, slots=True)
class Step:
    """What leads from the version before to ``version``; must not be changed once released."""

    version: int
    what: str
    apply: Callable[[sa.Connection, Database], None]


def _make_tables(c: sa.Connection, database: Database) -> None:
    adoption.refuse_overlaps(c, database)
    adoption.complete_columns(c, database)
    s.metadata.create_all(c, tables=list(s.VERSION_1))
    if "_meta_coverage" not in sa.inspect(c).get_view_names():
        c.exec_driver_sql(s.COVERAGE_VIEW)


_NO_OVERLAP = """
ALTER TABLE _meta_lineage DROP CONSTRAINT IF EXISTS _bronze_lineage_no_overlap;
ALTER TABLE _meta_lineage ADD CONSTRAINT _bronze_lineage_no_overlap EXCLUDE USING gist (
    int4range(dataset_id, dataset_id, '[]') WITH &&,
    int8range(ledger_start, ledger_end, '[]') WITH &&)
"""
"""A range of one dataset id stands for equality, which gist has only with an extension."""

_NO_OVERLAP_TRIGGER = """
CREATE TRIGGER IF NOT EXISTS _bronze_lineage_no_overlap_{event} BEFORE {event} ON _meta_lineage
WHEN EXISTS (
    SELECT 1 FROM _meta_lineage WHERE dataset_id = NEW.dataset_id{but}
    AND ledger_start <= NEW.ledger_end AND ledger_end >= NEW.ledger_start)
BEGIN SELECT RAISE(ABORT, 'ledger ranges of one dataset overlap'); END
"""


def _forbid_overlap(c: sa.Connection, database: Database) -> None:
    adoption.refuse_overlaps(c, database)
    if c.dialect.name == "postgresql":
        c.exec_driver_sql(_NO_OVERLAP)
        return
    c.exec_driver_sql(_NO_OVERLAP_TRIGGER.format(event="INSERT", but=""))
    c.exec_driver_sql(_NO_OVERLAP_TRIGGER.format(event="UPDATE", but=" AND id <> NEW.id"))


def _make_deliveries(c: sa.Connection, database: Database) -> None:  # noqa: ARG001
    s.deliveries.create(c, checkfirst=True)
    s.undelivered.create(c, checkfirst=True)


STEPS: tuple[Step, ...] = (
    Step(1, "tables of the Go copier where they lack, and ours", _make_tables),
    Step(2, "lineage ranges of one dataset cannot overlap", _forbid_overlap),
    Step(3, "delivery of audit events: what is parked, what was decided", _make_deliveries),
)
LATEST = STEPS[-1].version


def version_of(c: sa.Connection, database: Database) -> int:
    """The schema's version, 0 when nothing of ours is there.

    Raises:
        StateError: a newer one, or none at all.
    """
    if not sa.inspect(c).has_table(s.info.name):
        return 0
    text = c.execute(sa.select(s.info.c.value).where(s.info.c.key == _KEY)).scalar()
    if text is None:
        return 0
    if not text.isdecimal():
        raise StateError(
            f"catalog is damaged (schema version {text!r})",
            where=database.where,
            todo=database.rebuild_hint,
        )
    if int(text) > LATEST:
        raise StateError(
            f"catalog has schema version {text}, this software knows {LATEST}",
            where=database.where,
            todo="use the version that wrote it or a newer one",
        )
    return int(text)


def pending(database: Database) -> list[Step]:
    """The steps that the catalog lacks; raises as ``version_of``."""
    now = database.read(lambda c: version_of(c, database))
    return [step for step in STEPS if step.version > now]


def migrate(database: Database) -> list[Step]:
    """Take the steps that the catalog lacks; those that were taken here.

    Raises:
        StateError: rows of the Go copier forbid it, or the schema is newer.
        LockedError, StoreRefused, CatalogUnavailable.
    """
    return [step for step in pending(database) if _take(step, database)]


def _take(step: Step, database: Database) -> bool:
    def work(c: sa.Connection, tried: int) -> bool:  # noqa: ARG001
        if c.dialect.name == "postgresql":
            from bronze_tui.catalog.postgres import lock_transaction

            lock_transaction(c, "migration")
        if version_of(c, database) >= step.version:
            return False
        step.apply(c, database)
        c.execute(sa.delete(s.info).where(s.info.c.key == _KEY))
        c.execute(s.info.insert().values(key=_KEY, value=str(step.version)))
        return True

    with database.unhurried():
        return database.write(work)
