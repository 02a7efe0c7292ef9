"""What one partition is made of: table files, manifest, commit record.

JSON forms are the Go copier's manifest (two-space indent, no final newline) with added keys, and
our commit record; both are reproducible, so that writing one twice gives the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.ledger import LedgerRange


@dataclass(frozen=True, slots=True)
class Producer:
    """The software that made a file or an event."""

    name: str
    version: str
    git_sha: str


@dataclass(frozen=True, slots=True)
class TableFile:
    """One table's file of a partition; ``checksum`` is ``sha256:`` and hex of the whole file."""

    table: str
    file: str
    checksum: str
    row_count: int
    byte_size: int
    content_hash: str = ""
    """``sha256:`` over sequence, ledger hash and xdr_sha256 of each ledger: free of Parquet."""


@dataclass(frozen=True, slots=True)
class Links:
    """Hex ledger hashes at a partition's edges."""

    first_previous_hash: str
    last_hash: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one partition's table files are."""

    era: Era
    partition: LedgerRange
    tables: tuple[TableFile, ...]
    producer: Producer
    created_at: str
    links: Links | None = None
    writer: str = ""
    """Digest of the writer options, empty in a Go copier's manifest."""

    def to_json(self) -> bytes:
        """The Go copier's layout; keys it does not know come last in their object."""
        doc: dict[str, Any] = {
            "partition": {
                "start": self.partition.start,
                "end": self.partition.end,
                "era_id": self.era.era_id,
                "version": self.era.version_label,
                "network": self.era.network,
            },
            "tables": {t.table: _table_doc(t) for t in sorted(self.tables, key=lambda t: t.table)},
            "producer": _producer_doc(self.producer),
            "created_at": self.created_at,
        }
        if self.links is not None:
            doc["links"] = _links_doc(self.links)
        if self.writer:
            doc["writer"] = self.writer
        return dump(doc)

    @classmethod
    def from_json(cls, data: bytes, era: Era, *, where: str) -> Manifest:
        """Read a manifest of ours or of the Go copier.

        Raises:
            StateError: it is not JSON of that shape, or speaks of another era.
        """
        doc = load(data, where)
        try:
            part = doc["partition"]
            key = f"{part['network']}/{part['era_id']}/{part['version']}"
            if key != era.chain_key:
                raise StateError(f"manifest is of {key!r}, not {era.chain_key!r}", where=where)
            return cls(
                era=era,
                partition=LedgerRange(int(part["start"]), int(part["end"])),
                tables=_tables(doc["tables"]),
                producer=_producer(doc["producer"]),
                created_at=str(doc["created_at"]),
                links=_links(doc.get("links")),
                writer=str(doc.get("writer", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"manifest is malformed ({error!r})", where=where) from error


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """The object whose creation commits a partition with all its tables."""

    era: Era
    partition: LedgerRange
    tables: tuple[TableFile, ...]
    manifests: tuple[tuple[str, str], ...]
    """Pairs of table and the manifest's ``sha256:`` checksum."""
    links: Links
    producer: Producer
    created_at: str
    writer: str
    epoch: int
    """The lease epoch of the copier that committed it."""

    def to_json(self) -> bytes:
        """Two-space indented JSON; key order is part of the format."""
        return dump(
            {
                "format": "bronze-commit/1",
                "chain_key": self.era.chain_key,
                "era": _cut_doc(self.era),
                "partition": {"start": self.partition.start, "end": self.partition.end},
                "tables": {
                    t.table: _table_doc(t) for t in sorted(self.tables, key=lambda t: t.table)
                },
                "manifests": dict(sorted(self.manifests)),
                "links": _links_doc(self.links),
                "producer": _producer_doc(self.producer),
                "created_at": self.created_at,
                "writer": self.writer,
                "epoch": self.epoch,
            }
        )

    @classmethod
    def from_json(cls, data: bytes, era: Era, *, where: str) -> CommitRecord:
        """Read a commit record.

        Raises:
            StateError: malformed, of another era, or cut into other partitions than ``era`` is.
        """
        doc = load(data, where)
        try:
            if doc["format"] != "bronze-commit/1" or doc["chain_key"] != era.chain_key:
                raise StateError(
                    f"not a commit record of {era.chain_key!r}",
                    where=where,
                    todo="it was damaged or copied here; restore it from a backup",
                )
            _check_cut(doc["era"], era, where)
            links = _links(doc["links"])
            if links is None:
                raise KeyError("links")
            return cls(
                era=era,
                partition=LedgerRange(int(doc["partition"]["start"]), int(doc["partition"]["end"])),
                tables=_tables(doc["tables"]),
                manifests=tuple((str(k), str(v)) for k, v in doc["manifests"].items()),
                links=links,
                producer=_producer(doc["producer"]),
                created_at=str(doc["created_at"]),
                writer=str(doc["writer"]),
                epoch=int(doc["epoch"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"commit record is malformed ({error!r})", where=where) from error


def dump(doc: dict[str, Any]) -> bytes:
    """Two-space indented JSON without a final newline, non-ASCII kept."""
    return json.dumps(doc, indent=2, ensure_ascii=False).encode()


def load(data: bytes, where: str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        StateError: it is not one.
    """
    try:
        doc = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StateError(f"not JSON ({error})", where=where) from error
    if not isinstance(doc, dict):
        raise StateError("not a JSON object", where=where)
    return doc


def _cut_doc(era: Era) -> dict[str, int]:
    return {"ledger_start": era.ledger_start, "partition_size": era.partition_size}


def _check_cut(doc: dict[str, Any], era: Era, where: str) -> None:
    """A dataset keeps the partitions it was begun with: others would never line up again."""
    if doc == _cut_doc(era):
        return
    was, now = (
        f"partitions of {cut['partition_size']} counted from ledger {cut['ledger_start']}"
        for cut in (doc, _cut_doc(era))
    )
    raise StateError(
        f"the dataset was cut into {was}, the configuration says {now}",
        where=where,
        todo="use era.ledger_start and era.partition_size as they were, or a new version_label",
    )


def _table_doc(table: TableFile) -> dict[str, Any]:
    doc: dict[str, Any] = {
        "file": table.file,
        "checksum": table.checksum,
        "row_count": table.row_count,
        "byte_size": table.byte_size,
    }
    if table.content_hash:
        doc["content_hash"] = table.content_hash
    return doc


def _tables(doc: dict[str, Any]) -> tuple[TableFile, ...]:
    return tuple(
        TableFile(
            table=str(name),
            file=str(t["file"]),
            checksum=str(t["checksum"]),
            row_count=int(t["row_count"]),
            byte_size=int(t["byte_size"]),
            content_hash=str(t.get("content_hash", "")),
        )
        for name, t in sorted(doc.items())
    )


def _producer_doc(producer: Producer) -> dict[str, str]:
    return {"name": producer.name, "version": producer.version, "git_sha": producer.git_sha}


def _producer(doc: dict[str, Any]) -> Producer:
    return Producer(str(doc["name"]), str(doc["version"]), str(doc["git_sha"]))


def _links_doc(links: Links) -> dict[str, str]:
    return {"first_previous_hash": links.first_previous_hash, "last_hash": links.last_hash}


def _links(doc: dict[str, Any] | None) -> Links | None:
    if doc is None:
        return None
    return Links(str(doc["first_previous_hash"]), str(doc["last_hash"]))
