"""The checks every ledger passes before it may be written: nothing is taken on trust."""

from __future__ import annotations

import hashlib

from bronze_tui.domain.errors import LedgerMismatch, LinkError
from bronze_tui.domain.ledger import LedgerFacts, LedgerRange
from bronze_tui.hooks.contracts import BatchRef

SOURCE_TODO = "the object at the source is wrong; compare it with another lake, then run again"


class LedgerChecker:
    """Follows one partition, ledger by ledger."""

    def __init__(self, partition: LedgerRange) -> None:
        self._partition = partition
        self._previous_hash: bytes | None = None
        self.expected = partition.start
        self.first_previous_hash = b""

    @property
    def last_hash(self) -> bytes:
        """Hash of the last ledger checked."""
        return self._previous_hash or b""

    def check(self, ref: BatchRef, facts: LedgerFacts, header: memoryview) -> None:
        """Sequence, header hash, link to the ledger before, transaction counts.

        Raises:
            LedgerMismatch: sequence, hash or counts are wrong. LinkError: the link is broken.
        """
        where = f"{ref.key}, ledger {facts.sequence}"
        if facts.sequence != self.expected:
            raise LedgerMismatch(
                f"holds ledger {facts.sequence} where {self.expected} belongs",
                where=ref.key,
                todo=SOURCE_TODO,
            )
        computed = hashlib.sha256(header).digest()
        if computed != facts.ledger_hash:
            raise LedgerMismatch(
                f"header hash {facts.ledger_hash.hex()} is not SHA-256 of the header"
                f" ({computed.hex()})",
                where=where,
                todo=SOURCE_TODO,
            )
        self._check_link(where, facts)
        if facts.tx_count != facts.tx_set_count:
            raise LedgerMismatch(
                f"has {facts.tx_set_count} transactions in its set but {facts.tx_count} results",
                where=where,
                todo=SOURCE_TODO,
            )
        self._previous_hash = facts.ledger_hash
        self.expected += 1

    def _check_link(self, where: str, facts: LedgerFacts) -> None:
        if self._previous_hash is None:
            self.first_previous_hash = facts.previous_ledger_hash
        elif facts.previous_ledger_hash != self._previous_hash:
            raise LinkError(
                f"previous-ledger hash {facts.previous_ledger_hash.hex()} is not the hash"
                f" {self._previous_hash.hex()} of ledger {facts.sequence - 1}",
                where=where,
                todo=SOURCE_TODO,
            )


def check_batch_bounds(ref: BatchRef, start: int, end: int) -> None:
    """A batch says the ledgers that its key names; the genesis batch begins at 2 (SEP-54).

    Raises:
        LedgerMismatch: it does not.
    """
    first = max(ref.first, 2)
    if start != first or end != ref.last:
        raise LedgerMismatch(
            f"batch holds ledgers {start}-{end}, its name says {first}-{ref.last}",
            where=ref.key,
            todo=SOURCE_TODO,
        )
