"""Object keys of a dataset, the Go copier's layout plus commit records, below the store's root.

``{prefix}{network}/{era}/{version}/{table}/range=S-E/part-S-E.parquet`` and ``_manifest.json``
beside it; ``_commits/S-E.json`` and ``_holes/S-E.json`` beside the tables.
"""

from __future__ import annotations

from dataclasses import dataclass

from bronze_tui.domain.era import Era
from bronze_tui.domain.ledger import LedgerRange

RAW_TABLE = "ledgers_lcm_raw"
RAW_XDR = "xdr_bytes"
"""The column of RAW_TABLE that holds each ledger's XDR."""
RAW_FACTS = (
    "ledger_sequence",
    "ledger_hash",
    "previous_ledger_hash",
    "close_time",
    "protocol_version",
    "total_coins",
    "fee_pool",
    "tx_set_hash",
    "tx_count",
    "operation_count",
    "xdr_byte_length",
    "xdr_sha256",
    "bronze_version",
    "era_id",
    "network",
    "ingested_at",
)
"""The other columns of RAW_TABLE, in file order: small, and read without the XDR."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Keys of one dataset; ``prefix`` ends with a slash or is empty."""

    prefix: str
    era: Era

    @property
    def root(self) -> str:
        """The dataset's folder, with a final slash."""
        return f"{self.prefix}{self.era.chain_key}/"

    def storage_path(self, table: str, partition: LedgerRange) -> str:
        """The partition's folder without the prefix, as events and lineage name it."""
        return f"{self.era.chain_key}/{table}/range={partition}"

    def folder(self, table: str, partition: LedgerRange) -> str:
        """The partition's folder as a key, without a final slash."""
        return f"{self.prefix}{self.storage_path(table, partition)}"

    def file_name(self, partition: LedgerRange) -> str:
        """Name of the Parquet file inside its folder."""
        return f"part-{partition}.parquet"

    def parquet(self, table: str, partition: LedgerRange) -> str:
        """Key of the Parquet file."""
        return f"{self.folder(table, partition)}/{self.file_name(partition)}"

    def manifest(self, table: str, partition: LedgerRange) -> str:
        """Key of the manifest."""
        return f"{self.folder(table, partition)}/_manifest.json"

    @property
    def commits(self) -> str:
        """Folder of the commit records, with a final slash."""
        return f"{self.root}_commits/"

    def commit_record(self, partition: LedgerRange) -> str:
        """Key whose creation commits the partition."""
        return f"{self.commits}{partition}.json"

    @property
    def holes(self) -> str:
        """Folder of the declared holes, with a final slash."""
        return f"{self.root}_holes/"

    def hole(self, partition: LedgerRange) -> str:
        """Key whose creation declares the partition a hole."""
        return f"{self.holes}{partition}.json"
