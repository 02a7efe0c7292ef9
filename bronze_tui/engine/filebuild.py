"""One partition's Parquet file from source objects, streamed: memory does not depend on the
partition's size. Copying and rebuilding are both this."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import (
    BronzeError,
    SourceDataError,
    StateError,
    StoreError,
    StoreRefused,
)
from bronze_tui.domain.ledger import LedgerFacts, LedgerRange
from bronze_tui.domain.partition import Links
from bronze_tui.engine.check import SOURCE_TODO, LedgerChecker, check_batch_bounds
from bronze_tui.engine.context import BuildProgress, BuildStopped
from bronze_tui.engine.fetch import ByteBudget, ReadAhead
from bronze_tui.engine.gate import ReadGate
from bronze_tui.hooks.contracts import BatchRef, LedgerSource
from bronze_tui.lake.frames import FrameReader
from bronze_tui.tables.parquet import Compression, ParquetFile, WrittenFile
from bronze_tui.tables.reread import ContentHash
from bronze_tui.tables.rows import Arena, RowGroup
from bronze_tui.tables.schema import raw_schema
from bronze_tui.xdr.header import LedgerReader, batch_bounds, iter_ledgers

_LOCAL_GROUP = 16
_LOCAL_AHEAD = 2


class Workbench:
    """What one worker thread keeps between partitions, so that big buffers are made once."""

    def __init__(self, max_ledger_bytes: int) -> None:
        self.arena = Arena()
        self.frames = FrameReader(max_ledger_bytes)
        self.reader = LedgerReader()


@dataclass(frozen=True, slots=True)
class Reading:
    """How a build reads its source; shared by all builds of a run.

    ``check_stop`` is called at every ledger; it blocks while the run is paused and raises
    BuildStopped when it stops.
    """

    source: LedgerSource
    executor: Executor
    budget: ByteBudget
    gate: ReadGate
    check_stop: Callable[[], None]


class FileBuild:
    """Builds one partition's file once."""

    def __init__(
        self,
        reading: Reading,
        era: Era,
        partition: LedgerRange,
        compression: Compression,
        bench: Workbench,
        progress: BuildProgress,
        content: ContentHash,
    ) -> None:
        self._reading = reading
        self._era = era
        self._partition = partition
        self._compression = compression
        self._bench = bench
        self._progress = progress
        self._content = content
        self._checker = LedgerChecker(partition)

    @property
    def links(self) -> Links:
        """Hashes at the ends of what was built."""
        return Links(self._checker.first_previous_hash.hex(), self._checker.last_hash.hex())

    def write(self, staged: Path, ingested_at: datetime | None) -> WrittenFile:
        """Read, check and write every ledger of the partition.

        Raises:
            SourceError: the source lacks a ledger or is wrong. StateError: it gave too few.
            StoreRefused: the disk will not take the file. BuildStopped.
        """
        rows = RowGroup(self._era, self._bench.arena, ingested_at)
        try:
            file = ParquetFile(staged, raw_schema(self._era), self._compression)
            try:
                self._copy(rows, file)
                with Timed(self._progress, "encode"):
                    if len(rows):
                        file.write(rows.take())
                    written = file.finish()
            except BaseException:
                file.abandon()
                raise
        except OSError as error:
            raise StoreRefused(
                f"cannot write the partition's file ({error.strerror or error})",
                where=str(staged),
                todo="free space or fix permissions, then run again",
            ) from error
        self._check_file(staged, written)
        return written

    def _copy(self, rows: RowGroup, file: ParquetFile) -> None:
        reading = self._reading
        source, gate = reading.source, reading.gate
        local = source.describe().local
        ahead = ReadAhead(
            source,
            source.batches(self._partition),
            reading.executor,
            reading.budget,
            gate,
            group=_LOCAL_GROUP if local else 1,
            ahead=(lambda: _LOCAL_AHEAD) if local else (lambda: gate.limit),
        )
        objects = iter(ahead)
        try:
            while True:
                with Timed(self._progress, "waiting"):
                    item = next(objects, None)
                if item is None:
                    break
                self._copy_object(*item, rows, file)
        finally:
            ahead.close()
        if self._checker.expected != self._partition.end + 1:
            raise StateError(
                f"source gave no ledger {self._checker.expected}", where=str(self._partition)
            )

    def _copy_object(self, ref: BatchRef, data: bytes, rows: RowGroup, file: ParquetFile) -> None:
        progress, partition = self._progress, self._partition
        progress.source_bytes += len(data)
        try:
            with Timed(progress, "decompress"):
                raw = (
                    data if self._reading.source.codec == "none" else self._bench.frames.read(data)
                )
            bounds = batch_bounds(raw)
            if bounds is not None:
                check_batch_bounds(ref, *bounds)
            buffer = np.frombuffer(raw, dtype=np.uint8)
            view = memoryview(raw)
            ledgers = iter_ledgers(raw, self._bench.reader)
            while True:
                with Timed(progress, "walk"):
                    facts = next(ledgers, None)
                if facts is None:
                    break
                self._reading.check_stop()
                if facts.sequence in partition or bounds is None:
                    self._add(ref, facts, buffer, view, rows, file)
        except StoreError:
            raise
        except Exception as error:
            _place(error, ref)
            raise

    def _add(
        self,
        ref: BatchRef,
        facts: LedgerFacts,
        buffer: np.ndarray,
        view: memoryview,
        rows: RowGroup,
        file: ParquetFile,
    ) -> None:
        progress = self._progress
        with Timed(progress, "hash"):
            self._checker.check(ref, facts, view[facts.header_start : facts.header_end])
            sha = hashlib.sha256(view[facts.start : facts.end])
        self._content.add(facts.sequence, facts.ledger_hash, sha.digest())
        length = facts.end - facts.start
        with Timed(progress, "encode"):
            if rows.is_full(length):
                file.write(rows.take())
            rows.append(facts, buffer[facts.start : facts.end], sha.hexdigest())
        progress.ledgers += 1
        progress.xdr_bytes += length

    def _check_file(self, staged: Path, written: WrittenFile) -> None:
        """The file must open as Parquet with the partition's rows before anything announces it."""
        rows = pq.read_metadata(staged).num_rows
        if rows != len(self._partition) or written.row_count != rows:
            raise StateError(
                f"built file has {rows} rows for {len(self._partition)} ledgers", where=str(staged)
            )


class Timed:
    """Adds the time of a block to a stage."""

    __slots__ = ("_begin", "_progress", "_stage")

    def __init__(self, progress: BuildProgress, stage: str) -> None:
        self._progress = progress
        self._stage = stage

    def __enter__(self) -> None:
        self._progress.doing = self._stage
        self._begin = time.perf_counter()

    def __exit__(self, *exc: object) -> None:
        progress = self._progress
        progress.stages[self._stage] += time.perf_counter() - self._begin
        progress.doing = ""


def _place(error: Exception, ref: BatchRef) -> None:
    """Name the object in errors of layers that only see bytes."""
    if isinstance(error, BuildStopped):
        return
    if isinstance(error, BronzeError):
        error.where = error.where or ref.key
        if isinstance(error, SourceDataError):
            error.todo = error.todo or SOURCE_TODO
