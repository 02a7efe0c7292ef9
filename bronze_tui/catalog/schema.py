"""Catalog tables: the Go copier's ``_meta_*`` and view, and ours (``_bronze_*``), for any engine.

The tables of schema version 1; what came later is in ``migrations``. Times are ISO 8601 text in UTC
in our tables and timestamps in the Go copier's.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

_NOW = sa.func.current_timestamp()

datasets = sa.Table(
    "_meta_datasets",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("domain", sa.String(64), nullable=False),
    sa.Column("dataset", sa.String(128), nullable=False),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("era_id", sa.String(64), nullable=False),
    sa.Column("network", sa.String(32), nullable=False),
    sa.Column("schema_hash", sa.String(64)),
    sa.Column("description", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW),
    sa.Column("updated_at", sa.DateTime(timezone=True), server_default=_NOW),
    sa.UniqueConstraint("domain", "dataset", "version", "era_id", "network"),
)

lineage = sa.Table(
    "_meta_lineage",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("dataset_id", sa.ForeignKey("_meta_datasets.id"), nullable=False),
    sa.Column("ledger_start", sa.BigInteger, nullable=False),
    sa.Column("ledger_end", sa.BigInteger, nullable=False),
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("byte_size", sa.BigInteger, nullable=False),
    sa.Column("checksum", sa.String(128), nullable=False),
    sa.Column("prev_hash", sa.String(128)),
    sa.Column("storage_path", sa.Text, nullable=False),
    sa.Column("storage_uri", sa.Text),
    sa.Column("producer_version", sa.String(64), nullable=False),
    sa.Column("producer_git_sha", sa.String(64)),
    sa.Column("source_type", sa.String(32)),
    sa.Column("source_location", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW),
    sa.UniqueConstraint("dataset_id", "ledger_start", "ledger_end"),
    sa.Index("idx_lineage_dataset_range", "dataset_id", "ledger_start", "ledger_end"),
    sa.Index("idx_lineage_ledger_end", "dataset_id", "ledger_end"),
)

quality = sa.Table(
    "_meta_quality",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("dataset_id", sa.ForeignKey("_meta_datasets.id"), nullable=False),
    sa.Column("ledger_start", sa.BigInteger, nullable=False),
    sa.Column("ledger_end", sa.BigInteger, nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("error_message", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW),
    sa.UniqueConstraint("dataset_id", "ledger_start", "ledger_end"),
    sa.Index("idx_quality_failed", "dataset_id", "passed", postgresql_where=sa.text("NOT passed")),
)

changes = sa.Table(
    "_meta_changes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("dataset_id", sa.ForeignKey("_meta_datasets.id"), nullable=False),
    sa.Column("change_type", sa.String(32), nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("old_version", sa.String(32)),
    sa.Column("new_version", sa.String(32)),
    sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW),
)

COVERAGE_VIEW = """
CREATE VIEW _meta_coverage AS
SELECT d.domain, d.dataset, d.version, d.era_id, d.network,
       MIN(l.ledger_start) AS min_ledger, MAX(l.ledger_end) AS max_ledger,
       COUNT(*) AS partition_count, SUM(l.row_count) AS total_rows,
       SUM(l.byte_size) AS total_bytes
FROM _meta_datasets d JOIN _meta_lineage l ON d.id = l.dataset_id
GROUP BY d.domain, d.dataset, d.version, d.era_id, d.network
"""

info = sa.Table(
    "_bronze_info",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

intents = sa.Table(
    "_bronze_intents",
    metadata,
    sa.Column("chain_key", sa.Text, primary_key=True),
    sa.Column("ledger_start", sa.BigInteger, primary_key=True),
    sa.Column("ledger_end", sa.BigInteger, primary_key=True),
    sa.Column("writer", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
)

chain = sa.Table(
    "_bronze_chain",
    metadata,
    sa.Column("chain_key", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("ledger_start", sa.BigInteger, nullable=False),
    sa.Column("ledger_end", sa.BigInteger, nullable=False),
    sa.Column("prev_event_hash", sa.String(80), nullable=False),
    sa.Column("event_hash", sa.String(80), nullable=False, unique=True),
    sa.Column("event", sa.LargeBinary, nullable=False),
    sa.Column("first_previous_hash", sa.String(64), nullable=False),
    sa.Column("last_ledger_hash", sa.String(64), nullable=False),
    sa.Column("content_hash", sa.String(80), nullable=False),
    sa.Column("checksum", sa.String(80), nullable=False),
    sa.Column("commit_sha256", sa.String(80), nullable=False),
    sa.Column("filed", sa.Boolean, nullable=False, default=False),
    sa.Column("delivered", sa.Boolean, nullable=False, default=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.UniqueConstraint("chain_key", "prev_event_hash"),
    sa.UniqueConstraint("chain_key", "ledger_start"),
    sa.UniqueConstraint("chain_key", "ledger_end"),
)
"""One row per committed partition: lineage's link data, the chain and the outbox in one, so that
one row in one transaction is the whole of step S5."""

holes = sa.Table(
    "_bronze_holes",
    metadata,
    sa.Column("chain_key", sa.Text, primary_key=True),
    sa.Column("ledger_start", sa.BigInteger, primary_key=True),
    sa.Column("ledger_end", sa.BigInteger, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("declared_at", sa.String(40), nullable=False),
    sa.Column("repaired_at", sa.String(40)),
)

leases = sa.Table(
    "_bronze_leases",
    metadata,
    sa.Column("chain_key", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("taken_at", sa.String(40), nullable=False),
)

deliveries = sa.Table(
    "_bronze_deliveries",
    metadata,
    sa.Column("chain_key", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("updated_at", sa.String(40), nullable=False),
)
"""Only the events whose delivery needed more than an acknowledgement."""

GO_TABLES = (datasets, lineage, quality, changes)
VERSION_1 = (*GO_TABLES, info, intents, chain, holes, leases)

undelivered = sa.Index(
    "idx_bronze_chain_undelivered",
    chain.c.chain_key,
    chain.c.seq,
    sqlite_where=~chain.c.delivered,
    postgresql_where=~chain.c.delivered,
)
"""What waits is found without walking what was delivered."""
