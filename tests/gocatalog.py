"""A PostgreSQL catalog as the Go copier leaves it: its tables, its rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from servers.postgres import Database

_DATASET = "integer not null references _meta_datasets(id)"
_RANGE = "ledger_start bigint not null, ledger_end bigint not null"
_MADE = "created_at timestamptz default now()"
_TABLES = {
    "_meta_datasets": "id serial primary key, domain varchar(64) not null, dataset varchar(128)"
    " not null, version varchar(32) not null, era_id varchar(64) not null, network varchar(32)"
    f" not null, schema_hash varchar(64), description text, {_MADE}, updated_at timestamptz"
    " default now(), unique (domain, dataset, version, era_id, network)",
    "_meta_lineage": f"id serial primary key, dataset_id {_DATASET}, {_RANGE}, row_count bigint not"
    " null, byte_size bigint not null, checksum varchar(128) not null, prev_hash varchar(128),"
    " storage_path text not null, storage_uri text, producer_version varchar(64) not null,"
    f" producer_git_sha varchar(64), source_type varchar(32), source_location text, {_MADE},"
    " unique (dataset_id, ledger_start, ledger_end)",
    "_meta_quality": f"id serial primary key, dataset_id {_DATASET}, {_RANGE}, passed boolean not"
    f" null, error_message text, {_MADE}, unique (dataset_id, ledger_start, ledger_end)",
    "_meta_changes": f"id serial primary key, dataset_id {_DATASET}, change_type varchar(32) not"
    f" null, description text, old_version varchar(32), new_version varchar(32), {_MADE}",
}


def make(database: Database, rows: Path | None = None, schema: str = "public") -> None:
    """The tables and the view, with the rows of a ``catalog.json`` (table to list of rows)."""
    if schema != "public":
        database.sql(f"create schema {schema}")
    at = f"set search_path to {schema};"
    for name, columns in _TABLES.items():
        database.sql(f"{at} create table {name} ({columns})")
    database.sql(
        f"{at} create index idx_lineage_dataset_range on _meta_lineage (dataset_id, ledger_start,"
        " ledger_end); create index idx_lineage_ledger_end on _meta_lineage (dataset_id,"
        " ledger_end); create index idx_quality_failed on _meta_quality (dataset_id, passed)"
        " where not passed"
    )
    database.sql(
        f"{at} create view _meta_coverage as select d.domain, d.dataset, d.version, d.era_id,"
        " d.network, min(l.ledger_start) as min_ledger, max(l.ledger_end) as max_ledger, count(*)"
        " as partition_count, sum(l.row_count) as total_rows, sum(l.byte_size) as total_bytes"
        " from _meta_datasets d join _meta_lineage l on d.id = l.dataset_id"
        " group by d.domain, d.dataset, d.version, d.era_id, d.network"
    )
    found: dict[str, list[dict[str, Any]]] = json.loads(rows.read_text()) if rows else {}
    for name in _TABLES:
        for row in found.get(name, []):
            insert(database, f"{schema}.{name}", row)
        if found.get(name):
            database.sql(f"select setval('{schema}.{name}_id_seq', {len(found[name])})")


def insert(database: Database, table: str, row: dict[str, Any]) -> None:
    """One row, as it stands."""
    marks = ", ".join(["%s"] * len(row))
    database.sql(f"insert into {table} ({', '.join(row)}) values ({marks})", *row.values())
