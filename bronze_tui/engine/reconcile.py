"""What a start does before it copies: compares catalog, commit records, files and audit events,
rolls every committed partition forward, adopts whole partitions of the Go copier, and refuses to
go on over damage. Nothing that was announced is ever overwritten here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bronze_tui.audit.backup import read_backup
from bronze_tui.audit.folder import read_folder
from bronze_tui.catalog.records import ChainRow
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.checkpoint import Checkpoint
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.events import Alert, EngineEvent
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import CommitRecord
from bronze_tui.engine.commit import Committer
from bronze_tui.engine.compare import source_contradicts
from bronze_tui.engine.context import EraContext
from bronze_tui.engine.existing import file_checksum, read_existing
from bronze_tui.engine.holes import note_hole
from bronze_tui.engine.outbox import NEW_VERSION, check_rows

Say = Callable[[EngineEvent], None]
Announced = Mapping[LedgerRange, tuple[bytes, AuditEvent]]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one listing of the dataset found."""

    commits: dict[LedgerRange, str]
    """Commit record keys."""
    sizes: dict[str, int]
    """Sizes of all objects below the table's folder."""
    folders: dict[int, LedgerRange]
    """Partition folders by first ledger."""
    holes: tuple[LedgerRange, ...]


def take_inventory(context: EraContext) -> Inventory:
    """List the dataset.

    Raises:
        StoreError: it cannot be listed. StateError: two folders begin at one ledger.
    """
    layout = context.layout
    sizes = {o.key: o.size for o in context.store.list(f"{layout.root}{context.table}/")}
    folders: dict[int, LedgerRange] = {}
    for key in sizes:
        partition = _folder_range(key)
        if partition is None:
            continue
        other = folders.setdefault(partition.start, partition)
        if other != partition:
            raise StateError(
                f"partitions {other} and {partition} overlap",
                where=context.store.uri(layout.root),
                todo="this dataset was cut in two ways; start a new version_label",
            )
    return Inventory(
        commits=_named_ranges(context, layout.commits),
        sizes=sizes,
        folders=folders,
        holes=tuple(sorted(_named_ranges(context, layout.holes))),
    )


def reconcile(
    context: EraContext, committer: Committer, backup: Path | None, state_dir: Path, say: Say
) -> Inventory:
    """Bring catalog, audit files and checkpoint to what the store's commit records say.

    Args:
        backup: folder of audit events, None when the audit stream is off.

    Raises:
        StateError: something that was committed or announced is missing or different.
    """
    inventory = take_inventory(context)
    rows = context.catalog.rows(context.chain_key)
    announced = _announced(context, committer, backup, rows, inventory.holes)
    check_rows(context, rows, announced, inventory.commits, inventory.sizes)
    _restore_holes(context, inventory)
    _tell_lost_chain(inventory, rows, announced, backup, say)
    committer.queue_unfiled(_rows_to_file(rows, announced, backup))
    committer.file_events()
    _roll_forward(context, committer, inventory, announced)
    _check_leftovers(context, inventory, announced, backup)
    committer.refresh_head()
    _check_checkpoint(context, state_dir, say)
    committer.save_checkpoint()
    return inventory


def _tell_lost_chain(
    inventory: Inventory,
    rows: list[ChainRow],
    announced: Announced,
    backup: Path | None,
    say: Say,
) -> None:
    """With catalog and events both gone nothing is left of the old chain but the partitions."""
    if backup is not None and inventory.commits and not rows and not announced:
        count = len(inventory.commits)
        say(
            Alert(
                level="error",
                component="audit",
                message=f"{count} partitions are committed, but catalog and audit events are gone:"
                " the chain begins anew, with other events",
                todo="if a backup of the audit folder or the catalog exists, stop, restore it and"
                " move the new ones away",
            )
        )


def _folder_range(key: str) -> LedgerRange | None:
    folder = key.rsplit("/", 2)[-2]
    if not folder.startswith("range="):
        return None
    try:
        return LedgerRange.parse(folder.removeprefix("range="))
    except ValueError:
        return None


def _named_ranges(context: EraContext, folder: str) -> dict[LedgerRange, str]:
    found: dict[LedgerRange, str] = {}
    for item in context.store.list(folder):
        name = item.key.removeprefix(folder)
        try:
            found[LedgerRange.parse(name.removesuffix(".json"))] = item.key
        except ValueError as error:
            raise StateError(
                "not a record of ours", where=context.store.uri(item.key), todo="move it away"
            ) from error
    return found


def _announced(
    context: EraContext,
    committer: Committer,
    backup: Path | None,
    rows: list[ChainRow],
    holes: Sequence[LedgerRange],
) -> Announced:
    """Events on disk by range; the catalog's chain and the files' must be one chain."""
    if backup is None or not backup.is_dir():
        return {}
    try:
        events = read_backup(backup, context.chain_key, holes=holes)
    except StateError:
        if not _file_lost(committer, backup, rows):
            raise
        events = read_backup(backup, context.chain_key, holes=holes)
    known = {row.event_hash for row in rows}
    tail = rows[-1].event_hash if rows else ""
    for name, _data, event in events:
        if event.event_hash in known:
            continue
        if event.prev_event_hash != tail:
            raise StateError(
                f"audit event {event.partition} is not of the catalog's chain",
                where=str(backup / name),
                todo="run bronze verify on the folder; it belongs to another copier or catalog",
            )
        tail = event.event_hash
    return {event.partition: (data, event) for _name, data, event in events}


def _file_lost(committer: Committer, backup: Path, rows: list[ChainRow]) -> bool:
    """Write event files that are lost or damaged again from the outbox; whether there were any."""
    found = {item.event.event_hash for item in read_folder(backup).files}
    lost = [row for row in rows if row.event_hash not in found]
    committer.queue_unfiled(lost)
    committer.file_events()
    return bool(lost)


def _restore_holes(context: EraContext, inventory: Inventory) -> None:
    """Holes declared in the store stand in the catalog too, also after it was lost."""
    known = {hole.partition for hole in context.catalog.holes(context.chain_key)}
    for partition in inventory.holes:
        if partition not in known:
            note_hole(context, partition)


def _rows_to_file(
    rows: list[ChainRow], announced: Announced, backup: Path | None
) -> list[ChainRow]:
    """Events whose file is missing or other than the outbox says, in chain order."""
    if backup is None:
        return [row for row in rows if not row.filed]
    missing = []
    for row in rows:
        found = announced.get(row.partition)
        if found is None or found[1].event_hash != row.event_hash or not row.filed:
            missing.append(row)
    return missing


def _roll_forward(
    context: EraContext, committer: Committer, inventory: Inventory, announced: Announced
) -> None:
    """What was announced in chain order, which a late repair of a hole makes another than ledger
    order; then from the last ledger on: commit records first, else whole partitions without one."""
    committed = {row.partition for row in context.catalog.rows(context.chain_key)}
    holes = {hole.start: hole for hole in inventory.holes}
    by_start = {p.start: p for p in inventory.commits if p not in committed}
    for told in (p for p in announced if p not in committed):
        if by_start.get(told.start) == told:
            del by_start[told.start]
            _recover(context, committer, told, inventory.commits[told], announced)
        elif (
            inventory.folders.get(told.start) != told
            or _adopt(context, committer, inventory, told.start, announced) is None
        ):
            break
    last = committer.last
    position = context.era.first_ledger if last is None else last.partition.end + 1
    while True:
        partition = by_start.pop(position, None)
        if partition is not None:
            _recover(context, committer, partition, inventory.commits[partition], announced)
        elif position in holes:
            partition = holes[position]
        else:
            partition = _adopt(context, committer, inventory, position, announced)
            if partition is None:
                break
        position = partition.end + 1
    for partition in sorted(by_start.values()):
        if partition in inventory.holes:
            _recover(context, committer, partition, inventory.commits[partition], announced)
        else:
            raise StateError(
                f"commit record of {partition} does not follow the chain, whose next ledger is"
                f" {position}",
                where=context.store.uri(inventory.commits[partition]),
                todo="the records before it are missing; restore them from a backup",
            )


def _recover(
    context: EraContext,
    committer: Committer,
    partition: LedgerRange,
    key: str,
    announced: Announced,
) -> None:
    data = context.store.get(key)
    try:
        record = CommitRecord.from_json(data, context.era, where=context.store.uri(key))
    except StateError as error:
        error.todo = error.todo or NEW_VERSION
        raise
    if record.partition != partition:
        raise StateError(
            f"commit record speaks of {record.partition}", where=context.store.uri(key)
        )
    for table in record.tables:
        file = context.layout.parquet(table.table, partition)
        try:
            found = file_checksum(context, file)
        except FileNotFoundError:
            found = "nothing"
        if found != table.checksum:
            raise StateError(
                f"committed file is damaged: {table.checksum} was committed, {found} is there",
                where=context.store.uri(file),
                todo=NEW_VERSION,
            )
    event = announced.get(partition)
    if event is not None and event[1].prev_event_hash != _head_hash(committer):
        raise StateError(
            f"audit event of {partition} does not continue the chain", todo="run bronze verify"
        )
    committer.recover(record, "sha256:" + hashlib.sha256(data).hexdigest(), event)


def _head_hash(committer: Committer) -> str:
    return "" if committer.head is None else committer.head.event_hash


def _adopt(
    context: EraContext,
    committer: Committer,
    inventory: Inventory,
    position: int,
    announced: Announced,
) -> LedgerRange | None:
    """Commit a partition that was written whole but has no commit record."""
    partition = inventory.folders.get(position)
    if partition is None:
        return None
    try:
        built = read_existing(context, partition)
    except StateError as error:
        if partition in announced:
            raise StateError(
                f"partition {partition} was announced, but is not whole: {error.what}",
                where=error.where,
                todo=NEW_VERSION,
            ) from error
        return None
    _check_first_cut(context, partition)
    event = announced.get(partition)
    if event is None and (not committer.links(built) or source_contradicts(context, built)):
        return None  # never announced, so it may be built again
    committer.adopt(built, event)
    return partition


def _check_first_cut(context: EraContext, partition: LedgerRange) -> None:
    """What is adopted sets how the dataset is cut, so its first partition must be ours."""
    era = context.era
    wanted = era.partition_at(era.first_ledger)
    if partition.start == wanted.start and partition != wanted:
        raise StateError(
            f"the dataset begins with partition {partition}, this era's first is {wanted}",
            where=context.store.uri(context.layout.folder(context.table, partition)),
            todo="use the ledger_start and partition_size it was cut with, or a new version_label",
        )


def _check_leftovers(
    context: EraContext, inventory: Inventory, announced: Announced, backup: Path | None
) -> None:
    """No event without its partition, and no folder that cuts the era in another way."""
    committed = {row.partition for row in context.catalog.rows(context.chain_key)}
    for partition in announced:
        if partition not in committed:
            raise StateError(
                f"audit event announces {partition}, which is not in the store",
                where=str(backup),
                todo=NEW_VERSION,
            )
    for folder in sorted(inventory.folders.values()):
        if folder in committed:
            continue
        for edge in (folder.start, folder.end):
            try:
                block = context.era.partition_at(edge)
            except ValueError:
                continue
            if not (block.start <= folder.start and folder.end <= block.end):
                raise StateError(
                    f"partition folder {folder} crosses the partition {block} of this era",
                    where=context.store.uri(context.layout.folder(context.table, folder)),
                    todo="it was cut from another start or size: use that ledger_start and"
                    " partition_size, or a new version_label",
                )


def _check_checkpoint(context: EraContext, state_dir: Path, say: Say) -> None:
    """The checkpoint never decides; one that is damaged or of another dataset is told."""
    path = state_dir / Checkpoint.file_name(context.era)
    try:
        checkpoint = Checkpoint.from_json(path.read_bytes(), where=str(path))
    except FileNotFoundError:
        return
    except (OSError, StateError) as error:
        aside = path.with_name(f"{path.name}.damaged")
        try:
            path.rename(aside)
        except OSError:
            aside = path
        say(
            Alert(
                level="warn",
                component="checkpoint",
                message=f"checkpoint was unreadable and is rebuilt: {error}",
                todo=f"the old one is kept as {aside}",
            )
        )
        return
    if checkpoint.chain_key != context.chain_key:
        raise StateError(
            f"checkpoint is of {checkpoint.chain_key}, not {context.chain_key}",
            where=str(path),
            todo="give each dataset its own checkpoint folder, or remove the file",
        )
    last = max((row.partition.end for row in context.catalog.rows(context.chain_key)), default=0)
    if checkpoint.last_committed_ledger > last:
        raise StateError(
            f"checkpoint says ledger {checkpoint.last_committed_ledger} is committed, the store's"
            f" last is {last}",
            where=str(path),
            todo="the output folder is another one or lost partitions; point storage at the right"
            " one, or remove the checkpoint to copy again",
        )
