"""A catalog with one chain and its writer, for tests."""

from __future__ import annotations

from pathlib import Path

from bronze_tui.catalog.database import Database
from bronze_tui.catalog.records import ChainRow, Origin
from bronze_tui.catalog.store import Catalog
from bronze_tui.domain.era import Era
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import CommitRecord, Links, Producer, TableFile

ERA = Era("net", "era", "v1", 2, None, 10)
PRODUCER = Producer("bronze-tui", "v0", "unknown")
ORIGIN = Origin("local", "file:///lake", "file:///x", "x", "bronze-tui@v0", "unknown")


class Chain:
    """A catalog with one chain and its writer."""

    def __init__(self, place: Path | Database) -> None:
        self.catalog = Catalog(place)
        self.dataset = self.catalog.register(ERA, "ledgers_lcm_raw", "hash")
        self.epoch = self.catalog.take_lease(ERA.chain_key, "me")

    def row(self, partition: LedgerRange) -> ChainRow:
        head = self.catalog.head(ERA.chain_key)
        seq = 0 if head is None else head.seq + 1
        return ChainRow(
            chain_key=ERA.chain_key,
            seq=seq,
            partition=partition,
            prev_event_hash="" if head is None else head.event_hash,
            event_hash=f"sha256:{seq}",
            event=b"event",
            first_previous_hash="00",
            last_ledger_hash="11",
            content_hash="sha256:c",
            checksum=f"sha256:{partition}",
            commit_sha256="sha256:r",
            filed=False,
        )

    def commit(self, row: ChainRow) -> None:
        table = TableFile("ledgers_lcm_raw", "f", row.checksum, len(row.partition), 1)
        record = CommitRecord(
            ERA, row.partition, (table,), (), Links("00", "11"), PRODUCER, "t", "w", self.epoch
        )
        self.catalog.commit(self.dataset, record, row, ORIGIN, self.epoch)
