"""What verification can find: one frozen record a finding, with stable words for its kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["error", "warning", "note"]

ChainKind = Literal[
    "unreadable",
    "unknown_key",
    "duplicate_key",
    "malformed",
    "name_mismatch",
    "hash_mismatch",
    "weaker_hash",
    "hash_rule_changed",
    "mixed_shapes",
    "missing_event",
    "broken_link",
    "circular_links",
    "fork",
    "two_starts",
    "foreign_event",
    "duplicate_event",
    "duplicate_event_id",
    "duplicate_range",
    "overlap",
    "gap",
    "declared_gap",
    "hole_filled",
    "out_of_order",
    "row_count",
    "head_missing",
    "head_stale",
    "head_mismatch",
    "head_unreadable",
    "pinned_head_passed",
    "pinned_head_missing",
    "chain_shrank",
    "chain_changed",
    "chain_gone",
    "remembered_head_pruned",
    "seen_elsewhere",
    "memory_damaged",
    "memory_unusable",
    "signed_head_missing",
    "signed_head_malformed",
    "signed_head_unknown_key",
    "signed_head_bad_signature",
    "signed_head_other_origin",
    "signed_head_ahead",
    "signed_head_mismatch",
    "no_events",
    "leftover_file",
]
"""Found in the events alone."""

DataKind = Literal[
    "manifest_missing",
    "manifest_malformed",
    "manifest_mismatch",
    "record_missing",
    "record_malformed",
    "record_mismatch",
    "unannounced",
    "catalog_mismatch",
    "file_mismatch",
    "file_missing",
    "file_unreadable",
    "rows_not_read",
    "parquet_unreadable",
    "row_missing",
    "row_out_of_order",
    "row_xdr",
    "row_column",
    "content_hash",
    "ledger_link",
    "ledger_hash",
    "tx_set_hash",
    "result_hash",
    "signature",
    "unknown_validator",
    "anchor_mismatch",
    "anchor_disagreement",
    "anchor_damaged",
    "anchor_unreadable",
    "source_mismatch",
    "source_unreadable",
    "more_findings",
]
"""Found by the levels below the chain."""

Kind = ChainKind | DataKind

KINDS: tuple[ChainKind, ...] = get_args(ChainKind)
DATA_KINDS: tuple[DataKind, ...] = get_args(DataKind)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or worth knowing; every text may hold third-party characters."""

    kind: Kind
    severity: Severity
    chain_key: str
    message: str
    event: int | None = None
    """Position in link order, counted from 1; None where no position can be given."""
    ledgers: str = ""
    """``S-E`` of the event or of what is missing."""
    file: str = ""
    expected: str = ""
    found: str = ""
    cause: str = ""
    """The likeliest reasons, in plain words."""
