"""Rows of one query as they come from the console's process, piece by piece."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Frames = Generator[tuple[dict[str, Any], bytes], None, None]
"""Headers and bodies that answer one question, the last one of type ``end``."""


class Result:
    """Rows of one query, as they come; iterate it once or ``read_all``.

    ``rows``, ``truncated``, ``seconds``, ``files`` and ``notes`` are final when the iteration has
    ended. Leaving it early cancels the query.
    """

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self.rows = 0
        self.truncated = False
        self.seconds = 0.0
        self.files = 0
        """Data files that the filter let through."""
        self.columns: tuple[str, ...] = ()
        """Columns that were read from them."""
        self.notes: tuple[str, ...] = ()
        self._empty = self._next()

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the rows."""
        return self._empty.schema

    def __iter__(self) -> Iterator[pa.Table]:
        """Pieces of the result, in order, none empty.

        Raises:
            QueryRefused, QueryFailed, QueryDied, QueryCancelled.
        """
        try:
            while (piece := self._next()) is not None:
                yield piece
        finally:
            self.close()

    def read_all(self) -> pa.Table:
        """All rows as one table."""
        import pyarrow as pa

        return pa.concat_tables([self._empty, *self])

    def close(self) -> None:
        """Give up what was not read."""
        self._frames.close()

    def _next(self) -> Any:
        import pyarrow as pa

        header, body = next(self._frames, ({"type": "end"}, b""))
        if header["type"] == "rows":
            return pa.ipc.open_stream(body).read_all()
        for name in ("rows", "truncated", "seconds", "files"):
            setattr(self, name, header.get(name, getattr(self, name)))
        self.columns = tuple(header.get("columns", self.columns))
        self.notes = tuple(header.get("notes", self.notes))
        return None
