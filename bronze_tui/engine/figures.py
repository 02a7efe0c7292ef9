"""The run's figures, once a second: progress of each build, throughput, where the time goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bronze_tui.domain.events import (
    EngineEvent,
    PartitionProgress,
    StageFigures,
    Throughput,
)
from bronze_tui.engine.context import Built
from bronze_tui.engine.control import RunControl
from bronze_tui.engine.limits import limited_by
from bronze_tui.engine.loads import LoadMeter
from bronze_tui.engine.memory import resident_bytes
from bronze_tui.engine.rates import Rates, Sample, eta, saturated
from bronze_tui.engine.traffic import Traffic
from bronze_tui.engine.workers import WorkerPool

_QUIET = 5.0


@dataclass(slots=True)
class Totals:
    """Sums over finished work of this run."""

    partitions: int = 0
    ledgers: int = 0
    xdr_bytes: int = 0
    source_bytes: int = 0
    parquet_bytes: int = 0
    built_ledgers: int = 0
    committed_seconds: float = 0.0
    errors: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    _commit_begin: float | None = None

    @contextmanager
    def committing(self) -> Iterator[None]:
        """The block counts as commit time, also while it lasts."""
        self._commit_begin = begin = time.monotonic()
        try:
            yield
        finally:
            self._commit_begin = None
            self.committed_seconds += time.monotonic() - begin

    @property
    def commit_seconds(self) -> float:
        """Of all commits, with the part of the one under way."""
        begin = self._commit_begin
        return self.committed_seconds + (0.0 if begin is None else time.monotonic() - begin)


class Figures:
    """Emits PartitionProgress, Throughput, StageFigures and Requests; thread-safe.

    Args:
        totals: kept by the engine; builds under way are added here.
    """

    def __init__(
        self,
        say: Callable[[EngineEvent], None],
        pool: WorkerPool,
        control: RunControl,
        totals: Totals,
        meter: LoadMeter,
        traffic: Traffic | None = None,
    ) -> None:
        self._say = say
        self._pool = pool
        self._control = control
        self._totals = totals
        self._meter = meter
        self._traffic = traffic
        self._rates = Rates()
        self._turn = threading.Lock()
        self.limit = "nothing"
        """What limits the run, as of the newest figures."""
        self._last = -1e9
        self._last_said = -1e9
        self._last_ledgers = -1
        self._stages: dict[str, float] = {}
        self._commit_seconds = 0.0

    def tick(
        self,
        state: str,
        ledgers_left: int | None,
        held: int,
        *,
        window_full: bool,
        gated: bool,
        force: bool,
    ) -> None:
        """Emit what is due; at most once a second, every five when nothing moves.

        Args:
            gated: commits wait for audit events to be delivered.
        """
        with self._turn:
            seconds = time.monotonic() - self._last
            if seconds >= 1.0 or force:
                self._emit(state, ledgers_left, held, seconds, window_full, gated, force)

    def _emit(
        self,
        state: str,
        ledgers_left: int | None,
        held: int,
        seconds: float,
        window_full: bool,
        gated: bool,
        force: bool,
    ) -> None:
        self._last = now = time.monotonic()
        for number, task, progress in self._pool.active():
            self._say(
                PartitionProgress(
                    task.context.chain_key,
                    str(task.partition),
                    number,
                    progress.ledgers,
                    progress.xdr_bytes,
                    progress.source_bytes,
                )
            )
        sample = self._sample(now)
        moving = sample.ledgers != self._last_ledgers
        if not moving and now - self._last_said < _QUIET and not force:
            return
        self._last_said, self._last_ledgers = now, sample.ledgers
        stages = self._stage_delta()
        committing = max(0.0, self._totals.commit_seconds - self._commit_seconds)
        # While nothing moves, a commit under way is what holds the run up, whatever waits behind.
        full = window_full or saturated(held if moving else held + 1, committing, seconds)
        load = self._meter.take(
            stages, committing=full, moving=moving, delivering=gated, awaited=self._awaited()
        )
        self.limit = limited_by(load)
        self._say_throughput(sample, state, ledgers_left)
        self._say_stages(stages, held)
        for event in self._traffic.news() if self._traffic else ():
            self._say(event)

    def _sample(self, now: float) -> Sample:
        totals = self._totals
        active = [progress for _, _, progress in self._pool.active()]
        return Sample(
            now,
            totals.built_ledgers + sum(p.ledgers for p in active),
            totals.xdr_bytes + sum(p.xdr_bytes for p in active),
            totals.source_bytes + sum(p.source_bytes for p in active),
        )

    def _stage_delta(self) -> dict[str, float]:
        now = dict(self._pool.finished_stages)
        for _, _, progress in self._pool.active():
            for stage, seconds in progress.stages.items():
                now[stage] = now.get(stage, 0.0) + seconds
        names = ("waiting", "decompress", "walk", "hash", "encode", "store")
        delta = {s: max(0.0, now.get(s, 0.0) - self._stages.get(s, 0.0)) for s in names}
        self._stages = now
        return delta

    def _awaited(self) -> str:
        """The stage in which every builder stands, empty when they differ."""
        doing = {progress.doing for _, _, progress in self._pool.active()}
        return doing.pop() if len(doing) == 1 else ""

    def _say_throughput(self, sample: Sample, state: str, ledgers_left: int | None) -> None:
        rate = self._rates.add(sample)
        left = None
        if ledgers_left is not None:
            left = max(0, ledgers_left - (sample.ledgers - self._totals.ledgers))
        self._say(
            Throughput(
                ledgers=sample.ledgers,
                ledgers_committed=self._totals.ledgers,
                partitions_committed=self._totals.partitions,
                xdr_bytes=sample.xdr_bytes,
                source_bytes=sample.source_bytes,
                ledgers_per_second=rate.ledgers,
                xdr_bytes_per_second=rate.xdr_bytes,
                source_bytes_per_second=rate.source_bytes,
                eta_seconds=eta(left, sample, rate) if state == "running" else None,
                limited_by=self.limit,
                state=state,
                workers=self._control.workers,
                rss_bytes=resident_bytes(),
                fetchers=self._pool.gate.limit,
            )
        )

    def _say_stages(self, stages: dict[str, float], held: int) -> None:
        total = self._totals.commit_seconds
        commit, self._commit_seconds = max(0.0, total - self._commit_seconds), total
        self._say(
            StageFigures(
                fetch=self._meter.reading,
                decompress=stages["decompress"],
                walk=stages["walk"],
                hash=stages["hash"],
                encode=stages["encode"],
                store=stages["store"],
                commit=commit,
                fetch_waiting=stages["waiting"],
                read_ahead_bytes=self._pool.budget.used,
                in_flight=len(self._pool.active()),
                held=held,
                errors=self._totals.errors,
                retries=self._pool.retries,
            )
        )


def count_built(totals: Totals, built: Built) -> None:
    """Add a finished build; one that was found whole moved no bytes."""
    if built.reused:
        return
    totals.built_ledgers += len(built.partition)
    totals.xdr_bytes += built.xdr_bytes
    totals.source_bytes += built.source_bytes
