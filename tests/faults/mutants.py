"""Engines broken on purpose, each in one way that a copier was once seen to be broken: the sweep
and the checker must find every one. A mutant patches the process it is called in."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def skips_what_has_a_file() -> None:
    """The Go copier's rule: a partition whose Parquet file stands is done."""
    from bronze_tui.domain.ledger import LedgerRange
    from bronze_tui.engine import opening
    from bronze_tui.engine.plan import next_ledger

    seen: dict[str, Any] = {}

    def skipping(era: Any, committed: Any, holes: Any) -> int:
        names = [Path(found.key).name for found in seen["store"].list(seen["table"])]
        files = [name for name in names if name.endswith(".parquet")]
        ranges = [LedgerRange.parse(n.removeprefix("part-").split(".")[0]) for n in files]
        return next_ledger(era, [*committed, *ranges], holes)

    open_store = opening.Opened._open_store

    def noting(self: Any) -> Any:
        era = self._settings.active()[0]
        key = f"{self._settings.storage.prefix}{era.chain_key}/ledgers_lcm_raw/"
        seen["store"], seen["table"] = open_store(self), key
        return seen["store"]

    opening.Opened._open_store = noting  # type: ignore[method-assign]
    opening.next_ledger = skipping  # type: ignore[assignment]


def splits_the_transaction() -> None:
    """Lineage and chain in two transactions."""
    from bronze_tui.catalog import lineage

    real = lineage.set_quality

    def committing(c: Any, *args: Any) -> None:
        c.commit()
        if c.dialect.name == "sqlite":
            c.exec_driver_sql("BEGIN IMMEDIATE")
        real(c, *args)

    lineage.set_quality = committing


def makes_events_anew() -> None:
    """The event's file is made from the facts at write time, not from the catalog's bytes."""
    from bronze_emit_file.emitter import FileEmitter
    from bronze_tui.audit.canonical import event_hash, file_bytes

    real = FileEmitter.emit

    def anew(self: Any, data: bytes, event: Any) -> None:
        fresh = replace(event, event_id=f"pas_evt_{secrets.token_hex(8)}")
        fresh = replace(fresh, event_hash=event_hash(fresh))
        real(self, file_bytes(fresh), fresh)

    FileEmitter.emit = anew  # type: ignore[method-assign]


def commits_before_the_data() -> None:
    """The commit record is written first, then the files it speaks of."""
    from bronze_tui.domain.partition import CommitRecord
    from bronze_tui.engine import build

    real, real_manifest = build.put_uncommitted, build.put_manifest
    waiting: dict[Any, Any] = {}

    def early(context: Any, partition: Any, key: str, data: Any) -> None:
        waiting[partition] = (key, data)

    def late(context: Any, manifest: Any) -> Any:
        partition = manifest.partition
        record = CommitRecord(
            era=context.era,
            partition=partition,
            tables=manifest.tables,
            manifests=((context.table, _checksum(manifest.to_json())),),
            links=manifest.links,
            producer=manifest.producer,
            created_at=manifest.created_at,
            writer=manifest.writer,
            epoch=context.epoch,
        )
        context.store.create(context.layout.commit_record(partition), record.to_json())
        real(context, partition, *waiting.pop(partition))
        return real_manifest(context, manifest)

    build.put_uncommitted, build.put_manifest = early, late


def moves_the_checkpoint_first() -> None:
    """The checkpoint says a partition is done before it is committed."""
    from bronze_tui.domain.checkpoint import Checkpoint
    from bronze_tui.domain.files import replace as put
    from bronze_tui.engine.commit import Committer

    real = Committer.commit

    def early(self: Any, built: Any) -> Any:
        era, partition = self._context.era, built.partition
        checkpoint = Checkpoint(
            copier_id="mutant",
            network=era.network,
            era_id=era.era_id,
            version_label=era.version_label,
            last_committed_ledger=partition.end,
            last_partition=partition,
            checksum=built.table.checksum,
            updated_at=built.created_at,
        )
        put(self._state_dir / Checkpoint.file_name(era), checkpoint.to_json())
        return real(self, built)

    Committer.commit = early  # type: ignore[method-assign]


def builds_otherwise_each_time() -> None:
    """A partition's bytes depend on the time it was built at."""
    from bronze_tui.engine.filebuild import FileBuild

    real = FileBuild.write

    def dated(self: Any, staged: Path, ingested_at: datetime | None) -> Any:
        return real(self, staged, datetime.now(UTC))

    FileBuild.write = dated  # type: ignore[method-assign]


def marks_delivered_first() -> None:
    """An event is noted as delivered when it is about to be posted."""
    from bronze_tui.catalog.deliveries import WAITING, Deliveries

    real = Deliveries.next

    def early(self: Any, chain_key: str) -> Any:
        queued = real(self, chain_key)
        if queued is not None and queued.state == WAITING and queued.row.filed:
            self.mark_delivered(chain_key, queued.row.seq)
        return queued

    Deliveries.next = early  # type: ignore[method-assign]


def never_syncs() -> None:
    """Files and folders are not synced; only a power cut, not a kill, would show it."""
    from bronze_tui.domain import files

    files._sync = lambda fd: None


def _checksum(data: bytes) -> str:
    import hashlib

    return "sha256:" + hashlib.sha256(data).hexdigest()


MUTANTS: dict[str, Callable[[], None]] = {
    "skips-what-has-a-file": skips_what_has_a_file,
    "splits-the-transaction": splits_the_transaction,
    "makes-events-anew": makes_events_anew,
    "commits-before-the-data": commits_before_the_data,
    "moves-the-checkpoint-first": moves_the_checkpoint_first,
    "builds-otherwise-each-time": builds_otherwise_each_time,
    "marks-delivered-first": marks_delivered_first,
}
