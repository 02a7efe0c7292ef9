"""Runs reproductions over many partitions, several at a time, and tells them in order."""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bronze_tui.audit.data import Data
from bronze_tui.audit.filecheck import Progress
from bronze_tui.audit.levels.unit import Unit
from bronze_tui.domain.refusal import refusing
from bronze_tui.engine.fetch import ByteBudget
from bronze_tui.engine.filebuild import Workbench
from bronze_tui.engine.gate import adaptive_gate
from bronze_tui.engine.reproduce import Lake, Reproduced, Reproduction
from bronze_tui.hooks.contracts import LedgerSource
from bronze_tui.tables.parquet import Compression

_TELL_EVERY = 0.2
_FIRST_READS, _MOST_READS = 16, 128


class Known(Protocol):
    """What an earlier run found sound."""

    def recall(self, unit: Unit) -> Reproduced | None:
        """What it found; None when it did not get there, or found something."""
        ...

    def keep(self, found: Reproduced) -> None:
        """Remember what is sound."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at a time; sizes in bytes."""

    jobs: int
    max_ledger_bytes: int
    memory_budget: int


@dataclass(frozen=True, slots=True)
class Work:
    """What to build again, from where, and what to compare it with."""

    units: Sequence[Unit]
    source: LedgerSource
    data: Data | None
    default: Compression
    limits: Limits
    known: Known | None = None
    keep: Path | None = None
    """Rebuilt files go there when the published one is missing or another."""


def reproduce(
    work: Work, told: Callable[[Reproduced], None], tell: Callable[[Progress], None]
) -> None:
    """Build and compare every partition.

    Args:
        told: gets each outcome, in the order of the units, as soon as those before it are there.
        tell: gets the progress a few times a second.

    Raises:
        SourceUnavailable, SourceDenied: the lake does not answer. StoreError: the published store
        does not, or there is no room for temporary files. KeyboardInterrupt and the like: what was
        being built is given up.
    """
    limits = work.limits
    gate = adaptive_gate(work.source, _FIRST_READS, _MOST_READS)
    with (
        _temporary() as folder,
        ThreadPoolExecutor(gate.most, thread_name_prefix="fetch") as readers,
        ThreadPoolExecutor(limits.jobs, thread_name_prefix="rebuild") as pool,
    ):
        lake = Lake(work.source, readers, ByteBudget(limits.memory_budget), gate)
        _Run(work, lake, Path(folder), pool, tell).run(told)


class _Run:
    def __init__(
        self,
        work: Work,
        lake: Lake,
        folder: Path,
        pool: ThreadPoolExecutor,
        tell: Callable[[Progress], None],
    ) -> None:
        self._work, self._lake, self._folder, self._pool = work, lake, folder, pool
        self._tell = tell
        self._halted = threading.Event()
        # A bench's buffers are large: each is made when it is first needed, and kept.
        self._benches: queue.LifoQueue[Workbench | None] = queue.LifoQueue()
        for _ in range(work.limits.jobs):
            self._benches.put(None)
        self._total = sum(unit.byte_size for unit in work.units)
        self._begun = self._said = time.monotonic()
        self._done = self._bytes = 0

    def run(self, told: Callable[[Reproduced], None]) -> None:
        waiting = iter(enumerate(self._work.units))
        running: dict[Future[Reproduced], int] = {}
        found: dict[int, Reproduced] = {}
        following = 0
        try:
            while True:
                ahead = 2 * self._work.limits.jobs
                while len(running) < ahead and (item := next(waiting, None)):
                    running[self._pool.submit(self._one, item[1])] = item[0]
                if not running:
                    break
                ready, _ = wait(running, timeout=_TELL_EVERY, return_when=FIRST_COMPLETED)
                sound = [future for future in ready if future.exception() is None]
                for future in sound:
                    found[running.pop(future)] = self._count(future.result())
                while following in found:
                    told(found.pop(following))
                    following += 1
                for future in ready.difference(sound):
                    future.result()
                self._say()
        except BaseException:
            self._halted.set()
            for future in running:
                future.cancel()
            raise
        self._say(done=True)

    def _one(self, unit: Unit) -> Reproduced:
        work = self._work
        known = work.known.recall(unit) if work.known is not None else None
        if known is not None:
            return known
        bench = self._benches.get()
        try:
            bench = bench or Workbench(work.limits.max_ledger_bytes)
            found = Reproduction(
                self._lake, work.data, self._folder, bench, work.default, self._halted, work.keep
            ).run(unit)
        finally:
            self._benches.put(bench)
        if work.known is not None:
            work.known.keep(found)
        return found

    def _count(self, found: Reproduced) -> Reproduced:
        self._done += 1
        self._bytes += found.unit.byte_size
        return found

    def _say(self, *, done: bool = False) -> None:
        now = time.monotonic()
        if done or now - self._said >= _TELL_EVERY:
            self._said = now
            seconds = now - self._begun
            counts = (self._done, len(self._work.units), self._bytes, self._total)
            self._tell(Progress(*counts, seconds, done))


def _temporary() -> tempfile.TemporaryDirectory[str]:
    """A folder for what is built.

    Raises:
        StoreError: there cannot be one.
    """
    with refusing(Path(tempfile.gettempdir())):
        return tempfile.TemporaryDirectory(prefix="bronze-rebuild-")
