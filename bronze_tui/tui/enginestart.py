"""Starts the engine as a process of its own, in a session of its own, and waits for its first line.

Works before the app runs and inside it: ``subprocess`` alone does (a running Textual app's captured
stderr has no descriptor, at which ``multiprocessing`` fails).
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bronze_tui.domain.errors import BronzeError
from bronze_tui.journal.newest import newest_run
from bronze_tui.journal.writer import JOURNAL_NAME

ENGINE_LOG = "engine.log"
OPEN_WITHIN = 15.0
"""Seconds to wait for the engine's first line; after that it is taken as started."""
_POLL = 0.02
_LOG_SHOWN = 4_000


@dataclass(frozen=True)
class Started:
    """An engine that was started; ``began`` in Unix seconds."""

    child: subprocess.Popen[bytes]
    state_dir: Path
    began: float
    run_before: str
    """The newest run of the journal before."""
    said_before: int
    """Bytes of the engine's log before."""


def start_engine(state_dir: Path, arguments: Sequence[str]) -> Started:
    """Start ``bronze engine`` with a command line.

    Raises:
        BronzeError: the state folder cannot be used, or no process can be started.
    """
    began = time.time()
    run_before = newest_run(state_dir / JOURNAL_NAME)
    with _open_log(state_dir) as log:
        said_before = log.tell()
        try:
            child = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", "bronze_tui.cli", "engine", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise BronzeError(
                f"the engine cannot be started ({error.strerror or error})",
                where=sys.executable,
                todo="free memory or process slots, then try again",
            ) from error
    return Started(child, state_dir, began, run_before, said_before)


def has_begun(started: Started) -> bool | None:
    """Whether its run has a journal line; false when the engine ended without one, None when
    nobody knows yet."""
    ended = started.child.poll() is not None
    if newest_run(started.state_dir / JOURNAL_NAME) != started.run_before:
        return True
    return False if ended else None


def wait_until_begun(started: Started, within: float = OPEN_WITHIN) -> bool:
    """Wait for ``has_begun``; an engine that takes longer is taken as started."""
    until = time.monotonic() + within
    while (begun := has_begun(started)) is None and time.monotonic() < until:
        time.sleep(_POLL)
    return begun is not False


def last_words(started: Started) -> str:
    """What the engine printed, which is nothing unless it could not write a journal."""
    log = started.state_dir / ENGINE_LOG
    try:
        said = log.read_bytes()[started.said_before :]
    except OSError:
        return ""
    return said[-_LOG_SHOWN:].decode("utf-8", "replace")


def exit_code(child: subprocess.Popen[bytes]) -> int:
    """The code of a child that has ended, as a shell gives it."""
    code = child.wait()
    return code if code >= 0 else 128 - code


def _open_log(state_dir: Path) -> IO[bytes]:
    from bronze_tui.domain.refusal import refusing

    path = state_dir / ENGINE_LOG
    with refusing(path):
        state_dir.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
