"""Audit events as files: one a partition, append-only, with the heads file kept as a cache.

Evidence is never overwritten and never deleted: a taken name gets a second form, and what a crash
left at a name is moved aside.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bronze_emit_file.durable import create, locked, move_aside
from bronze_tui.audit.backup import heads_from_events
from bronze_tui.audit.canonical import heads_bytes, recompute
from bronze_tui.audit.event import MAX_EVENT_BYTES, EventRejected, parse_event
from bronze_tui.audit.folder import collector_paused, read_capped, read_folder
from bronze_tui.audit.heads import MAX_HEADS_BYTES, parse_heads
from bronze_tui.audit.links import EventFile, trace
from bronze_tui.audit.names import HEADS_FILE, event_name, event_name_apart
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import SourceDenied, StateError, StoreRefused
from bronze_tui.domain.files import make_dirs, replace, sweep
from bronze_tui.domain.text import safe_text


class _Links:
    """What a folder holds of one chain."""

    def __init__(self, files: Iterable[EventFile]) -> None:
        lines = trace(tuple(files)).lines
        self._tip = lines[-1][-1].event.event_hash if lines else ""
        self._followers: dict[str, str] = {}
        for item in (item for line in lines for item in line):
            self._followers[item.event.prev_event_hash] = item.event.event_hash

    @property
    def tip(self) -> str:
        """Hash of the last event, empty when there is none."""
        return self._tip

    def follower(self, event_hash: str) -> str | None:
        """Hash of the event that continues the given one (empty: that begins the chain)."""
        return self._followers.get(event_hash)

    def add(self, event: AuditEvent) -> None:
        """Take an event in; the tip moves when the event continues it."""
        self._followers[event.prev_event_hash] = event.event_hash
        if not self._tip or event.prev_event_hash == self._tip:
            self._tip = event.event_hash


class FileEmitter:
    """Writes events into one folder; an ``Emitter``, safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._chains: dict[str, _Links] = {}
        self._mutex = threading.Lock()

    def emit(self, data: bytes, event: AuditEvent) -> None:
        """File one event durably, then the chain's head.

        Raises:
            StoreRefused: disk full, read-only, no permission; nothing or the event was filed.
            StateError: another event stands at this place of the chain, or its name is taken by
                something that is no event.
        """
        with self._mutex, self._refusals():
            make_dirs(self._folder)
            with locked(self._folder):
                links = self._links(event.chain_key)
                self._guard(links, event)
                self._file(data, event)
                links.add(event)
                self._write_head(event.chain_key, links.tip)

    def close(self) -> None:
        """Forget what was read; nothing is held open."""
        self._chains.clear()

    def _links(self, chain_key: str) -> _Links:
        links = self._chains.get(chain_key)
        if links is None:
            sweep(self._folder)
            with collector_paused():
                files = read_folder(self._folder).files
                links = _Links(item for item in files if item.event.chain_key == chain_key)
            self._chains[chain_key] = links
        return links

    def _guard(self, links: _Links, event: AuditEvent) -> None:
        other = links.follower(event.prev_event_hash)
        if other not in (None, event.event_hash):
            raise self._conflict(event, f"{other} already continues the same event")

    def _file(self, data: bytes, event: AuditEvent) -> None:
        self._check(data, event)
        plain = self._folder / event_name(event)
        apart = self._folder / event_name_apart(event)
        if self._stands(apart, data, event) or self._stands(plain, data, event):
            return
        if not create(plain, data) and not create(apart, data):
            raise self._conflict(event, f"{apart.name} holds another event")

    def _check(self, data: bytes, event: AuditEvent) -> None:
        try:
            same = parse_event(data, where="") == event
        except EventRejected as error:
            raise self._conflict(event, f"its bytes are no event ({error.what})") from None
        if not same or recompute(event) != event.event_hash:
            raise self._conflict(event, "its bytes, its fields and its hash disagree")

    def _stands(self, path: Path, data: bytes, event: AuditEvent) -> bool:
        """Whether the event is filed at ``path``; a damaged file there is moved aside."""
        if not os.path.lexists(path):
            return False
        there = read_capped(path, MAX_EVENT_BYTES)
        if there == data:
            return True
        try:
            found = parse_event(there, where=str(path))
        except EventRejected as error:
            if error.kind == "unreadable":
                move_aside(path)
                return False
            raise self._conflict(event, f"{path.name} holds no event ({error.what})") from None
        if found.event_hash == event.event_hash and recompute(found) == event.event_hash:
            return True
        if (found.chain_key, found.prev_event_hash) == (event.chain_key, event.prev_event_hash):
            raise self._conflict(event, f"{path.name} holds {found.event_hash}")
        return False

    def _write_head(self, chain_key: str, head: str) -> None:
        path = self._folder / HEADS_FILE
        heads = self._heads(path)
        if heads.get(chain_key) != head or not path.exists():
            replace(path, heads_bytes({**heads, chain_key: head}))

    def _heads(self, path: Path) -> dict[str, str]:
        if not path.exists():
            return heads_from_events(self._folder)
        try:
            return parse_heads(read_capped(path, MAX_HEADS_BYTES), where=str(path))
        except StateError:
            move_aside(path)
            return heads_from_events(self._folder)

    def _conflict(self, event: AuditEvent, why: str) -> StateError:
        return StateError(
            f"event {event.event_hash} of ledgers {event.partition} cannot be filed: "
            f"{safe_text(why)}",
            where=str(self._folder),
            todo=f"nothing was overwritten; run bronze verify {self._folder}",
        )

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except SourceDenied as error:
            raise StoreRefused(error.what, where=error.where, todo="check permissions") from error
        except OSError as error:
            raise StoreRefused(
                f"cannot write audit events ({error.strerror})",
                where=str(self._folder),
                todo="free space or fix permissions and run again; the outbox keeps the event",
            ) from error
