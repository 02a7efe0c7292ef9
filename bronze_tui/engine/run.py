"""The run: dispatches partitions, commits what is built in ledger order, ticks, and ends with an
outcome. The calling thread is the sequencer; builders and control are threads beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from bronze_tui.domain.errors import (
    BronzeError,
    CatalogUnavailable,
    LinkError,
    SourceDataError,
    SourceError,
)
from bronze_tui.domain.events import (
    Alert,
    EngineEvent,
    PartitionFailed,
    PartitionQuarantined,
    RunFinished,
    StateChanged,
)
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.engine.context import BuildStopped, Built, EngineOptions
from bronze_tui.engine.control import RunControl
from bronze_tui.engine.delivery import Delivery, NoDelivery
from bronze_tui.engine.figures import Figures, Totals, count_built
from bronze_tui.engine.gate import open_gate
from bronze_tui.engine.holes import declare_hole
from bronze_tui.engine.loads import LoadMeter
from bronze_tui.engine.outcome import RunEnd, run_verdict
from bronze_tui.engine.pulse import Pulse
from bronze_tui.engine.requeue import refuse
from bronze_tui.engine.schedule import EraRun, Schedule
from bronze_tui.engine.traffic import Traffic
from bronze_tui.engine.workers import Outcome, Task, WorkerPool

_TICK = 1.0
_JOIN = 5.0
_GATE = 0.1


class Engine:
    """One run over one or more eras.

    Args:
        eras: in ledger order, reconciled.
        say: takes journal events (the journal and the plugins behind it).
        beat: called about every second to keep locks alive; raises LockedError when one is lost.
        delivery: delivers audit events while the run goes on; ended with it.
        traffic: counts the requests of source and store.
    """

    def __init__(
        self,
        eras: Sequence[EraRun],
        options: EngineOptions,
        control: RunControl,
        say: Callable[[EngineEvent], None],
        beat: Callable[[], None],
        delivery: Delivery | NoDelivery,
        traffic: Traffic | None = None,
    ) -> None:
        self._eras = list(eras)
        self._options = options
        self._control = control
        self._say = say
        self._beat = beat
        self._delivery = delivery
        self._schedule = Schedule()
        self._source = self._eras[0].context.source
        gate = open_gate(options, self._source)
        self._pool = WorkerPool(options, control, self._take, self._done, say, gate)
        self._totals = Totals()
        meter = LoadMeter(self._pool, self._eras[0].context, traffic)
        self._figures = Figures(say, self._pool, control, self._totals, meter, traffic)
        self._pulse = Pulse(self._tick)
        self._tip: int | None = None
        self._tip_checked: float | None = None
        self._tip_failures = 0
        self._tip_again: float | None = None
        """When to ask for the tip again after a failure."""
        self._was_at_tip = False
        self._halted_by: BronzeError | None = None
        self._failures: list[str] = []

    def run(self, tip: int | None = None) -> RunFinished:
        """Copy until the plan is done, the tip is reached, somebody stops it, or it must halt.

        Args:
            tip: the source's newest ledger, as asked just now.
        """
        begin = time.monotonic()
        if tip is not None:
            self._tip, self._tip_checked = tip, begin
        try:
            self._look_at_tip()
            self._loop()
        except BronzeError as error:
            self._halted_by = error
            self._say_failure(error)
        finally:
            if self._halted_by is not None:
                self._control.halt()
            self._pool.close(_JOIN)
            self._pulse.close()
        self._end_delivery()
        self._tick(force=True)
        return self._finish(time.monotonic() - begin)

    def status(self) -> dict[str, Any]:
        """Figures for the control socket."""
        return {
            "state": self._state(),
            "workers": self._control.workers,
            "fetchers": self._pool.gate.limit,
            "limited_by": self._figures.limit,
            "source_tip": self._tip,
            "partitions_committed": self._totals.partitions,
            "ledgers_committed": self._totals.ledgers,
            "partitions_failed": len(self._failures),
            "in_flight": [str(task.partition) for _, task, _ in self._pool.active()],
            "held": len(self._schedule.outcomes),
            "chains": [era.committer.status() for era in self._eras],
            "delivery": self._delivery.status(),
        }

    def retry(self, partition: str, by: str) -> None:
        """Try a partition that waits in back-off at once; any thread may ask.

        Raises:
            UsageError: it is in no back-off; the text says what it does instead.
        """
        if self._control.retry(partition):
            self._say(Alert("info", "engine", f"partition {partition} is tried now, by {by}"))
            return
        with self._control.changed:
            held = [str(self._schedule.tasks[i][1].partition) for i in self._schedule.outcomes]
        building = [str(task.partition) for _, task, _ in self._pool.active()]
        refuse(LedgerRange.parse(partition), self._eras, building, held)

    def idle(self) -> None:
        """Journal, figures and locks, also while a commit waits; may raise LockedError."""
        self._tell_control()
        self._tick()
        self._beat()

    def _loop(self) -> None:
        while True:
            self._delivery.check()
            self._pool.ensure()
            while self._has_room() and self._commit_next():
                self._tick()
            self.idle()
            if self._is_over():
                return
            with self._control.changed:
                gated = not self._has_room()
                if gated or self._schedule.next_commit not in self._schedule.outcomes:
                    self._control.changed.wait(_GATE if gated else self._breath())
            self._look_at_tip()

    def _breath(self) -> float:
        if self._tip_again is None:
            return _TICK
        return min(_TICK, max(_GATE, self._tip_again - time.monotonic()))

    def _has_room(self) -> bool:
        """Whether the outbox lets another event in; what was asked to end commits what it has."""
        return self._control.ending or not self._delivery.full

    def _is_over(self) -> bool:
        """Nothing is under way and nothing may or can begin."""
        with self._control.changed:
            if self._schedule.next_commit < self._schedule.next_index:
                return False
            if self._control.ending or self._schedule.failed:
                return True
            if self._offer() is not None or self._tip_again is not None:
                return False
            return self._all_finished() or not self._options.follow

    def _all_finished(self) -> bool:
        return all(era.plan.finished for era in self._eras)

    # Handing out: called by builders with the control lock held.

    def _take(self) -> Task | None:
        schedule = self._schedule
        if schedule.failed or self._window_full():
            return None
        offered = self._offer()
        if offered is None:
            return None
        era, partition = offered
        task = Task(schedule.next_index, era.context, partition)
        schedule.tasks[task.index] = era, task
        schedule.next_index += 1
        era.plan = era.plan.without(partition)
        return task

    @property
    def _window(self) -> int:
        """Grows with the workers that were added while the run goes on."""
        return self._options.window + max(0, self._control.workers - self._options.workers)

    def _window_full(self) -> bool:
        return self._schedule.next_index - self._schedule.next_commit >= self._window

    def _offer(self) -> tuple[EraRun, LedgerRange] | None:
        """The first partition left that the source can fill."""
        for era in self._eras:
            if not era.plan.finished:
                if self._tip is None:
                    return None
                partition = next(iter(era.plan.partitions(self._tip)), None)
                return None if partition is None else (era, partition)
        return None

    def _done(self, task: Task, outcome: Outcome) -> None:
        with self._control.changed:
            self._schedule.outcomes[task.index] = outcome
            if isinstance(outcome, BuildStopped) or (
                isinstance(outcome, BronzeError) and not self._may_skip(outcome)
            ):
                self._schedule.failed = True
            self._control.changed.notify_all()

    # Committing: the sequencer's thread alone.

    def _commit_next(self) -> bool:
        """Settle the next task in commit order; False when it is not built yet."""
        schedule = self._schedule
        with self._control.changed:
            outcome = schedule.outcomes.pop(schedule.next_commit, None)
            if outcome is None:
                return False
            era, task = schedule.tasks.pop(schedule.next_commit)
        # What was built after a resume must not stand before it in the journal.
        self._tell_control()
        try:
            with self._pulse.busy():
                self._settle(era, task, outcome)
        finally:
            with self._control.changed:
                schedule.next_commit += 1
                self._control.changed.notify_all()
        return True

    def _settle(self, era: EraRun, task: Task, outcome: Outcome) -> None:
        if isinstance(outcome, BuildStopped):
            self._schedule.given_up = True
        if self._schedule.given_up and isinstance(outcome, BuildStopped | Built):
            return
        if isinstance(outcome, Built):
            count_built(self._totals, outcome)
            try:
                self._commit(era, outcome)
                return
            except LinkError as error:
                outcome = error
        self._totals.errors += 1
        self._fail(era, task, outcome)

    def _commit(self, era: EraRun, built: Built) -> None:
        with self._totals.committing():
            row = era.committer.commit(built)
        self._delivery.wake()
        self._totals.partitions += 1
        self._totals.ledgers += len(built.partition)
        self._totals.parquet_bytes += built.table.byte_size
        for following in self._eras:
            if following.context.era.first_ledger == row.partition.end + 1:
                following.committer.edge_hash = row.last_ledger_hash

    def _may_skip(self, error: BronzeError) -> bool:
        """Only wrong data may be skipped: never a store or state error, and never an outage, which
        would declare one hole after the other."""
        return self._options.skip_failed and isinstance(error, SourceDataError)

    def _fail(self, era: EraRun, task: Task, error: BronzeError) -> None:
        """Halt here, or declare a hole and go on (``perf.on_failure: skip``)."""
        skip = self._may_skip(error)
        self._failures.append(str(task.partition))
        self._say(
            PartitionFailed(
                chain_key=era.context.chain_key,
                partition=str(task.partition),
                error=f"{error.where}: {error.what}" if error.where else error.what,
                error_type=type(error).__name__,
                todo=error.todo,
                halts=not skip,
            )
        )
        try:
            era.context.catalog.note_failure(era.context.dataset_id, task.partition, str(error))
        except CatalogUnavailable:
            if skip:
                raise
        if not skip:
            raise error
        if not era.plan.repair:
            declare_hole(era.context, task.partition, str(error))
        self._say(PartitionQuarantined(era.context.chain_key, str(task.partition), str(error)))

    # Looking around.

    def _look_at_tip(self) -> None:
        """Ask the source for its newest ledger when nothing is left below the known one."""
        now = time.monotonic()
        with self._control.changed:
            wanted = not self._control.ending and self._offer() is None
        if not wanted or self._all_finished():
            return
        if self._tip_again is not None:
            if now < self._tip_again:
                return
        elif self._tip_checked is not None:
            if not self._options.follow or now - self._tip_checked < self._options.poll_interval:
                return
            self._note_at_tip()
        self._tip_checked = now
        try:
            tip = self._source.tip()
        except SourceError as error:
            self._tip_failed(error)
            return
        self._tip_failures, self._tip_again = 0, None
        with self._control.changed:
            if tip is not None and tip != self._tip:
                self._was_at_tip = False
            self._tip = tip
            self._control.changed.notify_all()

    def _tip_failed(self, error: SourceError) -> None:
        self._tip_failures += 1
        if not error.retryable or self._tip_failures >= max(1, self._options.retry_attempts):
            raise error
        # Not waited for here: locks are kept, commits go on, and the operator is heard meanwhile.
        self._tip_again = time.monotonic() + self._options.retry_backoff * self._tip_failures
        self._say(Alert("warn", "source", str(error), "tried again shortly"))

    def _note_at_tip(self) -> None:
        if not self._was_at_tip and self._schedule.next_commit == self._schedule.next_index:
            self._was_at_tip = True
            self._say(StateChanged("at_tip", "engine", f"newest ledger {self._tip}"))

    def _state(self) -> str:
        if self._halted_by is not None or self._schedule.failed:
            return "halted" if not self._control.stopping or self._halted_by else "stopping"
        if self._was_at_tip and self._control.state == "running":
            return "at_tip"
        return self._control.state

    def _tell_control(self) -> None:
        for state, by, detail in self._control.take_notes():
            self._say(StateChanged(state, by, detail))

    def _tick(self, *, force: bool = False) -> None:
        with self._control.changed:
            held = len(self._schedule.outcomes)
            full = self._window_full() and held >= self._window - self._control.workers
        gated = not self._has_room()
        self._figures.tick(
            self._state(), self._ledgers_left(), held, window_full=full, gated=gated, force=force
        )

    def _ledgers_left(self) -> int | None:
        """Ledgers not committed yet, up to the era's end or the tip."""
        left = 0
        for era in self._eras:
            count = era.plan.count(self._tip)
            if count is None:
                return None
            left += count[1]
        with self._control.changed:
            return left + sum(len(task.partition) for _, task in self._schedule.tasks.values())

    # Ending.

    def _end_delivery(self) -> None:
        """Let waiting events go out as long as they do."""
        try:
            self._delivery.finish(self.idle, self._control)
        except BronzeError as error:
            if self._halted_by is None:
                self._halted_by = error
                self._say_failure(error)

    def _say_failure(self, error: BronzeError) -> None:
        self._say(Alert("error", "engine", f"{error.where}: {error.what}".lstrip(": "), error.todo))

    def _finish(self, seconds: float) -> RunFinished:
        self._tell_control()
        outbox = self._delivery.outbox
        verdict = run_verdict(self._end(), outbox, strict=self._options.audit_strict)
        head = next((e.committer.head for e in self._eras[::-1] if e.committer.head), None)
        last = next((e.committer.last for e in self._eras[::-1] if e.committer.last), None)
        finished = RunFinished(
            exit_code=int(verdict.code),
            outcome=verdict.outcome,
            message=verdict.message,
            partitions_committed=self._totals.partitions,
            partitions_failed=len(self._failures),
            ledgers=self._totals.ledgers,
            xdr_bytes=self._totals.xdr_bytes,
            source_bytes=self._totals.source_bytes,
            parquet_bytes=self._totals.parquet_bytes,
            seconds=seconds,
            last_committed_ledger=None if last is None else last.partition.end,
            head="" if head is None else head.event_hash,
            retries=self._pool.retries,
            undelivered=outbox.waiting,
            parked=outbox.parked,
        )
        self._say(finished)
        return finished

    def _end(self) -> RunEnd:
        ends = [e.context.era.ledger_end for e in self._eras if not e.plan.finished]
        return RunEnd(
            halted_by=self._halted_by,
            unfiled=sum(era.committer.unfiled for era in self._eras if era.committer.emits),
            asked=self._control.state,
            failures=tuple(self._failures),
            finished=self._all_finished(),
            holes=tuple(hole for era in self._eras for hole in era.plan.holes),
            tip=self._tip,
            ledger_end=ends[0] if ends else None,
        )
