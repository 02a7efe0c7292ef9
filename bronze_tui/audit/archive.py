"""An append-only folder of received events: each is verified against its chain before it is kept.

What stands here verifies with ``bronze verify``: own hash, link to the chain's head, no ledger and
no event id twice. Gaps are taken, since a hole that the sender declared cannot be known here.
"""

from __future__ import annotations

import fcntl
import os
import threading
from bisect import bisect_left
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bronze_tui.audit.canonical import heads_bytes, recompute
from bronze_tui.audit.chain import verify_chains
from bronze_tui.audit.event import MAX_EVENT_BYTES, EventRejected, parse_event
from bronze_tui.audit.folder import PasFolder, collector_paused, read_capped, read_folder
from bronze_tui.audit.links import EventFile
from bronze_tui.audit.names import (
    HEADS_FILE,
    event_name,
    event_name_apart,
    is_event_name,
    is_leftover,
)
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import LockedError, StateError, VerificationError
from bronze_tui.domain.files import create, make_dirs, replace, sweep
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.refusal import refusal, refusing
from bronze_tui.domain.text import safe_text

LOCK_FILE = ".pas-archive.lock"
_MAX_NAME = 255
"""Bytes of a file name."""
_TAKEN_UP = frozenset({"gap", "declared_gap", "out_of_order"})
"""Findings that a hole declared by the sender explains."""


class WrongPlace(VerificationError):
    """The event does not continue its chain; ``head`` does, ``holder`` stands where it would."""

    def __init__(self, what: str, *, head: str, holder: str) -> None:
        super().__init__(what)
        self.head = head
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Receipt:
    """An event that is kept durably; ``count`` is the number of events of its chain."""

    outcome: Literal["created", "same"]
    chain_key: str
    event_hash: str
    count: int


@dataclass(slots=True)
class _Chain:
    head: str = ""
    count: int = 0
    followers: dict[str, str] = field(default_factory=dict)
    """Previous hash to the hash of the event that continues it."""
    event_ids: set[str] = field(default_factory=set)
    spans: list[LedgerRange] = field(default_factory=list)
    """Ledgers announced, in ledger order."""

    def add(self, event: AuditEvent) -> None:
        self.head = event.event_hash
        self.count += 1
        self.followers[event.prev_event_hash] = event.event_hash
        self.event_ids.add(event.event_id)
        self.spans.insert(bisect_left(self.spans, event.partition), event.partition)

    def overlaps(self, span: LedgerRange) -> bool:
        place = bisect_left(self.spans, span)
        near = self.spans[max(0, place - 1) : place + 1]
        return any(span.overlaps(other) for other in near)


class Archive:
    """One folder and what it holds; one process at a time, safe to call from several threads.

    Raises:
        LockedError: another process receives into it. StateError: a chain in it is broken.
        SourceDenied, StoreError: it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mutex = threading.Lock()
        self._chains: dict[str, _Chain] = {}
        self._files: dict[str, str] = {}
        with refusing(folder):
            make_dirs(folder)
            self._lock = _locked(folder)
            try:
                sweep(folder)
                self._take_up()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Let another process have the folder; idempotent."""
        with suppress(OSError):
            os.close(self._lock)
        self._lock = -1

    @property
    def heads(self) -> dict[str, str]:
        """Chain key to the hash of the chain's last event."""
        with self._mutex:
            return {key: chain.head for key, chain in sorted(self._chains.items())}

    @property
    def events(self) -> int:
        """Events kept, of all chains."""
        with self._mutex:
            return len(self._files)

    def get(self, event_hash: str) -> bytes | None:
        """The bytes of an event as they were received; None when it is not here.

        Raises:
            SourceDenied: its file cannot be read.
        """
        with self._mutex:
            name = self._files.get(event_hash)
        return None if name is None else read_capped(self._folder / name, MAX_EVENT_BYTES)

    def receive(self, data: bytes) -> Receipt:
        """Verify one event and keep it; when this returns, it survives a power cut.

        Raises:
            EventRejected: it is no event, or its hash is not its content's.
            WrongPlace: it is sound, and does not continue its chain.
            StoreError: it cannot be written; nothing was promised.
        """
        event = parse_event(data, where="")
        if recompute(event) != event.event_hash:
            raise EventRejected("its content does not give its event_hash")
        with self._mutex:
            chain = self._chains.get(event.chain_key) or _Chain()
            if event.event_hash in self._files:
                return Receipt("same", event.chain_key, event.event_hash, chain.count)
            self._check(chain, event)
            name = self._write(data, event)
            chain.add(event)
            self._chains[event.chain_key] = chain
            self._files[event.event_hash] = name
            self._write_heads()
        return Receipt("created", event.chain_key, event.event_hash, chain.count)

    def _check(self, chain: _Chain, event: AuditEvent) -> None:
        if event.prev_event_hash != chain.head:
            holder = chain.followers.get(event.prev_event_hash, "")
            what = f"{holder} continues it already" if holder else "it is not the head"
            raise WrongPlace(
                f"the event continues {event.prev_event_hash or 'nothing'}: {what}",
                head=chain.head,
                holder=holder,
            )
        if event.event_id in chain.event_ids:
            raise EventRejected("its event_id was used before in this chain")
        if chain.overlaps(event.partition):
            raise EventRejected(
                f"ledgers {event.partition} were announced before, in part or whole"
            )

    def _write(self, data: bytes, event: AuditEvent) -> str:
        """Under the plain name, or the one apart where another chain's event has taken that."""
        for name in (event_name(event), event_name_apart(event)):
            if is_leftover(name) or not is_event_name(name) or len(os.fsencode(name)) > _MAX_NAME:
                raise EventRejected("its names cannot be a file's name")
            path = self._folder / name
            try:
                create(path, data)
            except FileExistsError:
                continue
            except OSError as error:
                raise refusal(error, path) from error
            return name
        raise EventRejected("another file stands at its name")

    def _write_heads(self) -> None:
        """A cache for whoever verifies; a restart writes it anew, so a failure is no refusal."""
        heads = {key: chain.head for key, chain in self._chains.items()}
        with suppress(OSError):
            replace(self._folder / HEADS_FILE, heads_bytes(heads))

    def _take_up(self) -> None:
        with collector_paused():
            read = read_folder(self._folder)
            for item in _in_order(read):
                chain = self._chains.setdefault(item.event.chain_key, _Chain())
                chain.add(item.event)
                self._files[item.event.event_hash] = item.file
        heads = {key: chain.head for key, chain in self._chains.items()}
        if heads and read.heads != heads:
            self._write_heads()


def _in_order(read: PasFolder) -> Iterable[EventFile]:
    for finding in read.findings:
        if finding.severity == "error" and finding.file != HEADS_FILE:
            raise _broken(read.path, finding.file, finding.message)
    for report in verify_chains(read.files):
        wrong = [f for f in report.errors if f.kind not in _TAKEN_UP]
        if wrong:
            raise _broken(read.path, wrong[0].file, f"{wrong[0].kind}, {wrong[0].message}")
        yield from report.line


def _broken(folder: Path, file: str, why: str) -> StateError:
    return StateError(
        f"what was received is damaged ({safe_text(why)})",
        where=str(folder / file),
        todo=f"nothing is taken on top of it; run bronze verify {folder}",
    )


def _locked(folder: Path) -> int:
    lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise LockedError(
            "another process receives events into this folder",
            where=str(folder),
            todo="stop it, or give --dir another folder",
        ) from error
    except OSError:
        os.close(lock)
        raise
    return lock
