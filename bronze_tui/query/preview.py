"""Result values made fit to send and to show: plain Arrow types, and cells cut for a screen."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bronze_tui.domain.text import safe_text

CELL_CHARACTERS = 1_000
BLOB_BYTES = 8


def plain_types(table: pa.Table) -> pa.Table:
    """The table without extension and dictionary types, which its readers need not know, and with
    no column name twice."""
    columns = [_plain(column) for column in table.columns]
    return pa.Table.from_arrays(columns, names=_distinct(table.column_names))


def shorten(table: pa.Table) -> pa.Table:
    """The table as a screen shows it: blobs as length and first bytes, times and nested values as
    text, text on one line with control characters visible, all cut at 1,000 characters."""
    plain = plain_types(table)
    columns = [_short(column) for column in plain.columns]
    return pa.Table.from_arrays(columns, names=plain.column_names)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return pa.chunked_array([_as_text(column.to_pylist())], pa.string())
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        # Python times end at microseconds.
        return column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
    return column


def _distinct(names: list[str]) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        choice, number = name, 1
        while choice in found:
            choice, number = f"{name}_{number}", number + 1
        found[choice] = None
    return list(found)


def _short(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return _blobs(column)
    if pa.types.is_nested(kind):
        return _texts(pa.chunked_array([_as_text(column.to_pylist())], pa.string()))
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        # Arrow formats years that Python cannot hold, such as DuckDB's infinity.
        return pc.replace_substring_regex(column.cast(pa.string()), r"\.0+(Z?)$", r"\1")
    is_text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return _texts(column) if any(test(kind) for test in is_text) else column


def _blobs(column: pa.ChunkedArray) -> pa.ChunkedArray:
    lengths = pc.binary_length(column).to_pylist()
    heads = pc.binary_slice(column, 0, BLOB_BYTES).to_pylist()
    texts = [
        None if head is None else f"{length:,} B  {head.hex()}{'…' if length > BLOB_BYTES else ''}"
        for length, head in zip(lengths, heads, strict=True)
    ]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = [None if text is None else safe_text(_cut(text)) for text in column.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _as_text(values: list[Any]) -> pa.Array:
    return pa.array([None if v is None else _cut(str(v)) for v in values], pa.string())


def _cut(text: str) -> str:
    return text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + "…"
