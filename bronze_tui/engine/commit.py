"""Steps S4 to S8 for one era, in ledger order, by the one sequencer thread: commit record, one
catalog transaction, audit file, checkpoint. Every step can be repeated after a crash."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bronze_tui.audit.canonical import file_bytes
from bronze_tui.audit.event import new_event
from bronze_tui.catalog.records import ChainRow, Origin
from bronze_tui.domain.audit import AuditEvent, EventTable
from bronze_tui.domain.checkpoint import Checkpoint
from bronze_tui.domain.errors import (
    BronzeError,
    LinkError,
    PluginError,
    StateError,
    StoreConflict,
    StoreError,
)
from bronze_tui.domain.events import Alert, EngineEvent, EventLinked, PartitionCommitted
from bronze_tui.domain.files import replace
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import CommitRecord
from bronze_tui.engine.context import PRODUCER, Built, EraContext
from bronze_tui.engine.outbox import outbox_event
from bronze_tui.hooks.contracts import Emitter


class Committer:
    """The only writer of an era's chain.

    ``head`` is the chain's last link, ``last`` the one of the highest ledgers: they differ behind
    a hole that was filled late. ``edge_hash`` is the hex hash of the ledger before the era, where
    the run knows it from the era that ends there.

    Args:
        emitters: where audit events go; empty when ``pas.enabled`` is false, then events wait in
            the catalog.
        say: takes journal events.
    """

    def __init__(
        self,
        context: EraContext,
        emitters: tuple[Emitter, ...],
        state_dir: Path,
        say: Callable[[EngineEvent], None],
    ) -> None:
        self._context = context
        self._emitters = emitters
        self._state_dir = state_dir
        self._say = say
        self._unfiled: list[ChainRow] = []
        self.head: ChainRow | None = context.catalog.head(context.chain_key)
        self.last: ChainRow | None = max(
            context.catalog.rows(context.chain_key), key=_end, default=None
        )
        self.edge_hash: str | None = None
        self.checkpoint_failed = False

    @property
    def chain_key(self) -> str:
        """Key of the era's audit chain."""
        return self._context.chain_key

    @property
    def emits(self) -> bool:
        """Whether the audit stream is on."""
        return bool(self._emitters)

    @property
    def unfiled(self) -> int:
        """Events that still have no durable file."""
        return len(self._unfiled)

    def status(self) -> dict[str, Any]:
        """Figures of the chain for the control socket."""
        return {
            "chain_key": self.chain_key,
            "last_ledger": None if self.last is None else self.last.partition.end,
            "events": 0 if self.head is None else self.head.seq + 1,
            "head": "" if self.head is None else self.head.event_hash,
            "unfiled": self.unfiled,
        }

    def queue_unfiled(self, rows: list[ChainRow]) -> None:
        """Events of earlier runs that must be filed first."""
        self._unfiled.extend(rows)

    def commit(self, built: Built) -> ChainRow:
        """Commit a built partition.

        Raises:
            LinkError: its first ledger does not link to the partition before.
            StoreError, StateError, LockedError: nothing after this partition may be committed.
        """
        begin = time.perf_counter()
        self.check_link(built.partition, built.links.first_previous_hash)
        self._check_link_after(built)
        self._check_place(built)
        record, checksum = self._create_record(built)
        row = self.link(record, checksum)
        self._say_committed(record, row, time.perf_counter() - begin, recovered=False)
        return row

    def check_link(self, partition: LedgerRange, first_previous_hash: str) -> None:
        """The link across partitions (and eras) that builders cannot see.

        Raises:
            LinkError: the previous-ledger hash is not the committed ledger's hash.
        """
        before = self._hash_before(partition)
        if before is None or before == first_previous_hash:
            return
        raise LinkError(
            f"previous-ledger hash {first_previous_hash} of ledger {partition.start} is not the"
            f" hash {before} of committed ledger {partition.start - 1}",
            where=str(partition),
            todo="the source changed or forked since; compare ledger"
            f" {partition.start - 1} there with the committed one",
        )

    def _check_link_after(self, built: Built) -> None:
        """A partition that fills a hole must also carry what was committed behind it."""
        partition, last_hash = built.partition, built.links.last_hash
        if self.last is None or self.last.partition.end < partition.start:
            return
        for row in self._context.catalog.rows(self._context.chain_key):
            if row.partition.start == partition.end + 1 and row.first_previous_hash != last_hash:
                raise LinkError(
                    f"hash {last_hash} of ledger {partition.end} is not the previous-ledger hash"
                    f" {row.first_previous_hash} of committed ledger {row.partition.start}",
                    where=str(partition),
                    todo="the source changed or forked since; compare its ledgers there with"
                    " another lake",
                )

    def _check_place(self, built: Built) -> None:
        """Before the commit record, after which nothing could be taken back."""
        context = self._context
        context.catalog.check_place(
            self.chain_key, built.partition, context.dataset_id, built.table.checksum
        )

    def links(self, built: Built) -> bool:
        """Whether the partition follows the chain's ledgers, as far as they are known."""
        return self._hash_before(built.partition) in (None, built.links.first_previous_hash)

    def _hash_before(self, partition: LedgerRange) -> str | None:
        if self.head is not None and self.head.partition.end == partition.start - 1:
            return self.head.last_ledger_hash
        if self.head is None and partition.start == self._context.era.first_ledger:
            return self.edge_hash
        for row in self._context.catalog.rows(self._context.chain_key):
            if row.partition.end == partition.start - 1:
                return row.last_ledger_hash
        return None

    def _create_record(self, built: Built) -> tuple[CommitRecord, str]:
        context = self._context
        record = CommitRecord(
            era=context.era,
            partition=built.partition,
            tables=(built.table,),
            manifests=((context.table, built.manifest_checksum),),
            links=built.links,
            producer=built.producer,
            created_at=built.created_at,
            writer=built.writer,
            epoch=context.epoch,
        )
        data = record.to_json()
        key = context.layout.commit_record(built.partition)
        try:
            context.store.create(key, data)
        except StoreConflict:
            # An acknowledgement may have been lost, or a copier died between S4 and S5.
            data = context.store.get(key)
            found = CommitRecord.from_json(data, context.era, where=key)
            if (found.tables, found.links) != (record.tables, record.links):
                raise
            record = found
        return record, _sha256(data)

    def link(
        self,
        record: CommitRecord,
        commit_sha256: str,
        event: tuple[bytes, AuditEvent] | None = None,
    ) -> ChainRow:
        """Steps S5 to S8 from a durable commit record.

        Args:
            event: bytes and event that announced the partition before (the Go copier, or us before
                the catalog was lost); a new one is made otherwise.
        """
        context = self._context
        data, audit = event or self._new_event(record)
        row = ChainRow(
            chain_key=context.chain_key,
            seq=0 if self.head is None else self.head.seq + 1,
            partition=record.partition,
            prev_event_hash=audit.prev_event_hash,
            event_hash=audit.event_hash,
            event=data,
            first_previous_hash=record.links.first_previous_hash,
            last_ledger_hash=record.links.last_hash,
            content_hash=record.tables[0].content_hash,
            checksum=record.tables[0].checksum,
            commit_sha256=commit_sha256,
            filed=False,
        )
        context.catalog.commit(context.dataset_id, record, row, self._origin(record), context.epoch)
        self.head = row
        self.last = max(self.last or row, row, key=_end)
        self._unfiled.append(row)
        self.file_events()
        self.save_checkpoint()
        return row

    def _new_event(self, record: CommitRecord) -> tuple[bytes, AuditEvent]:
        era = self._context.era
        event = new_event(
            era=era,
            partition=record.partition,
            tables=[
                (
                    t.table,
                    EventTable(
                        t.checksum,
                        t.row_count,
                        self._context.layout.storage_path(t.table, record.partition),
                        t.byte_size,
                    ),
                )
                for t in record.tables
            ],
            producer=PRODUCER,
            prev_event_hash="" if self.head is None else self.head.event_hash,
        )
        return file_bytes(event), event

    def _origin(self, record: CommitRecord) -> Origin:
        context = self._context
        info = context.source.describe()
        key = context.layout.parquet(context.table, record.partition)
        return Origin(
            source_type=info.kind,
            source_location=info.location,
            storage_uri=context.store.uri(key),
            storage_path=context.layout.storage_path(context.table, record.partition),
            producer_version=f"{record.producer.name}@{record.producer.version}",
            producer_git_sha=record.producer.git_sha,
        )

    def file_events(self) -> None:
        """Step S6: give waiting events to the emitters, in order; stops at the first refusal.

        Raises:
            PluginError: refused, and ``pas.strict`` is set. StateError: the destination holds
            another event at this place of the chain.
        """
        if not self._emitters:
            return
        while self._unfiled:
            row = self._unfiled[0]
            event = outbox_event(row)
            try:
                for emitter in self._emitters:
                    emitter.emit(row.event, event)
            except StoreError as error:
                self._refused(row, error)
                return
            self._context.catalog.mark_filed(row.chain_key, row.seq)
            self._unfiled.pop(0)
            self._say(
                EventLinked(
                    chain_key=row.chain_key,
                    partition=str(row.partition),
                    chain_seq=row.seq,
                    event_hash=row.event_hash,
                    prev_event_hash=row.prev_event_hash,
                    filed=True,
                )
            )

    def refresh_head(self) -> None:
        """Have the emitters note the chain's head again, where a crash or a hand damaged it."""
        if self.head is None or self._unfiled:
            return
        try:
            for emitter in self._emitters:
                emitter.emit(self.head.event, outbox_event(self.head))
        except StoreError as error:
            self._refused(self.head, error)

    def _refused(self, row: ChainRow, error: BronzeError) -> None:
        if self._context.options.audit_strict:
            raise PluginError(
                f"audit event of {row.partition} could not be filed ({error})",
                todo="it waits in the catalog; fix the destination and run again",
            ) from error
        self._say(
            Alert(
                level="error",
                component="audit",
                message=f"audit event of {row.partition} could not be filed: {error}",
                todo="it waits in the catalog and is tried again with the next partition",
            )
        )

    def save_checkpoint(self) -> None:
        """Step S8: the checkpoint is a cache, so a failure is told and does not stop the run."""
        if not self._context.options.checkpoint_enabled or self.last is None:
            return
        era, row = self._context.era, self.last
        checkpoint = Checkpoint(
            copier_id=self._context.options.copier_id,
            network=era.network,
            era_id=era.era_id,
            version_label=era.version_label,
            last_committed_ledger=row.partition.end,
            last_partition=row.partition,
            checksum=row.checksum,
            updated_at=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        )
        path = self._state_dir / Checkpoint.file_name(era)
        try:
            replace(path, checkpoint.to_json())
            self.checkpoint_failed = False
        except OSError as error:
            self.checkpoint_failed = True
            self._say(
                Alert(
                    level="warn",
                    component="checkpoint",
                    message=f"{path}: cannot be written ({error.strerror})",
                    todo="progress is safe in the catalog; free space or fix permissions",
                )
            )

    def _say_committed(
        self, record: CommitRecord, row: ChainRow, seconds: float, *, recovered: bool
    ) -> None:
        table = record.tables[0]
        self._say(
            PartitionCommitted(
                chain_key=row.chain_key,
                partition=str(row.partition),
                rows=table.row_count,
                checksum=table.checksum,
                parquet_bytes=table.byte_size,
                last_ledger=row.partition.end,
                seconds=seconds,
                recovered=recovered,
            )
        )

    def recover(
        self, record: CommitRecord, checksum: str, event: tuple[bytes, AuditEvent] | None
    ) -> None:
        """Roll a committed partition forward at start."""
        begin = time.perf_counter()
        self.check_link(record.partition, record.links.first_previous_hash)
        row = self.link(record, checksum, event)
        self._say_committed(record, row, time.perf_counter() - begin, recovered=True)

    def adopt(self, built: Built, event: tuple[bytes, AuditEvent] | None) -> None:
        """Commit a partition that stands whole in the store without a commit record."""
        if event is not None:
            announced = dict(event[1].tables).get(self._context.table)
            if announced is None or announced.checksum != built.table.checksum:
                raise StateError(
                    f"the audit event of {built.partition} announces another file",
                    where=self._context.store.uri(
                        self._context.layout.parquet(self._context.table, built.partition)
                    ),
                    todo="restore the announced file, or start a new version_label",
                )
        self.check_link(built.partition, built.links.first_previous_hash)
        self._check_place(built)
        record, checksum = self._create_record(built)
        self.recover(record, checksum, event)


def _end(row: ChainRow) -> int:
    return row.partition.end


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
