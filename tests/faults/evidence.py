"""Gathers what a copy left behind, wherever it stands, without changing it and without any code of
the product: local folders, an S3 bucket through botocore, SQLite from a copy of its files,
PostgreSQL through psycopg, the receiver's folder, and the proxy's log of what it was posted."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from copying import Site

HEADS = "pas-chain-heads.json"
TABLE = "ledgers_lcm_raw"
SQLITE_TEMPS = ("-journal", "-wal", "-shm")
_TABLES = {
    "lineage": ("_meta_lineage", "ledger_start"),
    "chain": ("_bronze_chain", "seq"),
    "intents": ("_bronze_intents", "ledger_start"),
}


@dataclass(frozen=True)
class Catalog:
    """Rows of the catalog, in chain and ledger order."""

    lineage: list[dict[str, Any]] = field(default_factory=list)
    chain: list[dict[str, Any]] = field(default_factory=list)
    intents: list[dict[str, Any]] = field(default_factory=list)
    damage: str = ""
    """What the database's own check says of it; empty when it is sound."""


@dataclass(frozen=True)
class Receipts:
    """What the endpoint got."""

    posts: list[tuple[str, bool]]
    """SHA-256 of each event it took (answered with 200 or 201), in order, and whether the
    client was told."""
    asked: frozenset[str]
    """SHA-256 of events that the client learnt of otherwise: it asked, and was shown them."""
    kept: list[bytes]
    """Event files of the receiver."""


@dataclass(frozen=True)
class Evidence:
    """One copy, as it stands at rest."""

    objects: dict[str, bytes]
    """What stands in the store, by key below the dataset's folder; without the lock."""
    events: dict[str, bytes]
    """Files of the audit folder by name."""
    checkpoints: dict[str, bytes]
    catalog: Catalog
    leftovers: list[str]
    """Names that must be gone once a run went to its end."""
    receipts: Receipts | None = None
    """None where there is no endpoint."""

    @property
    def bytes(self) -> dict[str, bytes]:
        """All that another run may not change."""
        kept = dict(enumerate(sorted(self.receipts.kept))) if self.receipts else {}
        inbox = {f"received {n}": data for n, data in kept.items()}
        events = {f"event {name}": data for name, data in self.events.items()}
        return self.objects | events | inbox


def gather(site: Site) -> Evidence:
    """What stands at a site; a site elsewhere than on the local disk has its own ``look``."""
    look = getattr(site, "look", None)
    if look is not None:
        found: Evidence = look()
        return found
    return Evidence(
        objects=folder_bytes(site.dataset),
        events=event_files(site.pas),
        checkpoints=checkpoint_files(site.state),
        catalog=_catalog(site),
        leftovers=[
            str(path.relative_to(site.root))
            for root in (site.data, site.pas, site.state)
            for path in leftovers(root)
        ],
    )


def _catalog(site: Site) -> Catalog:
    dsn = site.settings.get("catalog.postgres_dsn")
    return postgres_catalog(dsn) if dsn else sqlite_catalog(site.state)


def schema(site: Site) -> set[str]:
    """Tables, indexes and views of the catalog in SQLite."""
    with _copied_catalog(site.state) as path:
        if path is None:
            return set()
        with closing(sqlite3.connect(path)) as connection:
            return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


def folder_bytes(root: Path) -> dict[str, bytes]:
    """Every file of a dataset's folder but temporary ones and the lock."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "_lock" and not path.name.startswith(".")
    }


def event_files(folder: Path) -> dict[str, bytes]:
    """JSON files of an audit folder or a receiver's."""
    paths = (p for p in sorted(folder.glob("*.json")) if p.name[0] != ".")
    return {path.name: path.read_bytes() for path in paths}


def checkpoint_files(state: Path) -> dict[str, bytes]:
    """Checkpoints of a state folder."""
    return {path.name: path.read_bytes() for path in sorted(state.glob("checkpoint_*.json"))}


def leftovers(root: Path) -> Iterator[Path]:
    """Files that a run at its end removes."""
    for path in sorted(root.rglob("*")):
        staged = path.parent.name == ".bronze-staging"
        hidden = path.is_file() and path.name.startswith(".")
        if staged or hidden or path.name.endswith((*SQLITE_TEMPS, ".tmp", ".sock")):
            yield path


def sqlite_catalog(state: Path) -> Catalog:
    """Rows as the next start would find them: read from a copy, rolled back."""
    with _copied_catalog(state) as path:
        if path is None:
            return Catalog()
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            healthy = connection.execute("PRAGMA integrity_check").fetchone()[0]
            query = "SELECT 1 FROM sqlite_master WHERE name = ?"
            known = {t for t, _ in _TABLES.values() if connection.execute(query, (t,)).fetchone()}
            rows = {
                name: [dict(row) for row in connection.execute(_select(table, order))]
                for name, (table, order) in _TABLES.items()
                if table in known
            }
            return Catalog(**rows, damage="" if healthy == "ok" else str(healthy))


@contextmanager
def _copied_catalog(state: Path) -> Iterator[Path | None]:
    with tempfile.TemporaryDirectory() as folder:
        for path in state.glob("catalog.sqlite*"):
            shutil.copy(path, folder)
        copy = Path(folder) / "catalog.sqlite"
        yield copy if copy.exists() else None


def postgres_catalog(dsn: str) -> Catalog:
    """Rows that are committed in PostgreSQL."""
    import psycopg
    from psycopg.rows import dict_row

    with psycopg.connect(dsn, row_factory=dict_row, autocommit=True) as session:
        rows = {
            name: session.execute(_select(table, order)).fetchall()  # type: ignore[call-overload]
            for name, (table, order) in _TABLES.items()
            if session.execute("SELECT to_regclass(%s) AS is", (table,)).fetchone()["is"]  # type: ignore[index]
        }
        return Catalog(**rows)


def _select(table: str, order: str) -> str:
    return f"SELECT * FROM {table} ORDER BY {order}"


def bucket_bytes(client: Any, bucket: str, prefix: str) -> dict[str, bytes]:
    """Every object below a prefix, read from the server itself; names are below the prefix."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    return {
        key.removeprefix(prefix): client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in keys
    }


def unfinished_uploads(client: Any, bucket: str, prefix: str) -> list[str]:
    """Multipart uploads that nobody finished."""
    found = client.list_multipart_uploads(Bucket=bucket, Prefix=prefix)
    return [f"upload of {each['Key']}" for each in found.get("Uploads", ())]


def receipts(log: list[dict[str, Any]], inbox: Path) -> Receipts:
    """What the endpoint got, by the log of the proxy before it and by the receiver's folder."""
    posts = [
        (entry["sha256"], entry["told"])
        for entry in log
        if entry["line"].startswith("POST") and entry["status"] in (200, 201)
    ]
    asked = {e["answer"] for e in log if "answer" in e and e["told"] and e["status"] == 200}
    kept = [data for name, data in event_files(inbox).items() if name != HEADS]
    return Receipts(posts, frozenset(asked), kept)
