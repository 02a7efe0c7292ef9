"""Watches the audit chain whatever page is open: when to verify, and what to believe."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from bronze_tui.tui.session import Session

EVENTS = 50
"""New events after which it is verified again."""
LEAST = 60.0
"""Seconds between two verifications that events ask for, and ``SHARE`` times what one took."""
SHARE = 100
ALWAYS = 900.0
"""Seconds after which it is verified anyway: somebody may change what is old."""
SECOND_LOOK = 0.4
"""Seconds until a break is looked at again."""
_TIMEOUT = 600.0


class Belief:
    """A break is believed when two verifications in a row find the same one: an event may be on
    its way to the disk while the folder is read.

    Args:
        writing: whether somebody may write; else a break is believed at once.
    """

    def __init__(self, *, writing: bool) -> None:
        self._writing = writing
        self._seen = ""
        self.broken = ""
        """The evidence that is believed."""

    def take(self, found: str) -> bool:
        """Take what a verification found, empty for nothing; false when it must look again."""
        settled = not found or not self._writing or found in (self._seen, self.broken)
        self._seen = found
        if settled:
            self.broken = found
        return settled


class Schedule:
    """When it is time to verify; times in seconds of one clock."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._cost = 0.0
        self._events = -1
        self._finished = False

    def due(self, events: int, *, finished: bool, now: float) -> bool:
        """Whether to verify now: at first, at a run's end, as the chain grows, or after long."""
        if self._at is None or (finished and not self._finished):
            return True
        waited = now - self._at
        grown = events - self._events >= EVENTS or events < self._events
        return waited >= ALWAYS or (grown and waited >= max(LEAST, SHARE * self._cost))

    def begun(self, events: int, *, finished: bool, now: float) -> None:
        """A verification begins."""
        self._at, self._events, self._finished = now, events, finished

    def took(self, seconds: float) -> None:
        """It ended."""
        self._cost = seconds


class ChainWatch:
    """Runs verifications of a session's audit folder, one at a time.

    Args:
        pins_dir: folder of pinned heads.
    """

    def __init__(self, session: Session, pins_dir: Path, verify: Verify | None = None) -> None:
        self._session = session
        self._pins_dir = pins_dir
        self._verify = verify or self._in_child
        self._child: asyncio.subprocess.Process | None = None
        self._schedule = Schedule()
        self.belief = Belief(writing=session.live)
        self.looking = False

    def due(self, events: int, *, finished: bool) -> bool:
        """Whether ``look`` should be called."""
        if self._session.pas_dir is None or self._session.kind in ("replay", "start"):
            return False
        now = time.monotonic()
        if self.looking or not self._schedule.due(events, finished=finished, now=now):
            return False
        self._schedule.begun(events, finished=finished, now=now)
        return True

    async def look(self) -> None:
        """Verify until what is found can be believed; a folder that cannot be read says nothing."""
        self.looking = True
        begin = time.monotonic()
        try:
            for _ in range(3):
                found = await self._verify()
                if found is None or self.belief.take(found):
                    return
                await asyncio.sleep(SECOND_LOOK)
        finally:
            self._schedule.took(time.monotonic() - begin)
            self.looking = False

    def close(self) -> None:
        """End the child."""
        if self._child is not None and self._child.returncode is None:
            with suppress(ProcessLookupError):
                self._child.kill()

    async def _in_child(self) -> str | None:
        from bronze_tui.tui.chaincheck import Request, encoded

        session = self._session
        if session.pas_dir is None or not session.pas_dir.is_dir():
            return None
        request = Request(
            str(session.pas_dir),
            str(session.data_root or ""),
            session.prefix,
            str(session.state_dir or ""),
            str(self._pins_dir),
        )
        try:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bronze_tui.tui.chaincheck",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            said, _ = await asyncio.wait_for(
                self._child.communicate(encoded(request)), timeout=_TIMEOUT
            )
            answer = json.loads(said)
            return None if answer["problem"] else str(answer["broken"])
        except (OSError, ValueError, KeyError, TypeError, TimeoutError):
            return None
        finally:
            self.close()
            if self._child is not None:
                # Its pipes close with its end; after the loop's they would complain.
                await self._child.wait()


Verify = Callable[[], Awaitable[str | None]]
