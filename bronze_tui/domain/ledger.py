"""What the copier knows of one ledger; ledger numbers are inclusive on both ends everywhere."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_LEDGER = 2
"""No lake holds an object for ledger 1 (SEP-54): an era from 1 begins at 2."""

MAX_LEDGER = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, order=True)
class LedgerRange:
    """Ledgers ``start`` to ``end``, both included."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= MAX_LEDGER:
            raise ValueError(f"not a ledger range: {self.start}-{self.end}")

    def __len__(self) -> int:
        return self.end - self.start + 1

    def __contains__(self, sequence: object) -> bool:
        return isinstance(sequence, int) and self.start <= sequence <= self.end

    def __str__(self) -> str:
        return f"{self.start}-{self.end}"

    def overlaps(self, other: LedgerRange) -> bool:
        """Whether the two share a ledger."""
        return self.start <= other.end and other.start <= self.end

    @classmethod
    def parse(cls, text: str) -> LedgerRange:
        """Read ``S-E``.

        Raises:
            ValueError: ``text`` is not such a range in plain decimal.
        """
        start, dash, end = text.partition("-")
        if not (dash and start.isascii() and start.isdigit() and end.isascii() and end.isdigit()):
            raise ValueError(f"not a ledger range: {text!r}")
        return cls(int(start), int(end))


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """One LedgerCloseMeta as the walker saw it; hashes are raw 32-byte values.

    ``start`` and ``end`` bound the LedgerCloseMeta in the walked buffer (end exclusive), so that
    its bytes can be sliced without copying. ``header_start`` and ``header_end`` bound the
    LedgerHeader XDR whose SHA-256 is the ledger hash.
    """

    version: int
    sequence: int
    start: int
    end: int
    header_start: int
    header_end: int
    ledger_hash: bytes
    previous_ledger_hash: bytes
    close_time: int
    """Unix seconds."""
    protocol_version: int
    total_coins: int
    """Stroops."""
    fee_pool: int
    """Stroops."""
    tx_set_hash: bytes
    tx_count: int
    """Transaction results (txProcessing)."""
    tx_set_count: int
    """Transaction envelopes in the transaction set."""
    operation_count: int
    """Operation results of successful and failed transactions, inside fee bumps too."""
