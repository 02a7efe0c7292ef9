"""Runs ``bronze verify`` at a level for the Audit page: a process of its own, with progress.

What it says is what the command says, because it is the command; it remembers heads as that does.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bronze_tui.domain.text import safe_text
from bronze_tui.tui.session import Session

LEVELS = ("chain", "manifest", "file", "row", "ledger", "source")
"""In order of depth; each includes those before."""
_PATIENCE = 10.0
"""Seconds from the wish to stop until the process is ended."""
_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class LevelProgress:
    """How far a verification is; bytes as announced."""

    level: str
    done: int = 0
    total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    rate: float = 0.0
    """Bytes a second."""
    eta: float | None = None


@dataclass(frozen=True, slots=True)
class LevelEnd:
    """How a verification ended: a report, or a problem, or neither when it was stopped."""

    level: str
    report: dict[str, Any] | None = None
    problem: str = ""

    @property
    def stopped(self) -> bool:
        """Whether a person ended it."""
        return self.report is None and not self.problem


def level_of(text: str) -> str:
    """The level that a person typed, by name, its beginning or number; empty when none."""
    text = text.strip().lower()
    if text.isdecimal() and int(text) < len(LEVELS):
        return LEVELS[int(text)]
    found = [level for level in LEVELS if text and level.startswith(text)]
    return found[0] if len(found) == 1 else ""


class LevelRun:
    """One verification at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._child: asyncio.subprocess.Process | None = None
        self._stopped = False
        self.running = False

    def command(self, level: str) -> list[str]:
        """What is run."""
        session = self._session
        words = [sys.executable, "-P", "-m", "bronze_tui.cli", "verify", str(session.pas_dir)]
        words += ["--level", level, "--json", "--progress"]
        if session.loaded is not None and session.loaded.path is not None:
            words += ["--config", str(session.loaded.path)]
        if session.data_root is not None:
            words += ["--data", str(session.data_root / session.prefix)]
        return words

    async def run(self, level: str, tell: Callable[[LevelProgress], None]) -> LevelEnd:
        """Verify; ``tell`` gets the progress."""
        self.running, self._stopped = True, False
        try:
            child = self._child = await asyncio.create_subprocess_exec(
                *self.command(level),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE,
                start_new_session=True,
            )
            assert child.stdout is not None
            said, last = await asyncio.gather(child.stdout.read(), _follow(child, level, tell))
            await child.wait()
            return LevelEnd(level) if self._stopped else _ended(level, said, last)
        except OSError as error:
            return LevelEnd(level, problem=f"bronze verify cannot be started ({error.strerror})")
        finally:
            self.running = False
            await self._bury()

    def stop(self) -> None:
        """Ask it to end; what was read is dropped."""
        self._stopped = True
        child = self._child
        if child is not None and child.returncode is None:
            with suppress(ProcessLookupError):
                child.send_signal(signal.SIGINT)
            asyncio.get_running_loop().call_later(_PATIENCE, _kill, child)

    def close(self) -> None:
        """End it at once."""
        self._stopped = True
        if self._child is not None:
            _kill(self._child)

    async def _bury(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            _kill(child)
            await child.wait()


def _kill(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        with suppress(ProcessLookupError):
            child.kill()


async def _follow(
    child: asyncio.subprocess.Process, level: str, tell: Callable[[LevelProgress], None]
) -> str:
    """Tell the progress; the last line that was none."""
    assert child.stderr is not None
    last = ""
    with suppress(ValueError):
        async for line in child.stderr:
            progress = _progress(level, line)
            if progress is not None:
                tell(progress)
            elif text := line.decode("utf-8", "replace").strip():
                last = text
    return last


def _progress(level: str, line: bytes) -> LevelProgress | None:
    try:
        doc = json.loads(line)
        eta = doc["eta_seconds"]
        return LevelProgress(
            level,
            int(doc["partitions_done"]),
            int(doc["partitions"]),
            int(doc["bytes_done"]),
            int(doc["bytes"]),
            float(doc["bytes_per_second"]),
            None if eta is None else float(eta),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _ended(level: str, said: bytes, last: str) -> LevelEnd:
    try:
        doc = json.loads(said)
        if isinstance(doc, dict) and "verdict" in doc:
            return LevelEnd(level, doc)
    except ValueError:
        pass
    return LevelEnd(level, problem=safe_text(last or "bronze verify ended without a report"))
