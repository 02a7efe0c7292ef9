"""The catalog: intent, lineage, chain and outbox, lease, behind one connection and one lock.

SQLAlchemy Core over SQLite in the state folder; ``synchronous=EXTRA`` so that a commit that was
acknowledged survives a power cut.
"""

from __future__ import annotations

import sqlite3
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from bronze_tui.catalog import schema as s
from bronze_tui.catalog.records import ChainRow, Hole, Intent, Origin
from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import BronzeError, LockedError, StateError, StoreRefused
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import CommitRecord

REBUILD = (
    "move the file aside and run again: the catalog is rebuilt from commit records and audit events"
)


class Catalog:
    """One open catalog; thread-safe.

    Every method may raise StateError (damaged, or a rule of the chain broken), StoreRefused (disk
    full, read-only) or LockedError (another process holds the database).
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._lock = threading.RLock()
        address = urllib.parse.quote(str(path.resolve()))
        mode = f"file:{address}?mode={'ro' if read_only else 'rwc'}"
        self._engine = sa.create_engine(
            "sqlite+pysqlite://",
            creator=lambda: _connect(mode),
            poolclass=StaticPool,
        )
        with self.guard():
            self._connection = self._engine.connect()
            try:
                self._open(read_only)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the connection; idempotent."""
        with self._lock:
            self._connection.close()
            self._engine.dispose()

    def _open(self, read_only: bool) -> None:
        run = self._connection.exec_driver_sql
        if not read_only:
            run("PRAGMA synchronous=EXTRA")
            run("PRAGMA foreign_keys=ON")
        broken = run("PRAGMA quick_check(1)").scalar()
        if broken != "ok":
            raise StateError(f"catalog is damaged ({broken})", where=str(self._path), todo=REBUILD)
        if not read_only:
            # One transaction: a crash leaves no table without its indexes.
            run("BEGIN IMMEDIATE")
            s.metadata.create_all(self._connection)
            run(s.COVERAGE_VIEW)
            self._check_version()
            self._connection.commit()

    def _check_version(self) -> None:
        query = sa.select(s.info.c.value).where(s.info.c.key == "schema_version")
        version = self._connection.execute(query).scalar()
        if version is None:
            self._connection.execute(
                s.info.insert().values(key="schema_version", value=str(s.SCHEMA_VERSION))
            )
        elif version != str(s.SCHEMA_VERSION):
            raise StateError(
                f"catalog has schema version {version}, this software knows {s.SCHEMA_VERSION}",
                where=str(self._path),
                todo="use the version that wrote it or a newer one",
            )

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn database errors into errors for people."""
        where = str(self._path)
        try:
            with self._lock:
                yield
        except IntegrityError as error:
            raise StateError(
                f"the catalog forbids it ({error.orig})", where=where, todo="run bronze verify"
            ) from error
        except SQLAlchemyError as error:
            raise _people_error(error, where) from error
        except (ValueError, TypeError, OverflowError) as error:
            # Text that is no UTF-8, a range that is none: values that only damage leaves.
            raise StateError(f"catalog is damaged ({error})", where=where, todo=REBUILD) from error

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        with self.guard():
            try:
                # Immediate: what is read here must still hold when it is written.
                self._connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.commit()
            except BaseException:
                self._roll_back()
                raise

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """The connection for queries alone; nothing is kept of what is done with it."""
        with self.guard():
            try:
                yield self._connection
            finally:
                self._connection.rollback()

    def _roll_back(self) -> None:
        """SQLAlchemy forgets a transaction whose commit failed, while SQLite may still hold it."""
        self._connection.rollback()
        self._connection.connection.rollback()

    def take_lease(self, chain_key: str, owner: str) -> int:
        """Note a new owner of the chain; its epoch, one more than the last."""
        now = _iso_now()
        with self.transaction() as c:
            old = c.execute(
                sa.select(s.leases.c.epoch).where(s.leases.c.chain_key == chain_key)
            ).scalar()
            epoch = (old or 0) + 1
            c.execute(sa.delete(s.leases).where(s.leases.c.chain_key == chain_key))
            c.execute(
                s.leases.insert().values(
                    chain_key=chain_key, epoch=epoch, owner=owner, taken_at=now
                )
            )
        return epoch

    def register(self, era: Era, table: str, schema_hash: str) -> int:
        """Id of the dataset's row, made when absent."""
        key = {
            "domain": "bronze",
            "dataset": table,
            "version": era.version_label,
            "era_id": era.era_id,
            "network": era.network,
        }
        query = sa.select(s.datasets.c.id).where(
            *(s.datasets.c[name] == value for name, value in key.items())
        )
        with self.transaction() as c:
            found = c.execute(query).scalar()
            if found is None:
                c.execute(
                    s.datasets.insert().values(
                        **key,
                        schema_hash=schema_hash,
                        description=f"Raw {table} data from Stellar network",
                    )
                )
                found = c.execute(query).scalar_one()
        return int(found)

    def intend(self, chain_key: str, partition: LedgerRange, writer: str) -> Intent:
        """Note the intent to build; the stored one when it was noted before with this writer."""
        where = _partition_where(s.intents, chain_key, partition)
        with self.transaction() as c:
            row = c.execute(sa.select(s.intents).where(*where)).mappings().first()
            if row is not None and row["writer"] == writer:
                return Intent(partition, writer, row["created_at"])
            c.execute(sa.delete(s.intents).where(*where))
            created = _iso_now()
            c.execute(
                s.intents.insert().values(
                    **_key(chain_key, partition), writer=writer, created_at=created
                )
            )
        return Intent(partition, writer, created)

    def rows(self, chain_key: str) -> list[ChainRow]:
        """All committed partitions of a chain in chain order."""
        query = sa.select(s.chain).where(s.chain.c.chain_key == chain_key).order_by(s.chain.c.seq)
        with self.guard():
            found = [_chain_row(r) for r in self._connection.execute(query).mappings()]
            self._connection.rollback()
        return found

    def head(self, chain_key: str) -> ChainRow | None:
        """The last link of the chain."""
        query = (
            sa.select(s.chain)
            .where(s.chain.c.chain_key == chain_key)
            .order_by(s.chain.c.seq.desc())
            .limit(1)
        )
        with self.guard():
            row = self._connection.execute(query).mappings().first()
            self._connection.rollback()
        return None if row is None else _chain_row(row)

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
        table = record.tables[0]
        with self.transaction() as c:
            self._check_fence(c, row.chain_key, epoch)
            self._check_next(c, row)
            c.execute(
                s.lineage.insert().values(
                    dataset_id=dataset_id,
                    ledger_start=row.partition.start,
                    ledger_end=row.partition.end,
                    row_count=table.row_count,
                    byte_size=table.byte_size,
                    checksum=table.checksum,
                    prev_hash=self._checksum_before(c, row),
                    storage_path=origin.storage_path,
                    storage_uri=origin.storage_uri,
                    producer_version=origin.producer_version,
                    producer_git_sha=origin.producer_git_sha,
                    source_type=origin.source_type,
                    source_location=origin.source_location,
                )
            )
            self._set_quality(c, dataset_id, row.partition, None)
            c.execute(s.chain.insert().values(**_chain_values(row), created_at=_iso_now()))
            where = _partition_where(s.intents, row.chain_key, row.partition)
            c.execute(sa.delete(s.intents).where(*where))
            hole = _partition_where(s.holes, row.chain_key, row.partition)
            c.execute(sa.update(s.holes).where(*hole).values(repaired_at=_iso_now()))

    def _check_fence(self, c: sa.Connection, chain_key: str, epoch: int) -> None:
        now = c.execute(
            sa.select(s.leases.c.epoch).where(s.leases.c.chain_key == chain_key)
        ).scalar()
        if now != epoch:
            raise LockedError(
                f"another copier took chain {chain_key} (epoch {now}, ours was {epoch})",
                where=str(self._path),
                todo="let that one go on; this run commits nothing more",
            )

    def _check_next(self, c: sa.Connection, row: ChainRow) -> None:
        """One child per event is the database's rule; contiguity and overlap are checked here."""
        same = s.chain.c.chain_key == row.chain_key
        last = (
            c.execute(
                sa.select(s.chain.c.seq, s.chain.c.event_hash)
                .where(same)
                .order_by(s.chain.c.seq.desc())
                .limit(1)
            )
        ).first()
        seq, head = (-1, "") if last is None else (int(last[0]), str(last[1]))
        if row.seq != seq + 1 or row.prev_event_hash != head:
            raise StateError(
                f"event of {row.partition} is not next in chain {row.chain_key}",
                where=str(self._path),
                todo="another writer was here; run bronze verify",
            )
        self._check_place(c, row.chain_key, row.partition)

    def check_place(self, chain_key: str, partition: LedgerRange) -> None:
        """Whether a partition may be committed next, asked before its commit record is made.

        Raises:
            StateError: it overlaps another, or leaves ledgers out.
        """
        with self.transaction() as c:
            self._check_place(c, chain_key, partition)

    def _check_place(self, c: sa.Connection, chain_key: str, partition: LedgerRange) -> None:
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
                where=str(self._path),
                todo="a committed ledger is never committed again; was era.ledger_start changed?",
            )
        self._check_contiguous(c, chain_key, partition)

    def _check_contiguous(self, c: sa.Connection, chain_key: str, partition: LedgerRange) -> None:
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
                where=str(self._path),
                todo="was era.ledger_start changed? use the dataset's own",
            )
        reached = end
        for hole_start, hole_end in holes:
            if hole_start == reached + 1:
                reached = hole_end
        if start != reached + 1:
            raise StateError(
                f"partition {partition} leaves ledgers {reached + 1} to {start - 1} out",
                where=str(self._path),
                todo="a hole must be declared before the chain goes on behind it",
            )

    def _checksum_before(self, c: sa.Connection, row: ChainRow) -> str | None:
        found = c.execute(
            sa.select(s.chain.c.checksum)
            .where(s.chain.c.chain_key == row.chain_key)
            .where(s.chain.c.ledger_end < row.partition.start)
            .order_by(s.chain.c.ledger_end.desc())
            .limit(1)
        ).scalar()
        return None if found is None else str(found)

    @staticmethod
    def _set_quality(
        c: sa.Connection, dataset_id: int, partition: LedgerRange, error: str | None
    ) -> None:
        q = s.quality.c
        c.execute(
            sa.delete(s.quality).where(
                q.dataset_id == dataset_id,
                q.ledger_start == partition.start,
                q.ledger_end == partition.end,
            )
        )
        c.execute(
            s.quality.insert().values(
                dataset_id=dataset_id,
                ledger_start=partition.start,
                ledger_end=partition.end,
                passed=error is None,
                error_message=error,
            )
        )

    def mark_filed(self, chain_key: str, seq: int, filed: bool = True) -> None:
        """Note whether the event's file is durable."""
        with self.transaction() as c:
            c.execute(
                sa.update(s.chain)
                .where(s.chain.c.chain_key == chain_key, s.chain.c.seq == seq)
                .values(filed=filed)
            )

    def declare_hole(
        self, dataset_id: int, chain_key: str, partition: LedgerRange, reason: str, declared_at: str
    ) -> None:
        """Note a declared hole and its failed quality; idempotent."""
        where = _partition_where(s.holes, chain_key, partition)
        with self.transaction() as c:
            if c.execute(sa.select(s.holes.c.reason).where(*where)).first() is None:
                c.execute(
                    s.holes.insert().values(
                        **_key(chain_key, partition), reason=reason, declared_at=declared_at
                    )
                )
            self._set_quality(c, dataset_id, partition, reason)

    def note_failure(self, dataset_id: int, partition: LedgerRange, error: str) -> None:
        """A failed quality row of a partition that is not committed."""
        with self.transaction() as c:
            self._set_quality(c, dataset_id, partition, error)

    def holes(self, chain_key: str) -> list[Hole]:
        """Declared holes in ledger order, repaired ones too."""
        query = (
            sa.select(s.holes)
            .where(s.holes.c.chain_key == chain_key)
            .order_by(s.holes.c.ledger_start)
        )
        with self.guard():
            found = [
                Hole(
                    LedgerRange(r["ledger_start"], r["ledger_end"]),
                    r["reason"],
                    r["declared_at"],
                    r["repaired_at"],
                )
                for r in self._connection.execute(query).mappings()
            ]
            self._connection.rollback()
        return found

    def chain_keys(self) -> list[str]:
        """Every chain the catalog knows."""
        query = sa.select(s.chain.c.chain_key).distinct().order_by(s.chain.c.chain_key)
        with self.guard():
            found = [str(k) for k in self._connection.execute(query).scalars()]
            self._connection.rollback()
        return found


def _connect(uri: str) -> Any:
    return sqlite3.connect(uri, uri=True, timeout=10, check_same_thread=False, isolation_level=None)


def _people_error(error: SQLAlchemyError, where: str) -> BronzeError:
    cause = str(getattr(error, "orig", error)).strip()
    # By code: a damaged catalog puts any word into the text.
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LockedError(
            "another process holds the catalog",
            where=where,
            todo="stop it, or use another state folder",
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return StoreRefused(
            f"catalog cannot be written ({cause})",
            where=where,
            todo="free space or fix permissions, then run again",
        )
    if code == sqlite3.SQLITE_IOERR:
        return StoreRefused(
            f"the disk failed under the catalog ({cause})",
            where=where,
            todo="check the disk, then run again",
        )
    if isinstance(error, DatabaseError):
        return StateError(f"catalog is damaged ({cause})", where=where, todo=REBUILD)
    return StateError(f"catalog failed ({cause})", where=where)


def _iso_now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _key(chain_key: str, partition: LedgerRange) -> dict[str, Any]:
    return {
        "chain_key": chain_key,
        "ledger_start": partition.start,
        "ledger_end": partition.end,
    }


def _partition_where(
    table: sa.Table, chain_key: str, partition: LedgerRange
) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in _key(chain_key, partition).items()]


def _chain_values(row: ChainRow) -> dict[str, Any]:
    return {
        **_key(row.chain_key, row.partition),
        "seq": row.seq,
        "prev_event_hash": row.prev_event_hash,
        "event_hash": row.event_hash,
        "event": row.event,
        "first_previous_hash": row.first_previous_hash,
        "last_ledger_hash": row.last_ledger_hash,
        "content_hash": row.content_hash,
        "checksum": row.checksum,
        "commit_sha256": row.commit_sha256,
        "filed": row.filed,
        "delivered": False,
    }


def _chain_row(row: Any) -> ChainRow:
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
