"""Step S7: a thread that posts what waits in the outbox, each chain strictly in its order.

An event is marked delivered only after the endpoint acknowledged it, and no later event of its
chain goes out before. Copying waits for it only where ``pas.strict`` says so.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bronze_tui.catalog.deliveries import PARKED, Deliveries, Queued
from bronze_tui.domain.errors import (
    BronzeError,
    PluginError,
    StateError,
    Stopped,
    StoreRefused,
)
from bronze_tui.domain.events import Alert, EngineEvent, EventDelivered, OutboxFigures
from bronze_tui.engine.backlog import DeliveryPolicy, Outbox, backoff, defect, take_lock, told
from bronze_tui.engine.control import RunControl
from bronze_tui.engine.outbox import outbox_event
from bronze_tui.hooks.contracts import Emitter

LOOK_EVERY = 1.0
"""Seconds between looks for decisions of people, and for events that others committed."""
TELL_EVERY = 5.0
GRACE = 5.0
"""Seconds without progress after which the end of a run no longer waits for the outbox."""
HURRIED = 10.0
"""The most seconds that a run which was asked to end waits, however well it goes."""
LONGEST_END = 600.0

Say = Callable[[EngineEvent], None]


class Delivery:
    """Delivers the events of some chains of one catalog.

    Every public method may be called from any thread.

    Args:
        chain_keys: chains to deliver, each in its own order.
        say: takes journal events.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        chain_keys: Sequence[str],
        emitter: Emitter,
        policy: DeliveryPolicy,
        say: Say,
        *,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._deliveries = deliveries
        self._chain_keys = tuple(chain_keys)
        self._emitter = emitter
        self._policy = policy
        self._say = say
        self._spread = spread
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._woken = False
        self._outbox = Outbox()
        self._delivered = 0
        self._failures = 0
        self._failing_since: float | None = None
        self._attempts: dict[str, tuple[str, int, float]] = {}
        self._alerted: dict[str, int] = {}
        """The parked event of each chain that a person was told of."""
        self._lock: int | None = None
        self._told_at = float("-inf")
        self._told: tuple[Any, ...] = ()

    @property
    def outbox(self) -> Outbox:
        """The newest figures."""
        with self._changed:
            return self._outbox

    @property
    def delivered(self) -> int:
        """Events acknowledged since the start."""
        with self._changed:
            return self._delivered

    @property
    def full(self) -> bool:
        """Whether nothing may be committed until more is delivered."""
        outbox, policy = self.outbox, self._policy
        return policy.strict and (outbox.parked > 0 or outbox.waiting >= policy.max_outbox)

    def start(self) -> None:
        """Begin to deliver."""
        self._count("idle")
        self._thread = threading.Thread(target=self._work, name="delivery", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """An event was committed and filed."""
        with self._changed:
            # Counted at once, so that a bound holds before the thread has looked.
            more = self._outbox.waiting + 1
            self._outbox = replace(self._outbox, waiting=more)
            self._woken = True
            self._changed.notify_all()

    def check(self) -> None:
        """Let a strict run know what it must not go on over.

        Raises:
            PluginError: an event is parked and ``pas.strict`` is set.
        """
        outbox = self.outbox
        if self._policy.strict and outbox.parked:
            raise PluginError(
                f"an audit event was not taken by the endpoint: {outbox.detail}",
                where="pas.endpoint",
                todo="see bronze pas status; then bronze pas retry or bronze pas skip, and run"
                " again",
            )

    def status(self) -> dict[str, Any]:
        """Figures for the control socket."""
        outbox = self.outbox
        return {
            "state": outbox.state,
            "waiting": outbox.waiting,
            "parked": outbox.parked,
            "delivered": self.delivered,
            "oldest_seconds": round(outbox.oldest_seconds(), 1),
            "detail": outbox.detail,
        }

    def finish(
        self,
        tick: Callable[[], None],
        control: RunControl | None = None,
        grace: float | None = None,
    ) -> None:
        """Wait until the outbox is empty, as long as that gets on; then end the thread.

        Args:
            tick: called several times a second; what it raises ends the wait.
            control: one that was asked to drain or stop shortens it.
            grace: seconds without progress after which nothing more is hoped for (GRACE).
        """
        grace = GRACE if grace is None else grace
        started = moved = time.monotonic()
        fewest = self.outbox.movable
        try:
            while (left := self.outbox.movable) > 0:
                now = time.monotonic()
                if left < fewest:
                    fewest, moved = left, now
                if self._stopping or now - moved > grace or now - started > _longest(control):
                    break
                tick()
                with self._changed:
                    self._changed.wait(0.1)
        finally:
            self.close()

    def close(self) -> None:
        """End the thread; a request under way is given up, and goes out again another time."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._emitter.close()
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None
            self._count(self.outbox.state, self.outbox.detail)  # counted by wake() in between
            self._tell(force=True)

    # The thread.

    def _work(self) -> None:
        try:
            while not self._stopping:
                pause, wakeable = self._round()
                self._tell()
                self._rest(pause, wakeable)
        finally:
            self._unlock()

    def _rest(self, pause: float, wakeable: bool) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or (wakeable and self._woken), pause)

    def _round(self) -> tuple[float, bool]:
        """Send what can be sent; seconds to rest, and whether a new event ends the rest."""
        try:
            if not self._locked():
                self._count("elsewhere")
                return LOOK_EVERY, False
            with self._changed:
                self._woken = False
            sent = True
            while sent and not self._stopping:
                sent = sum(self._send_next(key) for key in self._chain_keys) > 0
                self._tell()
            self._count("idle")
            return LOOK_EVERY, True
        except Stopped:
            # The run ends while the catalog's server is away; what waits goes out at the next.
            return LOOK_EVERY, False
        except BronzeError as error:
            # Of the endpoint; or of the catalog, which the sequencer meets too.
            return self._failed(error), False
        except Exception as error:
            return self._failed(defect(error)), False

    def _send_next(self, key: str) -> bool:
        """Deliver or park the next event of one chain; False when nothing of it can go out."""
        self._tell_decisions(key)
        queued = self._deliveries.next(key)
        if queued is None or queued.state == PARKED or not queued.row.filed:
            self._note_parked(key, queued)
            return False
        self._note_parked(key, None)
        event_hash, tries, begun = self._attempts.get(key, ("", 0, 0.0))
        if event_hash != queued.row.event_hash:
            tries, begun = 0, time.monotonic()
        self._attempts[key] = queued.row.event_hash, tries + 1, begun
        try:
            self._emitter.emit(queued.row.event, outbox_event(queued.row))
        except (StoreRefused, StateError) as error:
            self._park(queued, error)
            return False
        self._deliveries.mark_delivered(key, queued.row.seq)
        self._note_delivered(queued, tries + 1, time.monotonic() - begun)
        return True

    def _note_delivered(self, queued: Queued, attempts: int, seconds: float) -> None:
        row = queued.row
        with self._changed:
            self._delivered += 1
            waiting = max(0, self._outbox.waiting - 1)
            state = "delivering" if waiting else "idle"
            self._outbox = replace(self._outbox, waiting=waiting, state=state, detail="")
            self._changed.notify_all()
        self._say(
            EventDelivered(
                row.chain_key, str(row.partition), row.seq, row.event_hash, attempts, seconds
            )
        )
        if self._failing_since is not None:
            gone = time.monotonic() - self._failing_since
            text = f"audit events are delivered again, after {gone:,.0f} s and"
            self._say(Alert("info", "delivery", f"{text} {self._failures} attempts in vain"))
        self._failing_since, self._failures = None, 0

    def _park(self, queued: Queued, error: BronzeError) -> None:
        row = queued.row
        reason = f"{error.where}: {error.what}" if error.where else error.what
        self._deliveries.park(row.chain_key, row.seq, reason)
        self._say(
            Alert(
                "error",
                "delivery",
                f"audit event {row.seq} of {row.chain_key} ({row.partition}) is parked, and what"
                f" follows it waits: {reason}",
                error.todo or "see bronze pas status",
            )
        )
        self._alerted[row.chain_key] = row.seq
        self._count("idle")

    def _note_parked(self, key: str, queued: Queued | None) -> None:
        """What an earlier run parked is told once, so that it is not forgotten."""
        if queued is None or queued.state != PARKED:
            self._alerted.pop(key, None)
        elif self._alerted.get(key) != queued.row.seq:
            self._alerted[key] = queued.row.seq
            self._say(
                Alert(
                    "error",
                    "delivery",
                    f"audit event {queued.row.seq} of {key} is parked since an earlier attempt:"
                    f" {queued.reason}",
                    "see bronze pas status; then bronze pas retry or bronze pas skip",
                )
            )

    def _tell_decisions(self, key: str) -> None:
        for decision in self._deliveries.take_untold(key):
            self._say(told(decision))

    def _failed(self, error: BronzeError) -> float:
        self._failures += 1
        # An event that only ever fails must not keep the other chains from their turn.
        self._chain_keys = (*self._chain_keys[1:], *self._chain_keys[:1])
        pause = backoff(self._failures, getattr(error, "retry_after", None), self._spread)
        if self._stopping:
            return pause
        self._count("failing", str(error))
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            waiting = self.outbox.waiting
            text = f"audit events cannot be delivered, {waiting} wait: {error}"
            self._say(Alert("warn", "delivery", text, "it is tried until it works"))
        return pause

    # Figures.

    def _count(self, state: str, detail: str = "") -> None:
        """Take the figures from the catalog."""
        waiting = behind = parked = 0
        oldest = ""
        try:
            for key in self._chain_keys:
                count, since = self._deliveries.waiting(key)
                waiting += count
                oldest = min(filter(None, (oldest, since)), default="")
                queued = self._deliveries.next(key) if count else None
                if queued is not None and queued.state == PARKED:
                    behind += count
                    parked += 1
                    state, detail = "parked", queued.reason
        except BronzeError as error:
            state, detail = "failing", str(error)
            waiting = self.outbox.waiting
        with self._changed:
            self._outbox = Outbox(state, waiting, parked, behind, oldest, detail)
            self._changed.notify_all()

    def _tell(self, *, force: bool = False) -> None:
        """Say the figures at changes of the state, and at times while they move."""
        now, outbox = time.monotonic(), self.outbox
        figures = (outbox.state, outbox.parked, outbox.detail, outbox.waiting, self.delivered)
        due = now - self._told_at >= TELL_EVERY and figures != self._told
        if not (due or figures[:3] != self._told[:3] or (force and figures != self._told)):
            return
        self._told_at, self._told = now, figures
        self._say(
            OutboxFigures(
                state=outbox.state,
                waiting=outbox.waiting,
                parked=outbox.parked,
                delivered=self.delivered,
                oldest_seconds=outbox.oldest_seconds(),
                detail=outbox.detail,
            )
        )

    # One deliverer for each state folder: two would send everything twice.

    def _locked(self) -> bool:
        if self._lock is None:
            self._lock = take_lock(self._policy.lock_path)
        return self._lock is not None

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


class NoDelivery:
    """Stands where no endpoint is configured: events are filed, and none waits."""

    outbox = Outbox()
    full = False

    def start(self) -> None:
        """Nothing begins."""

    def wake(self) -> None:
        """Nothing waits for it."""

    def check(self) -> None:
        """Nothing can be parked."""

    def status(self) -> None:
        """There is nothing to say."""

    def finish(self, tick: Callable[[], None], control: RunControl) -> None:
        """Nothing is left."""

    def close(self) -> None:
        """Nothing is open."""


def _longest(control: RunControl | None) -> float:
    """The most seconds to wait at the end of a run; where there is no run, as long as it takes."""
    if control is None:
        return float("inf")
    return {"stopping": 0.0, "draining": HURRIED}.get(control.state, LONGEST_END)
