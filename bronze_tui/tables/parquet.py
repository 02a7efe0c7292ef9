"""The one Parquet writer of the project: every option spelled out, the file hashed as it streams.

Options are part of what makes bytes reproducible (same options, same pyarrow, same ledgers: same
file), so their digest stands in manifest and commit record.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bronze_tui.domain.errors import UsageError

_PLAIN_COLUMNS = ("bronze_version", "era_id", "network", "protocol_version")
"""Dictionary-encoded: few distinct values. Everything else is unique per row."""


@dataclass(frozen=True, slots=True)
class Compression:
    """Codec of ``bronze.compression``: ``zstd``, ``zstd:LEVEL``, ``snappy`` or ``none``."""

    codec: str
    level: int | None

    @classmethod
    def parse(cls, text: str) -> Compression:
        """Read the setting's text.

        Raises:
            UsageError: unknown codec or level.
        """
        codec, _, level = text.partition(":")
        if codec == "zstd" and (not level or (level.isdigit() and 1 <= int(level) <= 22)):
            return cls("zstd", int(level) if level else 3)
        if codec in ("snappy", "none") and not level:
            return cls(codec, None)
        raise UsageError(
            f"compression {text!r} is not known", todo="use zstd, zstd:1 to zstd:22, snappy or none"
        )

    def __str__(self) -> str:
        return self.codec if self.level is None else f"{self.codec}:{self.level}"


def writer_options(compression: Compression, schema: pa.Schema) -> dict[str, Any]:
    """Every option of the writer; none is left to a default that may change."""
    statistics = [name for name in schema.names if name != "xdr_bytes"]
    return {
        "version": "2.6",
        "data_page_version": "1.0",
        "compression": compression.codec,
        "compression_level": compression.level,
        "use_dictionary": list(_PLAIN_COLUMNS),
        "write_statistics": statistics,
        "write_page_index": True,
        "write_page_checksum": True,
        "data_page_size": 1024 * 1024,
        "dictionary_pagesize_limit": 1024 * 1024,
        # A page is closed only between batches: 1,024 ledgers in one batch would be one page of
        # hundreds of MB, held whole in memory by writer and reader alike.
        "write_batch_size": 8,
        "use_deprecated_int96_timestamps": False,
        "allow_truncated_timestamps": False,
        "store_schema": False,
        "use_byte_stream_split": False,
    }


def options_digest(compression: Compression, schema: pa.Schema) -> str:
    """``sha256:`` over the options in name order and the row-group rule."""
    from bronze_tui.tables.rows import ROW_GROUP_BYTES, ROW_GROUP_ROWS

    options = writer_options(compression, schema)
    lines = [f"{key}={options[key]!r}" for key in sorted(options)]
    lines += [f"row_group_bytes={ROW_GROUP_BYTES}", f"row_group_rows={ROW_GROUP_ROWS}"]
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


class _HashingFile(FileIO):
    """A file whose bytes are hashed as they are written, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), "wb")
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            done += super().write(view[done:]) or 0
        self.sha256.update(view)
        self.size += len(view)
        return len(view)


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A finished Parquet file; ``checksum`` is ``sha256:`` and hex of all its bytes."""

    checksum: str
    row_count: int
    byte_size: int


class ParquetFile:
    """Streams row groups to ``path``; without ``finish`` nothing there is a Parquet file.

    Raises:
        OSError: the disk refuses; the caller drops the file.
    """

    def __init__(self, path: Path, schema: pa.Schema, compression: Compression) -> None:
        self._file = _HashingFile(path)
        self._rows = 0
        self._metadata = schema.metadata or {}
        try:
            self._writer = pq.ParquetWriter(
                pa.PythonFile(self._file, mode="w"), schema, **writer_options(compression, schema)
            )
        except BaseException:
            self._file.close()
            raise

    def write(self, table: pa.Table) -> None:
        """Write ``table`` as exactly one row group."""
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._rows += table.num_rows

    def finish(self) -> WrittenFile:
        """Write the footer and close."""
        # Not stored by the writer itself when store_schema is off.
        self._writer.add_key_value_metadata(self._metadata)
        self._writer.close()
        checksum = "sha256:" + self._file.sha256.hexdigest()
        self._file.close()
        return WrittenFile(checksum, self._rows, self._file.size)

    def abandon(self) -> None:
        """Close without a footer; idempotent."""
        # A closed ParquetWriter would write a footer and turn a half file into a valid shorter one.
        self._writer.is_open = False
        self._file.close()
