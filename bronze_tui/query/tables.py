"""The tables of the console as Arrow datasets: the Parquet rows, and what the records say.

DuckDB reads through these objects and never opens a file itself. Projection and filters reach
Parquet, and a filter on ledger_sequence opens only the partitions it needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from bronze_tui.domain.layout import RAW_TABLE
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.query.committed import DataFile, Dataset, Folder, Record, event_paths, read_doc
from bronze_tui.tables.schema import COLUMNS

_TIME = pa.timestamp("us", tz="UTC")
_KEYS = [("network", pa.string()), ("era_id", pa.string()), ("bronze_version", pa.string())]
_RANGE = [("ledger_start", pa.uint64()), ("ledger_end", pa.uint64())]
_FILE = [
    ("table_name", pa.string()),
    ("file", pa.string()),
    ("checksum", pa.string()),
    ("row_count", pa.int64()),
    ("byte_size", pa.int64()),
    ("content_hash", pa.string()),
    ("file_state", pa.string()),
]
_MADE = [("producer", pa.string()), ("producer_version", pa.string()), ("created_at", _TIME)]
_LINKS = [("first_previous_hash", pa.string()), ("last_hash", pa.string()), ("writer", pa.string())]

COMMITS = pa.schema([*_KEYS, *_RANGE, *_FILE, *_LINKS, *_MADE, ("epoch", pa.int64())])
MANIFESTS = pa.schema([*_KEYS, *_RANGE, *_FILE, *_LINKS, *_MADE])
COVERAGE = pa.schema(
    [*_KEYS, ("state", pa.string()), *_RANGE, ("ledgers", pa.int64()), ("partitions", pa.int64())]
)
AUDIT_EVENTS = pa.schema(
    [
        *_KEYS,
        *_RANGE,
        ("event_file", pa.string()),
        ("event_id", pa.string()),
        ("timestamp", _TIME),
        *_FILE[:1],
        *_FILE[2:5],
        ("storage_path", pa.string()),
        *_MADE[:2],
        ("prev_event_hash", pa.string()),
        ("event_hash", pa.string()),
    ]
)
RANGE_COLUMNS = (pa.field("range_start", pa.uint64()), pa.field("range_end", pa.uint64()))
"""Added to every data table: the partition a row was read from."""

_WIDE_BATCH, _BATCH = 64, 32_768


@dataclass
class Scanned:
    """What the running query read of the data tables."""

    files: int = 0
    columns: set[str] = field(default_factory=set)

    def clear(self) -> None:
        self.files = 0
        self.columns.clear()


class PartitionDataset(ds.FileSystemDataset):  # type: ignore[misc]
    """Committed Parquet files; DuckDB calls ``scanner`` with the columns and filter it needs."""

    scanned: Scanned

    def scanner(self, **kwargs: Any) -> ds.Scanner:
        """A scanner that reads ahead little: with the defaults, XDR of 64 MiB row groups piles up
        to gigabytes."""
        columns = kwargs.get("columns") or self.schema.names
        wide = any(pa.types.is_binary(self.schema.field(name).type) for name in columns)
        kwargs |= {
            "batch_size": _WIDE_BATCH if wide else _BATCH,
            "batch_readahead": 1 if wide else 4,
            "fragment_readahead": 1 if wide else 2,
        }
        self.scanned.files += sum(1 for _ in self.get_fragments(filter=kwargs.get("filter")))
        self.scanned.columns.update(columns)
        return ds.Dataset.scanner(self, **kwargs)


class LateDataset(ds.InMemoryDataset):  # type: ignore[misc]
    """A table made when a query asks for it."""

    make: Callable[[], pa.Table]

    def scanner(self, **kwargs: Any) -> ds.Scanner:
        """A scanner over the table as it is now."""
        return ds.InMemoryDataset(self.make()).scanner(**kwargs)


def data_tables(datasets: Sequence[Dataset], notes: list[str], scanned: Scanned) -> dict[str, Any]:
    """A dataset by table name over all readable committed files; the raw table always exists."""
    files: dict[str, list[DataFile]] = {RAW_TABLE: []}
    for file in _files(r for d in datasets for r in d.records):
        if file.state == "ok":
            files.setdefault(file.table, []).append(file)
    return {name: _data_table(name, found, notes, scanned) for name, found in files.items()}


def record_tables(folder: Folder, datasets: Sequence[Dataset], pas: Path | None) -> dict[str, Any]:
    """``commits``, ``manifests``, ``coverage`` and ``audit_events``, made when asked for."""
    records = [r for d in datasets for r in d.records]
    return {
        "commits": _late(COMMITS, lambda: _record_rows(records)),
        "manifests": _late(MANIFESTS, lambda: _record_rows(folder.manifests())),
        "coverage": _late(COVERAGE, lambda: _coverage_rows(datasets)),
        "audit_events": _late(AUDIT_EVENTS, lambda: _event_rows(event_paths(pas))),
    }


def _files(records: Iterable[Record]) -> Iterator[DataFile]:
    for record in records:
        yield from record.files


def _data_table(name: str, files: list[DataFile], notes: list[str], scanned: Scanned) -> ds.Dataset:
    parquet = ds.ParquetFileFormat(
        default_fragment_scan_options=ds.ParquetFragmentScanOptions(
            pre_buffer=False, use_buffered_stream=True
        )
    )
    local = LocalFileSystem()
    fragments = [
        parquet.make_fragment(os.fspath(f.path), local, partition_expression=_promise(f.partition))
        for f in files
    ]
    schema = _schema(name, files, fragments, notes)
    dataset = PartitionDataset(fragments, schema, parquet, local)
    dataset.scanned = scanned
    return dataset


def _promise(partition: LedgerRange) -> ds.Expression:
    """What the commit record says of a file's rows, so that filters can leave files unopened."""
    start, end = (pa.scalar(number, pa.uint64()) for number in (partition.start, partition.end))
    sequence = ds.field("ledger_sequence")
    return (
        (ds.field("range_start") == start)
        & (ds.field("range_end") == end)
        & (sequence >= start)
        & (sequence <= end)
    )


def _schema(name: str, files: list[DataFile], fragments: list[Any], notes: list[str]) -> pa.Schema:
    """One schema for all eras: that of each era's first readable file, merged."""
    found: dict[tuple[str, str, str], pa.Schema] = {}
    for file, fragment in zip(files, fragments, strict=True):
        key = (file.network, file.era_id, file.bronze_version)
        if key in found:
            continue
        try:
            found[key] = fragment.physical_schema.remove_metadata()
        except (OSError, pa.ArrowException) as error:
            notes.append(f"{file.path.name} is not readable Parquet: {str(error)[:200]}")
    if not found:
        raw = [(column, kind) for column, kind, _ in COLUMNS] if name == RAW_TABLE else []
        found[("", "", "")] = pa.schema(raw)
    try:
        merged = pa.unify_schemas(list(found.values()), promote_options="permissive")
    except pa.ArrowException as error:
        merged = next(iter(found.values()))
        notes.append(f"eras of {name} differ in their columns ({error}): the first one's are shown")
    taken = [f for f in RANGE_COLUMNS if f.name not in merged.names]
    return pa.schema([*merged, *taken])


def _late(schema: pa.Schema, rows: Callable[[], Iterable[dict[str, Any]]]) -> LateDataset:
    dataset = LateDataset(schema.empty_table())
    dataset.make = lambda: pa.Table.from_pylist(list(rows()), schema=schema)
    return dataset


def _record_rows(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    for record in records:
        links, made = _object(record.doc, "links"), _object(record.doc, "producer")
        for file in record.files:
            yield {
                **_file_row(file),
                "first_previous_hash": _text(links.get("first_previous_hash")),
                "last_hash": _text(links.get("last_hash")),
                "writer": _text(record.doc.get("writer")),
                "producer": _text(made.get("name")),
                "producer_version": _text(made.get("version")),
                "created_at": _time(record.doc.get("created_at")),
                "epoch": _number(record.doc.get("epoch")),
            }


def _file_row(file: DataFile) -> dict[str, Any]:
    return {
        "network": file.network,
        "era_id": file.era_id,
        "bronze_version": file.bronze_version,
        "ledger_start": file.partition.start,
        "ledger_end": file.partition.end,
        "table_name": file.table,
        "file": file.path.name,
        "checksum": file.checksum,
        "row_count": file.row_count,
        "byte_size": file.byte_size,
        "content_hash": file.content_hash,
        "file_state": file.state,
    }


def _coverage_rows(datasets: Sequence[Dataset]) -> Iterator[dict[str, Any]]:
    """Runs of adjoining partitions, and what lies between them: a declared hole or a gap."""
    for dataset in datasets:
        first = next(_files(dataset.records), None)
        if first is None:
            continue
        key = {n: getattr(first, n) for n in ("network", "era_id", "bronze_version")}
        parts = sorted({f.partition for f in _files(dataset.records)})
        holes = sorted(_hole_ranges(dataset))
        for state, start, end, count in _spans(parts, holes):
            length = end - start + 1
            row = {"state": state, "ledger_start": start, "ledger_end": end, "ledgers": length}
            yield {**key, **row, "partitions": count}


def _hole_ranges(dataset: Dataset) -> Iterator[LedgerRange]:
    for doc in dataset.holes:
        try:
            yield LedgerRange(int(doc["partition"]["start"]), int(doc["partition"]["end"]))
        except (KeyError, TypeError, ValueError):
            continue


def _spans(
    parts: Sequence[LedgerRange], holes: Sequence[LedgerRange]
) -> Iterator[tuple[str, int, int, int]]:
    """State, first and last ledger, number of partitions; in ledger order."""
    known = sorted(
        [(p.start, p.end, "committed") for p in parts]
        + [(h.start, h.end, "hole") for h in holes if h not in parts]
    )
    span: tuple[str, int, int, int] | None = None
    for start, end, state in known:
        if span and span[0] == state and start <= span[2] + 1:
            span = (state, span[1], max(span[2], end), span[3] + 1)
            continue
        if span:
            yield span
            if start > span[2] + 1:
                yield "gap", span[2] + 1, start - 1, 0
        span = (state, start, end, 1)
    if span:
        yield span


def _event_rows(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """One row for each table of each event that can be read; ``bronze verify`` judges them."""
    for path in paths:
        doc = read_doc(path)
        if doc is None:
            continue
        row = _event_row(path, doc)
        for name, table in _object(doc, "tables").items():
            yield {**row, **_event_table(name, table if isinstance(table, dict) else {})}


def _event_row(path: Path, doc: dict[str, Any]) -> dict[str, Any]:
    part, made = _object(doc, "partition"), _object(doc, "producer")
    chain = _object(doc, "chain")
    return {
        "network": _text(part.get("network")),
        "era_id": _text(part.get("era_id")),
        "bronze_version": _text(part.get("version_label")),
        "ledger_start": _number(part.get("ledger_start")),
        "ledger_end": _number(part.get("ledger_end")),
        "event_file": path.name,
        "event_id": _text(doc.get("event_id")),
        "timestamp": _time(doc.get("timestamp")),
        "producer": _text(made.get("name")),
        "producer_version": _text(made.get("version")),
        "prev_event_hash": _text(chain.get("prev_event_hash")),
        "event_hash": _text(chain.get("event_hash")),
    }


def _event_table(name: str, table: dict[str, Any]) -> dict[str, Any]:
    return {
        "table_name": name,
        "checksum": _text(table.get("checksum")),
        "row_count": _number(table.get("row_count")),
        "byte_size": _number(table.get("byte_size")),
        "storage_path": _text(table.get("storage_path")),
    }


def _object(doc: dict[str, Any], name: str) -> dict[str, Any]:
    value = doc.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    return value if fits else None


def _time(value: Any) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else None
