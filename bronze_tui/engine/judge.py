"""What a rebuilt file says of the published one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import pyarrow as pa

from bronze_tui.audit.attestation import Verdict
from bronze_tui.domain.audit import EventTable
from bronze_tui.engine.published import Record
from bronze_tui.tables.body import FooterError, named_by, read_body
from bronze_tui.tables.difference import Difference, columns_differ, first_difference, none_larger
from bronze_tui.tables.logical import logical_hashes
from bronze_tui.tables.parquet import WrittenFile

GO_COPIER = "bronze-copier"
_BY_HASH = "the published file is not here: compared with the hashes that announce it"
_COUNTED = "operation_count"
_FEE_BUMPS = "the Go copier does not count operations inside fee bumps (operation_count)"
_BROKEN = (pa.ArrowException, OSError, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A file that was built again."""

    path: Path
    written: WrittenFile
    content_hash: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and why."""

    verdict: Verdict
    compared_with: Literal["file", "manifest", "event"]
    difference: Difference | None = None
    cause: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Theirs:
    """The published file on this machine."""

    path: Path
    checksum: str


def judge_file(
    ours: Rebuilt,
    theirs: Theirs,
    table: EventTable,
    producer: str,
    stop: Callable[[], None],
) -> Judgement:
    """Compare with the published file; it must also be the one announced.

    Args:
        producer: name of the software that is said to have written it.
        stop: asked between a few rows; raises when nobody wants the answer.
    """
    mine = ours.written.checksum
    if theirs.checksum == table.checksum == mine:
        return Judgement("IDENTICAL", "file")
    if theirs.checksum != table.checksum:
        return _not_announced(ours, theirs, table, stop)
    try:
        body, name = read_body(theirs.path), ""
        if body.digest == read_body(ours.path).digest:
            name = f"written by {body.created_by!a}"
            return Judgement("IDENTICAL-BODY", "file", notes=(name,))
    except FooterError:
        pass
    return _by_values(ours, theirs, producer, stop)


def judge_hashes(ours: Rebuilt, table: EventTable, record: Record | None) -> Judgement:
    """Compare with what event and manifest say of a file that is not here."""
    kind: Literal["manifest", "event"] = "event" if record is None else "manifest"
    if ours.written.checksum == table.checksum:
        return Judgement("IDENTICAL", kind, notes=(_BY_HASH,))
    rows = ours.written.row_count
    if rows != table.row_count:
        count = Difference(None, "row count", f"{rows:,}", f"{table.row_count:,}")
        text = "rows were left out or put in before the partition was announced"
        return Judgement("DIFFERENT", kind, count, text, (_BY_HASH,))
    try:
        name = named_by(ours.path, table.checksum, _library_names())
    except FooterError:
        name = ""
    if name:
        note = f"the announced SHA-256 is that of this file when {name!a} writes it"
        return Judgement("IDENTICAL-BODY", kind, notes=(_BY_HASH, note))
    about_it = record is not None and record.checksum == table.checksum
    if record is None or not record.content_hash or not about_it:
        text = (
            "the announced SHA-256 may be of a file that another writer, compression or "
            "ingested_at gave: without the file, or its manifest, nothing more can be said"
        )
        return Judgement("UNDECIDED", kind, cause=text, notes=(_BY_HASH,))
    if record.content_hash == ours.content_hash:
        note = "the manifest's content_hash is that of the lake's ledgers"
        return Judgement("SAME-CONTENT", kind, notes=(_BY_HASH, note))
    differs = Difference(None, "content_hash", ours.content_hash, record.content_hash)
    text = "the ledgers are others than the lake's; which, only the file can tell"
    return Judgement("DIFFERENT", kind, differs, text, (_BY_HASH,))


def _library_names() -> Iterator[str]:
    """``created_by`` of every release of pyarrow that may have written a file of ours."""
    for major, minor, patch in product(range(20, 60), range(3), range(3)):
        yield f"parquet-cpp-arrow version {major}.{minor}.{patch}"


def _not_announced(
    ours: Rebuilt, theirs: Theirs, table: EventTable, stop: Callable[[], None]
) -> Judgement:
    mine = ours.written.checksum
    if mine == table.checksum:
        cause = "the stored file was altered or replaced: the lake gives the one announced"
    elif mine == theirs.checksum:
        cause = "the lake gives the stored file, and another one was announced: the event or its "
        cause += "record was altered, or the partition was made again"
    else:
        cause = "the stored file is not the one announced, and the lake gives neither"
    where: Difference | None = None
    if mine != theirs.checksum:
        try:
            where = first_difference(ours.path, theirs.path, stop)
        except _BROKEN as error:
            cause += f"; it is no readable Parquet file ({_line(error)})"
    if where is None:
        where = Difference(None, "SHA-256 of the file", table.checksum, theirs.checksum)
    return Judgement("DIFFERENT", "file", where, cause)


def _by_values(ours: Rebuilt, theirs: Theirs, producer: str, stop: Callable[[], None]) -> Judgement:
    try:
        where = columns_differ(ours.path, theirs.path)
        if where is not None:
            return Judgement("DIFFERENT", "file", where, cause_of(where))
        mine, found = logical_hashes(ours.path, stop), logical_hashes(theirs.path, stop)
        other = {name for name in {*mine, *found} if mine.get(name) != found.get(name)}
        if not other:
            return Judgement("SAME-CONTENT", "file", notes=(_writer_of(theirs.path),))
        go = producer == GO_COPIER and other == {_COUNTED}
        if go and none_larger(ours.path, theirs.path, _COUNTED):
            return Judgement("SAME-CONTENT", "file", notes=(_writer_of(theirs.path), _FEE_BUMPS))
        where = first_difference(ours.path, theirs.path, stop)
    except _BROKEN as error:
        text = f"the published file is no readable Parquet file of ledgers ({_line(error)})"
        return Judgement("DIFFERENT", "file", cause=text)
    assert where is not None
    return Judgement("DIFFERENT", "file", where, cause_of(where))


def cause_of(where: Difference) -> str:
    """The likeliest reason for a difference of rows."""
    all_of_it = {where.column, *where.also}
    if where.ledger is None:
        return "the file has other columns: another software wrote it, or it is of another table"
    if where.column == "ledger_sequence":
        return "rows were removed, doubled or moved, or the copier published without them"
    if "ledger_hash" in all_of_it and "xdr_bytes" in all_of_it:
        return (
            "another ledger than the lake's: one of the two was not closed by this network "
            "(bronze verify --level ledger tells which)"
        )
    if {"xdr_bytes", "xdr_sha256"} <= all_of_it:
        return (
            "header and hash agree and the rest does not: transaction meta differs as between "
            "versions of stellar-core, or one of the two was altered"
        )
    if all_of_it & {"xdr_bytes", "xdr_sha256", "xdr_byte_length"}:
        return "the row contradicts itself: it was altered"
    if "ingested_at" in all_of_it:
        return "the file was made at another time than its manifest says"
    if all_of_it & {"bronze_version", "era_id", "network"}:
        return "the row is labelled as another dataset's"
    return "the row was altered, or other software derived this column from the same XDR"


def _writer_of(path: Path) -> str:
    try:
        return f"written by {read_body(path).created_by!a}"
    except FooterError:
        return "its footer does not name the software that wrote it"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
