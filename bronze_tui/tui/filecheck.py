"""Reads committed Parquet files again and compares them with what the audit events announce.

Local stores only; nothing is read outside the data folder, whatever an event's path says, and
nothing is written.
"""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bronze_tui.domain.audit import AuditEvent, EventTable

_CHUNK = 1 << 20
_TELL_EVERY = 0.2
_MANIFEST_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class FileResult:
    """What the files of one event are."""

    event_hash: str
    ledgers: str
    kind: str
    """``ok``, ``file_mismatch``, ``file_missing``, ``file_unreadable``."""
    message: str
    found: str
    """Checksum of the file that was read last, empty when it could not be."""
    manifest: str
    """Checksum in its manifest, empty when there is none to read."""
    bytes_read: int

    @property
    def ok(self) -> bool:
        """Whether all files are what the event says."""
        return self.kind == "ok"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far reading is; bytes by the events' own sizes, seconds since the start."""

    files: int
    files_total: int
    bytes_read: int
    bytes_total: int
    seconds: float
    done: bool = False
    stopped: bool = False

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.bytes_read / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds left, None while unknown."""
        left = self.bytes_total - self.bytes_read
        return max(0.0, left / self.rate) if self.rate > 0 else None


class Stopped(Exception):
    """The person pressed esc."""


def check_files(
    events: Sequence[AuditEvent],
    root: Path,
    *,
    stop: Callable[[], bool],
    tell: Callable[[list[FileResult], Progress], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Hash every announced file below ``root`` in the order of ``events``.

    Args:
        root: data folder with the prefix.
        stop: asked between chunks.
        tell: gets results since the last call and the progress, a few times a second and at the
            end.
    """
    begin = told = clock()
    total = sum(table.byte_size for event in events for _, table in event.tables)
    fresh: list[FileResult] = []
    files = read = 0
    stopped = False
    for event in events:
        try:
            result = check_event(event, root, stop)
        except Stopped:
            stopped = True
            break
        fresh.append(result)
        files += 1
        read += result.bytes_read
        if clock() - told >= _TELL_EVERY:
            told = clock()
            tell(fresh, Progress(files, len(events), read, total, told - begin))
            fresh = []
    end = Progress(files, len(events), read, total, clock() - begin, True, stopped)
    tell(fresh, end)


def check_event(event: AuditEvent, root: Path, stop: Callable[[], bool]) -> FileResult:
    """Read the files of one event.

    Raises:
        Stopped: ``stop`` said so.
    """
    ledgers = f"{event.ledger_start}-{event.ledger_end}"
    found = manifest = ""
    read = 0
    problems: list[tuple[str, str]] = []
    for name, table in event.tables:
        folder = _folder(root, table.storage_path)
        if folder is None:
            problems.append(("file_mismatch", f"{name}: the event's path leaves the data folder"))
            continue
        manifest = _manifest_checksum(folder, name)
        path = folder / f"part-{ledgers}.parquet"
        try:
            found, size = _hash(path, stop)
        except FileNotFoundError:
            problems.append(("file_missing", f"{name}: there is no {path.name}"))
            continue
        except OSError as error:
            problems.append(("file_unreadable", f"{name}: {error.strerror}"))
            continue
        read += size
        problems += _compare(name, table, found, size, manifest)
    kind, message = problems[0] if problems else ("ok", "")
    return FileResult(event.event_hash, ledgers, kind, message, found, manifest, read)


def _compare(
    name: str, table: EventTable, found: str, size: int, manifest: str
) -> Iterable[tuple[str, str]]:
    if found != table.checksum:
        was = "" if size == table.byte_size else f" and has {size:,} bytes, not {table.byte_size:,}"
        yield "file_mismatch", f"{name}: the file is not the one announced{was}"
    elif manifest and manifest != table.checksum:
        yield "file_mismatch", f"{name}: the manifest names another checksum than the event"


def _hash(path: Path, stop: Callable[[], bool]) -> tuple[str, int]:
    digest, size = sha256(), 0
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(0, "not a regular file")
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            if stop():
                raise Stopped
            digest.update(chunk)
            size += len(chunk)
    return f"sha256:{digest.hexdigest()}", size


def _folder(root: Path, storage_path: str) -> Path | None:
    """The announced folder, None when it is not below ``root``."""
    if not storage_path or "\0" in storage_path:
        return None
    folder = (root / storage_path).resolve()
    return folder if folder.is_relative_to(root.resolve()) else None


def _manifest_checksum(folder: Path, table: str) -> str:
    try:
        path = folder / "_manifest.json"
        if path.stat().st_size > _MANIFEST_LIMIT:
            return ""
        return str(json.loads(path.read_bytes())["tables"][table]["checksum"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
