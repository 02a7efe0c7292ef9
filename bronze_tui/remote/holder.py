"""Who holds a lease, so exactly that the same machine can tell a dead holder from a living one.

A process number alone is used again, and containers share host names: only the boot, the process
namespace and the start of the process together name one (proc_pid_stat(5), field 22).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def describe_self() -> dict[str, Any]:
    """``host`` and ``pid`` for people; ``boot``, ``namespace``, ``ticks`` where there are such."""
    found: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid()}
    place = _place()
    if place is not None:
        with suppress(OSError):
            boot, namespace = place
            found |= {"boot": boot, "namespace": namespace, "ticks": _started(os.getpid())}
    return found


def has_died(note: Mapping[str, Any]) -> bool:
    """Whether the holder that ``describe_self`` described was a process of this machine that has
    ended; False wherever that cannot be known."""
    pid, ticks = note.get("pid"), note.get("ticks")
    if not isinstance(pid, int) or isinstance(pid, bool) or not isinstance(ticks, int):
        return False
    if not 0 < pid < 1 << 31:
        return False
    if (note.get("boot"), note.get("namespace")) != _place():
        return False
    return not _lives(pid, ticks)


def _place() -> tuple[str, str] | None:
    """This boot and this process namespace; None where the system does not tell."""
    try:
        return _BOOT.read_text().strip(), os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:
        return None


def _started(pid: int) -> int | None:
    """Clock ticks from boot to the process's start; None when it has ended.

    Raises:
        OSError: there is no such process, or it may not be looked at.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # A killed process whose parent has not looked yet is still listed.
    return None if fields[0] in ("Z", "X") else int(fields[19])


def _lives(pid: int, ticks: int) -> bool:
    try:
        return _started(pid) == ticks
    except OSError:
        # Processes of others may be hidden; whether there is one can always be asked.
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True
