"""Results as CSV, JSON, Parquet or an aligned table, written piece by piece by our own process."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from bronze_tui.domain.errors import StoreRefused, UsageError
from bronze_tui.domain.files import replace
from bronze_tui.domain.text import safe_text
from bronze_tui.domain.writers import temp_name

if TYPE_CHECKING:
    import pyarrow as pa

    from bronze_tui.query.result import Result

Format = Literal["table", "csv", "json", "parquet"]
_CELL = 200
PLAN_COLUMNS = ["explain_key", "explain_value"]
"""What EXPLAIN gives: its second column is drawn text of many lines."""


def write(result: Result, form: Format, stream: IO[bytes]) -> int:
    """Write all rows; their number. Blobs are hex in CSV and JSON, whole in Parquet.

    Raises:
        QueryFailed, QueryDied, QueryCancelled: what was written so far is not a whole file.
        OSError: the stream takes no more.
    """
    writers = {"table": _table, "csv": _csv, "json": _json, "parquet": _parquet}
    writers[form](result, stream)
    return result.rows


@contextmanager
def new_file(path: Path, *, outside: Iterable[Path]) -> Iterator[IO[bytes]]:
    """A stream whose bytes stand at ``path`` when the block ends well, and nowhere otherwise.

    Args:
        outside: folders of data that nothing may be written into.

    Raises:
        UsageError: ``path`` lies inside one of them.
        StoreRefused: it cannot be written.
    """
    target = path.resolve()
    if any(target.is_relative_to(folder.resolve()) for folder in outside):
        raise UsageError("lies inside the data", where=str(path), todo="name another folder")
    temp = target.parent / temp_name()
    try:
        with temp.open("xb") as stream:
            yield stream
        replace(target, temp)
    except OSError as error:
        raise StoreRefused(error.strerror or str(error), where=str(path)) from error
    finally:
        with suppress(OSError):
            temp.unlink(missing_ok=True)


def form_of(path: Path) -> Format:
    """The format that a file's name asks for.

    Raises:
        UsageError: none that is known.
    """
    found = path.suffix.lower().lstrip(".")
    if found not in ("csv", "json", "parquet"):
        raise UsageError("unknown kind of file", where=str(path), todo="use .csv, .json, .parquet")
    return found  # type: ignore[return-value]


def _csv(result: Result, stream: IO[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.csv as pc

    empty = _texts(result.schema.empty_table())
    with pc.CSVWriter(pa.PythonFile(_Counted(stream), "w"), empty.schema) as writer:
        for piece in result:
            writer.write_table(_texts(piece))


def _json(result: Result, stream: IO[bytes]) -> None:
    """One array, one object a line."""
    before = b"[\n"
    for piece in result:
        for row in _rows(piece):
            line = json.dumps(_jsonable(row), ensure_ascii=False)
            stream.write(before + line.encode("utf-8", "replace"))
            before = b",\n"
    stream.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _rows(piece: pa.Table) -> list[dict[str, Any]]:
    """Rows as Python values; times in years that Python cannot hold as text."""
    import pyarrow as pa
    import pyarrow.types as pt

    for number, field in enumerate(piece.schema):
        if pt.is_timestamp(field.type) or pt.is_date(field.type):
            try:
                piece.column(number).to_pylist()
            except (OverflowError, ValueError):
                texts = piece.column(number).cast(pa.string())
                piece = piece.set_column(number, field.name, texts)
    return piece.to_pylist()  # type: ignore[no-any-return]


def _parquet(result: Result, stream: IO[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(
        pa.PythonFile(_Counted(stream), "w"), result.schema, compression="zstd"
    ) as writer:
        for piece in result:
            writer.write_table(piece)


def _table(result: Result, stream: IO[bytes]) -> None:
    """Aligned columns; widths come from the first piece, so that nothing waits for the last."""
    if result.schema.names == PLAN_COLUMNS:
        _plan(result, stream)
        return
    names = [safe_text(name) for name in result.schema.names]
    right = [_is_number(field.type) for field in result.schema]
    widths: list[int] = []
    for piece in result:
        rows = [[_cell(value) for value in row.values()] for row in piece.to_pylist()]
        if not widths:
            widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
            _lines(stream, [names, ["-" * width for width in widths]], widths, right)
        _lines(stream, rows, widths, right)
    if not widths:
        _lines(stream, [names, ["-" * len(n) for n in names]], [len(n) for n in names], right)


def _plan(result: Result, stream: IO[bytes]) -> None:
    for piece in result:
        for text in piece.column(1).to_pylist():
            shown = "\n".join(safe_text(line) for line in text.splitlines())
            stream.write(shown.encode() + b"\n")


def _lines(stream: IO[bytes], rows: list[list[str]], widths: list[int], right: list[bool]) -> None:
    for row in rows:
        cells = (
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(row, widths, right, strict=True)
        )
        stream.write("  ".join(cells).rstrip().encode() + b"\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(_plain(value))
    return safe_text(text if len(text) <= _CELL else text[: _CELL - 1] + "…")


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow.types as pt

    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))


def _texts(piece: pa.Table) -> pa.Table:
    """The piece with every column that CSV has no form for as text."""
    import pyarrow as pa
    import pyarrow.types as pt

    as_they_are = (pt.is_integer, pt.is_floating, pt.is_boolean, pt.is_string, pt.is_large_string)
    times = (pt.is_timestamp, pt.is_date, pt.is_time, pt.is_decimal, pt.is_null)
    columns = []
    for column in piece.columns:
        if not any(test(column.type) for test in (*as_they_are, *times)):
            texts = [None if v is None else _text(v) for v in column.to_pylist()]
            column = pa.chunked_array([pa.array(texts, pa.string())])
        columns.append(column)
    return pa.Table.from_arrays(columns, names=piece.column_names)


def _text(value: Any) -> str:
    plain = _jsonable(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _jsonable(value: Any) -> Any:
    """Bytes as hex, whole decimals as integers, times as ISO 8601, what is no number as null."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    plain = _plain(value)
    if isinstance(plain, float) and not math.isfinite(plain):
        return None
    return plain if plain is None or isinstance(plain, str | int | float) else str(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return int(value)
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value


class _Counted:
    """A stream that knows how much went through it: Parquet asks, and a pipe cannot tell."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._at = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()
