"""A run as the screens see it: a reducer over journal records, nothing else.

Pure but for being changed in place: a flood of events must cost microseconds each. No I/O and no
clock; `now` is always given. Every number on a screen is a field or a method here, tested without
Textual.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any, Literal

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.journal.shape import is_time, well_formed

Record = Mapping[str, Any]

PartitionState = Literal["building", "retrying", "held", "committed", "failed", "hole"]

KEPT_LOG = 5_000
KEPT_NOTICES = 200
KEPT_PARTITIONS = 20_000
KEPT_SAMPLES = 4_000
"""At one a second, a bit over an hour; older ones are thinned to every tenth."""

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
        return min(1.0, self.ledgers / len(self.partition))


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know."""

    time: float
    level: str
    component: str
    message: str
    todo: str = ""
    partition: str = ""


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
    last_active: float | None = None


class Spans:
    """Disjoint ledger ranges, merged, in order."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __iter__(self) -> Iterator[LedgerRange]:
        return (LedgerRange(s, e) for s, e in zip(self._starts, self._ends, strict=True))

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def ledgers(self) -> int:
        """Ledgers covered."""
        return sum(self._ends) - sum(self._starts) + len(self._starts)

    @property
    def last_end(self) -> int:
        """The highest ledger covered, -1 when none is."""
        return self._ends[-1] if self._ends else -1

    def add(self, span: LedgerRange) -> None:
        """Cover ``span``."""
        first = bisect_left(self._ends, span.start - 1)
        last = bisect_right(self._starts, span.end + 1)
        start, end = span.start, span.end
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def covered(self, start: int, end: int) -> int:
        """How many of the ledgers ``start`` to ``end`` are covered."""
        total = 0
        for i in range(bisect_left(self._ends, start), len(self._starts)):
            if self._starts[i] > end:
                break
            total += min(end, self._ends[i]) - max(start, self._starts[i]) + 1
        return total

    def gaps(self, start: int, end: int) -> list[LedgerRange]:
        """What of ``start`` to ``end`` is not covered."""
        found = []
        position = start
        for span in self:
            if span.end < position:
                continue
            if span.start > end:
                break
            if span.start > position:
                found.append(LedgerRange(position, span.start - 1))
            position = span.end + 1
        if position <= end:
            found.append(LedgerRange(position, end))
        return found


@dataclass(slots=True)
class ChainView:
    """One audit chain."""

    chain_key: str
    committed: Spans = field(default_factory=Spans)
    holes: Spans = field(default_factory=Spans)
    failed: Spans = field(default_factory=Spans)
    head: str = ""
    events: int = 0
    unfiled: int = 0
    last_linked: float | None = None


class RunView:
    """The state of the newest run in a journal; ``apply`` each record in order."""

    def __init__(self) -> None:
        self.reset("")

    def reset(self, run_id: str) -> None:
        """Forget everything; a new run begins."""
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
        self.stages = {name: StageView(name) for name in STAGES}
        self.samples: deque[RateSample] = deque(maxlen=KEPT_SAMPLES)
        self.notices: deque[Notice] = deque(maxlen=KEPT_NOTICES)
        self.log: deque[Record] = deque(maxlen=KEPT_LOG)
        self.logged = 0
        self.commits: deque[tuple[float, int]] = deque(maxlen=1_000)
        self.throughput: Record = {}
        self.figures: Record = {}
        self.partitions_committed = 0
        self.partitions_failed = 0
        self.ledgers_committed = 0
        self.parquet_bytes = 0
        self.retries = 0
        self.errors = 0
        self.warnings = 0
        self.revision = 0
        """Grows with every record that changes what a screen shows."""
        self.changed: set[str] = set()
        """Keys of partitions changed since the screens last took them."""

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
        step = _STEPS[record["kind"]]
        try:
            step(self, record)
        except (KeyError, TypeError, ValueError):
            # A journal may be of any origin: what does not parse stays visible in the log.
            return

    def _run_started(self, r: Record) -> None:
        self.started = r
        self.started_at = self.time
        self._set_state("running", "engine")
        for key in r["chain_keys"]:
            self.chain(str(key))

    def _coverage(self, r: Record) -> None:
        chain = self.chain(r["chain_key"])
        for text in r["committed"]:
            chain.committed.add(LedgerRange.parse(text))
        for text in r["holes"]:
            chain.holes.add(LedgerRange.parse(text))
        chain.head, chain.events = str(r["head"]), int(r["events"])

    def _partition_started(self, r: Record) -> None:
        view = self._view(r)
        view.state, view.since = "building", self.time
        view.worker, view.attempt = int(r["worker"]), int(r["attempt"])
        view.ledgers = view.xdr_bytes = view.source_bytes = 0

    def _partition_progress(self, r: Record) -> None:
        view = self._view(r)
        view.worker = int(r["worker"])
        view.ledgers, view.xdr_bytes = int(r["ledgers"]), int(r["xdr_bytes"])
        view.source_bytes = int(r["source_bytes"])

    def _partition_built(self, r: Record) -> None:
        view = self._view(r)
        view.state, view.since = "held", self.time
        view.rows = view.ledgers = int(r["rows"])
        view.xdr_bytes, view.source_bytes = int(r["xdr_bytes"]), int(r["source_bytes"])
        view.parquet_bytes, view.seconds = int(r["parquet_bytes"]), float(r["seconds"])
        view.reused, view.worker = bool(r["reused"]), None

    def _partition_committed(self, r: Record) -> None:
        view = self._view(r)
        view.state, view.since = "committed", self.time
        view.rows = view.ledgers = int(r["rows"])
        view.checksum, view.parquet_bytes = str(r["checksum"]), int(r["parquet_bytes"])
        view.recovered, view.worker = bool(r["recovered"]), None
        view.detail = view.todo = ""
        chain = self.chain(view.chain_key)
        chain.committed.add(view.partition)
        self.commits.append((self.time, view.rows))
        self.partitions_committed += 1
        self.ledgers_committed += view.rows
        self.parquet_bytes += view.parquet_bytes

    def _partition_retried(self, r: Record) -> None:
        view = self._view(r)
        view.state, view.since, view.worker = "retrying", self.time, None
        view.attempt, view.attempts = int(r["attempt"]), int(r["attempts"])
        view.detail = str(r["error"])
        self.retries += 1
        wait = f"try {view.attempt + 1} of {view.attempts} in {float(r['delay']):.1f} s"
        self._notice("warn", "partition", view.detail, wait, str(view.partition))

    def _partition_failed(self, r: Record) -> None:
        view = self._view(r)
        view.state, view.since, view.worker = "failed", self.time, None
        view.detail, view.todo = str(r["error"]), str(r["todo"])
        self.partitions_failed += 1
        self.chain(view.chain_key).failed.add(view.partition)
        if r["halts"]:
            self._set_state("halted", "engine")
        self._notice("error", "partition", view.detail, view.todo, str(view.partition))

    def _partition_quarantined(self, r: Record) -> None:
        view = self._view(r)
        view.state, view.since, view.worker = "hole", self.time, None
        view.detail = str(r["reason"])
        self.chain(view.chain_key).holes.add(view.partition)

    def _event_linked(self, r: Record) -> None:
        chain = self.chain(r["chain_key"])
        number = int(r["chain_seq"])
        chain.events = max(chain.events, number + 1)
        chain.head, chain.last_linked = str(r["event_hash"]), self.time
        view = self.partitions.get(f"{chain.chain_key}/{r['partition']}")
        if view is not None:
            view.event, view.event_hash = number, chain.head
            self.changed.add(view.key)

    def _stage_figures(self, r: Record) -> None:
        self.figures = r
        seconds = {name: float(r[name]) for name in STAGES}
        whole = sum(seconds.values()) or 1.0
        for name, value in seconds.items():
            stage = self.stages[name]
            stage.seconds, stage.share = value, value / whole
            stage.total += value
            if value > 0:
                stage.last_active = self.time
        self.retries = max(self.retries, int(r["retries"]))

    def _throughput(self, r: Record) -> None:
        self.throughput = r
        self.samples.append(
            RateSample(
                self.time,
                float(r["ledgers_per_second"]),
                float(r["xdr_bytes_per_second"]),
                float(r["source_bytes_per_second"]),
            )
        )
        state = str(r["state"])
        if state != self.engine_state and self.finished is None:
            self._set_state(state, "engine")

    def _alert(self, r: Record) -> None:
        level = str(r["level"])
        self._notice(level, str(r["component"]), str(r["message"]), str(r.get("todo", "")))

    def _state_changed(self, r: Record) -> None:
        state = str(r["state"])
        if state == "workers":
            text = f"workers set to {r.get('detail', '?')} by {r['by']}"
            self._notice("info", "engine", text, "")
        else:
            self._set_state(state, str(r["by"]))

    def _run_finished(self, r: Record) -> None:
        self.finished = r
        self._set_state(str(r["outcome"]), "engine")

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
        chain_key, text = str(r["chain_key"]), str(r["partition"])
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
        old = (k for k, v in self.partitions.items() if v.state == "committed")
        for key in list(islice(old, KEPT_PARTITIONS // 10)):
            del self.partitions[key]

    # Reading.

    def chain(self, chain_key: str) -> ChainView:
        """The chain's view, made when first named."""
        return self.chains.setdefault(str(chain_key), ChainView(str(chain_key)))

    def take_changed(self) -> set[str]:
        """Keys of partitions changed since the last call."""
        changed, self.changed = self.changed, set()
        return changed

    def in_flight(self) -> list[PartitionView]:
        """Partitions being built, retried or held, in ledger order."""
        active = [
            v for v in self.partitions.values() if v.state in ("building", "retrying", "held")
        ]
        return sorted(active, key=lambda v: (v.chain_key, v.partition))

    def span(self) -> LedgerRange | None:
        """Ledgers of the run's eras: to the configured end, else to what is known of the source."""
        start = self.started.get("ledger_start")
        if not isinstance(start, int):
            return None
        ends = [self.started.get("ledger_end") or 0, start]
        if not self.started.get("ledger_end"):
            ends.append(self.started.get("source_tip") or 0)
            ends += [span.end for chain in self.chains.values() for span in chain.committed]
        return LedgerRange(start, max(ends))

    def fraction(self) -> float | None:
        """Committed ledgers of the span, 0 to 1."""
        span = self.span()
        if span is None:
            return None
        done = sum(c.committed.covered(span.start, span.end) for c in self.chains.values())
        return min(1.0, done / len(span))

    def rate(self) -> RateSample | None:
        """The newest throughput."""
        return self.samples[-1] if self.samples else None

    def rates(self, seconds: float, buckets: int) -> list[float]:
        """Mean ledgers a second in ``buckets`` equal pieces of the last ``seconds``."""
        end = self.time
        width = seconds / buckets
        sums, counts = [0.0] * buckets, [0] * buckets
        for sample in reversed(self.samples):
            index = buckets - 1 - int((end - sample.time) / width)
            if index < 0:
                break
            sums[min(index, buckets - 1)] += sample.ledgers
            counts[min(index, buckets - 1)] += 1
        return [s / n if n else 0.0 for s, n in zip(sums, counts, strict=True)]

    def mean_rate(self, seconds: float) -> float | None:
        """Mean ledgers a second over the last ``seconds``; None without samples."""
        recent = [s.ledgers for s in self.samples if self.time - s.time <= seconds]
        return sum(recent) / len(recent) if recent else None

    def peak_rate(self) -> float:
        """Highest ledgers a second seen."""
        return max((s.ledgers for s in self.samples), default=0.0)

    def usual_gap(self) -> float | None:
        """Median seconds between commits of this run; None before the third."""
        times = [time for time, _ in self.commits]
        gaps = sorted(b - a for a, b in pairwise(times))
        return gaps[len(gaps) // 2] if len(gaps) >= 2 else None

    def last_commit(self) -> float | None:
        """When the last partition was committed."""
        return self.commits[-1][0] if self.commits else None

    def elapsed(self) -> float:
        """Seconds of the run so far."""
        if self.finished is not None:
            return float(self.finished.get("seconds", 0.0))
        return max(0.0, self.time - self.started_at) if self.started_at is not None else 0.0

    def eta_seconds(self) -> float | None:
        """The engine's estimate by bytes; None when stalled, paused or unknown."""
        value = self.throughput.get("eta_seconds")
        if self.finished is not None or self.engine_state != "running":
            return None
        return float(value) if isinstance(value, int | float) else None


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
    "stage_figures": RunView._stage_figures,
    "throughput": RunView._throughput,
    "alert": RunView._alert,
    "state_changed": RunView._state_changed,
    "run_finished": RunView._run_finished,
}
