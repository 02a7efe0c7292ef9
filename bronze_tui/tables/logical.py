"""Hash of a table's values, free of how they lie in a file.

Chunks, row groups, pages, compression, encodings and the writer do not change it; a value, its
type, its being null or the order of rows does. Hash of a column:

    SHA-256( type || 0x00 || rows || SHA-256(present) || SHA-256(lengths) || SHA-256(data) )

``rows`` and each of ``lengths`` are 8 bytes, little-endian. ``present`` has one byte a row: 1, or 0
for null. ``lengths`` has the byte length of each text, and is empty for numbers. ``data`` has the
bytes of the texts, or each number in as many little-endian bytes as its type has (0 for null).
Types are written as Arrow does: ``uint64``, ``string``, ``binary``, ``timestamp[ms, tz=UTC]``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_BATCH = 32
_NAMES = {"large_string": "string", "large_binary": "binary"}


class ColumnHash:
    """Hash of one column, fed in pieces of any size."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._rows = 0
        self._present = hashlib.sha256()
        self._lengths = hashlib.sha256()
        self._data = hashlib.sha256()

    def add(self, values: Any) -> None:
        """Take the next values, an Arrow array of the column's type.

        Raises:
            TypeError: values of this type are in no table here.
        """
        self._rows += len(values)
        self._present.update(_present(values))
        if _is_text(values.type):
            self._add_text(values)
        elif pa.types.is_integer(values.type) or pa.types.is_timestamp(values.type):
            self._data.update(_numbers(values))
        else:
            raise TypeError(f"a column of type {values.type} has no hash")

    def digest(self) -> str:
        """Hex."""
        whole = hashlib.sha256(kind_of(self._kind).encode() + b"\x00")
        whole.update(self._rows.to_bytes(8, "little"))
        for part in (self._present, self._lengths, self._data):
            whole.update(part.digest())
        return whole.hexdigest()

    def _add_text(self, values: Any) -> None:
        if not len(values):
            return
        if values.null_count:
            values = pc.fill_null(values, "" if "string" in str(values.type) else b"")
        width = np.int64 if str(values.type).startswith("large") else np.int32
        offsets = np.frombuffer(values.buffers()[1], width)
        offsets = offsets[values.offset : values.offset + len(values) + 1].astype("<i8")
        self._lengths.update(np.diff(offsets).tobytes())
        data = values.buffers()[2]
        if data is not None:
            self._data.update(memoryview(data)[offsets[0] : offsets[-1]])


def kind_of(kind: pa.DataType) -> str:
    """A type's name in the hash; the two Arrow widths of text are one."""
    return _NAMES.get(str(kind), str(kind))


def logical_hashes(path: Path, stop: Callable[[], None] = lambda: None) -> dict[str, str]:
    """Hex hash of each column of a Parquet file, by name; a few rows in memory at a time.

    Raises:
        pa.ArrowException, OSError: it cannot be read. TypeError: a column of another kind.
    """
    with pq.ParquetFile(str(path), buffer_size=1 << 20, pre_buffer=False) as file:
        columns = {field.name: ColumnHash(field.type) for field in file.schema_arrow}
        if len(columns) != len(file.schema_arrow):
            raise TypeError("two columns have one name")
        for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
            stop()
            for name, column in columns.items():
                column.add(batch.column(name))
    return {name: column.digest() for name, column in columns.items()}


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_binary(kind)
        or types.is_large_string(kind)
        or types.is_large_binary(kind)
    )


def _present(values: Any) -> bytes:
    if not values.null_count:
        return b"\x01" * len(values)
    mask = values.is_valid().to_numpy(zero_copy_only=False)
    return bytes(mask.astype(np.uint8).tobytes())


def _numbers(values: Any) -> bytes:
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    if values.null_count:
        values = pc.fill_null(values, 0)
    plain = values.to_numpy(zero_copy_only=False)
    return bytes(plain.astype(plain.dtype.newbyteorder("<")).tobytes())
