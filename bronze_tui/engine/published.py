"""What a dataset says of one partition besides its rows, and what a rebuild takes from there:
everything that was chosen once for the partition, and no ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from bronze_tui.audit.data import Data, Outside
from bronze_tui.audit.event import EventRejected, unique_json
from bronze_tui.audit.levels.unit import Unit
from bronze_tui.domain.audit import EventTable
from bronze_tui.domain.era import Era
from bronze_tui.domain.layout import RAW_TABLE
from bronze_tui.tables.difference import first_value
from bronze_tui.tables.parquet import Compression, options_digest
from bronze_tui.tables.schema import raw_schema

_LIMIT = 1 << 20
_INGESTED = "ingested_at"


@dataclass(frozen=True, slots=True)
class Record:
    """A partition's manifest, or its commit record where the manifest is missing."""

    key: str
    checksum: str
    content_hash: str
    created_at: str
    writer: str
    """Digest of the writer's options; empty when another software wrote the file."""
    producer: str
    """Name of the software."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen once for the partition."""

    compression: Compression
    ingested_at: datetime | None
    other: datetime | None = None
    """Another ``ingested_at`` to try where the published file cannot tell whether it has one."""


def raw_table(unit: Unit) -> EventTable | None:
    """What is announced of the table that can be rebuilt."""
    return dict(unit.tables).get(RAW_TABLE)


def era_of(unit: Unit) -> Era:
    """The names that stand in every row; how the era is cut is of no concern here."""
    network, era_id, version = unit.chain_key.split("/")
    return Era(network, era_id, version, 0, None, 1)


def read_record(data: Data, unit: Unit, table: EventTable) -> Record | None:
    """The manifest, else the commit record; None when neither can be read as one.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    manifest = f"{table.storage_path}/_manifest.json"
    commit = f"{unit.chain_key}/_commits/{unit.partition}.json"
    for key in (manifest, commit):
        try:
            return _record(key, unique_json(data.get(key, _LIMIT).decode()))
        except (OSError, Outside, ValueError, KeyError, TypeError, AttributeError, EventRejected):
            continue
        except RecursionError:
            continue
    return None


def choose(record: Record | None, theirs: Path | None, default: Compression) -> Chosen:
    """Options of the build that gave the published file, as far as anything tells.

    ``ingested_at`` is null where the published file's is. Else it is the time in its manifest when
    the manifest names our writer, for that is what our copier writes; any other copier's is taken
    from the file itself. No lake can prove either.

    Args:
        default: where the writer is not known.
    """
    known = _compressions()
    writer = record.writer if record is not None else ""
    compression = known.get(writer, default)
    created = _milliseconds(record.created_at) if record is not None else None
    if theirs is None:
        return Chosen(compression, None, created)
    stored = _ingested_at(theirs)
    if stored is None or writer not in known or created is None:
        return Chosen(compression, stored)
    return Chosen(compression, created)


def knows_writer(record: Record | None) -> bool:
    """Whether this version has the writer's options that the record names, if it names any."""
    return record is None or not record.writer or record.writer in _compressions()


def _record(key: str, doc: dict[str, Any]) -> Record:
    table = doc["tables"][RAW_TABLE]
    return Record(
        key,
        str(table["checksum"]),
        str(table.get("content_hash", "")),
        str(doc["created_at"]),
        str(doc.get("writer", "")),
        str(doc["producer"]["name"]),
    )


@cache
def _compressions() -> dict[str, Compression]:
    """Every compression that can be configured, by the digest of the writer's options."""
    schema = raw_schema(Era("", "", "", 0, None, 1))
    names = ("none", "snappy", *(f"zstd:{level}" for level in range(1, 23)))
    parsed = map(Compression.parse, names)
    return {options_digest(compression, schema): compression for compression in parsed}


def _milliseconds(text: str) -> datetime | None:
    """The time as the column holds it; None when it is no time in UTC."""
    try:
        # Go writes nanoseconds, of which the column keeps milliseconds.
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return None
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _ingested_at(path: Path) -> datetime | None:
    try:
        value = first_value(path, _INGESTED)[1]
    except (pa.ArrowException, OSError, ValueError):
        return None
    return value if isinstance(value, datetime) else None
