"""Small datasets on disk, written with the domain's own forms: the Parquet bytes are not Parquet,
which is nothing to whoever only hashes them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bronze_tui.domain.era import Era
from bronze_tui.domain.layout import RAW_TABLE, Layout
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import (
    CommitRecord,
    Links,
    Manifest,
    Producer,
    TableFile,
    dump,
)

KEY = "testnet/first/v1"
ERA = Era("testnet", "first", "v1", 2, None, 10)
LAYOUT = Layout("bronze/", ERA)
PRODUCER = Producer("bronze-tui", "0.1.0", "1f2e3d4c5b")
CREATED = "2026-01-01T10:20:30Z"


def partition(number: int) -> LedgerRange:
    """Ten ledgers."""
    return LedgerRange(2 + number * 10, 11 + number * 10)


def commit(root: Path, number: int, *, record: bool = True) -> Path:
    """Write one partition; the path of its Parquet file. Without ``record`` as the Go copier."""
    where = partition(number)
    data = f"parquet bytes of {where}".encode() * 1_000
    table = TableFile(
        RAW_TABLE, LAYOUT.file_name(where), _sha(data), len(where), len(data), _sha(b"content")
    )
    links = Links("aa" * 32, "bb" * 32)
    manifest = Manifest(ERA, where, (table,), PRODUCER, CREATED, links, "w1").to_json()
    path = _write(root / LAYOUT.parquet(RAW_TABLE, where), data)
    _write(root / LAYOUT.manifest(RAW_TABLE, where), manifest)
    if record:
        made = CommitRecord(
            ERA, where, (table,), ((RAW_TABLE, _sha(manifest)),), links, PRODUCER, CREATED, "w1", 3
        )
        _write(root / LAYOUT.commit_record(where), made.to_json())
    return path


def hole(root: Path, number: int, reason: str = "ledger 15 is missing") -> None:
    """Declare a hole."""
    doc = {"format": "bronze-hole/1", "reason": reason, "declared_at": CREATED}
    _write(root / LAYOUT.hole(partition(number)), dump(doc))


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
