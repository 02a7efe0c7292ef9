"""Where the tests' temporary files go: into memory, where the machine has room for them there.

The copier syncs every file it writes, so that a disk decides how long the suite takes, by minutes.
A tmpfs is a real filesystem with the same calls; what only a disk can show, a test brings along.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
NEEDED = 1 << 30
"""Bytes that must be free; the suite holds a fraction of it at any time."""


def prefer_memory() -> None:
    """Set ``TMPDIR`` for this process and all it starts, unless somebody set it already."""
    if "TMPDIR" in os.environ:
        return
    try:
        room = os.statvfs(MEMORY)
    except OSError:
        return
    usable = os.access(MEMORY, os.W_OK | os.X_OK) and not room.f_flag & os.ST_NOEXEC
    if usable and room.f_bavail * room.f_frsize >= NEEDED:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None


def give_back(folder: Path) -> None:
    """Remove what a session left in memory, where it is there."""
    if MEMORY in folder.parents:
        shutil.rmtree(folder, ignore_errors=True)
