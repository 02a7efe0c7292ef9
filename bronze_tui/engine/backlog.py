"""What deliveries are told and counted by: bounds, figures of the outbox, pauses between attempts,
the lock, and the sentences about what people decided."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bronze_tui.catalog.deliveries import SKIPPED, Decision
from bronze_tui.domain.errors import BronzeError, StoreRefused
from bronze_tui.domain.events import Alert

LOCK_FILE = "delivery.lock"
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How deliveries bind the copy."""

    lock_path: Path
    strict: bool = False
    max_outbox: int = 100


@dataclass(frozen=True, slots=True)
class Outbox:
    """The figures of a moment."""

    state: str = "idle"
    waiting: int = 0
    parked: int = 0
    behind_parked: int = 0
    """Of the waiting ones, those that no endpoint can move: the parked and what stands behind."""
    oldest: str = ""
    detail: str = ""

    @property
    def movable(self) -> int:
        """Events that will go out without a person's help."""
        return self.waiting - self.behind_parked

    def oldest_seconds(self) -> float:
        """Age of the first event that waits."""
        return age_of(self.oldest)


def age_of(moment: str) -> float:
    """Seconds since ``moment`` (ISO 8601); 0 when it says nothing."""
    with suppress(ValueError, TypeError):
        age = datetime.now(UTC) - datetime.fromisoformat(moment)
        return max(0.0, age.total_seconds())
    return 0.0


def backoff(failures: int, asked: float | None, spread: Callable[[], float]) -> float:
    """Seconds until the next attempt: full jitter below a doubling, capped bound, and never less
    than the server asked for.

    Args:
        spread: a number from 0 to 1.
    """
    bound = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 30))
    return max(spread() * bound, asked or 0.0)


def take_lock(path: Path) -> int | None:
    """The open file that means: this process delivers; None when another one does.

    Raises:
        StoreRefused: the file cannot be opened.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreRefused(f"cannot be opened ({error.strerror})", where=str(path)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def told(decision: Decision) -> Alert:
    where = f"audit event {decision.seq} of {decision.chain_key}"
    if decision.state == SKIPPED:
        text = f"{where} is not delivered: skipped by {decision.decided_by} at {decision.at}"
        return Alert("warn", "delivery", f"{text}: {decision.reason}")
    text = f"{where}: {decision.reason}, asked by {decision.decided_by}"
    return Alert("info", "delivery", text)


def defect(error: Exception) -> BronzeError:
    """An emitter that raises what its contract does not name; it must not end the thread."""
    return BronzeError(
        f"the emitter failed ({type(error).__name__}: {error})",
        where="pas.endpoint",
        todo="this is a defect of the emitter's plugin",
    )
