"""Arrow schema of ``ledgers_lcm_raw``: the Go copier's columns, order and types."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from bronze_tui.domain.era import Era

SCHEMA_VERSION = "1.0.0"

COLUMNS: tuple[tuple[str, pa.DataType, bool], ...] = (
    ("ledger_sequence", pa.uint64(), False),
    ("ledger_hash", pa.string(), False),
    ("previous_ledger_hash", pa.string(), False),
    ("close_time", pa.timestamp("ms", tz="UTC"), False),
    ("protocol_version", pa.uint32(), False),
    ("total_coins", pa.int64(), False),
    ("fee_pool", pa.int64(), False),
    ("tx_set_hash", pa.string(), False),
    ("tx_count", pa.int32(), False),
    ("operation_count", pa.int32(), False),
    ("xdr_bytes", pa.binary(), False),
    ("xdr_byte_length", pa.int32(), False),
    ("xdr_sha256", pa.string(), False),
    ("bronze_version", pa.string(), False),
    ("era_id", pa.string(), False),
    ("network", pa.string(), False),
    ("ingested_at", pa.timestamp("ms", tz="UTC"), True),
)
"""Name, type, nullable; in file order."""


def raw_schema(era: Era) -> pa.Schema:
    """The schema with the file's key-value metadata, keys sorted so that bytes are reproducible."""
    metadata = {
        "bronze.era_id": era.era_id,
        "bronze.network": era.network,
        "bronze.schema_version": SCHEMA_VERSION,
        "bronze.table": "ledgers_lcm_raw",
        "bronze.version_label": era.version_label,
    }
    return pa.schema(
        [pa.field(name, kind, nullable=nullable) for name, kind, nullable in COLUMNS],
        metadata=dict(sorted(metadata.items())),
    )


def schema_hash() -> str:
    """Hex SHA-256 of names, types and nullability, for the catalog's dataset row."""
    text = "\n".join(f"{name}:{kind}:{nullable}" for name, kind, nullable in COLUMNS)
    return hashlib.sha256(text.encode()).hexdigest()
