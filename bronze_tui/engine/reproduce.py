"""Builds published partitions again from a lake, in a temporary folder, and compares.

The file is built by the very code that copies. What is published is read only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from bronze_tui.audit import tree
from bronze_tui.audit.canonical import HASH_PREFIX
from bronze_tui.audit.data import Data, Fetched, Folder, Outside
from bronze_tui.audit.filecheck import file_key, hash_object
from bronze_tui.audit.levels.unit import Unit
from bronze_tui.domain.audit import EventTable
from bronze_tui.domain.errors import SourceDataError, SourceUnavailable, StateError
from bronze_tui.domain.files import make_dirs
from bronze_tui.domain.files import replace as move
from bronze_tui.domain.layout import RAW_TABLE
from bronze_tui.domain.ledger import FIRST_LEDGER, LedgerRange
from bronze_tui.domain.refusal import refusing
from bronze_tui.engine.context import BuildProgress, BuildStopped
from bronze_tui.engine.fetch import ByteBudget
from bronze_tui.engine.filebuild import FileBuild, Reading, Workbench
from bronze_tui.engine.gate import ReadGate
from bronze_tui.engine.judge import Judgement, Rebuilt, Theirs, judge_file, judge_hashes
from bronze_tui.engine.published import Chosen, choose, era_of, knows_writer, raw_table, read_record
from bronze_tui.hooks.contracts import LedgerSource
from bronze_tui.tables.difference import Difference
from bronze_tui.tables.parquet import Compression, options_digest
from bronze_tui.tables.reread import ContentHash
from bronze_tui.tables.schema import raw_schema

_ATTEMPTS = 3
_PAUSE = 1.0
_OTHER_OPTIONS = "its manifest names writer options that this version does not have"


@dataclass(frozen=True, slots=True)
class Reproduced:
    """One partition, built again and compared."""

    unit: Unit
    judgement: Judgement
    checksum: str = ""
    """``sha256:`` of the rebuilt file; empty when it could not be built."""
    content_root: str = ""
    """``sha256:`` of the RFC 6962 tree over the lake's ledgers."""
    writer: str = ""
    """Digest of the writer's options."""
    ingested_at: str = ""
    ledgers: int = 0
    xdr_bytes: int = 0
    source_bytes: int = 0
    seconds: float = 0.0
    recalled: bool = False
    """An earlier run found it sound, and it was not built again."""
    kept: str = ""
    """Where the rebuilt file is; empty when it was removed."""


@dataclass(frozen=True, slots=True)
class Lake:
    """Where ledgers are read, and how much of it at a time; shared by all builds."""

    source: LedgerSource
    executor: Executor
    budget: ByteBudget
    gate: ReadGate


class ContentTree(ContentHash):
    """``content_hash``, and the RFC 6962 tree whose leaf is the same 68 bytes of each ledger."""

    def __init__(self) -> None:
        super().__init__()
        self._leaves: list[bytes] = []

    def add(self, sequence: int, ledger_hash: bytes, xdr_sha256: bytes) -> None:
        """Add the next ledger."""
        super().add(sequence, ledger_hash, xdr_sha256)
        leaf = sequence.to_bytes(4, "big") + ledger_hash + xdr_sha256
        self._leaves.append(tree.leaf_hash(leaf))

    def root(self) -> str:
        """``sha256:`` and hex of the root."""
        return HASH_PREFIX + tree.root(self._leaves).hex()


class Reproduction:
    """Builds and compares one partition at a time; one for each thread.

    Args:
        data: where the published files are; None compares with events alone.
        folder: temporary files go there.
        default: compression where nobody knows the published file's.
        halted: ends a build at the next ledger.
        keep: rebuilt files go there when the published one is missing or another.
    """

    def __init__(
        self,
        lake: Lake,
        data: Data | None,
        folder: Path,
        bench: Workbench,
        default: Compression,
        halted: threading.Event,
        keep: Path | None = None,
    ) -> None:
        self._lake = lake
        self._data = data
        self._folder = folder
        self._bench = bench
        self._default = default
        self._halted = halted
        self._keep = keep

    def run(self, unit: Unit) -> Reproduced:
        """Build one partition again and judge the published one.

        Raises:
            SourceUnavailable, SourceDenied: the lake does not answer. StoreError: the store does
            not, or the temporary folder is full. BuildStopped.
        """
        begun = time.perf_counter()
        table = raw_table(unit)
        if table is None:
            return _unread(unit, "it announces no table that can be rebuilt from ledgers")
        with self._held() as data:
            try:
                theirs = _fetch(data, unit, table, self._halted.is_set)
            except Outside:
                cause = "the event's path leaves the data folder: it was altered"
                return Reproduced(unit, Judgement("DIFFERENT", "event", cause=cause))
            except OSError as error:
                text = getattr(error, "strerror", None) or str(error) or type(error).__name__
                return _unread(unit, f"the published file cannot be read ({text})")
            return self._compare(unit, table, data, theirs, begun)

    def _compare(
        self, unit: Unit, table: EventTable, data: Data | None, theirs: Theirs | None, begun: float
    ) -> Reproduced:
        record = read_record(data, unit, table) if data is not None else None
        chosen = choose(record, theirs.path if theirs else None, self._default)
        with self._staged(unit) as path:
            try:
                build = self._build(unit, chosen, chosen.ingested_at, path)
                hopeless = theirs is not None or build.ours.written.checksum == table.checksum
                if not hopeless and chosen.other is not None:
                    again = self._build(unit, chosen, chosen.other, path)
                    build = again if again.ours.written.checksum == table.checksum else build
            except (SourceDataError, StateError) as error:
                return _not_built(unit, table, theirs, f"the lake cannot give it: {error}")
            if theirs is None:
                judgement = judge_hashes(build.ours, table, record)
            else:
                said = record.producer if record is not None else _producer(unit)
                judgement = judge_file(build.ours, theirs, table, said, self._stop)
            kept = self._kept(unit, judgement, path)
        notes = (*judgement.notes, *_not_looked_at(unit))
        if not knows_writer(record):
            notes += (_OTHER_OPTIONS,)
        judgement = replace(judgement, notes=notes)
        found = build.told(unit, judgement, chosen, time.perf_counter() - begun)
        return replace(found, kept=kept)

    def _build(
        self, unit: Unit, chosen: Chosen, ingested_at: datetime | None, path: Path
    ) -> _Build:
        pause = _PAUSE
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._once(unit, chosen, ingested_at, path)
            except SourceUnavailable:
                if self._halted.wait(pause):
                    raise
                pause *= 2
        return self._once(unit, chosen, ingested_at, path)

    def _once(self, unit: Unit, chosen: Chosen, ingested_at: datetime | None, path: Path) -> _Build:
        lake, progress, content = self._lake, BuildProgress(), ContentTree()
        ledgers = LedgerRange(max(unit.partition.start, FIRST_LEDGER), unit.partition.end)
        build = FileBuild(
            Reading(lake.source, lake.executor, lake.budget, lake.gate, self._stop),
            era_of(unit),
            ledgers,
            chosen.compression,
            self._bench,
            progress,
            content,
        )
        written = build.write(path, ingested_at)
        ours = Rebuilt(path, written, content.digest())
        return _Build(ours, content.root(), ingested_at, progress)

    def _kept(self, unit: Unit, judgement: Judgement, path: Path) -> str:
        """Where the rebuilt file was put, empty when it is not worth keeping."""
        there = (judgement.verdict, judgement.compared_with) == ("IDENTICAL", "file")
        if self._keep is None or there:
            return ""
        # The names in a chain key are an event's, which nobody vouches for.
        folder = self._keep / quote(unit.chain_key, safe="")
        target = folder / f"part-{unit.partition}.parquet"
        with refusing(target):
            make_dirs(folder)
            move(target, path)
        return str(target)

    def _stop(self) -> None:
        if self._halted.is_set():
            raise BuildStopped("the rebuild was ended")

    @contextmanager
    def _held(self) -> Iterator[Data | None]:
        """The published data, remote objects being downloaded once."""
        if self._data is None or isinstance(self._data, Folder):
            yield self._data
            return
        held = Fetched(self._data)
        try:
            yield held
        finally:
            held.close()

    @contextmanager
    def _staged(self, unit: Unit) -> Iterator[Path]:
        path = self._folder / f"{threading.get_ident()}-{unit.partition}.parquet"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Build:
    ours: Rebuilt
    content_root: str
    ingested_at: datetime | None
    progress: BuildProgress

    def told(self, unit: Unit, judgement: Judgement, chosen: Chosen, seconds: float) -> Reproduced:
        moment = self.ingested_at
        return Reproduced(
            unit,
            judgement,
            checksum=self.ours.written.checksum,
            content_root=self.content_root,
            writer=options_digest(chosen.compression, raw_schema(era_of(unit))),
            ingested_at=moment.isoformat(timespec="milliseconds") if moment else "",
            ledgers=self.progress.ledgers,
            xdr_bytes=self.progress.xdr_bytes,
            source_bytes=self.progress.source_bytes,
            seconds=seconds,
        )


def _not_looked_at(unit: Unit) -> Iterator[str]:
    """Tables that do not follow from ledgers alone."""
    others = ", ".join(name for name, _ in unit.tables if name != RAW_TABLE)
    if others:
        yield f"not built again, and not judged: {others}"


def _producer(unit: Unit) -> str:
    return unit.event.producer.name if unit.event is not None else ""


def _unread(unit: Unit, text: str) -> Reproduced:
    return Reproduced(unit, Judgement("UNREAD", "event", cause=text))


def _not_built(unit: Unit, table: EventTable, theirs: Theirs | None, why: str) -> Reproduced:
    """No rebuilt file; that the stored one is not the one announced is proven without it."""
    if theirs is None or theirs.checksum == table.checksum:
        return _unread(unit, why)
    where = Difference(None, "SHA-256 of the file", table.checksum, theirs.checksum)
    cause = "the stored file is not the one announced: altered or replaced"
    return Reproduced(unit, Judgement("DIFFERENT", "file", where, cause, (why,)))


def _fetch(
    data: Data | None, unit: Unit, table: EventTable, stop: Callable[[], bool]
) -> Theirs | None:
    """The published file and its SHA-256; None when it is not there."""
    if data is None:
        return None
    key = file_key(table, unit.partition)
    assert isinstance(data, Folder | Fetched)
    try:
        return Theirs(data.path(key), hash_object(data, key, stop)[0])
    except (FileNotFoundError, NotADirectoryError):
        return None
