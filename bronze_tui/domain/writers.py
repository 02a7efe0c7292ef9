"""Which living process a temp file belongs to, told from its name alone.

``.tmp-<pid>-<start>-<host>-<random>[-<name>]``: ``start`` tells a process from a later one with
the same number, across reboots too; ``host`` tells machines and containers apart, because a
number means nothing in another one. Without ``/proc`` both say less and age decides.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import time
from functools import cache
from pathlib import Path

TEMP_PREFIX = ".tmp-"
STALE_SECONDS = 24 * 3600
_TEMP = re.compile(r"\.tmp-(\d{1,9})-([0-9a-f]*)-([0-9a-f]+)-[0-9a-f]+(?:-.*)?", re.DOTALL)
_PROC = Path("/proc")


def temp_name(suffix: str = "") -> str:
    """A fresh temp name of this process; ``suffix`` (a safe name) is for people."""
    pid = os.getpid()
    name = f"{TEMP_PREFIX}{pid}-{process_start(pid)}-{_host()}-{secrets.token_hex(6)}"
    return f"{name}-{suffix[-100:]}" if suffix else name


def process_start(pid: int) -> str:
    """A token of this very process (hex), equal for its whole life; empty when unknown or dead."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, ticks = _stat_fields(text)
    if state in {"Z", "X", "x"}:
        return ""
    return _digest(f"{_boot()} {ticks}")


def process_alive(pid: int, start: str) -> bool:
    """Whether the process that had this number and start token on this machine still runs.

    An empty ``start`` matches whatever process has the number now.
    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        if not process_start(pid):
            return True
    return not start or process_start(pid) == start


def is_abandoned(name: str, modified: float) -> bool:
    """Whether a temp file's writer is gone; ``modified`` in seconds since 1970.

    Where the name cannot tell (another machine, no start token), a day without a write decides.
    """
    match = _TEMP.fullmatch(name)
    if match is not None and match[3] == _host():
        pid, start = int(match[1]), match[2]
        if not process_alive(pid, start):
            return True
        if start:
            return False
    return time.time() - modified > STALE_SECONDS


def _stat_fields(text: str) -> tuple[str, str]:
    """State and start time of proc(5) ``stat``; the command before them may hold anything."""
    fields = text.rpartition(")")[2].split()
    return (fields[0], fields[19]) if len(fields) > 19 else ("", "")


@cache
def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@cache
def _host() -> str:
    try:
        namespace = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return _digest(f"{socket.gethostname()} {namespace}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
