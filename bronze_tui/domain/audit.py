"""The PAS v1.1 event as plain data; canonical bytes and hashes are made in ``bronze_tui.audit``."""

from __future__ import annotations

from dataclasses import dataclass

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import Producer


@dataclass(frozen=True, slots=True)
class EventTable:
    """One table in an event; ``storage_path`` has no prefix."""

    checksum: str
    row_count: int
    storage_path: str
    byte_size: int


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One partition announced; ``tables`` pairs are sorted by name bytes."""

    version: str
    event_type: str
    event_id: str
    timestamp: str
    """RFC 3339, kept verbatim: its text is part of the hash."""
    network: str
    era_id: str
    version_label: str
    ledger_start: int
    ledger_end: int
    tables: tuple[tuple[str, EventTable], ...]
    producer: Producer
    prev_event_hash: str
    event_hash: str

    @property
    def chain_key(self) -> str:
        """``network/era_id/version_label``."""
        return f"{self.network}/{self.era_id}/{self.version_label}"

    @property
    def partition(self) -> LedgerRange:
        """The ledgers announced.

        Raises:
            ValueError: the event's range is not one.
        """
        return LedgerRange(self.ledger_start, self.ledger_end)
