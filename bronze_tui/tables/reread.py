"""Reads back what a partition's Parquet file says of its ledgers, without the XDR column."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bronze_tui.domain.errors import StateError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import Links

_COLUMNS = ["ledger_sequence", "ledger_hash", "previous_ledger_hash", "xdr_sha256"]


@dataclass(frozen=True, slots=True)
class FileContent:
    """Facts of a whole file, enough to commit it."""

    links: Links
    row_count: int
    content_hash: str


class ContentHash:
    """``content_hash``: SHA-256 over 4-byte big-endian sequence, 32-byte ledger hash and 32-byte
    xdr_sha256 of each ledger in order; free of Parquet and its versions."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, sequence: int, ledger_hash: bytes, xdr_sha256: bytes) -> None:
        """Add the next ledger."""
        self._sha256.update(sequence.to_bytes(4, "big") + ledger_hash + xdr_sha256)

    def digest(self) -> str:
        """``sha256:`` and hex."""
        return "sha256:" + self._sha256.hexdigest()


def read_content(path: Path, partition: LedgerRange, *, where: str) -> FileContent:
    """Check that the file holds exactly the partition's ledgers, linked, in order.

    Raises:
        StateError: not a Parquet file of this table, or rows missing, doubled or unlinked.
    """
    content = ContentHash()
    expected = partition.start
    first_previous = last_hash = ""
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=8192, columns=_COLUMNS):
                for sequence, own, previous, sha in zip(*batch.to_pydict().values(), strict=True):
                    if sequence != expected:
                        raise StateError(
                            f"row of ledger {sequence} stands where {expected} belongs", where=where
                        )
                    if last_hash and previous != last_hash:
                        raise StateError(
                            f"ledger {sequence} does not link to the one before", where=where
                        )
                    first_previous = first_previous or previous
                    content.add(sequence, bytes.fromhex(own), bytes.fromhex(sha))
                    last_hash = own
                    expected += 1
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise StateError(f"not a readable {partition} file ({error})", where=where) from error
    if expected != partition.end + 1:
        raise StateError(f"rows end at ledger {expected - 1}, not {partition.end}", where=where)
    return FileContent(Links(first_previous, last_hash), len(partition), content.digest())
