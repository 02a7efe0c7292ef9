"""One partition from source objects to durable files and manifest (steps S1 to S3 of the commit
protocol), streamed: memory does not depend on the partition's size."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime
from pathlib import Path

from bronze_tui.domain.errors import StateError, StoreConflict
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import Manifest, TableFile
from bronze_tui.engine.compare import source_contradicts
from bronze_tui.engine.context import PRODUCER, BuildProgress, Built, EraContext
from bronze_tui.engine.existing import find_existing
from bronze_tui.engine.fetch import ByteBudget
from bronze_tui.engine.filebuild import FileBuild, Reading, Timed, Workbench
from bronze_tui.engine.gate import ReadGate
from bronze_tui.tables.parquet import WrittenFile, options_digest
from bronze_tui.tables.reread import ContentHash
from bronze_tui.tables.schema import raw_schema


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
        self._progress = progress
        self._content = ContentHash()
        self._file = FileBuild(
            Reading(context.source, executor, budget, gate, check_stop),
            context.era,
            partition,
            context.options.compression,
            bench,
            progress,
            self._content,
        )
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
            now = context.options.ingested_now
            written = self._file.write(
                staged, datetime.fromisoformat(intent.created_at) if now else None
            )
            with Timed(self._progress, "store"):
                return self._store(staged, written, intent.created_at, writer)
        finally:
            staged.unlink(missing_ok=True)

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
        links = self._file.links
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
