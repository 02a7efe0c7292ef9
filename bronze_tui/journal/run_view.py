"""The one reducer over journal records: a run as screens, headless renderers and verdict see it.

Changed in place, because a flood of records must cost microseconds each; no I/O and no clock. What
is computed of it is in ``run_figures``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, islice
from typing import Any

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.journal.shape import is_time, well_formed
from bronze_tui.journal.views import (
    STAGES,
    ChainView,
    Notice,
    PartitionView,
    RateSample,
    StageView,
)

Record = Mapping[str, Any]

KEPT_LOG = 5_000
KEPT_NOTICES = 200
KEPT_PARTITIONS = 20_000
KEPT_SAMPLES = 4_000
"""At one a second, a bit over an hour."""


class RunView:
    """The state of the newest run in a journal; ``apply`` each record in order."""

    def __init__(self) -> None:
        self.reset("")

    def reset(self, run_id: str) -> None:
        """Forget everything; a new run begins."""
        self.log: deque[Record] = deque(maxlen=KEPT_LOG)
        self.logged = 0
        self.revision = 0
        """Grows with every record that changes what a screen shows."""
        self.changed: set[str] = set()
        """Keys of partitions changed since the screens last took them."""
        self._begin(run_id)

    def _begin(self, run_id: str) -> None:
        """Everything but the log as before the run's first record."""
        self.run_id = run_id
        self.started: Record = {}
        self.started_at: float | None = None
        self.time = 0.0
        self.engine_state = "starting"
        self.state_since = 0.0
        self.state_by = ""
        self.finished: Record | None = None
        self.chains: dict[str, ChainView] = {}
        self.partitions: dict[str, PartitionView] = {}
        self._linked: dict[str, tuple[int, str]] = {}
        """Events linked before their partition was spoken of: number and hash by row key."""
        self.stages = {name: StageView(name) for name in STAGES}
        self.samples: deque[RateSample] = deque(maxlen=KEPT_SAMPLES)
        self.notices: deque[Notice] = deque(maxlen=KEPT_NOTICES)
        self.throughput: Record = {}
        self.figures: Record = {}
        self.partitions_quarantined = 0
        self.retries = 0
        self.errors = 0
        self.warnings = 0
        self.outbox: Record = {}
        """The newest figures of audit event delivery; empty without an endpoint."""
        self._count_from_here()

    def _count_from_here(self) -> None:
        """No partition of this run is committed or failed yet."""
        self.commits: deque[tuple[float, int]] = deque(maxlen=1_000)
        self.partitions_committed = 0
        self.partitions_failed = 0
        self.ledgers_committed = 0
        self.parquet_bytes = 0
        self.events_delivered = 0
        self.requests: dict[str, Record] = {}
        """The last totals of requests, by role: source, store."""

    # Applying.

    def apply(self, record: Record) -> None:
        """Take one record; unknown kinds and malformed records are kept in the log alone."""
        run_id = record.get("run")
        if isinstance(run_id, str) and run_id != self.run_id:
            self.reset(run_id)
        time: Any = record.get("time")
        if is_time(time):
            self.time = float(time)
        self.log.append(record)
        self.logged += 1
        self.revision += 1
        if not well_formed(record):
            return
        try:
            _STEPS[record["kind"]](self, record)
        except (KeyError, ValueError):
            # A field is missing or is no ledger range: each step reads before it changes.
            return

    def _run_started(self, r: Record) -> None:
        end = max(r["ledger_start"], r.get("ledger_end") or 0, r.get("source_tip") or 0)
        LedgerRange(r["ledger_start"], end)
        keys = r["chain_keys"]
        if self.started_at is not None:
            time = self.time
            self._begin(self.run_id)
            self.time = time
        # What opening rolled forward is among the run's ``partitions_done``, not its own work.
        self._count_from_here()
        self.started, self.started_at = r, self.time
        self.run_id = self.run_id or str(r.get("run_id", ""))
        self._set_state("running", "engine")
        for key in keys:
            self.chain(key)

    def _coverage(self, r: Record) -> None:
        committed = [LedgerRange.parse(text) for text in r["committed"]]
        holes = [LedgerRange.parse(text) for text in r["holes"]]
        head, events, chain = r["head"], r["events"], self.chain(r["chain_key"])
        chain.head, chain.events = head, events
        for span in committed:
            chain.committed.add(span)
        for span in holes:
            chain.holes.add(span)

    def _partition_started(self, r: Record) -> None:
        worker, attempt = r["worker"], r["attempt"]
        view = self._view(r)
        view.state, view.since = "building", self.time
        view.worker, view.attempt = worker, attempt
        view.ledgers = view.xdr_bytes = view.source_bytes = 0

    def _partition_progress(self, r: Record) -> None:
        worker, ledgers = r["worker"], r["ledgers"]
        xdr_bytes, source_bytes = r["xdr_bytes"], r["source_bytes"]
        view = self._view(r)
        view.worker, view.ledgers = worker, ledgers
        view.xdr_bytes, view.source_bytes = xdr_bytes, source_bytes

    def _partition_built(self, r: Record) -> None:
        rows, xdr_bytes, source_bytes = r["rows"], r["xdr_bytes"], r["source_bytes"]
        parquet_bytes, seconds, reused = r["parquet_bytes"], r["seconds"], r["reused"]
        view = self._view(r)
        view.state, view.since, view.worker = "held", self.time, None
        view.rows = view.ledgers = rows
        view.xdr_bytes, view.source_bytes = xdr_bytes, source_bytes
        view.parquet_bytes, view.seconds, view.reused = parquet_bytes, float(seconds), reused

    def _partition_committed(self, r: Record) -> None:
        rows, checksum = r["rows"], r["checksum"]
        parquet_bytes, recovered = r["parquet_bytes"], r["recovered"]
        view = self._view(r)
        view.state, view.since, view.worker = "committed", self.time, None
        view.rows = view.ledgers = rows
        view.checksum, view.parquet_bytes, view.recovered = checksum, parquet_bytes, recovered
        view.detail = view.todo = ""
        early = self._linked.pop(view.key, None)
        if early is not None:
            view.event, view.event_hash = early
        self.chain(view.chain_key).committed.add(view.partition)
        self.commits.append((self.time, rows))
        self.partitions_committed += 1
        self.ledgers_committed += rows
        self.parquet_bytes += parquet_bytes

    def _partition_retried(self, r: Record) -> None:
        attempt, attempts, error = r["attempt"], r["attempts"], r["error"]
        wait = f"try {attempt + 1} of {attempts} in {r['delay']:.1f} s"
        view = self._view(r)
        view.state, view.since, view.worker = "retrying", self.time, None
        view.attempt, view.attempts, view.detail = attempt, attempts, error
        self.retries += 1
        self._notice("warn", "partition", error, wait, str(view.partition))

    def _partition_failed(self, r: Record) -> None:
        error, todo, halts = r["error"], r["todo"], r["halts"]
        view = self._view(r)
        view.state, view.since, view.worker = "failed", self.time, None
        view.detail, view.todo = error, todo
        self.partitions_failed += 1
        if halts:
            self._set_state("halted", "engine")
        self._notice("error", "partition", error, todo, str(view.partition))

    def _partition_quarantined(self, r: Record) -> None:
        reason = r["reason"]
        view = self._view(r)
        view.state, view.since, view.worker = "hole", self.time, None
        view.detail, view.todo = reason, "fill it later with 'bronze run --repair'"
        self.partitions_quarantined += 1
        self.chain(view.chain_key).holes.add(view.partition)
        text = f"declared a hole: {reason}"
        self._notice("error", "partition", text, view.todo, str(view.partition))

    def _event_linked(self, r: Record) -> None:
        number, event_hash, partition = r["chain_seq"], r["event_hash"], r["partition"]
        chain = self.chain(r["chain_key"])
        chain.events = max(chain.events, number + 1)
        chain.head, chain.last_linked = event_hash, self.time
        key = f"{chain.chain_key}/{partition}"
        view = self.partitions.get(key)
        if view is None:
            # What a crash left in the outbox is filed before its commit is told.
            self._linked[key] = (number + 1, event_hash)
        else:
            view.event, view.event_hash = number + 1, event_hash
            self.changed.add(view.key)

    def _event_delivered(self, r: Record) -> None:  # noqa: ARG002
        self.events_delivered += 1

    def _outbox_figures(self, r: Record) -> None:
        _ = r["state"], r["waiting"], r["parked"], r["oldest_seconds"]
        self.outbox = r

    def _stage_figures(self, r: Record) -> None:
        seconds = {name: float(r[name]) for name in STAGES}
        retries = r["retries"]
        self.figures = r
        whole = sum(seconds.values()) or 1.0
        for name, value in seconds.items():
            stage = self.stages[name]
            stage.seconds, stage.share = value, value / whole
            stage.total += value
            if value > 0:
                stage.last_active = self.time
        self.retries = max(self.retries, retries)

    def _requests(self, r: Record) -> None:
        if r["role"] in ("source", "store"):
            self.requests[r["role"]] = r

    def _throughput(self, r: Record) -> None:
        state = r["state"]
        sample = RateSample(
            self.time,
            r["ledgers_per_second"],
            r["xdr_bytes_per_second"],
            r["source_bytes_per_second"],
        )
        self.throughput = r
        self.samples.append(sample)
        if self.finished is None:
            self._set_state(state, "engine")

    def _alert(self, r: Record) -> None:
        self._notice(r["level"], r["component"], r["message"], r.get("todo", ""))

    def _state_changed(self, r: Record) -> None:
        state, by = r["state"], r["by"]
        if state == "workers":
            self._notice("info", "engine", f"workers set to {r.get('detail', '?')} by {by}", "")
        else:
            self._set_state(state, by)

    def _run_finished(self, r: Record) -> None:
        outcome = r["outcome"]
        self.finished = r
        self._set_state(outcome, "engine")
        # The engine's own totals: a renderer that fell behind may have missed records.
        self.partitions_committed = r.get("partitions_committed", self.partitions_committed)
        self.partitions_failed = r.get("partitions_failed", self.partitions_failed)
        self.ledgers_committed = r.get("ledgers", self.ledgers_committed)
        self.parquet_bytes = r.get("parquet_bytes", self.parquet_bytes)
        self.retries = r.get("retries", self.retries)

    def _set_state(self, state: str, by: str) -> None:
        if state != self.engine_state:
            self.engine_state, self.state_since, self.state_by = state, self.time, by

    def _notice(
        self, level: str, component: str, message: str, todo: str, partition: str = ""
    ) -> None:
        self.notices.append(Notice(self.time, level, component, message, todo, partition))
        self.errors += level == "error"
        self.warnings += level == "warn"

    def _view(self, r: Record) -> PartitionView:
        chain_key, text = r["chain_key"], r["partition"]
        key = f"{chain_key}/{text}"
        view = self.partitions.get(key)
        if view is None:
            view = PartitionView(chain_key, LedgerRange.parse(text), "building", self.time)
            self.partitions[key] = view
            if len(self.partitions) > KEPT_PARTITIONS:
                self._forget_oldest()
        self.changed.add(key)
        return view

    def _forget_oldest(self) -> None:
        """Committed partitions live on in the coverage; the newest rows stay."""
        committed = (k for k, v in self.partitions.items() if v.state == "committed")
        others = (k for k, v in self.partitions.items() if v.state != "committed")
        for key in list(islice(chain(committed, others), KEPT_PARTITIONS // 10)):
            del self.partitions[key]

    # What screens ask for by name; numbers are in run_figures.

    def chain(self, chain_key: str) -> ChainView:
        """The chain's view, made when first named."""
        known = self.chains.get(chain_key)
        if known is None:
            known = self.chains[chain_key] = ChainView(chain_key)
        return known

    def take_changed(self) -> set[str]:
        """Keys of partitions changed since the last call."""
        changed, self.changed = self.changed, set()
        return changed


def view_of(records: Iterable[Record]) -> RunView:
    """The view after all ``records``."""
    view = RunView()
    for record in records:
        view.apply(record)
    return view


_STEPS: dict[str, Callable[[RunView, Record], None]] = {
    "run_started": RunView._run_started,
    "coverage": RunView._coverage,
    "partition_started": RunView._partition_started,
    "partition_progress": RunView._partition_progress,
    "partition_built": RunView._partition_built,
    "partition_committed": RunView._partition_committed,
    "partition_retried": RunView._partition_retried,
    "partition_failed": RunView._partition_failed,
    "partition_quarantined": RunView._partition_quarantined,
    "event_linked": RunView._event_linked,
    "event_delivered": RunView._event_delivered,
    "outbox_figures": RunView._outbox_figures,
    "stage_figures": RunView._stage_figures,
    "requests": RunView._requests,
    "throughput": RunView._throughput,
    "alert": RunView._alert,
    "state_changed": RunView._state_changed,
    "run_finished": RunView._run_finished,
}
