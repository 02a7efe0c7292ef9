"""Whether the store keeps what the copier relies on: conditional create above all."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bronze_tui.domain.errors import BronzeError, StoreConflict, StoreRefused
from bronze_tui.domain.layout import Layout
from bronze_tui.hooks.contracts import Store
from bronze_tui.inspect.doctor.finding import Finding, Notes
from bronze_tui.inspect.doctor.subject import Subject

NOTES = Notes("store")
FOLDER = "_doctor"
"""Below the prefix and above every dataset, so that no copier and no reader looks into it."""
_STALE = 180.0
"""Seconds after which a lock that was not renewed has run out on any store."""
_NOT_SAFE = "do not copy to this store: two writers could replace each other's files"


def checks(subject: Subject) -> Iterator[Finding]:
    """Open it, see who works on it, then probe it."""
    if subject.host is None:
        yield NOTES.none("open", "store not opened: no plugin is loaded")
        return
    settings = subject.settings
    try:
        factory = subject.host.store(settings.storage.backend)
    except BronzeError:
        yield NOTES.none("open", "store not opened: its plugin is not there")
        return
    try:
        with subject.first_imports():
            store: Store = factory(settings.store_options())
    except BronzeError as error:
        yield NOTES.error("open", "store CANNOT be opened", error)
        return
    with closing(store):
        yield from _locks(store, subject)
        if subject.write:
            with closing(_Probe(store, subject)) as probe:
                yield from probe.checks()
        else:
            yield _permissions(store, settings.storage.prefix)


class _Probe:
    """Makes objects under one random name and removes them, whatever happens."""

    def __init__(self, store: Store, subject: Subject) -> None:
        self._store = store
        self._subject = subject
        self._key = f"{subject.settings.storage.prefix}{FOLDER}/{secrets.token_hex(8)}"
        self._made = False
        self._staged: Path | None = None
        self._absent = _absent_folders(store, self._key)

    def close(self) -> None:
        """Remove what was made, and folders that were not there before.

        Raises:
            StoreError: it could not be removed.
        """
        if self._staged is not None:
            self._staged.unlink(missing_ok=True)
            self._staged = None
        if self._made:
            self._store.delete(self._key)
            self._made = False
        for folder in self._absent:
            # Not empty: somebody else uses it by now.
            with suppress(OSError):
                folder.rmdir()

    def checks(self) -> Iterator[Finding]:
        data = f"bronze doctor {secrets.token_hex(8)}\n".encode()
        begin, wrote = time.perf_counter(), False
        try:
            self._staged = self._store.stage(FOLDER)
            self._staged.write_bytes(data)
            yield NOTES.ok("stage", "takes a staged file", str(self._staged.parent))
            if self._subject.stop.is_set():
                return
            self._made = True
            first = self._store.create(self._key, self._staged)
            wrote = True
            seconds = time.perf_counter() - begin
            text = f"writable ({seconds * 1000:,.0f} ms a small object)"
            yield NOTES.ok("write", text, self._store.uri(self._key))
            yield self._conditional(first, data)
            yield from self._reading(data)
            yield self._deleting()
        except OSError as error:
            text = "store NOT writable"
            yield NOTES.fail("write", text, f"{error.filename}: {error.strerror or error}")
        except BronzeError as error:
            if isinstance(error, StoreRefused) and not wrote:
                self._made = False  # the store said no: there is nothing to remove
            yield NOTES.error("write", "store NOT usable", error)

    def _conditional(self, first: str, data: bytes) -> Finding:
        """Put twice: the same bytes are no news, other bytes must be refused and change nothing."""
        again = self._store.create(self._key, data)
        try:
            other: str = self._store.create(self._key, data + b"other\n")
        except StoreConflict:
            other = "refused"
        stands = self._store.get(self._key)
        if (first, again, other) == ("created", "same", "refused") and stands == data:
            return NOTES.ok("create", "conditional create honoured", "a second put was refused")
        detail = f"new: {first}, the same again: {again}, other bytes: {other}"
        if stands != data:
            detail += "; the object holds other bytes now"
        return NOTES.fail("create", "conditional create NOT honoured", detail, _NOT_SAFE)

    def _reading(self, data: bytes) -> Iterator[Finding]:
        seen = self._store.head(self._key)
        part = self._store.get_range(self._key, 7, 6)
        if seen is None or seen.size != len(data) or part != data[7:13]:
            yield NOTES.fail("read", "reads back OTHER than was written", _text(seen), _NOT_SAFE)
        else:
            yield NOTES.ok("read", "reads back what was written")
        folder = self._key.rpartition("/")[0] + "/"
        if any(found.key == self._key for found in self._store.list(folder)):
            yield NOTES.ok("list", "lists what was written")
        else:
            todo = "the copier finds its commit records by listing; allow it to list"
            yield NOTES.fail("list", "does NOT list what was written", folder, todo)

    def _deleting(self) -> Finding:
        self._store.delete(self._key)
        self._made = False
        if self._store.head(self._key) is None:
            return NOTES.ok("delete", "the probe object is removed again")
        self._made = True
        return NOTES.warn("delete", "the probe object is still there", self._store.uri(self._key))


def _text(seen: object) -> str:
    return "no object" if seen is None else str(seen)


def _absent_folders(store: Store, key: str) -> list[Path]:
    """Folders of this machine that a probe would make, the innermost first."""
    path = store.local_path(key)
    if path is None:
        return []
    root = path
    for _ in key.split("/"):
        root = root.parent
    folders = (root / ".bronze-staging", *path.parents)
    return [folder for folder in folders if not folder.exists()]


def _permissions(store: Store, prefix: str) -> Finding:
    """Without a write: what the file system says."""
    root = store.local_path(f"{prefix}{FOLDER}")
    if root is None:
        text = "store not written to: this view is read-only"
        return NOTES.none("write", text, "permissions of a remote store show on a write")
    folder = root.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if os.access(folder, os.W_OK | os.X_OK):
        return NOTES.ok("write", "store folder writable", str(folder))
    todo = "give this user the right to write there, or choose another storage.local_dir"
    return NOTES.fail("write", "store folder NOT writable", str(folder), todo)


def _locks(store: Store, subject: Subject) -> Iterator[Finding]:
    """Who has each dataset. The lock object is read and never taken."""
    settings = subject.settings
    where = store.uri(FOLDER).removesuffix(FOLDER)
    for number, era in enumerate(settings.active()):
        layout = Layout(settings.storage.prefix, era)
        try:
            note = store.get(f"{layout.root}_lock")
        except FileNotFoundError:
            found = NOTES.ok("lock", f"no copier works on {era.chain_key}")
        except BronzeError as error:
            yield NOTES.error("open", "store NOT readable", error)
            return
        else:
            found = _holder(era.chain_key, note)
        if number == 0:
            yield NOTES.ok("open", "store readable", where)
        yield found


def _holder(chain_key: str, data: bytes) -> Finding:
    note: Any = None
    with suppress(ValueError):
        note = json.loads(data)
    if not isinstance(note, dict):
        return NOTES.warn("lock", f"{chain_key} has a lock that names nobody")
    if note.get("released") is True:
        return NOTES.ok("lock", f"no copier works on {chain_key}")
    owner, pid, host, heard = (note.get(n, "?") for n in ("owner", "pid", "host", "heartbeat"))
    who = f"{owner} (process {pid} on {host}, last heard {heard})"
    if _is_dead(pid, host) or _age(heard) > _STALE:
        text = f"{chain_key} was left locked by {owner}"
        return NOTES.ok("lock", text, f"{who}; it does not live, and its lock frees itself")
    text = f"{chain_key} is being copied by {owner}"
    return NOTES.ok("lock", text, f"{who}; it goes on undisturbed")


def _is_dead(pid: object, host: object) -> bool:
    """Whether a process of this machine has ended; unknown ones live."""
    if host != socket.gethostname() or not isinstance(pid, int) or not 1 < pid < 1 << 31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _age(heard: object) -> float:
    """Seconds; 0 for what is no time."""
    try:
        moment = datetime.fromisoformat(str(heard).replace("Z", "+00:00"))
        return (datetime.now(UTC) - moment).total_seconds()
    except (ValueError, TypeError):
        return 0.0
