"""The catalog: intent, lineage, chain and outbox, lease, in SQLite or PostgreSQL alike."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path

import sqlalchemy as sa

from bronze_tui.catalog import chain, holes, leases, lineage
from bronze_tui.catalog import schema as s
from bronze_tui.catalog.database import Database
from bronze_tui.catalog.migrations import migrate
from bronze_tui.catalog.records import ChainRow, Hole, Intent, Origin
from bronze_tui.catalog.sqlite import SqliteDatabase
from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import LockedError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import CommitRecord

_LEASE_GRACE, _LEASE_RETRY = 2.0, 0.1
"""Seconds: a server needs a moment to notice that a killed copier's session has ended."""


class Catalog:
    """One open catalog; thread-safe.

    Every method may raise StateError (damaged, or a rule of the chain broken), StoreRefused (disk
    full, read-only), LockedError (another process holds it) or CatalogUnavailable (a server that
    does not answer, after the waiting that its ``Patience`` says).

    Args:
        place: an open database, or the path of a SQLite file.
        read_only: nothing is made or migrated; for a path.
    """

    def __init__(self, place: Path | Database, *, read_only: bool = False) -> None:
        if isinstance(place, Path):
            self.database: Database = SqliteDatabase(place, read_only=read_only)
        else:
            self.database = place
        self._epochs: dict[str, int] = {}
        if read_only:
            return
        self.database.on_new_session(self._retake)
        try:
            migrate(self.database)
        except BaseException:
            self.close()
            raise

    @property
    def where(self) -> str:
        """Address for people, without credentials."""
        return self.database.where

    def close(self) -> None:
        """Close the connection; idempotent."""
        self.database.close()

    def guard(self) -> AbstractContextManager[None]:
        """Turn database errors into errors for people."""
        return self.database.guard()

    def transaction(self) -> AbstractContextManager[sa.Connection]:
        """A transaction for the package's other modules; what is read still holds when something
        is written.

        Raises:
            CatalogUnavailable: the connection was lost inside; it may have been committed.
        """
        return self.database.transaction()

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """The connection for queries alone; nothing is kept of what is done with it."""
        return self.database.reading()

    def beat(self) -> None:
        """Notice the loss of a server's session before the next commit does; never waits.

        Raises:
            LockedError: another copier has taken a chain since.
        """
        self.database.touch()

    def take_lease(self, chain_key: str, owner: str) -> int:
        """Note a new owner of the chain; its epoch, one more than the last.

        Raises:
            LockedError: another copier lives and has the chain.
        """

        def work(c: sa.Connection, tried: int) -> int:  # noqa: ARG001
            return leases.take(c, self.database, chain_key, owner)

        self._epochs.pop(chain_key, None)
        deadline = time.monotonic() + _LEASE_GRACE
        while True:
            try:
                epoch = self.database.write(work)
                break
            except LockedError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_LEASE_RETRY)
        self._epochs[chain_key] = epoch
        return epoch

    def _retake(self, c: sa.Connection) -> None:
        for chain_key, epoch in self._epochs.items():
            leases.retake(c, self.database, chain_key, epoch)

    def owner_of(self, chain_key: str) -> tuple[int, str, str] | None:
        """Epoch, owner and time of the last lease."""
        return self.database.read(lambda c: leases.owner_of(c, chain_key))

    def register(self, era: Era, table: str, schema_hash: str) -> int:
        """Id of the dataset's row, made when absent."""
        return self.database.write(lambda c, _: lineage.register(c, era, table, schema_hash))

    def intend(self, chain_key: str, partition: LedgerRange, writer: str) -> Intent:
        """Note the intent to build; the stored one when it was noted before with this writer."""
        return self.database.write(lambda c, _: holes.intend(c, chain_key, partition, writer))

    def rows(self, chain_key: str) -> list[ChainRow]:
        """All committed partitions of a chain in chain order."""
        return self.database.read(lambda c: chain.rows(c, chain_key))

    def head(self, chain_key: str) -> ChainRow | None:
        """The last link of the chain."""
        return self.database.read(lambda c: chain.head(c, chain_key))

    def commit(
        self,
        dataset_id: int,
        record: CommitRecord,
        row: ChainRow,
        origin: Origin,
        epoch: int,
    ) -> None:
        """Step S5: lineage, quality and chain with the outbox bytes, in one transaction.

        Raises:
            LockedError: another copier took the chain since (fenced by epoch).
            StateError: the partition overlaps, or is not next in the chain.
        """

        def work(c: sa.Connection, tried: int) -> None:
            # First, since it waits for a lost transaction of ours that the server still works on.
            leases.check_fence(c, self.database, row.chain_key, epoch)
            if tried and chain.stands(c, row):
                return  # it was committed, only the acknowledgement was lost
            chain.check_next(c, self.database, row)
            before = chain.checksum_before(c, row)
            lineage.record(
                c, self.database, dataset_id, row.partition, record.tables[0], origin, before
            )
            lineage.set_quality(c, dataset_id, row.partition, None)
            chain.append(c, row)
            holes.done(c, row.chain_key, row.partition)

        self.database.write(work)

    def check_place(
        self,
        chain_key: str,
        partition: LedgerRange,
        dataset_id: int | None = None,
        checksum: str | None = None,
    ) -> None:
        """Whether a partition may be committed next, asked before its commit record is made.

        Args:
            dataset_id: of the lineage that the Go copier may have written, None to leave it out.
            checksum: of the partition's file, None when it is not known yet.

        Raises:
            StateError: it overlaps another, leaves ledgers out, or lineage is of another file.
        """

        def work(c: sa.Connection) -> None:
            chain.check_place(c, self.database, chain_key, partition)
            if dataset_id is not None:
                lineage.check_row(c, self.database, dataset_id, partition, checksum)

        self.database.read(work)

    def mark_filed(self, chain_key: str, seq: int, filed: bool = True) -> None:
        """Note whether the event's file is durable."""
        self.database.write(lambda c, _: chain.mark_filed(c, chain_key, seq, filed))

    def declare_hole(
        self, dataset_id: int, chain_key: str, partition: LedgerRange, reason: str, declared_at: str
    ) -> None:
        """Note a declared hole and its failed quality; idempotent."""

        def work(c: sa.Connection, tried: int) -> None:  # noqa: ARG001
            holes.declare(c, chain_key, partition, reason, declared_at)
            lineage.set_quality(c, dataset_id, partition, reason)

        self.database.write(work)

    def note_failure(self, dataset_id: int, partition: LedgerRange, error: str) -> None:
        """A failed quality row of a partition that is not committed."""
        self.database.write(lambda c, _: lineage.set_quality(c, dataset_id, partition, error))

    def holes(self, chain_key: str) -> list[Hole]:
        """Declared holes in ledger order, repaired ones too."""
        return self.database.read(lambda c: holes.listed(c, chain_key))

    def forget(self, chain_key: str, dataset_id: int) -> None:
        """Remove all that is said of a chain's partitions, before they are made again."""

        def work(c: sa.Connection, tried: int) -> None:  # noqa: ARG001
            for table in (s.chain, s.intents, s.holes, s.deliveries):
                c.execute(sa.delete(table).where(table.c.chain_key == chain_key))
            for table in (s.lineage, s.quality):
                c.execute(sa.delete(table).where(table.c.dataset_id == dataset_id))

        with self.database.unhurried():
            self.database.write(work)

    def chain_keys(self) -> list[str]:
        """Every chain the catalog knows."""
        query = sa.select(s.chain.c.chain_key).distinct().order_by(s.chain.c.chain_key)
        return self.database.read(lambda c: [str(k) for k in c.execute(query).scalars()])
