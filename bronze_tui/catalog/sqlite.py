"""The catalog in a SQLite file; ``synchronous=EXTRA`` so that a commit that was acknowledged
survives a power cut."""

from __future__ import annotations

import sqlite3
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from bronze_tui.catalog.database import Database
from bronze_tui.catalog.outage import Patience
from bronze_tui.domain.errors import BronzeError, LockedError, StateError, StoreRefused

REBUILD = (
    "move the file aside and run again: the catalog is rebuilt from commit records and audit events"
)


class SqliteDatabase(Database):
    """One open file.

    Raises:
        StateError: damaged. StoreRefused: disk full, no permission, no such folder.
        LockedError: another process holds it.
    """

    rebuild_hint = REBUILD

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        super().__init__(str(path), Patience())
        address = urllib.parse.quote(str(path.resolve()))
        # A reader too must be able to roll back what a killed writer left half done.
        mode = f"file:{address}?mode={'rw' if read_only else 'rwc'}"
        self._engine = sa.create_engine(
            "sqlite+pysqlite://", creator=lambda: _connect(mode), poolclass=StaticPool
        )
        with self.guard():
            self._connection = self._engine.connect()
            try:
                self._check(read_only)
            except BaseException:
                self.close()
                raise

    @property
    def connection(self) -> sa.Connection:
        """The one connection, as long as the file is open."""
        return self._connection

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._lock:
            self._connection.close()
            self._engine.dispose()

    def on_new_session(self, again: Callable[[sa.Connection], None]) -> None:
        """A file has no session that could be lost."""

    def touch(self) -> None:
        """Nor does it go away."""

    def _make_ready(self) -> None:
        """It is ready while it is open."""

    def _check(self, read_only: bool) -> None:
        run = self._connection.exec_driver_sql
        if read_only:
            run("PRAGMA query_only=ON")
        else:
            run("PRAGMA synchronous=EXTRA")
            run("PRAGMA foreign_keys=ON")
        broken = run("PRAGMA quick_check(1)").scalar()
        self._connection.rollback()
        if broken != "ok":
            raise StateError(f"catalog is damaged ({broken})", where=self.where, todo=REBUILD)

    def _begin(self) -> None:
        self._connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _roll_back(self) -> None:
        """SQLAlchemy forgets a transaction whose commit failed, while SQLite may still hold it."""
        self._connection.rollback()
        self._connection.connection.rollback()

    def _damaged(self, error: Exception) -> BronzeError:
        return StateError(f"catalog is damaged ({error})", where=self.where, todo=REBUILD)

    def _translate(self, error: SQLAlchemyError) -> BronzeError:
        cause = str(getattr(error, "orig", error)).strip()
        if isinstance(error, IntegrityError):
            return StateError(
                f"the catalog forbids it ({cause})", where=self.where, todo="run bronze verify"
            )
        # By code: a damaged catalog puts any word into the text.
        whole = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
        if whole == sqlite3.SQLITE_READONLY_ROLLBACK:
            return StoreRefused(
                "a killed process left a transaction half done, and this user may not undo it",
                where=self.where,
                todo="run it as the copier's user, or run the copier again",
            )
        code = whole & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return LockedError(
                "another process holds the catalog",
                where=self.where,
                todo="stop it, or use another state folder",
            )
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            return StoreRefused(
                f"catalog cannot be written ({cause})",
                where=self.where,
                todo="free space or fix permissions, then run again",
            )
        if code == sqlite3.SQLITE_IOERR:
            return StoreRefused(
                f"the disk failed under the catalog ({cause})",
                where=self.where,
                todo="check the disk, then run again",
            )
        if isinstance(error, DatabaseError):
            return self._damaged(ValueError(cause))
        return StateError(f"catalog failed ({cause})", where=self.where)


def _connect(uri: str) -> Any:
    return sqlite3.connect(uri, uri=True, timeout=10, check_same_thread=False, isolation_level=None)
