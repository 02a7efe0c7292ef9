"""A dataset's folders as they stand on disk: what is committed, what a commit record says, and
whether a Parquet file still is what it says. Reads only; call it from worker threads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.layout import RAW_TABLE, Layout
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.names import is_name
from bronze_tui.domain.partition import CommitRecord, Manifest, TableFile, load

CHUNK = 1 << 20
MAX_RECORD = 4 << 20
"""Bytes of a record or manifest worth reading."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a dataset's files are."""

    root: Path
    prefix: str
    chain_key: str

    @property
    def layout(self) -> Layout:
        """Its keys.

        Raises:
            StateError: the chain key is not network/era/version of safe names.
        """
        names = self.chain_key.split("/")
        if len(names) != 3 or not all(is_name(name) for name in names):
            raise StateError("not a dataset's name", where=self.chain_key)
        return Layout(self.prefix, Era(names[0], names[1], names[2], 0, None, 1))

    def path(self, key: str) -> Path:
        """The file of a key."""
        return self.root / key


@dataclass(frozen=True, slots=True)
class Found:
    """One partition that the disk knows; ``state`` is committed or hole."""

    chain_key: str
    partition: LedgerRange
    state: str


@dataclass(frozen=True, slots=True)
class Papers:
    """What is written about one partition; ``problem`` says what cannot be read."""

    tables: tuple[TableFile, ...] = ()
    manifests: tuple[tuple[str, str], ...] = ()
    created_at: str = ""
    producer: str = ""
    writer: str = ""
    epoch: int | None = None
    first_previous_hash: str = ""
    last_hash: str = ""
    hole_reason: str = ""
    of: str = ""
    """``commit record``, ``manifest`` (a Go copier's partition), ``hole record`` or nothing."""
    key: str = ""
    problem: str = ""

    @property
    def raw(self) -> TableFile | None:
        """The raw table's file."""
        return next((t for t in self.tables if t.table == RAW_TABLE), None)


def chain_keys(root: Path, prefix: str) -> list[str]:
    """Datasets below ``root/prefix``; nothing where the folder cannot be read."""
    base = root / prefix
    found = []
    for network in _folders(base):
        for era in _folders(base / network):
            for version in _folders(base / network / era):
                folder = base / network / era / version
                if (folder / "_commits").is_dir() or (folder / RAW_TABLE).is_dir():
                    found.append(f"{network}/{era}/{version}")
    return found


def listing(place: Place) -> list[Found]:
    """Committed partitions and declared holes in ledger order.

    A dataset without any commit record is a Go copier's: there a partition with its manifest
    counts as committed. Folders that cannot be read hold nothing.
    """
    layout = place.layout
    commits = set(_ranges(place.path(layout.commits), "", ".json"))
    if not place.path(layout.commits).is_dir():
        table = place.path(f"{layout.root}{RAW_TABLE}")
        commits = {
            partition
            for partition in _ranges(table, "range=", "")
            if place.path(layout.manifest(RAW_TABLE, partition)).is_file()
        }
    holes = set(_ranges(place.path(layout.holes), "", ".json")) - commits
    found = [Found(place.chain_key, p, "committed") for p in commits]
    found += [Found(place.chain_key, p, "hole") for p in holes]
    return sorted(found, key=lambda f: f.partition)


def papers(place: Place, partition: LedgerRange) -> Papers:
    """Commit record, else manifest, else hole record; a damaged one is a ``problem``."""
    layout = place.layout
    readers: tuple[tuple[str, Callable[[bytes, Era, str], Papers]], ...] = (
        (layout.commit_record(partition), _of_record),
        (layout.manifest(RAW_TABLE, partition), _of_manifest),
        (layout.hole(partition), _of_hole),
    )
    for key, read in readers:
        try:
            data = _read(place.path(key))
            if data is not None:
                return read(data, layout.era, key)
        except (StateError, OSError) as error:
            return Papers(key=key, problem=str(error))
    return Papers()


def _of_record(data: bytes, era: Era, key: str) -> Papers:
    record = CommitRecord.from_json(data, _cut_as_written(data, era, key), where=key)
    return Papers(
        tables=record.tables,
        manifests=record.manifests,
        created_at=record.created_at,
        producer=_producer(record.producer),
        writer=record.writer,
        epoch=record.epoch,
        first_previous_hash=record.links.first_previous_hash,
        last_hash=record.links.last_hash,
        of="commit record",
        key=key,
    )


def _cut_as_written(data: bytes, era: Era, key: str) -> Era:
    """The era with the partitions that the record itself speaks of: no configuration is known."""
    cut = load(data, key).get("era")
    if not isinstance(cut, dict):
        return era
    start, size = cut.get("ledger_start"), cut.get("partition_size")
    if not isinstance(start, int) or not isinstance(size, int):
        return era
    return replace(era, ledger_start=start, partition_size=size)


def _of_manifest(data: bytes, era: Era, key: str) -> Papers:
    manifest = Manifest.from_json(data, era, where=key)
    links = manifest.links
    return Papers(
        tables=manifest.tables,
        created_at=manifest.created_at,
        producer=_producer(manifest.producer),
        writer=manifest.writer,
        first_previous_hash=links.first_previous_hash if links else "",
        last_hash=links.last_hash if links else "",
        of="manifest",
        key=key,
    )


def _of_hole(data: bytes, era: Era, key: str) -> Papers:  # noqa: ARG001 - one of three readers
    doc = load(data, key)
    return Papers(
        created_at=str(doc.get("declared_at", "")),
        hole_reason=str(doc.get("reason", "")),
        of="hole record",
        key=key,
    )


def _producer(producer: Any) -> str:
    git = f" git {producer.git_sha[:7]}" if producer.git_sha else ""
    return f"{producer.name} {producer.version}{git}"


@dataclass(frozen=True, slots=True)
class Check:
    """What a verification of one partition's files found; ``problems`` empty: all is as written."""

    octets: int
    files: int
    problems: tuple[str, ...]
    against: str


def verify(
    place: Place,
    partition: LedgerRange,
    progress: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> Check:
    """Hash the partition's files again: Parquet and manifests against the commit record (against
    the manifest alone in a Go copier's dataset).

    Args:
        progress: told the share done, 0 to 1, of the Parquet bytes.
        cancelled: asked once a MiB; true ends it with a problem that says so.
    """
    layout, found = place.layout, papers(place, partition)
    if found.problem:
        return Check(0, 0, (found.problem,), found.of)
    if not found.tables:
        return Check(0, 0, ("there is no commit record and no manifest: nothing is promised",), "")
    whole = sum(table.byte_size for table in found.tables) or 1
    problems: list[str] = []
    done = 0
    for table in found.tables:
        path = place.path(layout.parquet(table.table, partition))
        before = done
        try:
            sha, octets = _hash(path, lambda n, b=before: progress((b + n) / whole), cancelled)  # type: ignore[misc]
        except _Cancelled:
            return Check(done, 0, ("not finished: it was cancelled",), found.of)
        except OSError as error:
            problems.append(f"{path.name} cannot be read ({error.strerror or error})")
            continue
        done += octets
        problems += _compare(table, path.name, sha, octets)
    problems += _manifests(place, layout, partition, found)
    return Check(done, len(found.tables) + len(found.manifests), tuple(problems), found.of)


def _compare(table: TableFile, name: str, sha: str, octets: int) -> Iterator[str]:
    if octets != table.byte_size:
        yield f"{name} has {octets:,} bytes, {table.byte_size:,} are recorded"
    if f"sha256:{sha}" != table.checksum:
        yield f"{name} has sha256:{sha}, {table.checksum} is recorded"


def _manifests(
    place: Place, layout: Layout, partition: LedgerRange, found: Papers
) -> Iterator[str]:
    for table, checksum in found.manifests:
        if not is_name(table):
            yield f"the commit record names a table {table!r}"
            continue
        try:
            data = _read(place.path(layout.manifest(table, partition)))
        except (OSError, StateError) as error:
            yield f"manifest of {table} cannot be read ({error})"
            continue
        if data is None:
            yield f"manifest of {table} is missing"
        elif f"sha256:{hashlib.sha256(data).hexdigest()}" != checksum:
            yield f"manifest of {table} is not the one that was committed"


class _Cancelled(Exception):
    """Somebody looked elsewhere."""


def _hash(
    path: Path, progress: Callable[[int], None], cancelled: Callable[[], bool]
) -> tuple[str, int]:
    sha, octets = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if cancelled():
                raise _Cancelled
            sha.update(chunk)
            octets += len(chunk)
            progress(octets)
    return sha.hexdigest(), octets


def _read(path: Path) -> bytes | None:
    """A small file's bytes; None when it is not there.

    Raises:
        StateError: it is too large to be a record.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_RECORD + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(data) > MAX_RECORD:
        raise StateError(f"larger than {MAX_RECORD} bytes", where=str(path))
    return data


def _folders(base: Path) -> list[str]:
    try:
        with os.scandir(base) as entries:
            return sorted(e.name for e in entries if is_name(e.name) and e.is_dir())
    except OSError:
        return []


def _ranges(folder: Path, before: str, after: str) -> Iterator[LedgerRange]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - thousands of names, no need of their stats
    except OSError:
        return
    for name in names:
        if name.startswith(before) and name.endswith(after):
            try:
                yield LedgerRange.parse(name[len(before) : len(name) - len(after)])
            except ValueError:
                continue
