"""Has a partition's rows read by a process of its own (``rowchild``), and survives its death.

What comes back is plain JSON: nothing of a foreign file is parsed here.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bronze_tui.audit.findings import Finding
from bronze_tui.audit.levels.trust import Trust
from bronze_tui.audit.levels.unit import MOST, Edges, Outcome
from bronze_tui.domain.layout import RAW_TABLE

COMMAND = (sys.executable, "-P", "-m", "bronze_tui.audit.levels.rowchild")
"""Without the working folder on the path: modules there are not ours."""
PATIENCE = 120.0
"""Seconds of silence after which the process is taken for hung."""

GO_COPIER = "bronze-copier"
_POLL = 0.2
_MOST = 1 << 28
_CHUNK = 1 << 20
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_KEPT_PREFIXES = ("PYTHON", "NUMBA_", "XDG_")
_ALLOCATOR = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}
"""Large buffers stay in glibc's heap: else each batch's would be mapped, faulted and unmapped."""


class _Dead(Exception):
    """The process ended, hung or said nonsense; the text says which."""

    def __init__(self, how: str, *, unread: bool = False) -> None:
        super().__init__(how)
        self.unread = unread


class RowReaders:
    """As many processes as partitions are read at a time; safe to call from several threads.

    Args:
        trust: what level ``ledger`` takes; None stays at level ``row``.
    """

    def __init__(self, trust: Trust | None) -> None:
        self._trust = trust
        self._lock = threading.Lock()
        self._idle: list[_Reader] = []
        self._all: list[_Reader] = []

    def check(
        self,
        out: Outcome,
        file: str,
        path: Path,
        manifest: dict[str, Any] | None,
        *,
        rows: bool,
        halt: Callable[[], None],
    ) -> dict[int, str]:
        """Judge the rows of ``path`` into ``out``; with ``rows`` the SHA-256 of each ledger's XDR.

        Raises:
            What ``halt`` raises; the process ends then.
        """
        with self._lock:
            reader = self._idle.pop() if self._idle else _Reader()
            if reader not in self._all:
                self._all.append(reader)
        try:
            answer = reader.ask(self._request(out, file, path, manifest, rows), halt)
            return _take(out, answer)
        except _Dead as error:
            reader.close()
            _unread(out, file, error)
            return {}
        except BaseException:
            reader.close()
            raise
        finally:
            with self._lock:
                self._idle.append(reader)

    def close(self) -> None:
        """End all processes; idempotent."""
        for reader in self._all:
            reader.close()

    def _request(
        self, out: Outcome, file: str, path: Path, manifest: dict[str, Any] | None, rows: bool
    ) -> dict[str, Any]:
        unit, trust = out.unit, self._trust
        event = unit.event
        trusted = None
        if trust is not None:
            known = trust.anchors_of(unit.network)
            span = range(unit.partition.start, unit.partition.end + 1)
            few = [n for n in known if n in span] if len(known) < len(span) else span
            trusted = {
                "passphrase": trust.passphrase,
                "anchors": [(n, known[n]) for n in few if n in known],
            }
        return {
            "chain_key": unit.chain_key,
            "partition": str(unit.partition),
            "tables": [
                (name, (t.checksum, t.row_count, t.storage_path, t.byte_size))
                for name, t in unit.tables
            ],
            "position": unit.position,
            "event_file": unit.event_file,
            "by_go": event is not None and event.producer.name == GO_COPIER,
            "file": file,
            "path": str(path),
            "manifest": _of_manifest(manifest),
            "trust": trusted,
            "rows": rows,
        }


class _Reader:
    """One process, started with the first question and again after its death."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._buffer = bytearray()

    def ask(self, request: dict[str, Any], halt: Callable[[], None]) -> dict[str, Any]:
        """The outcome.

        Raises:
            _Dead: there is none. What ``halt`` raises.
        """
        try:
            child = self._running()
            assert child.stdin is not None
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
        except OSError as error:
            raise _Dead(f"cannot be started ({error.strerror})", unread=True) from error
        heard = time.monotonic()
        while True:
            halt()
            line = self._line(child)
            if line is not None:
                heard = time.monotonic()
                doc = _document(line)
                if "outcome" in doc:
                    return _object(doc["outcome"])
            elif time.monotonic() - heard > PATIENCE:
                raise _Dead(f"gave no sign of life for {PATIENCE:g} s", unread=True)

    def close(self) -> None:
        """End the process; idempotent."""
        child, self._child = self._child, None
        self._buffer.clear()
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._child = subprocess.Popen(  # noqa: S603
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
        return self._child

    def _line(self, child: subprocess.Popen[bytes]) -> bytes | None:
        """The next line, or None when there is none for a moment."""
        assert child.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not waiting.select(_POLL):
                    return None
                more = os.read(child.stdout.fileno(), _CHUNK)
                if not more:
                    raise _ended(child.wait())
                self._buffer += more
                if len(self._buffer) > _MOST:
                    raise _Dead("said more than it can have to say")
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        return line


def _environment() -> dict[str, str]:
    """Without keys and tokens: whatever a file makes the process do, it has none to give away."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    return {**kept, **_ALLOCATOR}


def _ended(code: int) -> _Dead:
    if code >= 0:
        return _Dead(f"ended with code {code}")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return _Dead(f"was ended by {name}", unread=-code == signal.SIGKILL)


def _of_manifest(manifest: dict[str, Any] | None) -> dict[str, Any]:
    """The parts of a manifest that are compared with rows."""
    manifest = manifest or {}
    tables = manifest.get("tables")
    entry = tables.get(RAW_TABLE) if isinstance(tables, dict) else None
    wanted = entry.get("content_hash", "") if isinstance(entry, dict) else ""
    return {"tables": {RAW_TABLE: {"content_hash": str(wanted)}}, "links": manifest.get("links")}


def _document(line: bytes) -> dict[str, Any]:
    try:
        return _object(json.loads(line))
    except (ValueError, RecursionError):
        raise _Dead("said something that is no answer") from None


def _object(doc: Any) -> dict[str, Any]:
    if not isinstance(doc, dict):
        raise _Dead("said something that is no answer")
    return doc


def _take(out: Outcome, doc: dict[str, Any]) -> dict[int, str]:
    try:
        findings = [Finding(**finding) for finding in doc["findings"]]
        edges = Edges(**doc["edges"]) if doc["edges"] else None
        signers = {str(key): int(count) for key, count in doc["signers"].items()}
        counts = [int(doc[name]) for name in ("ledgers", "unsigned", "unchecked", "left_out")]
        first = {str(key): int(ledger) for key, ledger in doc["first_signed"].items()}
        anchors = {int(ledger): str(known) for ledger, known in doc["anchors"]}
        rows = {int(ledger): str(digest) for ledger, digest in doc["rows"]}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _Dead("said something that is no answer") from None
    room = max(0, MOST - len(out.findings))
    out.findings += findings[:room]
    out.ledgers, out.unsigned, out.unchecked, left_out = counts
    out.left_out += left_out + len(findings[room:])
    out.edges, out.anchors = edges, anchors
    out.signers, out.first_signed = Counter(signers), first
    return rows


def _unread(out: Outcome, file: str, error: _Dead) -> None:
    text = f"the process that reads rows {error}, so nothing of the file's rows is known"
    if error.unread:
        cause = "too little memory, or a file made to use all of it: try --jobs 1"
        out.add("file_unreadable", text, file=file, cause=cause)
        return
    cause = "the file is damaged, or was made to end whoever reads it"
    out.add("parquet_unreadable", text, file=file, cause=cause)
