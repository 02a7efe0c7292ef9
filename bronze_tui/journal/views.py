"""What a run view keeps of partitions, chains, stages and rates: plain data.

Sizes are in bytes, times in Unix seconds, durations in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.journal.spans import Spans

PartitionState = Literal["building", "retrying", "held", "committed", "failed", "hole"]

IN_FLIGHT = ("building", "retrying", "held")
"""States of a partition in flight: at work, waiting for its next try, or for its turn to commit."""

STAGES = ("fetch", "decompress", "walk", "hash", "encode", "store", "commit")


@dataclass(slots=True)
class PartitionView:
    """One partition of this run; ``detail`` is the last error."""

    chain_key: str
    partition: LedgerRange
    state: PartitionState
    since: float
    worker: int | None = None
    attempt: int = 1
    attempts: int = 0
    ledgers: int = 0
    rows: int = 0
    xdr_bytes: int = 0
    source_bytes: int = 0
    parquet_bytes: int = 0
    seconds: float = 0.0
    checksum: str = ""
    event: int | None = None
    """Its number in the chain as auditors count, from 1."""
    event_hash: str = ""
    reused: bool = False
    recovered: bool = False
    detail: str = ""
    todo: str = ""

    @property
    def key(self) -> str:
        """Row key: unique over all chains."""
        return f"{self.chain_key}/{self.partition}"

    @property
    def fraction(self) -> float:
        """Ledgers done of the partition's, 0 to 1."""
        return max(0.0, min(1.0, self.ledgers / len(self.partition)))


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know."""

    time: float
    level: str
    component: str
    message: str
    todo: str = ""
    partition: str = ""

    @property
    def text(self) -> str:
        """The message with the partition that it is about."""
        return f"partition {self.partition}: {self.message}" if self.partition else self.message


@dataclass(frozen=True, slots=True)
class RateSample:
    """One throughput record; per second."""

    time: float
    ledgers: float
    xdr_bytes: float
    source_bytes: float


@dataclass(slots=True)
class StageView:
    """Where builders' and sequencer's time goes: seconds in the last figures, and the share."""

    name: str
    seconds: float = 0.0
    share: float = 0.0
    total: float = 0.0
    """Seconds of the whole run."""
    last_active: float | None = None


@dataclass(slots=True)
class ChainView:
    """One audit chain."""

    chain_key: str
    committed: Spans = field(default_factory=Spans)
    holes: Spans = field(default_factory=Spans)
    head: str = ""
    events: int = 0
    last_linked: float | None = None
