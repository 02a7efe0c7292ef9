"""Builder threads: take the next partition, build it with retries, hand the outcome over."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bronze_tui.domain.errors import BronzeError
from bronze_tui.domain.events import (
    EngineEvent,
    PartitionBuilt,
    PartitionRetried,
    PartitionStarted,
)
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.engine.build import PartitionBuild
from bronze_tui.engine.context import BuildProgress, BuildStopped, Built, EngineOptions, EraContext
from bronze_tui.engine.control import RunControl
from bronze_tui.engine.fetch import ByteBudget
from bronze_tui.engine.filebuild import Workbench
from bronze_tui.engine.gate import ReadGate

_MAX_DELAY = 60.0


@dataclass(frozen=True, slots=True)
class Task:
    """One partition to build; ``index`` is its place in commit order."""

    index: int
    context: EraContext
    partition: LedgerRange


Outcome = Built | BronzeError


class WorkerPool:
    """Runs as many builders as ``control.workers`` says; grows and shrinks while it runs.

    Args:
        take: gives the next task, None when there is none now (it is asked again).
        done: takes each task's outcome.
        gate: how many reads go on at the same time.
    """

    def __init__(
        self,
        options: EngineOptions,
        control: RunControl,
        take: Callable[[], Task | None],
        done: Callable[[Task, Outcome], None],
        say: Callable[[EngineEvent], None],
        gate: ReadGate,
    ) -> None:
        self._options = options
        self._control = control
        self._take = take
        self._done = done
        self._say = say
        self._threads: dict[int, threading.Thread] = {}
        self._active: dict[int, tuple[Task, BuildProgress]] = {}
        self._closed = False
        self._executor = ThreadPoolExecutor(gate.most, thread_name_prefix="fetch")
        self.budget = ByteBudget(options.memory_budget)
        self.retries = 0
        self.finished_stages: dict[str, float] = {}
        self.gate = gate

    def ensure(self) -> None:
        """Start missing builders; surplus ones end by themselves between partitions."""
        for number in range(self._control.workers):
            thread = self._threads.get(number)
            if not self._closed and (thread is None or not thread.is_alive()):
                thread = threading.Thread(
                    target=self._work, args=(number,), name=f"builder-{number}", daemon=True
                )
                self._threads[number] = thread
                thread.start()

    def active(self) -> list[tuple[int, Task, BuildProgress]]:
        """Worker number, task and counters of what is being built."""
        return [(n, task, progress) for n, (task, progress) in sorted(self._active.items())]

    def close(self, timeout: float) -> bool:
        """End all builders; False when one did not end in time (it is a daemon thread)."""
        with self._control.changed:
            self._closed = True
            self._control.changed.notify_all()
        for thread in self._threads.values():
            thread.join(timeout)
        self._executor.shutdown(wait=False, cancel_futures=True)
        return not any(thread.is_alive() for thread in self._threads.values())

    def _work(self, number: int) -> None:
        bench: Workbench | None = None
        while (task := self._next(number)) is not None:
            try:
                bench = bench or Workbench(self._options.max_ledger_bytes)
                outcome = self._attempts(number, task, bench)
            except BronzeError as error:
                outcome = error
            except MemoryError:
                outcome = BronzeError(
                    "out of memory", where=str(task.partition), todo="use fewer workers"
                )
            except Exception as error:
                outcome = BronzeError(
                    f"unexpected {type(error).__name__}: {error}",
                    where=str(task.partition),
                    todo="this is a defect; the partition was not committed",
                )
            finally:
                self._retire(number)
            self._done(task, outcome)

    def _retire(self, number: int) -> None:
        """Move the build's stage times from active to finished in one step."""
        with self._control.changed:
            active = self._active.pop(number, None)
            if active is not None:
                for stage, seconds in active[1].stages.items():
                    self.finished_stages[stage] = self.finished_stages.get(stage, 0.0) + seconds

    def _next(self, number: int) -> Task | None:
        """Block until there is work; None when this builder must end."""
        with self._control.changed:
            while True:
                if self._closed or self._control.ending or number >= self._control.workers:
                    return None
                task = None if self._control.state == "paused" else self._take()
                if task is not None:
                    return task
                self._control.changed.wait()

    def _attempts(self, number: int, task: Task, bench: Workbench) -> Outcome:
        attempts = max(1, self._options.retry_attempts)
        for attempt, delay in zip(range(1, attempts + 1), self._delays(), strict=False):
            self._say(
                PartitionStarted(task.context.chain_key, str(task.partition), number, attempt)
            )
            progress = BuildProgress()
            self._active[number] = (task, progress)
            try:
                built = self._build(task, bench, progress)
            except BronzeError as error:
                if isinstance(error, BuildStopped) or not error.retryable or attempt == attempts:
                    return error
                self.retries += 1
                self._say_retry(task, attempt, attempts, delay, error)
                self._control.back_off(str(task.partition), delay)
            else:
                self._say_built(built, number)
                return built
        raise AssertionError("the last attempt returns")

    def _build(self, task: Task, bench: Workbench, progress: BuildProgress) -> Built:
        return PartitionBuild(
            task.context,
            task.partition,
            bench,
            self._executor,
            self.budget,
            progress,
            self._control.check,
            self.gate,
        ).run()

    def _delays(self) -> Iterator[float]:
        """Exponential back-off with full jitter on its upper half."""
        delay = self._options.retry_backoff
        while True:
            yield min(delay, _MAX_DELAY) * random.uniform(0.5, 1.0)  # noqa: S311
            delay *= 2

    def _say_retry(
        self, task: Task, attempt: int, attempts: int, delay: float, error: BronzeError
    ) -> None:
        self._say(
            PartitionRetried(
                task.context.chain_key, str(task.partition), attempt, attempts, delay, str(error)
            )
        )

    def _say_built(self, built: Built, number: int) -> None:
        self._say(
            PartitionBuilt(
                chain_key=built.context.chain_key,
                partition=str(built.partition),
                worker=number,
                rows=built.table.row_count,
                xdr_bytes=built.xdr_bytes,
                source_bytes=built.source_bytes,
                parquet_bytes=built.table.byte_size,
                seconds=built.seconds,
                reused=built.reused,
            )
        )
