"""What the engine's parts share: options of the run and everything open for one era."""

from __future__ import annotations

from dataclasses import dataclass, field

from bronze_tui import PRODUCER_NAME, __version__
from bronze_tui.catalog.store import Catalog
from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import Stopped
from bronze_tui.domain.layout import RAW_TABLE, Layout
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import Links, Producer, TableFile
from bronze_tui.hooks.contracts import LedgerSource, Store
from bronze_tui.tables.parquet import Compression

PRODUCER = Producer(PRODUCER_NAME, f"v{__version__}", "unknown")


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Knobs of a run; sizes in bytes, times in seconds."""

    copier_id: str
    workers: int
    window: int
    """Partitions that may be in the works or held built at once."""
    retry_attempts: int
    retry_backoff: float
    memory_budget: int
    fetchers: int
    """Objects read at the same time: always, or at first."""
    fetchers_max: int
    adaptive: bool
    """Find how many, up to ``fetchers_max``, while the run goes on; else ``fetchers`` is fixed."""
    max_ledger_bytes: int
    poll_interval: float
    compression: Compression
    ingested_now: bool
    skip_failed: bool
    follow: bool
    flush_partial: bool
    audit_strict: bool
    checkpoint_enabled: bool
    repair: bool = False


@dataclass(frozen=True, slots=True)
class EraContext:
    """One era's dataset, opened and locked."""

    era: Era
    layout: Layout
    source: LedgerSource
    store: Store
    catalog: Catalog
    options: EngineOptions
    dataset_id: int
    epoch: int
    table: str = RAW_TABLE

    @property
    def chain_key(self) -> str:
        """Key of the era's audit chain."""
        return self.era.chain_key


@dataclass(slots=True)
class BuildProgress:
    """Counters of one worker, written by it alone and read by the ticker; seconds of its time."""

    ledgers: int = 0
    xdr_bytes: int = 0
    source_bytes: int = 0
    stages: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            ("waiting", "decompress", "walk", "hash", "encode", "store"), 0.0
        )
    )
    doing: str = ""
    """The stage of this moment."""


@dataclass(frozen=True, slots=True)
class Built:
    """A partition whose files and manifest are durable and whose commit record is not yet made."""

    context: EraContext
    partition: LedgerRange
    table: TableFile
    manifest_checksum: str
    links: Links
    producer: Producer
    created_at: str
    writer: str
    xdr_bytes: int = 0
    source_bytes: int = 0
    seconds: float = 0.0
    reused: bool = False


class BuildStopped(Stopped):
    """A build was given up because the run stops; nothing of it is committed."""
