"""CPU time of this process, and how many cores it may use."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> float:
    """Cores that this process may use: its affinity, within a container's quota."""
    try:
        number = float(len(os.sched_getaffinity(0)))
    except AttributeError:
        number = float(os.cpu_count() or 1)
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = _QUOTA.read_text().split()
        if quota != "max":
            number = min(number, int(quota) / int(period))
    return number


class CpuClock:
    """CPU seconds used, and seconds that threads waited for a core, since the last look."""

    def __init__(self) -> None:
        self._used = time.process_time()
        self._queued = _queued()

    def take(self) -> tuple[float, float]:
        """Used and queued; threads that ended meanwhile have no queued time. Where the system
        does not tell, it is 0."""
        used, queued = time.process_time(), _queued()
        delta = sum(n - self._queued.get(task, 0) for task, n in queued.items())
        took = used - self._used
        self._used, self._queued = used, queued
        return took, max(0.0, delta / 1e9)


def _queued() -> dict[str, int]:
    """Nanoseconds on run queues by thread (Linux: second field of ``schedstat``)."""
    found = {}
    with suppress(OSError):
        for task in _TASKS.iterdir():
            # A thread may end while we look.
            with suppress(OSError, ValueError, IndexError):
                found[task.name] = int((task / "schedstat").read_text().split()[1])
    return found
