"""A locked DuckDB that sees committed partitions and nothing else; runs inside the child.

No directory is open to it at all: rows come from Arrow datasets, so no variant of COPY, ATTACH or
read_*() has a file to name. Every query runs in a read-only transaction.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from bronze_tui.query import preview, sandbox, tables
from bronze_tui.query.committed import Folder
from bronze_tui.query.export import PLAN_COLUMNS
from bronze_tui.query.statements import READ_RULE, refusal

_WIDE_ROWS, _ROWS = 64, 16_384
_NAG_SECONDS = 0.05
_READS = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_OPTIONS = {
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
}


class Problem(Exception):
    """Why a query has no answer; ``kind`` is refused, sql, failed or cancelled."""

    def __init__(self, kind: str, what: str, detail: str = "") -> None:
        super().__init__(what)
        self.kind, self.what, self.detail = kind, what, detail


@dataclass(frozen=True, slots=True)
class Setup:
    """What the parent asks for; sizes in bytes, times in seconds."""

    root: Path
    pas: Path | None
    memory: int
    seconds: float
    threads: int


@dataclass
class Running:
    """The query in hand, so that another thread can end it."""

    id: int = 0
    cancelled: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Console:
    """One locked connection.

    Args:
        setup: where the dataset is and how much a query may take.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._folder = Folder(setup.root)
        self._signature: tuple[Any, ...] | None = None
        self._scanned = tables.Scanned()
        self._running = Running()
        self._names: list[str] = []
        self.files = 0
        self._connection = duckdb.connect(
            ":memory:",
            config={
                **_OPTIONS,
                "threads": str(setup.threads),
                "memory_limit": f"{setup.memory >> 20}MiB",
            },
        )
        for name, value in (
            ("TimeZone", "'UTC'"),
            ("temp_directory", "''"),
            ("allow_persistent_secrets", "false"),
            ("max_execution_time", str(int(setup.seconds * 1000))),
            ("enable_external_access", "false"),
            ("lock_configuration", "true"),
        ):
            self._connection.execute(f"SET {name} = {value}")
        self.refresh()

    @property
    def notes(self) -> list[str]:
        """What the tables do not show, and why."""
        return list(self._folder.notes)

    def refresh(self) -> None:
        """Show what was committed since."""
        signature = self._folder.signature()
        if signature == self._signature:
            return
        datasets = self._folder.read()
        shown = tables.data_tables(datasets, self._folder.notes, self._scanned)
        shown |= tables.record_tables(self._folder, datasets, self._setup.pas)
        for gone in set(self._names) - set(shown):
            self._connection.unregister(gone)
        for name, dataset in shown.items():
            self._connection.register(name, dataset)
        self._names = list(shown)
        self._signature = signature
        self.files = sum(1 for d in datasets for r in d.records for _ in r.files)

    def schema(self) -> list[dict[str, Any]]:
        """Tables in order, each with its columns as pairs of name and DuckDB type."""
        self.refresh()
        found = []
        for name in self._names:
            rows = self._connection.execute(f'DESCRIBE "{name}"').fetchall()
            found.append({"name": name, "columns": [[row[0], row[1]] for row in rows]})
        return found

    def run(
        self, query: int, sql: str, limit: int, *, short: bool, emit: Callable[[pa.Table], None]
    ) -> dict[str, Any]:
        """Run one query; ``emit`` gets its rows in pieces, at least one so that columns are known.

        Args:
            limit: most rows; 0 means all.
            short: cells cut for a screen (:mod:`bronze_tui.query.preview`).

        Returns:
            ``rows``, ``truncated``, ``seconds``, ``files`` (data files opened), ``columns``.

        Raises:
            Problem: it was refused, is wrong, failed or was cancelled.
        """
        self._refuse(sql)
        begin = time.perf_counter()
        sandbox.allow_cpu(self._setup.seconds * (self._setup.threads + 1) + 10)
        with self._in_hand(query), self._transaction():
            self._scanned.clear()
            rows, truncated = self._stream(query, sql, limit, short=short, emit=emit)
        return {
            "rows": rows,
            "truncated": truncated,
            "seconds": time.perf_counter() - begin,
            "files": self._scanned.files,
            "columns": sorted(self._scanned.columns),
        }

    def cancel(self, query: int) -> None:
        """End ``query``, running or still to come; returns when it ended. Any thread."""
        self._running.cancelled.add(query)
        while self._running.id == query:
            self._connection.interrupt()
            time.sleep(_NAG_SECONDS)

    def _refuse(self, sql: str) -> None:
        reason = refusal(sql)
        if reason:
            raise Problem("refused", reason)
        try:
            sql.encode()
            found = self._connection.extract_statements(sql)
        except UnicodeError as error:
            raise Problem("sql", "the query is not valid Unicode text") from error
        except duckdb.Error as error:
            raise problem(error) from error
        if len(found) != 1 or found[0].type not in _READS:
            kind = found[0].type.name.replace("_", " ") if found else "nothing"
            kind = "PIVOT without IN" if kind == "MULTI" else kind
            raise Problem("refused", f"{kind} is refused; {READ_RULE}")

    def _stream(
        self, query: int, sql: str, limit: int, *, short: bool, emit: Callable[[pa.Table], None]
    ) -> tuple[int, bool]:
        relation = self._connection.sql(sql)
        if relation is None:
            raise Problem("refused", f"it gives no rows; {READ_RULE}")
        if limit:
            relation = relation.limit(limit + 1)
        wide = any(str(kind) in ("BLOB", "VARIANT", "JSON") for kind in relation.types)
        reader = relation.to_arrow_reader(_WIDE_ROWS if wide else _ROWS)
        short = short and reader.schema.names != PLAN_COLUMNS
        emit(_piece(reader.schema.empty_table(), short=short))
        rows = 0
        for batch in reader:
            if query in self._running.cancelled:
                raise Problem("cancelled", "cancelled")
            keep = min(batch.num_rows, limit - rows) if limit else batch.num_rows
            if keep:
                emit(_piece(pa.Table.from_batches([batch.slice(0, keep)]), short=short))
            rows += keep
            if keep < batch.num_rows:
                return rows, True
        return rows, False

    @contextmanager
    def _in_hand(self, query: int) -> Iterator[None]:
        """While inside, a cancel interrupts; every failure leaves as a Problem."""
        self._running.id = query
        try:
            if query in self._running.cancelled:
                raise Problem("cancelled", "cancelled")
            yield
        except Problem:
            raise
        except (duckdb.Error, pa.ArrowException, OSError, MemoryError, ValueError) as error:
            if query in self._running.cancelled:
                raise Problem("cancelled", "cancelled") from error
            raise problem(error, self._setup.seconds) from error
        finally:
            self._running.id = 0

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Read only, and rolled back: nothing a query does outlives it."""
        self.refresh()
        self._connection.execute("BEGIN TRANSACTION READ ONLY")
        try:
            yield
        finally:
            with suppress(duckdb.Error):
                self._connection.execute("ROLLBACK")


def _piece(table: pa.Table, *, short: bool) -> pa.Table:
    return preview.shorten(table) if short else preview.plain_types(table)


_PREFIX = re.compile(r"^(?:[A-Z][A-Za-z ]* )?(?:Error|ERROR): ")
_WRONG_SQL = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.SyntaxException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.TypeMismatchException,
)


def problem(error: Exception, seconds: float = 0) -> Problem:
    """DuckDB's or Arrow's error as a sentence, with the marked place as detail."""
    text = str(error).strip()
    first, _, rest = text.partition("\n")
    what = _PREFIX.sub("", first).rstrip(".! ") or type(error).__name__
    if isinstance(error, duckdb.InterruptException):
        return Problem("failed", f"stopped after {seconds:g} s, the most it may take")
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError | pa.ArrowMemoryError):
        return Problem("failed", "it needs more memory than the console may take", text)
    if isinstance(error, duckdb.PermissionException):
        return Problem("refused", f"{what}; the console sees its tables and no files")
    if isinstance(error, duckdb.CatalogException) and what.startswith("Table "):
        return Problem("sql", f"{what}; SHOW TABLES lists what there is", rest.strip("\n"))
    if isinstance(error, _WRONG_SQL):
        return Problem("sql", what, rest.strip("\n"))
    if "configuration has been locked" in text:
        return Problem("refused", f"{what}; settings are locked")
    if "read-only mode" in text:
        return Problem("refused", f"writing is refused; {READ_RULE}")
    return Problem("failed", what, rest.strip("\n"))
