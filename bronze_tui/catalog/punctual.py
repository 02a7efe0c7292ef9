"""A PostgreSQL session that is given up when its server says nothing for too long.

A server's own time limits do not hold for a server, proxy or network that takes what is sent and
never answers, and keep-alive probes are answered by whoever took the connection.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

T = TypeVar("T")


def _never() -> float:
    return math.inf


def _no_excuse(pid: int) -> bool:  # noqa: ARG001
    return False


class PunctualConnection(psycopg.Connection[Any]):
    """Closed as soon as its server is silent for ``patience()`` seconds while it owes an answer.

    Whether the server did what it was asked for is then unknown.
    """

    patience: Callable[[], float] = staticmethod(_never)
    """Asked anew for every exchange."""
    excused: Callable[[int], bool] = staticmethod(_no_excuse)
    """Asked with the server's process id when patience is at its end: whether to go on waiting."""

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """See psycopg.

        Raises:
            psycopg.OperationalError: the server was silent.
        """
        try:
            return super().wait(self._bounded(gen), *args, **kwargs)
        except _SilentError:
            # It may still answer, to a question that nobody remembers.
            self.close()
            raise

    def _bounded(self, gen: PQGen[T]) -> PQGen[T]:
        """``gen``, which psycopg resumes about ten times a second when nothing came."""
        seconds, heard = self.patience(), time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard >= seconds:
                    if not self.excused(self.pgconn.backend_pid):
                        raise _SilentError(
                            f"it took the connection and said nothing for {seconds:g} s"
                        )
                    heard = time.monotonic()
                wanted = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result


class _SilentError(psycopg.OperationalError):
    """Without an SQL state, as every error of a connection that is lost."""
