"""Reads committed Parquet files again and compares them with what the audit events announce.

Nothing is read outside the data folder, whatever an event's path says, and nothing is written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from bronze_tui.audit.data import Data, Folder, Outside
from bronze_tui.domain.audit import AuditEvent, EventTable
from bronze_tui.domain.ledger import LedgerRange

Trouble = Literal["file_mismatch", "file_missing", "file_unreadable"]
Tables = Iterable[tuple[str, EventTable]]

_TELL_EVERY = 0.2
MANIFEST_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A file that is not the one announced."""

    kind: Trouble
    table: str
    message: str
    key: str
    expected: str = ""
    found: str = ""
    announced: bool = False
    """Whether its bytes are the announced ones all the same: a size or a manifest differs."""


@dataclass(frozen=True, slots=True)
class FilesOf:
    """What reading all files of one partition gave."""

    problems: tuple[FileProblem, ...]
    found: str
    """Checksum of the file that was read last, empty when none could be."""
    manifest: str
    """Checksum in its manifest, empty when there is none to read."""
    bytes_read: int


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
    """The person wants no more of it."""


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
    read = read_files(event.tables, event.partition, Folder(root), stop)
    first = next(iter(read.problems), None)
    return FileResult(
        event.event_hash,
        f"{event.ledger_start}-{event.ledger_end}",
        first.kind if first else "ok",
        f"{first.table}: {first.message}" if first else "",
        read.found,
        read.manifest,
        read.bytes_read,
    )


def read_files(
    tables: Tables, partition: LedgerRange, data: Data, stop: Callable[[], bool]
) -> FilesOf:
    """Hash the file of every table of one partition and compare it with what was announced.

    Raises:
        Stopped: ``stop`` said so. StoreUnavailable: the store does not answer.
    """
    found = manifest = ""
    size = 0
    problems: list[FileProblem] = []
    for name, table in tables:
        key = file_key(table, partition)
        try:
            manifest = _manifest_checksum(data, name, table.storage_path)
            found, read = hash_object(data, key, stop)
        except Outside:
            text = "the event's path leaves the data folder"
            problems.append(FileProblem("file_mismatch", name, text, key))
            continue
        except (FileNotFoundError, NotADirectoryError):
            text = f"there is no {key.rpartition('/')[2]}"
            problems.append(FileProblem("file_missing", name, text, key, table.checksum))
            continue
        except OSError as error:
            text = error.strerror or str(error)
            problems.append(FileProblem("file_unreadable", name, text, key))
            continue
        size += read
        problems += _compare(name, key, table, found, read, manifest)
    return FilesOf(tuple(problems), found, manifest, size)


def file_key(table: EventTable, partition: LedgerRange) -> str:
    """Key of a table's Parquet file below the prefix."""
    return f"{table.storage_path}/part-{partition}.parquet"


def hash_object(data: Data, key: str, stop: Callable[[], bool]) -> tuple[str, int]:
    """``sha256:`` and hex of an object, and its size.

    Raises:
        Stopped: ``stop`` said so. Outside, OSError: see Data.
    """
    digest, size = sha256(), 0
    for chunk in data.chunks(key):
        if stop():
            raise Stopped
        digest.update(chunk)
        size += len(chunk)
    return f"sha256:{digest.hexdigest()}", size


def _compare(
    name: str, key: str, table: EventTable, found: str, size: int, manifest: str
) -> Iterator[FileProblem]:
    if found != table.checksum:
        was = "" if size == table.byte_size else f" and has {size:,} bytes, not {table.byte_size:,}"
        text = f"the file is not the one announced{was}"
        yield FileProblem("file_mismatch", name, text, key, table.checksum, found)
    elif size != table.byte_size:
        text = f"the file has {size:,} bytes, the event says {table.byte_size:,}"
        yield FileProblem("file_mismatch", name, text, key, str(table.byte_size), str(size), True)
    elif manifest and manifest != table.checksum:
        text = "the manifest names another checksum than the event"
        yield FileProblem("file_mismatch", name, text, key, table.checksum, manifest, True)


def _manifest_checksum(data: Data, table: str, folder: str) -> str:
    try:
        raw = data.get(f"{folder}/_manifest.json", MANIFEST_LIMIT)
        if len(raw) > MANIFEST_LIMIT:
            return ""
        return str(json.loads(raw)["tables"][table]["checksum"])
    except Outside:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
