"""Queries that were run, kept in the state folder: newest first, each once, 200 at most."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from bronze_tui.domain.files import replace

FILE = "sql-history.json"
MOST = 200
_MAX_BYTES = 4 << 20


class History:
    """The list and its file; without a folder it lasts as long as the process.

    A file that cannot be read or written costs the memory of queries, nothing else.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE if folder is not None else None
        self.queries: list[str] = self._read()

    def add(self, sql: str) -> None:
        """Put ``sql`` first and save."""
        sql = sql.strip()
        if not sql:
            return
        self.queries = [sql, *(q for q in self.queries if q != sql)][:MOST]
        if self._path is not None and self._path.parent.is_dir():
            with suppress(OSError):
                replace(self._path, json.dumps(self.queries, indent=0).encode())

    def _read(self) -> list[str]:
        if self._path is None:
            return []
        try:
            if self._path.stat().st_size > _MAX_BYTES:
                return []
            kept = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return []
        found = kept if isinstance(kept, list) else []
        return [q for q in found if isinstance(q, str) and q.strip()][:MOST]
