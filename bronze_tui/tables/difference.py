"""Where two Parquet files of one table differ first: the ledger and the column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bronze_tui.tables.logical import kind_of

_BATCH = 32
_SEQUENCE = "ledger_sequence"
_SHOWN = 80
_NO_ROW = "no row"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference in row order, then in column order; texts for people."""

    ledger: int | None
    """None: the files' columns differ, so that no row was compared."""
    column: str
    expected: str
    found: str
    also: tuple[str, ...] = ()
    """Further columns that differ in the same row."""


def first_difference(
    ours: Path, theirs: Path, stop: Callable[[], None] = lambda: None
) -> Difference | None:
    """Compare ``theirs`` (found) with ``ours`` (expected); None when all values are the same.

    A few rows of each are in memory at a time.

    Raises:
        pa.ArrowException, OSError: one of them cannot be read.
    """
    with _open(ours) as one, _open(theirs) as two:
        different = _columns(one.schema_arrow, two.schema_arrow)
        if different is not None:
            return different
        names = [field.name for field in one.schema_arrow]
        for left, right in zip_longest(_rows(one, names), _rows(two, names)):
            stop()
            found = _rows_differ(left, right, names)
            if found is not None:
                return found
    return None


def first_value(path: Path, column: str) -> tuple[bool, Any]:
    """Whether the file has the column and a row, and the column's value in the first one.

    Raises:
        pa.ArrowException, OSError: it cannot be read.
    """
    with _open(path) as file:
        if column in file.schema_arrow.names:
            for batch in file.iter_batches(batch_size=1, columns=[column], use_threads=False):
                if batch.num_rows:
                    return True, batch.column(0)[0].as_py()
    return False, None


def columns_differ(ours: Path, theirs: Path) -> Difference | None:
    """The first column that one of the files lacks or has in another type; None: there is none.

    Raises:
        pa.ArrowException, OSError: one of them cannot be read.
    """
    with _open(ours) as one, _open(theirs) as two:
        return _columns(one.schema_arrow, two.schema_arrow)


def none_larger(ours: Path, theirs: Path, column: str) -> bool:
    """Whether no value of ``theirs`` is larger than ours in the same row, of as many rows.

    Raises:
        pa.ArrowException, OSError: one of them cannot be read.
    """
    with _open(ours) as one, _open(theirs) as two:
        left = one.read([column], use_threads=False).column(0)
        right = two.read([column], use_threads=False).column(0)
    if len(left) != len(right):
        return False
    return all(a is not None and b is not None and b <= a for a, b in _pairs(left, right))


def _pairs(left: pa.ChunkedArray, right: pa.ChunkedArray) -> Iterator[tuple[Any, Any]]:
    return zip(left.to_pylist(), right.to_pylist(), strict=True)


def _open(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(str(path), buffer_size=1 << 20, pre_buffer=False)


def _columns(ours: pa.Schema, theirs: pa.Schema) -> Difference | None:
    known = {field.name: kind_of(field.type) for field in ours}
    found = {field.name: kind_of(field.type) for field in theirs}
    for name in [*known, *found]:
        expected, there = known.get(name, "no such column"), found.get(name, "no such column")
        if expected != there:
            return Difference(None, name, expected, there)
    return None


def _rows(file: pq.ParquetFile, names: list[str]) -> Iterator[pa.RecordBatch]:
    """One row at a time, as a batch that shares the memory of a few."""
    for batch in file.iter_batches(batch_size=_BATCH, columns=names, use_threads=False):
        ordered = batch.select(names)
        for place in range(ordered.num_rows):
            yield ordered.slice(place, 1)


def _rows_differ(
    left: pa.RecordBatch | None, right: pa.RecordBatch | None, names: list[str]
) -> Difference | None:
    if left is None or right is None:
        known, missing = (right, True) if left is None else (left, False)
        assert known is not None
        sequence = known.column(_SEQUENCE)[0].as_py()
        texts = (_NO_ROW, str(sequence)) if missing else (str(sequence), _NO_ROW)
        return Difference(sequence, _SEQUENCE, *texts)
    ours, theirs = left.column(_SEQUENCE)[0].as_py(), right.column(_SEQUENCE)[0].as_py()
    if ours != theirs:
        return Difference(ours, _SEQUENCE, str(ours), str(theirs))
    wrong = [n for n in names if left.column(n)[0].as_py() != right.column(n)[0].as_py()]
    if not wrong:
        return None
    name, *also = wrong
    one, two = left.column(name)[0].as_py(), right.column(name)[0].as_py()
    return Difference(ours, name, *_shown(one, two), tuple(also))


def _shown(one: Any, two: Any) -> tuple[str, str]:
    """Both values; of bytes their length and where they part."""
    if not isinstance(one, bytes) or not isinstance(two, bytes):
        return str(one)[:_SHOWN], str(two)[:_SHOWN]
    at = next(
        (i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b),
        min(len(one), len(two)),
    )
    texts = (f"{len(v):,} bytes, at {at:,}: {v[at : at + 8].hex() or 'end'}" for v in (one, two))
    first, second = texts
    return first, second
