"""A run as one value, folded from its events: what every headless renderer shows.

Pure: no I/O, no clock; the time of a state is the time of its last record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from bronze_tui.domain.events import (
    Alert,
    Coverage,
    EngineEvent,
    EventLinked,
    PartitionBuilt,
    PartitionCommitted,
    PartitionFailed,
    PartitionProgress,
    PartitionQuarantined,
    PartitionRetried,
    PartitionStarted,
    RunFinished,
    RunStarted,
    StageFigures,
    StateChanged,
    Throughput,
    from_record,
)
from bronze_tui.domain.ledger import LedgerRange

KEPT_ALERTS = 8
_HUGE = 1 << 63
"""No figure of ours is larger; NaN and infinities are not below it either."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """A partition that a worker builds, or that is built and waits for its turn to commit."""

    chain_key: str
    partition: str
    worker: int
    attempt: int = 1
    ledgers: int = 0
    ledgers_total: int = 0
    source_bytes: int = 0
    built: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert, a failure or a retry, as a person reads it."""

    time: float
    level: str
    component: str
    message: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Totals of a run; sizes in bytes, times in Unix seconds, rates per second."""

    run_id: str = ""
    started: RunStarted | None = None
    started_at: float = 0.0
    time: float = 0.0
    state: str = "starting"
    limited_by: str = ""
    partitions_total: int | None = None
    partitions_before: int = 0
    """Committed before this run."""
    built_ledgers: int = 0
    built_source_bytes: int = 0
    partitions_committed: int = 0
    partitions_failed: int = 0
    partitions_quarantined: int = 0
    ledgers_total: int | None = None
    ledgers_before: int = 0
    ledgers: int = 0
    ledgers_committed: int = 0
    xdr_bytes: int = 0
    source_bytes: int = 0
    parquet_bytes: int = 0
    bytes_expected: int | None = None
    ledgers_per_second: float = 0.0
    xdr_bytes_per_second: float = 0.0
    source_bytes_per_second: float = 0.0
    engine_eta: float | None = None
    workers: int = 0
    rss_bytes: int = 0
    retries: int = 0
    held: int = 0
    in_flight: tuple[InFlight, ...] = ()
    notices: tuple[Notice, ...] = ()
    warnings: int = 0
    errors: int = 0
    head: str = ""
    events: int = 0
    last_committed_ledger: int | None = None
    finished: RunFinished | None = None

    @property
    def seconds(self) -> float:
        """Length of the run so far."""
        if self.finished is not None:
            return self.finished.seconds
        return max(0.0, self.time - self.started_at) if self.started_at else 0.0

    @property
    def fraction(self) -> float | None:
        """Work done of the work planned, 0 to 1, by source bytes where they are known.

        The engine's totals come once a second; partitions in flight fill the time between.
        """
        if self.finished is not None and self.finished.outcome in ("done", "at_tip"):
            return 1.0
        building = [p for p in self.in_flight if not p.built]
        if self.bytes_expected:
            seen = self.built_source_bytes + sum(p.source_bytes for p in building)
            return min(1.0, max(self.source_bytes, seen) / self.bytes_expected)
        if self.ledgers_total:
            seen = self.built_ledgers + sum(p.ledgers for p in building)
            return min(1.0, (self.ledgers_before + max(self.ledgers, seen)) / self.ledgers_total)
        return None

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left: the engine's figure, else by source bytes; None when unknown."""
        if self.finished is not None or self.state in ("paused", "at_tip", "halted"):
            return None
        if self.engine_eta is not None:
            return self.engine_eta
        if not self.bytes_expected or self.source_bytes_per_second <= 0:
            return None
        return max(0, self.bytes_expected - self.source_bytes) / self.source_bytes_per_second


def summarise(records: Iterable[Mapping[str, Any]]) -> RunSummary:
    """Fold journal records, in order, into one summary."""
    state = RunSummary()
    for record in records:
        state = advance(state, record)
    return state


def advance(state: RunSummary, record: Mapping[str, Any]) -> RunSummary:
    """The summary after one more record; unknown and malformed records change nothing."""
    try:
        event = from_record(dict(record))
    except TypeError:
        return state
    time = record.get("time", state.time)
    step = _STEPS.get(type(event))
    if event is None or step is None or not _is("float", time) or not _well_formed(event):
        return state
    if isinstance(event, RunStarted):
        return _run_started(replace(_fresh(state), time=time), event)
    try:
        return step(replace(state, time=time), event)
    except ValueError:
        # A partition or coverage text that is no ledger range.
        return state


def _well_formed(event: EngineEvent) -> bool:
    """Whether each field has the type it is declared with: a journal may be of any origin."""
    for field in fields(event):
        value = getattr(event, field.name)
        declared, _, optional = str(field.type).partition(" | ")
        if not _is(declared, value) and not (optional and value is None):
            return False
    return True


def _is(declared: str, value: Any) -> bool:
    if declared == "str":
        return isinstance(value, str)
    if declared == "bool":
        return isinstance(value, bool)
    if declared == "list[str]":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _HUGE and (declared == "float" or isinstance(value, int))


def _fresh(state: RunSummary) -> RunSummary:
    """An empty summary; what opening the run has said before its start stays."""
    if state.started is not None:
        return RunSummary()
    return RunSummary(
        notices=state.notices,
        warnings=state.warnings,
        errors=state.errors,
        head=state.head,
        events=state.events,
        last_committed_ledger=state.last_committed_ledger,
    )


def _run_started(state: RunSummary, event: RunStarted) -> RunSummary:
    return replace(
        state,
        run_id=event.run_id,
        started=event,
        started_at=state.time,
        state="running",
        partitions_total=event.partitions_total,
        partitions_before=event.partitions_done,
        ledgers_total=event.ledgers_total,
        ledgers_before=event.ledgers_done,
        bytes_expected=event.bytes_expected,
        workers=event.workers,
    )


def _coverage(state: RunSummary, event: Coverage) -> RunSummary:
    last = max((LedgerRange.parse(text).end for text in event.committed), default=None)
    return replace(state, head=event.head, events=event.events, last_committed_ledger=last)


def _started(state: RunSummary, event: PartitionStarted) -> RunSummary:
    return _put(
        state,
        InFlight(
            event.chain_key,
            event.partition,
            event.worker,
            event.attempt,
            ledgers_total=len(LedgerRange.parse(event.partition)),
        ),
    )


def _progress(state: RunSummary, event: PartitionProgress) -> RunSummary:
    old = _find(state, event.chain_key, event.partition)
    if old is None:
        total = len(LedgerRange.parse(event.partition))
        old = InFlight(event.chain_key, event.partition, event.worker, ledgers_total=total)
    return _put(state, replace(old, ledgers=event.ledgers, source_bytes=event.source_bytes))


def _built(state: RunSummary, event: PartitionBuilt) -> RunSummary:
    old = _find(state, event.chain_key, event.partition) or InFlight(
        event.chain_key, event.partition, event.worker
    )
    state = _put(state, replace(old, ledgers=event.rows, ledgers_total=event.rows, built=True))
    if event.reused:
        return state
    return replace(
        state,
        built_ledgers=state.built_ledgers + event.rows,
        built_source_bytes=state.built_source_bytes + event.source_bytes,
    )


def _committed(state: RunSummary, event: PartitionCommitted) -> RunSummary:
    last = max(state.last_committed_ledger or 0, event.last_ledger)
    return replace(
        _drop(state, event.chain_key, event.partition),
        partitions_committed=state.partitions_committed + 1,
        ledgers_committed=state.ledgers_committed + event.rows,
        parquet_bytes=state.parquet_bytes + event.parquet_bytes,
        last_committed_ledger=last,
    )


def _retried(state: RunSummary, event: PartitionRetried) -> RunSummary:
    text = f"partition {event.partition}: {event.error}"
    todo = f"try {event.attempt + 1} of {event.attempts} in {event.delay:.1f} s"
    state = _notice(state, "warn", "partition", text, todo)
    return replace(_drop(state, event.chain_key, event.partition), retries=state.retries + 1)


def _failed(state: RunSummary, event: PartitionFailed) -> RunSummary:
    text = f"partition {event.partition}: {event.error}"
    state = _notice(state, "error", "partition", text, event.todo)
    state = _drop(state, event.chain_key, event.partition)
    return replace(
        state,
        partitions_failed=state.partitions_failed + 1,
        state="halted" if event.halts else state.state,
    )


def _quarantined(state: RunSummary, event: PartitionQuarantined) -> RunSummary:
    text = f"partition {event.partition} is declared a hole: {event.reason}"
    state = _notice(state, "error", "partition", text, "fill it later with 'bronze run --repair'")
    return replace(
        _drop(state, event.chain_key, event.partition),
        partitions_quarantined=state.partitions_quarantined + 1,
    )


def _linked(state: RunSummary, event: EventLinked) -> RunSummary:
    return replace(state, head=event.event_hash, events=max(state.events + 1, event.chain_seq))


def _stages(state: RunSummary, event: StageFigures) -> RunSummary:
    return replace(state, held=event.held, retries=max(state.retries, event.retries))


def _throughput(state: RunSummary, event: Throughput) -> RunSummary:
    return replace(
        state,
        state=event.state,
        limited_by=event.limited_by,
        ledgers=event.ledgers,
        ledgers_committed=event.ledgers_committed,
        xdr_bytes=event.xdr_bytes,
        source_bytes=event.source_bytes,
        ledgers_per_second=event.ledgers_per_second,
        xdr_bytes_per_second=event.xdr_bytes_per_second,
        source_bytes_per_second=event.source_bytes_per_second,
        engine_eta=event.eta_seconds,
        workers=event.workers,
        rss_bytes=event.rss_bytes,
    )


def _alert(state: RunSummary, event: Alert) -> RunSummary:
    return _notice(state, event.level, event.component, event.message, event.todo)


def _state_changed(state: RunSummary, event: StateChanged) -> RunSummary:
    names = {"pause": "paused", "resume": "running", "drain": "draining", "stop": "stopping"}
    if event.state == "workers":
        return state
    return replace(state, state=names.get(event.state, event.state))


def _finished(state: RunSummary, event: RunFinished) -> RunSummary:
    last = event.last_committed_ledger
    return replace(
        state,
        finished=event,
        state=event.outcome,
        in_flight=(),
        partitions_committed=event.partitions_committed,
        partitions_failed=event.partitions_failed,
        ledgers=event.ledgers,
        ledgers_committed=event.ledgers,
        xdr_bytes=event.xdr_bytes,
        source_bytes=event.source_bytes,
        parquet_bytes=event.parquet_bytes,
        retries=event.retries,
        head=event.head or state.head,
        last_committed_ledger=state.last_committed_ledger if last is None else last,
    )


def _find(state: RunSummary, chain_key: str, partition: str) -> InFlight | None:
    mine = (p for p in state.in_flight if (p.chain_key, p.partition) == (chain_key, partition))
    return next(mine, None)


def _drop(state: RunSummary, chain_key: str, partition: str) -> RunSummary:
    rest = tuple(p for p in state.in_flight if (p.chain_key, p.partition) != (chain_key, partition))
    return replace(state, in_flight=rest)


def _put(state: RunSummary, item: InFlight) -> RunSummary:
    rest = _drop(state, item.chain_key, item.partition).in_flight
    ordered = sorted((*rest, item), key=lambda p: (p.chain_key, LedgerRange.parse(p.partition)))
    return replace(state, in_flight=tuple(ordered))


def _notice(state: RunSummary, level: str, component: str, text: str, todo: str) -> RunSummary:
    notice = Notice(state.time, level, component, text, todo)
    return replace(
        state,
        notices=(*state.notices, notice)[-KEPT_ALERTS:],
        warnings=state.warnings + (level == "warn"),
        errors=state.errors + (level == "error"),
    )


_STEPS: dict[type[EngineEvent | None], Callable[[RunSummary, Any], RunSummary]] = {
    RunStarted: _run_started,
    Coverage: _coverage,
    PartitionStarted: _started,
    PartitionProgress: _progress,
    PartitionBuilt: _built,
    PartitionCommitted: _committed,
    PartitionRetried: _retried,
    PartitionFailed: _failed,
    PartitionQuarantined: _quarantined,
    EventLinked: _linked,
    StageFigures: _stages,
    Throughput: _throughput,
    Alert: _alert,
    StateChanged: _state_changed,
    RunFinished: _finished,
}
