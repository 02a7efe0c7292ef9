"""History archives made of a copy's own headers, in the form that stellar-core publishes."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from copying import Site

from bronze_tui.audit.history import STATE_NAME, checkpoint_name
from bronze_tui.xdr.header import LedgerReader

NO_EXTENSION = bytes(4)


def entry_of(xdr: bytes) -> bytes:
    """LedgerHeaderHistoryEntry of a LedgerCloseMeta: hash, header, no extension."""
    facts = LedgerReader().read(xdr)
    return xdr[facts.header_start - 32 : facts.header_end] + NO_EXTENSION


def entries_of(site: Site) -> dict[int, bytes]:
    """Header entries of all ledgers of a copy."""
    return {row["ledger_sequence"]: entry_of(row["xdr_bytes"]) for row in site.rows()}


def packed(entries: Iterable[bytes]) -> bytes:
    """A checkpoint file: each entry after its record mark, in gzip."""
    marked = (struct.pack(">I", len(entry) | 1 << 31) + entry for entry in entries)
    return gzip.compress(b"".join(marked), mtime=0)


def write_archive(root: Path, entries: Mapping[int, bytes], passphrase: str | None) -> Path:
    """An archive of the whole checkpoints of ``entries``; its folder.

    Args:
        passphrase: None leaves it out, as archives of old do.
    """
    tops = [ledger for ledger in entries if ledger % 64 == 63]
    for top in tops:
        write_checkpoint(root, top, packed(entries[n] for n in range(top - 63, top + 1)))
    state: dict[str, object] = {"version": 1, "server": "test", "currentLedger": max(tops)}
    if passphrase is not None:
        state["networkPassphrase"] = passphrase
    (root / STATE_NAME).parent.mkdir(parents=True, exist_ok=True)
    (root / STATE_NAME).write_text(json.dumps({**state, "currentBuckets": []}))
    return root


def write_checkpoint(root: Path, top: int, data: bytes) -> None:
    """Put a checkpoint file in its place."""
    path = root / checkpoint_name(top)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
