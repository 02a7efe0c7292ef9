"""Finds partitions whose files are already whole: built by an earlier run that ended before it
could commit them, or written by the Go copier."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bronze_tui.domain.errors import StateError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import Manifest, TableFile
from bronze_tui.engine.context import Built, EraContext
from bronze_tui.tables.reread import FileContent, read_content

_CHUNK = 4 * 1024 * 1024


def find_existing(context: EraContext, partition: LedgerRange) -> Built | None:
    """The partition as it stands in the store, when its manifest and every byte of its file agree
    and its rows are whole and linked; None otherwise, so that it is built again."""
    try:
        return read_existing(context, partition)
    except StateError:
        return None


def read_existing(context: EraContext, partition: LedgerRange) -> Built:
    """The same, for those who must say why it is not whole.

    Raises:
        StateError: what is missing or wrong.
    """
    key = context.layout.manifest(context.table, partition)
    try:
        data = context.store.get(key)
    except FileNotFoundError:
        raise StateError("the manifest is missing", where=context.store.uri(key)) from None
    manifest = Manifest.from_json(data, context.era, where=context.store.uri(key))
    table = _table(context, partition, manifest)
    content = _content(context, partition, table)
    return Built(
        context=context,
        partition=partition,
        table=TableFile(
            table.table,
            table.file,
            table.checksum,
            table.row_count,
            table.byte_size,
            content.content_hash,
        ),
        manifest_checksum="sha256:" + hashlib.sha256(data).hexdigest(),
        links=content.links,
        producer=manifest.producer,
        created_at=manifest.created_at,
        writer=manifest.writer,
        reused=True,
    )


def _table(context: EraContext, partition: LedgerRange, manifest: Manifest) -> TableFile:
    """What the manifest says of the partition's one file."""
    where = context.store.uri(context.layout.parquet(context.table, partition))
    table = {t.table: t for t in manifest.tables}.get(context.table)
    if table is None or manifest.partition != partition:
        raise StateError("its manifest is of something else", where=where)
    if table.file != context.layout.file_name(partition):
        raise StateError(f"its manifest names the file {table.file!r}", where=where)
    if table.row_count != len(partition):
        raise StateError(f"it has {table.row_count} rows for {len(partition)} ledgers", where=where)
    return table


def _content(context: EraContext, partition: LedgerRange, table: TableFile) -> FileContent:
    """What the file holds, when it is the one the manifest speaks of."""
    key = context.layout.parquet(context.table, partition)
    where = context.store.uri(key)
    found = context.store.head(key)
    if found is None:
        raise StateError("the file is missing", where=where)
    if found.size != table.byte_size:
        raise StateError(f"it has {found.size} bytes of {table.byte_size}", where=where)
    if file_checksum(context, key) != table.checksum:
        raise StateError("its SHA-256 is not the manifest's", where=where)
    return content_of(context, key, partition)


def file_checksum(context: EraContext, key: str) -> str:
    """``sha256:`` of a stored object, read in pieces."""
    digest = hashlib.sha256()
    start = 0
    while piece := context.store.get_range(key, start, _CHUNK):
        digest.update(piece)
        start += len(piece)
    return "sha256:" + digest.hexdigest()


def content_of(context: EraContext, key: str, partition: LedgerRange) -> FileContent:
    """What the stored file's rows say.

    Raises:
        StateError: rows are missing, doubled or unlinked.
    """
    with _as_local(context, key) as path:
        return read_content(path, partition, where=key)


@contextmanager
def _as_local(context: EraContext, key: str) -> Iterator[Path]:
    path = context.store.local_path(key)
    if path is not None:
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".parquet") as copy:
        start = 0
        while piece := context.store.get_range(key, start, _CHUNK):
            copy.write(piece)
            start += len(piece)
        copy.flush()
        yield Path(copy.name)
