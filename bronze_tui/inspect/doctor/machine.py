"""Whether this machine can carry the run: disk, memory, open files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bronze_tui.config.models import Settings
from bronze_tui.config.resolve import workers_of
from bronze_tui.domain.text import size
from bronze_tui.inspect.doctor.finding import Finding, Notes
from bronze_tui.inspect.doctor.subject import Subject

NOTES = Notes("machine")
LEAST_FREE = 2 << 30
"""Bytes below which a disk is called nearly full."""
_GROWTH = 1.2
"""Bronze bytes for a source byte, at most about: both are zstd."""
_BASE, _WORKER = 300 << 20, 160 << 20
"""Resident bytes of the process and of each worker; docs/performance.md has the measurement."""
_FILES = 64
_FILES_WORKER = 16


def checks(subject: Subject) -> Iterator[Finding]:
    """Disks by what the eras need, then memory and open files."""
    settings = subject.settings
    needed = era_bytes(subject)
    folders = {"state": settings.state_dir(), "staging": settings.store_options().staging_dir}
    if subject.data_root is not None:
        folders = {"state": settings.state_dir(), "store": subject.data_root}
    if settings.pas.enabled:
        folders["audit events"] = subject.pas_dir
    for name, folder in folders.items():
        least = LEAST_FREE
        if name in ("store", "staging"):
            least = max(least, staged_bytes(subject))
        yield disk(name, folder, least, needed if name == "store" else None)
    yield memory(settings)
    yield open_files(settings, subject.open_files)


def era_bytes(subject: Subject) -> int | None:
    """Estimated bytes of Bronze for what is configured; None where nothing was measured."""
    if subject.bytes_per_ledger is None or subject.newest is None:
        return None
    ledgers = 0
    for era in subject.settings.active():
        last = subject.newest if era.ledger_end is None else min(era.ledger_end, subject.newest)
        ledgers += max(0, last - era.first_ledger + 1)
    return int(ledgers * subject.bytes_per_ledger * _GROWTH)


def staged_bytes(subject: Subject) -> int:
    """Estimated bytes of the partitions that are in the works at once."""
    if subject.bytes_per_ledger is None:
        return 0
    settings = subject.settings
    largest = max(era.partition_size for era in settings.active())
    return int(largest * subject.bytes_per_ledger * _GROWTH * workers_of(settings.perf))


def disk(name: str, folder: Path, least: int, needed: int | None = None) -> Finding:
    """Free space where the folder is or will be.

    Args:
        least: bytes without which a run cannot go on.
        needed: bytes that the whole run will write there; None: not known or not there.
    """
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        usage = shutil.disk_usage(place)
    except OSError as error:
        text = f"disk of the {name} NOT readable"
        return NOTES.fail("disk", text, f"{place}: {error.strerror}")
    text = f"disk of the {name}: {size(usage.free)} free"
    todo = "free space, or use another disk"
    if usage.free < least:
        return NOTES.fail("disk", text, f"{place}: a run needs {size(least)}", todo)
    if needed is not None and usage.free < needed:
        detail = f"{place}: all ledgers of the era would take about {size(needed)}"
        return NOTES.warn("disk", text, f"{detail}, those committed already included", todo)
    about = f"; the whole era takes about {size(needed)}" if needed is not None else ""
    return NOTES.ok("disk", text, f"{place}{about}")


def memory(settings: Settings) -> Finding:
    """What a run takes at most against what there is."""
    workers = workers_of(settings.perf)
    need = _BASE + workers * _WORKER + settings.perf.memory_budget
    text = f"memory: a run takes up to {size(need)}"
    how = f"{workers} workers and perf.memory_budget {size(settings.perf.memory_budget)}"
    there = available_memory()
    if there is None:
        return NOTES.none("memory", text, f"{how}; this system does not say what is there")
    if there < need:
        todo = "lower perf.workers or perf.memory_budget"
        return NOTES.warn("memory", text, f"{how}; {size(there)} are available", todo)
    return NOTES.ok("memory", f"{text}, {size(there)} are available", how)


def available_memory() -> int | None:
    """Bytes that can be had without swapping, within a container's limit; None when unknown."""
    found: list[int] = []
    with suppress(OSError, ValueError, IndexError):
        rows = Path("/proc/meminfo").read_text().splitlines()
        found += [int(row.split()[1]) * 1024 for row in rows if row.startswith("MemAvailable:")]
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):
        most, used = ((group / f"memory.{n}").read_text().strip() for n in ("max", "current"))
        if most != "max":
            found.append(max(0, int(most) - int(used)))
    return min(found) if found else None


def open_files(settings: Settings, limit: int) -> Finding:
    """Sockets of readers and files of builders against the limit."""
    need = _FILES + _FILES_WORKER * workers_of(settings.perf) + 2 * settings.perf.fetchers_most()
    if 0 <= limit < need:
        todo = f"raise it: ulimit -n {need}, or LimitNOFILE= in the unit file"
        return NOTES.warn("files", f"open files: {limit:,}, a run may need {need:,}", todo=todo)
    shown = "no limit" if limit < 0 else f"{limit:,}"
    return NOTES.ok("files", f"open files: {shown}, a run may need {need:,}")


def cores() -> int:
    """Processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
