"""Takes rights away from the process that runs foreign SQL, before it opens its database.

Three walls behind DuckDB's own locks: resource limits, no new privileges, and (Linux 5.13 and
later) Landlock, which leaves reading the dataset and the interpreter and nothing else.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import sysconfig
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PR_SET_NO_NEW_PRIVS = 38
_RULE_PATH_BENEATH = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_FS_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All file rights that a Landlock version knows; handled means refused unless a rule allows."""

_NET_RIGHTS = 0b11
_SCOPES = 0b11
_SYSTEM = ("/usr", "/lib", "/lib64", "/proc/self", "/sys/fs/cgroup")


class _Ruleset(ctypes.Structure):
    _fields_ = [
        ("fs", ctypes.c_uint64),
        ("net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    ]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [
        ("allowed", ctypes.c_uint64),
        ("folder", ctypes.c_int32),
    ]


def enter(folders: Iterable[Path], *, extra_memory: int) -> list[str]:
    """Give up what a reader of ``folders`` does not need; what was given up, in words.

    Call it before DuckDB or Arrow start workers: Landlock holds for this thread and those it
    starts.

    Args:
        extra_memory: bytes of address space that may be taken from here on.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done = ["no file may grow"]
    used = _address_space()
    if used:
        limit = used + extra_memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        done.append(f"memory {extra_memory >> 20} MiB")
    libc = ctypes.CDLL(None, use_errno=True)
    if not sys.platform.startswith("linux"):
        return done
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        done.append("no new privileges")
        if _landlock(libc, folders):
            done.append("read-only file system, no network (Landlock)")
    return done


def allow_cpu(seconds: float) -> None:
    """Let the process use this much more CPU time; beyond it the kernel ends it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _address_space() -> int:
    """Bytes mapped now; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * resource.getpagesize()


def _landlock(libc: ctypes.CDLL, folders: Iterable[Path]) -> bool:
    """Whether the kernel took the rules."""
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    rights = max((v for v in _FS_RIGHTS if v <= version), default=1)
    rules = _Ruleset(_FS_RIGHTS[rights], _NET_RIGHTS if version >= 4 else 0)
    rules.scoped = _SCOPES if version >= 6 else 0
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        for folder in {*folders, *_interpreter()}:
            _allow(libc, ruleset, folder)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, folder: Path) -> None:
    """Reading and mapping below ``folder``; one that is not there needs no rule."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        try:
            rule = _PathBeneath(_EXECUTE | _READ_FILE | _READ_DIR, descriptor)
            libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(descriptor)


def _interpreter() -> set[Path]:
    """Folders that late imports and shared libraries come from."""
    paths = sysconfig.get_paths()
    own = {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return {*own, Path(__file__).resolve().parents[1], *map(Path, _SYSTEM)}
