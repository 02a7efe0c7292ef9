"""What can go wrong with a query, and which exit code it has."""

from __future__ import annotations

from bronze_tui.domain.errors import BronzeError, Exit, Stopped, UsageError


class QueryRefused(UsageError):
    """The SQL is wrong, or asks for more than reading.

    ``detail`` may hold several lines with the place marked, as DuckDB prints them.
    """

    def __init__(self, what: str, *, detail: str = "", todo: str = "") -> None:
        super().__init__(what, todo=todo)
        self.detail = detail


class QueryFailed(BronzeError):
    """The query was right and could not be answered: memory, time, a damaged file."""


class QueryDied(QueryFailed):
    """The console's process ended in the middle of a query; the next query starts a new one."""


class QueryCancelled(Stopped):
    """The query was given up because somebody asked for it."""

    exit_code = Exit.SIGINT
