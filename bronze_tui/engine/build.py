"""One partition from source objects to durable files and manifest (steps S1 to S3 of the commit
protocol), streamed: memory does not depend on the partition's size."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bronze_tui.domain.errors import (
    BronzeError,
    SourceDataError,
    StateError,
    StoreConflict,
    StoreError,
    StoreRefused,
)
from bronze_tui.domain.ledger import LedgerFacts, LedgerRange
from bronze_tui.domain.partition import Links, Manifest, TableFile
from bronze_tui.engine.check import SOURCE_TODO, LedgerChecker, check_batch_bounds
from bronze_tui.engine.compare import source_contradicts
from bronze_tui.engine.context import PRODUCER, BuildProgress, BuildStopped, Built, EraContext
from bronze_tui.engine.existing import find_existing
from bronze_tui.engine.fetch import ByteBudget, ReadAhead
from bronze_tui.engine.gate import ReadGate
from bronze_tui.hooks.contracts import BatchRef
from bronze_tui.lake.frames import FrameReader
from bronze_tui.tables.parquet import ParquetFile, WrittenFile, options_digest
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


class PartitionBuild:
    """Builds one partition once.

    Args:
        check_stop: called at every ledger; blocks while the run is paused, raises BuildStopped
            when it stops.
    """

    def __init__(
        self,
        context: EraContext,
        partition: LedgerRange,
        bench: Workbench,
        executor: Executor,
        budget: ByteBudget,
        progress: BuildProgress,
        check_stop: Callable[[], None],
        gate: ReadGate,
    ) -> None:
        self._context = context
        self._partition = partition
        self._bench = bench
        self._executor = executor
        self._budget = budget
        self._progress = progress
        self._check_stop = check_stop
        self._gate = gate
        self._checker = LedgerChecker(partition)
        self._content = ContentHash()
        self._started = time.perf_counter()

    def run(self) -> Built:
        """Build, check and store the partition's files.

        Raises:
            SourceError, StoreError, StateError: nothing was committed. BuildStopped.
        """
        existing = find_existing(self._context, self._partition)
        if existing is not None and not source_contradicts(self._context, existing):
            return existing
        context = self._context
        schema = raw_schema(context.era)
        writer = options_digest(context.options.compression, schema)
        intent = context.catalog.intend(context.chain_key, self._partition, writer)
        staged = context.store.stage(context.layout.file_name(self._partition))
        try:
            written = self._write(staged, intent.created_at)
            self._check_file(staged, written)
            with _Timed(self._progress, "store"):
                return self._store(staged, written, intent.created_at, writer)
        finally:
            staged.unlink(missing_ok=True)

    def _write(self, staged: Path, created_at: str) -> WrittenFile:
        era = self._context.era
        now = self._context.options.ingested_now
        rows = RowGroup(era, self._bench.arena, datetime.fromisoformat(created_at) if now else None)
        try:
            file = ParquetFile(staged, raw_schema(era), self._context.options.compression)
            try:
                self._copy(rows, file)
                with _Timed(self._progress, "encode"):
                    if len(rows):
                        file.write(rows.take())
                    return file.finish()
            except BaseException:
                file.abandon()
                raise
        except OSError as error:
            raise StoreRefused(
                f"cannot write the partition's file ({error.strerror or error})",
                where=str(staged),
                todo="free space or fix permissions, then run again",
            ) from error

    def _copy(self, rows: RowGroup, file: ParquetFile) -> None:
        context = self._context
        local = context.source.describe().local
        ahead = ReadAhead(
            context.source,
            context.source.batches(self._partition),
            self._executor,
            self._budget,
            self._gate,
            group=_LOCAL_GROUP if local else 1,
            ahead=(lambda: _LOCAL_AHEAD) if local else (lambda: self._gate.limit),
        )
        objects = iter(ahead)
        try:
            while True:
                with _Timed(self._progress, "waiting"):
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
            with _Timed(progress, "decompress"):
                raw = (
                    data if self._context.source.codec == "none" else self._bench.frames.read(data)
                )
            bounds = batch_bounds(raw)
            if bounds is not None:
                check_batch_bounds(ref, *bounds)
            buffer = np.frombuffer(raw, dtype=np.uint8)
            view = memoryview(raw)
            ledgers = iter_ledgers(raw, self._bench.reader)
            while True:
                with _Timed(progress, "walk"):
                    facts = next(ledgers, None)
                if facts is None:
                    break
                self._check_stop()
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
        with _Timed(progress, "hash"):
            self._checker.check(ref, facts, view[facts.header_start : facts.header_end])
            sha = hashlib.sha256(view[facts.start : facts.end])
        self._content.add(facts.sequence, facts.ledger_hash, sha.digest())
        length = facts.end - facts.start
        with _Timed(progress, "encode"):
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

    def _store(self, staged: Path, written: WrittenFile, created_at: str, writer: str) -> Built:
        context, partition = self._context, self._partition
        table = TableFile(
            table=context.table,
            file=context.layout.file_name(partition),
            checksum=written.checksum,
            row_count=written.row_count,
            byte_size=written.byte_size,
            content_hash=self._content.digest(),
        )
        links = Links(
            self._checker.first_previous_hash.hex(),
            self._checker.last_hash.hex(),
        )
        put_uncommitted(
            context, partition, context.layout.parquet(context.table, partition), staged
        )
        manifest, checksum = put_manifest(
            context,
            Manifest(context.era, partition, (table,), PRODUCER, created_at, links, writer),
        )
        return Built(
            context=context,
            partition=partition,
            table=table,
            manifest_checksum=checksum,
            links=links,
            producer=manifest.producer,
            created_at=manifest.created_at,
            writer=manifest.writer,
            xdr_bytes=self._progress.xdr_bytes,
            source_bytes=self._progress.source_bytes,
            seconds=time.perf_counter() - self._started,
        )


def put_uncommitted(
    context: EraContext, partition: LedgerRange, key: str, data: bytes | Path
) -> None:
    """Create a file of a partition; one that an interrupted build left is replaced.

    Raises:
        StoreConflict: the partition has a commit record, so the other bytes may not be touched.
    """
    try:
        context.store.create(key, data)
    except StoreConflict:
        if context.store.head(context.layout.commit_record(partition)) is not None:
            raise
        context.store.replace(key, data)


def put_manifest(context: EraContext, manifest: Manifest) -> tuple[Manifest, str]:
    """Create the manifest; the one that stands, and its checksum.

    A manifest of the very same file stays, whoever wrote it and when: another copier may be about
    to commit it, and its commit record will name these bytes.

    Raises:
        StoreConflict: a commit record names another manifest.
    """
    key = context.layout.manifest(context.table, manifest.partition)
    data = manifest.to_json()
    try:
        context.store.create(key, data)
    except StoreConflict:
        theirs = _standing_manifest(context, key)
        same = (manifest.tables, manifest.links)
        if theirs is None or (theirs[0].tables, theirs[0].links) != same:
            put_uncommitted(context, manifest.partition, key, data)
        else:
            manifest, data = theirs
    return manifest, "sha256:" + hashlib.sha256(data).hexdigest()


def _standing_manifest(context: EraContext, key: str) -> tuple[Manifest, bytes] | None:
    try:
        data = context.store.get(key)
        return Manifest.from_json(data, context.era, where=context.store.uri(key)), data
    except (FileNotFoundError, StateError):
        return None


class _Timed:
    """Adds the time of a block to a stage."""

    __slots__ = ("_begin", "_stage", "_stages")

    def __init__(self, progress: BuildProgress, stage: str) -> None:
        self._stages = progress.stages
        self._stage = stage

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(self, *exc: object) -> None:
        self._stages[self._stage] += time.perf_counter() - self._begin


def _place(error: Exception, ref: BatchRef) -> None:
    """Name the object in errors of layers that only see bytes."""
    if isinstance(error, BuildStopped):
        return
    if isinstance(error, BronzeError):
        error.where = error.where or ref.key
        if isinstance(error, SourceDataError):
            error.todo = error.todo or SOURCE_TODO
