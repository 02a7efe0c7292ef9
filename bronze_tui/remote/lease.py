"""The one-copier lock of a dataset in a bucket: an object that says who holds it, and until when.

Taken by create-if-absent or, when free, run out or left by a dead process of this machine, by
compare-and-swap; renewed by compare-and-swap. A courtesy that avoids wasted work: clocks may
differ, so safety rests on create-if-absent of the data and never on the lease.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bronze_tui.domain.errors import LockedError, StoreError, StoreUnavailable
from bronze_tui.remote import holder
from bronze_tui.remote.client import BucketClient, Condition, ConditionFailed
from bronze_tui.remote.clock import Clock

TTL_SECONDS = 120.0
"""The holder gives up this long after its last renewal that worked."""
SKEW_SECONDS = 30.0
"""Others wait so much longer, for clocks that differ."""
HEARTBEAT_SECONDS = 20.0
_LONGEST_TTL = 86_400.0
"""A note that promises more is damaged: it would lock the dataset for good."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The lock object as last read."""

    note: dict[str, Any]
    version: Mapping[str, str]
    modified: float
    """Seconds since 1970 by the server's clock."""


class Lease:
    """A held lease; see :func:`take`. Thread-safe."""

    def __init__(
        self, client: BucketClient, key: str, where: str, owner: str, clock: Clock
    ) -> None:
        self._client = client
        self._key = key
        self._where = where
        self._clock = clock
        self._guard = threading.Lock()
        self._token = secrets.token_hex(16)
        self._version: Mapping[str, str] = {}
        self._renewed = clock.steady()
        self._held = False
        self._about = {
            "owner": owner,
            **holder.describe_self(),
            "started": _time(clock.wall()),
            "token": self._token,
            "ttl_seconds": TTL_SECONDS,
        }

    def heartbeat(self) -> None:
        """Renew every 20 seconds; a server that does not answer is forgiven until the lease ends.

        Raises:
            LockedError: somebody else took it, or it could not be renewed in time.
        """
        with self._guard:
            if not self._held:
                raise self._lost("it was given back")
            if self._clock.steady() - self._renewed < HEARTBEAT_SECONDS:
                return
            try:
                self._swap()
            except StoreError as error:
                if self._clock.steady() - self._renewed >= TTL_SECONDS:
                    self._held = False
                    raise self._lost(error.what) from error
            except LockedError:
                self._held = False
                raise

    def release(self) -> None:
        """Mark it free; idempotent. A server that does not answer leaves it to run out."""
        with self._guard:
            if not self._held:
                return
            self._held = False
            try:
                self._swap(released=True)
            except (StoreError, LockedError):
                return

    def begin(self) -> None:
        """Take it.

        Raises:
            LockedError: a living owner holds it. StoreRefused, StoreUnavailable.
        """
        failure: StoreError = StoreUnavailable("the lock stays contested", where=self._where)
        for _ in self._clock.attempts():
            try:
                if self._try_take():
                    self._held = True
                    return
            except StoreUnavailable as error:
                failure = error
        raise failure

    def _try_take(self) -> bool:
        try:
            self._put("create")
        except ConditionFailed:
            seen = self._read()
        else:
            return True
        if seen is None:
            return False
        self._version = seen.version
        if seen.note.get("token") == self._token:
            return True
        if not self._is_free(seen):
            raise self._taken(seen)
        try:
            self._put(self._version)
        except ConditionFailed:
            return False
        return True

    def _swap(self, *, released: bool = False) -> None:
        """Write the note over our own last one, whose acknowledgement may have been lost."""
        for _ in range(2):
            try:
                self._put(self._version, released=released)
            except ConditionFailed:
                seen = self._read()
                if seen is None or seen.note.get("token") != self._token:
                    raise self._lost("somebody else took it") from None
                self._version = seen.version
            else:
                return
        raise StoreUnavailable("the lock stays contested", where=self._where)

    def _put(self, condition: Condition, *, released: bool = False) -> None:
        started = self._clock.steady()
        note = {**self._about, "heartbeat": _time(self._clock.wall()), "released": released}
        body = json.dumps(note, indent=2).encode()
        written = self._client.put(self._key, body, condition, hashlib.sha256(body).hexdigest())
        self._version = written.version
        self._renewed = started

    def _read(self) -> _Seen | None:
        """A note newer than its version only makes a later compare-and-swap fail."""
        try:
            found = self._client.head(self._key)
            data = self._client.get(self._key)
        except FileNotFoundError:
            return None
        try:
            note = json.loads(data)
        except ValueError:
            note = None
        known = note if isinstance(note, dict) else {}
        return _Seen(known, found.version, found.modified)

    def _is_free(self, seen: _Seen) -> bool:
        ttl = seen.note.get("ttl_seconds")
        if not (isinstance(ttl, int | float) and 1 < ttl <= _LONGEST_TTL):
            ttl = TTL_SECONDS
        return (
            seen.note.get("released") is True
            or self._clock.wall() - seen.modified > ttl + SKEW_SECONDS
            or holder.has_died(seen.note)
        )

    def _taken(self, seen: _Seen) -> LockedError:
        owner, pid, host, started = (
            seen.note.get(name, "?") for name in ("owner", "pid", "host", "started")
        )
        return LockedError(
            f"this dataset is locked by {owner} (process {pid} on {host}, since {started}, "
            f"last heard {_time(seen.modified)})",
            where=self._where,
            todo="wait for it or stop it; after the crash of another machine the lock runs out in "
            f"{TTL_SECONDS + SKEW_SECONDS:.0f} seconds",
        )

    def _lost(self, why: str) -> LockedError:
        return LockedError(
            f"the lock was lost: {why}",
            where=self._where,
            todo="make sure that no other copier works on this dataset, then run again",
        )


def take(client: BucketClient, key: str, where: str, owner: str, clock: Clock) -> Lease:
    """Take the lease at ``key``.

    Raises:
        LockedError: a living owner holds it. StoreRefused, StoreUnavailable.
    """
    lease = Lease(client, key, where, owner, clock)
    lease.begin()
    return lease


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
