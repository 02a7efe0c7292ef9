"""What the engine says while it works: one frozen dataclass a kind, one JSON line each.

The journal is the only thing that renderers, screens, ``attach`` and ``replay`` know of a run.
Times are Unix seconds (float), sizes bytes, durations seconds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Base of all; ``time`` is filled by the journal."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class RunStarted(EngineEvent):
    """Locks are held and the plan is known."""

    kind: ClassVar[str] = "run_started"
    run_id: str
    pid: int
    version: str
    chain_keys: list[str]
    source: str
    store: str
    workers: int
    ledger_start: int
    ledger_end: int | None
    partition_size: int
    partitions_total: int | None
    partitions_done: int
    ledgers_total: int | None
    ledgers_done: int
    bytes_expected: int | None
    """Compressed source bytes still to read, by sample; None when unknown."""
    source_tip: int | None
    config_file: str
    state_dir: str
    socket: str
    pas_dir: str
    """Folder of the audit events, absolute; empty when the run writes none."""


@dataclass(frozen=True, slots=True)
class Coverage(EngineEvent):
    """Committed, declared-missing ranges of one chain as ``S-E`` texts, at start."""

    kind: ClassVar[str] = "coverage"
    chain_key: str
    committed: list[str]
    holes: list[str]
    head: str
    events: int


@dataclass(frozen=True, slots=True)
class PartitionStarted(EngineEvent):
    """A worker took a partition."""

    kind: ClassVar[str] = "partition_started"
    chain_key: str
    partition: str
    worker: int
    attempt: int


@dataclass(frozen=True, slots=True)
class PartitionProgress(EngineEvent):
    """How far a build is; at most four a second and partition."""

    kind: ClassVar[str] = "partition_progress"
    chain_key: str
    partition: str
    worker: int
    ledgers: int
    xdr_bytes: int
    source_bytes: int


@dataclass(frozen=True, slots=True)
class PartitionBuilt(EngineEvent):
    """Files and manifest are durable, the commit record is not yet written."""

    kind: ClassVar[str] = "partition_built"
    chain_key: str
    partition: str
    worker: int
    rows: int
    xdr_bytes: int
    source_bytes: int
    parquet_bytes: int
    seconds: float
    reused: bool
    """Found whole from an earlier run and not built again."""


@dataclass(frozen=True, slots=True)
class PartitionCommitted(EngineEvent):
    """Commit record, lineage, event and checkpoint are durable."""

    kind: ClassVar[str] = "partition_committed"
    chain_key: str
    partition: str
    rows: int
    checksum: str
    parquet_bytes: int
    last_ledger: int
    seconds: float
    recovered: bool
    """Rolled forward or adopted at start, not built by this run."""


@dataclass(frozen=True, slots=True)
class PartitionRetried(EngineEvent):
    """An attempt failed and another one follows after ``delay``."""

    kind: ClassVar[str] = "partition_retried"
    chain_key: str
    partition: str
    attempt: int
    attempts: int
    delay: float
    error: str


@dataclass(frozen=True, slots=True)
class PartitionFailed(EngineEvent):
    """Given up; ``halts`` says whether the run stops there."""

    kind: ClassVar[str] = "partition_failed"
    chain_key: str
    partition: str
    error: str
    error_type: str
    todo: str
    halts: bool


@dataclass(frozen=True, slots=True)
class PartitionQuarantined(EngineEvent):
    """Declared a hole (``perf.on_failure: skip``); ``repair`` may fill it later."""

    kind: ClassVar[str] = "partition_quarantined"
    chain_key: str
    partition: str
    reason: str


@dataclass(frozen=True, slots=True)
class EventLinked(EngineEvent):
    """A PAS event joined its chain; ``filed`` says whether its file is durable."""

    kind: ClassVar[str] = "event_linked"
    chain_key: str
    partition: str
    chain_seq: int
    event_hash: str
    prev_event_hash: str
    filed: bool


@dataclass(frozen=True, slots=True)
class EventDelivered(EngineEvent):
    """The endpoint acknowledged a PAS event."""

    kind: ClassVar[str] = "event_delivered"
    chain_key: str
    partition: str
    chain_seq: int
    event_hash: str
    attempts: int
    seconds: float
    """From the first attempt of this run to the acknowledgement."""


@dataclass(frozen=True, slots=True)
class OutboxFigures(EngineEvent):
    """Delivery of PAS events to the endpoint; at its changes, and every few seconds while it
    works."""

    kind: ClassVar[str] = "outbox_figures"
    state: str
    """idle, delivering, failing, parked, or elsewhere (another process delivers)."""
    waiting: int
    """Events not acknowledged, parked ones and those behind them included."""
    parked: int
    """Events that a person must decide about."""
    delivered: int
    """By this run."""
    oldest_seconds: float
    """Age of the first event that waits; 0 when none does."""
    detail: str = ""
    """Why it is failing or parked."""


@dataclass(frozen=True, slots=True)
class StageFigures(EngineEvent):
    """Where the time goes, since the last one; seconds of thread time per stage."""

    kind: ClassVar[str] = "stage_figures"
    fetch: float
    decompress: float
    walk: float
    hash: float
    encode: float
    store: float
    commit: float
    fetch_waiting: float
    """Seconds that builders waited for source bytes."""
    read_ahead_bytes: int
    in_flight: int
    held: int
    errors: int
    retries: int


@dataclass(frozen=True, slots=True)
class Requests(EngineEvent):
    """Totals of the run's requests to one remote place; bytes are those of object bodies."""

    kind: ClassVar[str] = "requests"
    role: str
    """source or store."""
    total: int
    gets: int
    puts: int
    heads: int
    lists: int
    deletes: int
    others: int
    bytes_in: int
    bytes_out: int
    retries: int
    """Requests made again after one without an answer; part of the total."""
    throttles: int
    """Answers that asked to slow down."""


@dataclass(frozen=True, slots=True)
class Throughput(EngineEvent):
    """Once a second while something moves, else every five; also the heartbeat."""

    kind: ClassVar[str] = "throughput"
    ledgers: int
    """Ledgers built since the start."""
    ledgers_committed: int
    partitions_committed: int
    xdr_bytes: int
    source_bytes: int
    ledgers_per_second: float
    xdr_bytes_per_second: float
    source_bytes_per_second: float
    eta_seconds: float | None
    limited_by: str
    """network, disk, memory, requests, cpu, workers, store, commit, delivery, or nothing."""
    state: str
    """running, paused, draining, stopping, at_tip, halted."""
    workers: int
    rss_bytes: int
    fetchers: int = 0
    """Objects that may be read at the same time now; 0 in journals that do not say it."""


@dataclass(frozen=True, slots=True)
class Alert(EngineEvent):
    """Something a person should know; ``level`` is info, warn or error."""

    kind: ClassVar[str] = "alert"
    level: str
    component: str
    message: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class StateChanged(EngineEvent):
    """Pause, resume, drain, stop, workers, at_tip: what and by whom."""

    kind: ClassVar[str] = "state_changed"
    state: str
    by: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RunFinished(EngineEvent):
    """The closing line of a run; a journal without it ended by a crash."""

    kind: ClassVar[str] = "run_finished"
    exit_code: int
    outcome: str
    """done, at_tip, drained, stopped, halted, failed."""
    message: str
    partitions_committed: int
    partitions_failed: int
    ledgers: int
    xdr_bytes: int
    source_bytes: int
    parquet_bytes: int
    seconds: float
    last_committed_ledger: int | None
    head: str
    retries: int
    undelivered: int = 0
    """Audit events that the endpoint has not acknowledged; 0 without an endpoint."""
    parked: int = 0


KINDS: dict[str, type[EngineEvent]] = {
    cls.kind: cls
    for cls in (
        RunStarted,
        Coverage,
        PartitionStarted,
        PartitionProgress,
        PartitionBuilt,
        PartitionCommitted,
        PartitionRetried,
        PartitionFailed,
        PartitionQuarantined,
        EventLinked,
        EventDelivered,
        OutboxFigures,
        StageFigures,
        Requests,
        Throughput,
        Alert,
        StateChanged,
        RunFinished,
    )
}


def to_record(event: EngineEvent) -> dict[str, Any]:
    """The event as the flat JSON object of a journal line, without sequence number and time."""
    return {"kind": event.kind, **asdict(event)}


def from_record(record: dict[str, Any]) -> EngineEvent | None:
    """The event of a journal line; None for a kind this version does not know.

    Keys that this version does not know are ignored, so that an older reader follows a newer
    engine.

    Raises:
        TypeError: a known kind lacks a field.
    """
    cls = KINDS.get(str(record.get("kind")))
    if cls is None:
        return None
    known = {f.name for f in fields(cls)}
    return cls(**{k: v for k, v in record.items() if k in known})
