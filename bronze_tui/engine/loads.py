"""Measures what ``limits`` judges: CPU, waits of readers and builders, since the last look."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bronze_tui.engine.context import EraContext
from bronze_tui.engine.cpu import CpuClock, cores
from bronze_tui.engine.limits import Load
from bronze_tui.engine.traffic import Traffic

if TYPE_CHECKING:
    from bronze_tui.engine.workers import WorkerPool


class LoadMeter:
    """Of one run; not thread-safe."""

    def __init__(
        self, pool: WorkerPool, context: EraContext, traffic: Traffic | None = None
    ) -> None:
        self._pool = pool
        self._traffic = traffic
        self._local_source = context.source.describe().local
        self._local_store = context.store.local_path("probe") is not None
        self._cores = cores()
        self._cpu = CpuClock()
        self._looked = time.monotonic()
        self.reading = 0.0
        """Seconds that reads took between the last two looks, summed."""

    def take(
        self,
        stages: Mapping[str, float],
        *,
        committing: bool,
        moving: bool,
        delivering: bool,
        awaited: str = "",
    ) -> Load:
        """The load since the last look.

        Args:
            stages: seconds of the builders' stages since then.
            awaited: the stage in which all builders stand now.
        """
        now = time.monotonic()
        span, self._looked = now - self._looked, now
        gate = self._pool.gate.take()
        self.reading = gate.reading
        used, queued = self._cpu.take()
        return Load(
            span=span,
            cores=self._cores,
            cpu=used,
            queued=queued,
            stages=stages,
            gate_full=gate.full,
            starved=self._pool.budget.take_starved(),
            paced=self._traffic.take_waited() if self._traffic is not None else 0.0,
            local_source=self._local_source,
            local_store=self._local_store,
            committing=committing,
            delivering=delivering,
            moving=moving,
            awaited=awaited,
        )
