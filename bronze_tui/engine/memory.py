"""Memory of the engine process: allocator thresholds and resident size."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def tune_allocator(threads: int) -> bool:
    """Keep large buffers in glibc's heap, so that a ledger's buffer is not mapped, faulted and
    unmapped for every ledger; False where the C library has no ``mallopt``.

    The mmap threshold cannot exceed 32 MiB on 64-bit glibc; the number of arenas is bounded so
    that freed memory does not pile up in one arena per thread that ever lived.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = mallopt(_M_MMAP_THRESHOLD, 32 * 1024 * 1024)
    done &= mallopt(_M_TRIM_THRESHOLD, 128 * 1024 * 1024)
    done &= mallopt(_M_ARENA_MAX, max(2, threads + 2))
    return bool(done)


def resident_bytes() -> int:
    """Resident set size now; its peak where the platform does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
