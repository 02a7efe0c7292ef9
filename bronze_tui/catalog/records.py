"""Rows of the catalog as plain data; the catalog's callers see nothing of SQL."""

from __future__ import annotations

from dataclasses import dataclass

from bronze_tui.domain.ledger import LedgerRange


@dataclass(frozen=True, slots=True)
class ChainRow:
    """One committed partition with its event."""

    chain_key: str
    seq: int
    partition: LedgerRange
    prev_event_hash: str
    event_hash: str
    event: bytes
    """The exact bytes of the event's file."""
    first_previous_hash: str
    last_ledger_hash: str
    content_hash: str
    checksum: str
    commit_sha256: str
    filed: bool


@dataclass(frozen=True, slots=True)
class Intent:
    """What was decided about a partition before its first file was made."""

    partition: LedgerRange
    writer: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Hole:
    """A partition declared missing."""

    partition: LedgerRange
    reason: str
    declared_at: str
    repaired_at: str | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a partition came from and what made it, for its lineage row."""

    source_type: str
    source_location: str
    storage_uri: str
    storage_path: str
    producer_version: str
    producer_git_sha: str
