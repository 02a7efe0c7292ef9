"""One connection and one lock on a database, with its errors turned into errors for people."""

from __future__ import annotations

import itertools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bronze_tui.catalog.outage import Outage, Patience
from bronze_tui.domain.errors import BronzeError, CatalogUnavailable

T = TypeVar("T")


class Database(ABC):
    """Base of both databases; thread-safe.

    Args:
        where: address for people, without credentials.
    """

    rebuild_hint = ""
    """What to do when it is damaged."""

    def __init__(self, where: str, patience: Patience) -> None:
        self.where = where
        self._lock = threading.RLock()
        self._outage = Outage(where, patience)

    @property
    @abstractmethod
    def connection(self) -> sa.Connection:
        """The open connection; use it inside ``guard``."""

    @abstractmethod
    def close(self) -> None:
        """Close it; idempotent."""

    @abstractmethod
    def _begin(self) -> None:
        """Begin a transaction in which what is read still holds when something is written."""

    @abstractmethod
    def _translate(self, error: SQLAlchemyError) -> BronzeError:
        """The error for people."""

    @abstractmethod
    def _damaged(self, error: Exception) -> BronzeError:
        """The error for values that no catalog holds."""

    @abstractmethod
    def on_new_session(self, again: Callable[[sa.Connection], None]) -> None:
        """Call ``again`` with every session that replaces a lost one, before it is used."""

    @abstractmethod
    def touch(self) -> None:
        """Notice a lost session early, where one can be lost; never waits.

        Raises:
            LockedError: another copier has taken a chain since.
        """

    @abstractmethod
    def _make_ready(self) -> None:
        """Wait for a connection that answers, where one can be lost."""

    def unhurried(self) -> AbstractContextManager[None]:
        """A block whose statements may go through whole tables before they answer."""
        return nullcontext()

    def _roll_back(self) -> None:
        self.connection.rollback()

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Hold the lock and turn database errors into errors for people.

        Raises:
            StateError, StoreRefused, LockedError, CatalogUnavailable.
        """
        try:
            with self._lock:
                yield
        except SQLAlchemyError as error:
            # The database's own error may quote a connection string.
            raise self._translate(error) from None
        except (ValueError, TypeError, OverflowError) as error:
            # Text that is no UTF-8, a range that is none: values that only damage leaves.
            raise self._damaged(error) from error

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction that ends with the block; waits for the server to begin it.

        Raises:
            CatalogUnavailable: the connection was lost inside; it may have been committed.
            StateError, StoreRefused, LockedError: as ``guard``.
        """
        self._make_ready()
        with self.guard():
            try:
                self._begin()
                yield self.connection
                self.connection.commit()
            except BaseException:
                self._roll_back()
                raise
        self._outage.over()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read with; raises as ``guard``."""
        self._make_ready()
        with self.guard():
            try:
                yield self.connection
            finally:
                self._roll_back()
        self._outage.over()

    def write(self, work: Callable[[sa.Connection, int], T]) -> T:
        """Do ``work`` in a transaction, again when the connection is lost.

        ``work`` gets the number of times it was tried before. When that is not 0, all it did may
        have been committed already: only the acknowledgement is known to be lost.

        Raises:
            CatalogUnavailable: patience is at its end.
            StateError, StoreRefused, LockedError: as ``guard``.
        """
        for tried in itertools.count():
            try:
                with self.transaction() as c:
                    return work(c, tried)
            except CatalogUnavailable as error:
                self._hold_out(error)
        raise AssertionError("counting has no end")

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """The same for work that only reads."""
        while True:
            try:
                with self.reading() as c:
                    return work(c)
            except CatalogUnavailable as error:
                self._hold_out(error)

    def _hold_out(self, error: CatalogUnavailable) -> None:
        if not error.retryable:
            raise error
        self._outage.hold_out(error)
