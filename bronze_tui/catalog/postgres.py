"""The catalog in PostgreSQL: one session, which holds the advisory locks of its chains, made
again when it is lost."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from bronze_tui.catalog.database import Database
from bronze_tui.catalog.dsn import parse
from bronze_tui.catalog.outage import Patience
from bronze_tui.catalog.punctual import PunctualConnection
from bronze_tui.catalog.unreachable import BRING_BACK, away
from bronze_tui.domain.errors import BronzeError, CatalogUnavailable, StateError, StoreRefused

REBUILD = "run 'bronze catalog rebuild': it is made again from commit records and audit events"
_AWAY = {
    "25006": "is read-only (a standby, or its disk is full)",
    "40001": "asked for the transaction again",
    "40P01": "asked for the transaction again (deadlock)",
    "53100": "has no disk space left",
    "53200": "has no memory left",
    "53300": "has too many connections",
    "55P03": "has its tables locked by another session",
    "57014": "cancelled the statement",
}
SILENCE = 30.0
"""Seconds without an answer after which a session is given up."""
_LONG_WORK = 600.0
"""Seconds that a statement may take, and that the server is waited for while it says that it works
on one that goes through whole tables."""
_AT_WORK = (
    "SELECT state = 'active' AND wait_event IS DISTINCT FROM 'ClientRead'"
    " FROM pg_stat_activity WHERE pid = %s"
)
_ASIDE = 5.0
"""The same for the session that is asked what another one does."""
_PARTING = 2.0
"""The same for giving locks back at the end, which the server does by itself a bit later."""
_SESSION = (
    # What was acknowledged must survive the server's crash; stronger settings are kept.
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'",
    # Nothing of ours takes longer, and nobody may wait for the answer any more.
    f"SELECT set_config('statement_timeout', '{_LONG_WORK:.0f}s', false)"
    " WHERE current_setting('statement_timeout') = '0'",
    # So that the server frees the locks of a machine that vanished.
    "SET tcp_keepalives_idle = 15",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)


class PostgresDatabase(Database):
    """One session.

    Args:
        patience: what to do when the session is lost. Opening never waits.
        silence: seconds without an answer after which the session counts as lost.

    Raises:
        CatalogUnavailable: not reachable. ConfigError: the connection string is wrong.
    """

    rebuild_hint = REBUILD

    def __init__(
        self,
        dsn: str,
        *,
        read_only: bool = False,
        patience: Patience | None = None,
        silence: float = SILENCE,
    ) -> None:
        self._address = parse(dsn, read_only=read_only)
        super().__init__(self._address.where, patience or Patience())
        self._read_only = read_only
        self._lock_wait = 0.8 * silence
        self._silence = silence
        self._unhurried_until = 0.0
        self._engine = sa.create_engine(
            "postgresql+psycopg://", creator=self._dial, poolclass=NullPool
        )
        self._session: sa.Connection | None = None
        self._backend: tuple[int, str] | None = None
        self._closed = False
        self._again: Callable[[sa.Connection], None] | None = None
        with self.guard():
            self._connect()

    @property
    def connection(self) -> sa.Connection:
        """The session of now."""
        if self._session is None:
            raise CatalogUnavailable("the session was lost", where=self.where)
        return self._session

    def close(self) -> None:
        """End the session, and with it its locks; idempotent."""
        with self._lock:
            self._closed = True
            self._silence = min(self._silence, _PARTING)
            if self._session is not None:
                # Else the next run might find its locks taken for a moment.
                with suppress(SQLAlchemyError):
                    self._session.execute(sa.select(sa.func.pg_advisory_unlock_all()))
            self._drop()
            self._engine.dispose()

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """A block whose statements may go through whole tables before they answer."""
        self._unhurried_until = time.monotonic() + 1.1 * _LONG_WORK
        try:
            yield
        finally:
            self._unhurried_until = 0.0

    def _is_at_work(self, pid: int) -> bool:
        """Whether the server, asked over another session, works on a statement that may be long."""
        if time.monotonic() >= self._unhurried_until:
            return False
        try:
            with PunctualConnection.connect(**self._address.options) as other:
                other.patience = lambda: _ASIDE
                found = other.execute(_AT_WORK, (pid,)).fetchone()
        except psycopg.Error:
            return False
        return found is not None and bool(found[0])

    def on_new_session(self, again: Callable[[sa.Connection], None]) -> None:
        """Call ``again`` with every session that replaces a lost one, before it is used."""
        self._again = again

    def touch(self) -> None:
        """Look whether the session lives, make it again when not; never waits.

        Raises:
            LockedError: another copier has taken a chain since.
        """
        if not self._lock.acquire(blocking=False):
            return  # somebody works with it just now
        try:
            with self.guard():
                self._ping()
        except CatalogUnavailable as error:
            self._outage.note(error)
        else:
            self._outage.over()
        finally:
            self._lock.release()

    def _make_ready(self) -> None:
        while True:
            try:
                with self.guard():
                    self._ping()
                    return
            except CatalogUnavailable as error:
                # Outside the lock, so that others may try too, or look at the clock.
                self._hold_out(error)

    def _ping(self) -> None:
        if self._session is None:
            self._connect()
            return
        if self._session.in_transaction():
            return
        try:
            self._session.exec_driver_sql("SELECT 1")
            self._session.rollback()
        except SQLAlchemyError as error:
            made = self._translate(error)
            if not isinstance(made, CatalogUnavailable):
                raise
            self._drop()
            # An idle session that was ended is no outage yet.
            self._connect()

    def _connect(self) -> None:
        if self._closed:
            raise StateError("the catalog is closed", where=self.where)
        old, session = self._backend, self._engine.connect()
        try:
            for statement in _SESSION:
                session.exec_driver_sql(statement)
            # Shorter than our patience, so that it is the server who says what it waits for.
            session.exec_driver_sql(f"SET lock_timeout = {self._lock_wait * 1000:.0f}")
            if self._read_only:
                session.exec_driver_sql("SET default_transaction_read_only = on")
            session.commit()
            if old is not None:
                self._end_backend(session, old)
                if self._again is not None:
                    self._again(session)
                    session.commit()
            self._backend = _backend(session)
        except BaseException:
            with suppress(SQLAlchemyError):
                session.close()
            raise
        self._session = session

    def _end_backend(self, session: sa.Connection, old: tuple[int, str]) -> None:
        """Our former session may live on in a server that has not noticed the cut, locks and all.

        By pid and start, since pids are given again; waits until it has ended.
        """
        with suppress(SQLAlchemyError):
            session.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE pid = :pid AND backend_start::text = :start"
                ),
                {"pid": old[0], "start": old[1]},
            ).all()
        session.rollback()

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(SQLAlchemyError):
                session.invalidate()
            with suppress(SQLAlchemyError):
                session.close()

    def _begin(self) -> None:
        """The first statement begins it; rows that decide are read with FOR UPDATE."""

    def _roll_back(self) -> None:
        if self._session is None:
            return
        try:
            self._session.rollback()
        except SQLAlchemyError:
            self._drop()

    def _dial(self) -> Any:
        session = PunctualConnection.connect(**self._address.options)
        session.patience = lambda: self._silence
        session.excused = self._is_at_work
        return session

    def _damaged(self, error: Exception) -> BronzeError:
        cause = self._address.clean(str(error))
        return StateError(f"catalog is damaged ({cause})", where=self.where, todo=REBUILD)

    def _translate(self, error: SQLAlchemyError) -> BronzeError:
        orig = getattr(error, "orig", None)
        cause = self._address.clean(" ".join(str(orig or error).split()))
        code = getattr(orig, "sqlstate", None) or ""
        if isinstance(error, IntegrityError):
            return StateError(
                f"the catalog forbids it ({cause})", where=self.where, todo="run bronze verify"
            )
        if code in _AWAY:
            return self._away(f"PostgreSQL {_AWAY[code]} ({cause})")
        lost = isinstance(orig, psycopg.OperationalError | psycopg.InterfaceError) and not code
        if lost or code[:2] == "08" or code[:4] == "57P0":
            self._drop()
            return away(cause, self.where)
        if code == "42501":
            return StoreRefused(
                f"PostgreSQL refuses it to this role ({cause})",
                where=self.where,
                todo="let the role use and create tables in its schema, then run again",
            )
        return StateError(f"catalog failed ({cause})", where=self.where, todo=REBUILD)

    def _away(self, what: str) -> CatalogUnavailable:
        return CatalogUnavailable(what, where=self.where, todo=BRING_BACK)


def try_lock(session: sa.Connection, name: str) -> bool:
    """Take the session's advisory lock of this name in this schema; False when another has it."""
    return bool(session.execute(_lock_call("pg_try_advisory_lock", session, name)).scalar())


def lock_transaction(session: sa.Connection, name: str) -> None:
    """Wait for the advisory lock of this name; it is given back with the transaction."""
    session.execute(_lock_call("pg_advisory_xact_lock", session, name))


def _lock_call(function: str, session: sa.Connection, name: str) -> sa.Select[Any]:
    schema = session.execute(sa.text("SELECT current_schema()")).scalar()
    digest = hashlib.sha256(f"bronze-tui\0{schema}\0{name}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    return sa.select(getattr(sa.func, function)(sa.cast(key, sa.BigInteger)))


def _backend(session: sa.Connection) -> tuple[int, str]:
    row = session.execute(
        sa.text(
            "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        )
    ).one()
    session.rollback()
    return int(row[0]), str(row[1])
