"""Forges a copy as an operator could: rows, files, records, events, each consistent with the next.

What is forged on purpose stays wrong; everything above it is made to agree, so that a test shows
which level is the first to see it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from copying import Site

from bronze_tui.audit.canonical import event_hash, file_bytes, heads_bytes
from bronze_tui.audit.event import parse_event
from bronze_tui.audit.names import HEADS_FILE, event_name
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.tables.reread import ContentHash

KEY = "testnet/first/v1"
RAW = "ledgers_lcm_raw"
Rows = list[dict[str, Any]]


def copy_of(site: Site, root: Path) -> Site:
    """The same site elsewhere."""
    for name in ("data", "pas", "lake"):
        shutil.copytree(site.root / name, root / name)
    return Site(root, root / "lake", site.settings)


def folder(site: Site, partition: str) -> Path:
    """A partition's folder."""
    return site.table / f"range={partition}"


def parquet(site: Site, partition: str) -> Path:
    """A partition's file."""
    return folder(site, partition) / f"part-{partition}.parquet"


def record(site: Site, partition: str) -> Path:
    """A partition's commit record."""
    return site.dataset / "_commits" / f"{partition}.json"


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON file."""
    doc = json.loads(path.read_bytes())
    change(doc)
    path.write_text(json.dumps(doc, indent=2))


def change_rows(site: Site, partition: str, change: Callable[[Rows], Rows]) -> None:
    """Rewrite a partition's rows and make manifest, record and events agree with the new file."""
    path = parquet(site, partition)
    table = pq.read_table(path)
    rows = change(table.to_pylist())
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    agree(site, partition, rows)


def change_xdr(site: Site, partition: str, place: int, change: Callable[[bytes], bytes]) -> None:
    """Change one ledger's XDR with its SHA-256 and length; ``place`` counts rows from 0."""

    def act(rows: Rows) -> Rows:
        xdr = change(rows[place]["xdr_bytes"])
        digest = hashlib.sha256(xdr).hexdigest()
        rows[place] |= {"xdr_bytes": xdr, "xdr_sha256": digest, "xdr_byte_length": len(xdr)}
        return rows

    change_rows(site, partition, act)


def agree(site: Site, partition: str, rows: Rows) -> None:
    """Manifest, commit record and events of what the file is now."""
    raw = parquet(site, partition).read_bytes()
    content = ContentHash()
    for row in rows:
        own, sha = bytes.fromhex(row["ledger_hash"]), bytes.fromhex(row["xdr_sha256"])
        content.add(row["ledger_sequence"], own, sha)
    entry = {
        "file": f"part-{partition}.parquet",
        "checksum": "sha256:" + hashlib.sha256(raw).hexdigest(),
        "row_count": len(rows),
        "byte_size": len(raw),
        "content_hash": content.digest(),
    }
    links = {
        "first_previous_hash": rows[0]["previous_ledger_hash"],
        "last_hash": rows[-1]["ledger_hash"],
    }

    def act(doc: dict[str, Any]) -> None:
        doc["tables"][RAW] = entry
        doc["links"] = links

    edit(folder(site, partition) / "_manifest.json", act)
    seal(site, partition)
    edit(record(site, partition), act)
    announce(site, partition, entry)


def seal(site: Site, partition: str) -> None:
    """Put the manifest's SHA-256 into the commit record."""
    raw = (folder(site, partition) / "_manifest.json").read_bytes()
    digest = "sha256:" + hashlib.sha256(raw).hexdigest()
    edit(record(site, partition), lambda doc: doc["manifests"].update({RAW: digest}))


def announce(site: Site, partition: str, entry: dict[str, Any]) -> None:
    """Write the chain anew with other figures of one partition."""
    chain = events(site)
    for place, event in enumerate(chain):
        if str(event.partition) == partition:
            (name, table), *_ = event.tables
            fresh = replace(
                table,
                checksum=entry["checksum"],
                row_count=entry["row_count"],
                byte_size=entry["byte_size"],
            )
            chain[place] = replace(event, tables=((name, fresh),))
    write_chain(site, chain)


def events(site: Site) -> list[AuditEvent]:
    """The chain in ledger order."""
    files = [p for p in site.pas.glob("*.json") if p.name != HEADS_FILE]
    found = [parse_event(path.read_bytes(), where=path.name) for path in files]
    return sorted(found, key=lambda event: event.ledger_start)


def write_chain(site: Site, chain: list[AuditEvent]) -> None:
    """Link events anew and write them in place of all others."""
    for path in site.pas.glob("*.json"):
        path.unlink()
    head = ""
    for event in chain:
        linked = replace(event, prev_event_hash=head, event_hash="")
        linked = replace(linked, event_hash=event_hash(linked))
        (site.pas / event_name(linked)).write_bytes(file_bytes(linked))
        head = linked.event_hash
    (site.pas / HEADS_FILE).write_bytes(heads_bytes({KEY: head}))
