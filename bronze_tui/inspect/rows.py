"""Rows of one partition's Parquet file, so read that one ledger costs its row group's small
columns and, of the XDR column, the pages up to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bronze_tui.domain.errors import StateError
from bronze_tui.domain.layout import RAW_FACTS, RAW_XDR

LIST = ("ledger_sequence", "tx_count", "operation_count", "xdr_byte_length")
_BATCH = 8
"""Rows taken at once of the XDR column: the writer closes its pages every eight rows or MiB."""


class PartitionFile:
    """An open Parquet file of ``ledgers_lcm_raw``.

    Raises:
        StateError: from every method, when it is absent, damaged or lacks a column.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.path = path
        with self._guarded():
            # A buffered stream reads a column chunk piece by piece, not whole.
            self._file = pq.ParquetFile(str(path), buffer_size=1 << 20, pre_buffer=False)
            metadata = self._file.metadata
            self.rows = metadata.num_rows
            sizes = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
            missing = {*RAW_FACTS, RAW_XDR} - set(self._file.schema_arrow.names)
            if missing:
                raise ValueError(f"it lacks the columns {', '.join(sorted(missing))}")
        self._begins = [sum(sizes[:g]) for g in range(len(sizes))]
        self._sizes = sizes

    def close(self) -> None:
        """Close the file; idempotent."""
        self._file.close()

    def page(self, offset: int, limit: int) -> list[dict[str, Any]]:
        """Sequence, counts and XDR length of ``limit`` rows from row ``offset``."""
        end = min(offset + limit, self.rows)
        groups = [g for g, b in enumerate(self._begins) if b < end and b + self._sizes[g] > offset]
        if not groups:
            return []
        with self._guarded():
            table = self._file.read_row_groups(groups, columns=list(LIST), use_threads=False)
            rows = table.slice(offset - self._begins[groups[0]], end - offset).to_pylist()
        return [dict(row) for row in rows]

    def row_of(self, sequence: int) -> int | None:
        """Number of the row of ``sequence``; None when no row has it."""
        with self._guarded():
            for group in range(len(self._sizes)):
                if not self._may_hold(group, sequence):
                    continue
                table = self._file.read_row_group(group, ["ledger_sequence"], use_threads=False)
                values = table.column(0).to_pylist()
                if sequence in values:
                    return int(self._begins[group] + values.index(sequence))
        return None

    def facts(self, row: int) -> dict[str, Any]:
        """Every column of one row but the XDR; times are datetimes."""
        group = self._group_of(row)
        with self._guarded():
            table = self._file.read_row_group(group, list(RAW_FACTS), use_threads=False)
            return dict(table.slice(row - self._begins[group], 1).to_pylist()[0])

    def xdr(self, row: int) -> bytes:
        """The XDR of one row; pages behind it are not read."""
        group = self._group_of(row)
        left = row - self._begins[group]
        with self._guarded():
            batches = self._file.iter_batches(
                batch_size=_BATCH, row_groups=[group], columns=[RAW_XDR], use_threads=False
            )
            for batch in batches:
                if left < batch.num_rows:
                    return bytes(batch.column(0)[left].as_py())
                left -= batch.num_rows
        raise StateError(f"row {row} is missing", where=str(self.path))

    def each(self, column: str) -> Iterator[tuple[int, Any]]:
        """Sequence and one column of every row, a few rows in memory at a time."""
        size = _BATCH if column == RAW_XDR else 4096
        with self._guarded():
            batches = self._file.iter_batches(
                batch_size=size, columns=["ledger_sequence", column], use_threads=False
            )
            for batch in batches:
                data = batch.to_pydict()
                yield from zip(data["ledger_sequence"], data[column], strict=True)

    def _group_of(self, row: int) -> int:
        for group, begin in enumerate(self._begins):
            if begin <= row < begin + self._sizes[group]:
                return group
        raise StateError(f"row {row} is missing", where=str(self.path))

    def _may_hold(self, group: int, sequence: int) -> bool:
        """By the row group's statistics; a file without them is read."""
        columns = self._file.metadata.row_group(group)
        for number in range(columns.num_columns):
            column = columns.column(number)
            if column.path_in_schema != "ledger_sequence":
                continue
            known = column.statistics
            if known is None or not known.has_min_max:
                return True
            return bool(known.min <= sequence <= known.max)
        return True

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except FileNotFoundError as error:
            raise StateError(
                "the file of a committed partition is missing",
                where=str(self.path),
                todo="restore it from a copy, or build it again from the source",
            ) from error
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            text = " ".join(str(error).split())[:300]
            raise StateError(
                f"not a readable Parquet file of ledgers ({text})",
                where=str(self.path),
                todo="bronze verify says whether it is still what was committed",
            ) from error
