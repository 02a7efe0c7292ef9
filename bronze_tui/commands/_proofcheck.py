"""``bronze verify --proof``: a proof file against a vkey, and Parquet files against its event."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bronze_tui.audit.folder import read_capped
from bronze_tui.audit.note import MAX_NOTE_BYTES, VerifyKey
from bronze_tui.audit.proof import (
    MAX_PROOF_BYTES,
    Continued,
    Included,
    is_inclusion,
    verify_consistency,
    verify_inclusion,
)
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.commands._signing import verify_keys
from bronze_tui.domain.errors import SourceDenied, UsageError, VerificationError
from bronze_tui.domain.text import safe_text

SCHEMA = "bronze-proof/1"


@dataclass(frozen=True, slots=True)
class ProofFiles:
    """What the command line names."""

    proof: Path
    parquet: tuple[Path, ...]
    old_head: Path | None


def check_proof(files: ProofFiles, vkeys: Iterable[str], *, as_json: bool, quiet: bool) -> None:
    """Verify a proof and print the verdict.

    Raises:
        VerificationError: the proof fails. UsageError, SourceDenied: nothing can be said.
    """
    keys = verify_keys(vkeys)
    try:
        data = read_capped(files.proof, MAX_PROOF_BYTES)
        doc = _included(data, files, keys) if is_inclusion(data) else _continued(data, files, keys)
    except VerificationError as error:
        where = f"{files.proof}: {error.where}" if error.where else str(files.proof)
        if as_json:
            failed = {"schema": SCHEMA, "verdict": "broken", "why": error.what, "where": where}
            click.echo(json.dumps(failed, indent=2))
        raise ProofRejected(error.what, where=where, todo=error.todo) from None
    if as_json:
        click.echo(json.dumps(doc, indent=2))
        return
    lines = _text(doc)
    click.echo(lines[0] if quiet else "\n".join(lines))


def _included(data: bytes, files: ProofFiles, keys: list[VerifyKey]) -> dict[str, Any]:
    if files.old_head is not None:
        raise UsageError("--old-head goes with a consistency proof, and this one is of an event")
    found = verify_inclusion(data, keys)
    event = found.event
    return {
        **_about("inclusion", found),
        "chain_key": event.chain_key,
        "event": found.index + 1,
        "event_hash": event.event_hash,
        "ledgers": str(event.partition),
        "announced_at": event.timestamp,
        "tables": {name: table.checksum for name, table in event.tables},
        "files": {str(path): _table_of(path, found) for path in files.parquet},
    }


def _continued(data: bytes, files: ProofFiles, keys: list[VerifyKey]) -> dict[str, Any]:
    if files.parquet:
        raise UsageError("--parquet goes with the proof of an event; this one is of consistency")
    if files.old_head is None:
        raise UsageError(
            "a consistency proof continues a signed head that you kept", todo="give --old-head FILE"
        )
    old = read_capped(files.old_head, MAX_NOTE_BYTES)
    found = verify_consistency(data, old, keys)
    return {
        **_about("consistency", found),
        "old_size": found.old.size,
        "old_root": found.old.root.hex(),
    }


def _about(kind: str, found: Included | Continued) -> dict[str, Any]:
    head = found.head
    return {
        "schema": SCHEMA,
        "verdict": "ok",
        "proof": kind,
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
    }


def _table_of(path: Path, found: Included) -> str:
    """The table whose announced file this is."""
    try:
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            size = file.tell()
    except OSError as error:
        raise SourceDenied(f"cannot be read ({error.strerror})", where=str(path)) from error
    for name, table in found.event.tables:
        if (table.checksum, table.byte_size) == (digest, size):
            return name
    announced = ", ".join(f"{n} {t.checksum} ({t.byte_size} bytes)" for n, t in found.event.tables)
    raise ProofRejected(
        f"the file is {digest} ({size} bytes), and the event announced {announced}",
        where=str(path),
        todo="the file is another partition's, or was altered after it was announced",
    )


def _text(doc: dict[str, Any]) -> list[str]:
    head = [
        f"  log         {safe_text(doc['origin'])}",
        f"  signed head {doc['size']} events, root {doc['root']}",
    ]
    if doc["proof"] == "consistency":
        grown = doc["size"] - doc["old_size"]
        return [
            f"OK  the log only grew: {doc['old_size']} events of the old head, then {grown} more",
            *head,
            f"  old head    {doc['old_size']} events, root {doc['old_root']}",
        ]
    lines = [
        f"OK  event {doc['event']} of {safe_text(doc['chain_key'])}, ledgers {doc['ledgers']}, "
        "is under the signed head",
        *head,
        f"  event       {doc['event_hash']}, {safe_text(doc['announced_at'])}",
        *(f"  table       {safe_text(name)} {sha}" for name, sha in doc["tables"].items()),
        *(f"  file        {safe_text(p)} is {safe_text(n)}" for p, n in doc["files"].items()),
    ]
    if not doc["files"]:
        lines.append("No data file was read: --parquet FILE compares one with the event.")
    return lines
