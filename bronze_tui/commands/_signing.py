"""What commands about signed heads share: keys, the chain of a folder, its signed head."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bronze_tui.audit.chain import ChainReport, verify_chains
from bronze_tui.audit.folder import collector_paused, read_capped, read_folder
from bronze_tui.audit.names import signed_head_name
from bronze_tui.audit.note import (
    MAX_NOTE_BYTES,
    VKEY_VARIABLE,
    SigningKey,
    VerifyKey,
    parse_signing_key,
    parse_vkey,
)
from bronze_tui.audit.proof import matching_leaves
from bronze_tui.audit.signedhead import TreeHead, leaf_hashes, open_head, origin_of, sign_head
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.files import replace
from bronze_tui.domain.refusal import refusing

if TYPE_CHECKING:
    from bronze_tui.domain.audit import AuditEvent

KEY_VARIABLE = "BRONZE_SIGNING_KEY"
_MAX_KEY = 4096
LEDGER_ORDER = frozenset({"gap", "declared_gap", "out_of_order"})
"""Findings about which ledgers are announced, not about which events stand in which order."""


def signing_key(file: Path | None) -> SigningKey:
    """The private key of a file, else of the environment; never of the command line.

    Raises:
        UsageError: there is none, or others can read the file. SourceDenied: it cannot be read.
    """
    if file is None:
        text = os.environ.get(KEY_VARIABLE, "")
        if not text:
            raise UsageError(
                "no signing key", todo=f"give --key FILE, or the key's text in {KEY_VARIABLE}"
            )
        return parse_signing_key(text)
    data = read_capped(file, _MAX_KEY)
    with suppress(OSError):
        if file.stat().st_mode & 0o077:
            raise UsageError(
                "others can read this signing key", where=str(file), todo="chmod 600 it"
            )
    try:
        return parse_signing_key(data.decode())
    except UnicodeDecodeError:
        raise UsageError("not a signing key", where=str(file)) from None


def verify_keys(given: Iterable[str]) -> list[VerifyKey]:
    """The vkeys given, else those of the environment (one a line).

    Raises:
        UsageError: there is none, or a text is none.
    """
    texts = list(given) or os.environ.get(VKEY_VARIABLE, "").split()
    if not texts:
        raise UsageError(
            "whose signature is trusted?",
            todo=f"give --vkey with the signer's public text, or {VKEY_VARIABLE}",
        )
    return [parse_vkey(text) for text in texts]


def chain_of(folder: Path, chain_key: str) -> ChainReport:
    """The one chain of a PAS folder that is meant, proven whole.

    Raises:
        UsageError: it is not clear which one. ProofRejected: it is broken. SourceDenied.
    """
    with collector_paused():
        read = read_folder(folder)
        reports = verify_chains(read.files, damaged=read.damaged)
    keys = [report.chain_key for report in reports]
    if chain_key and chain_key not in keys:
        there = ", ".join(keys) or "none"
        raise UsageError(f"no chain {chain_key!r} here (chains: {there})", where=str(folder))
    if not chain_key and len(reports) != 1:
        todo = f"add --chain with one of {', '.join(keys)}" if keys else "it holds no event"
        raise UsageError(f"{len(keys)} chains are here", where=str(folder), todo=todo)
    (report,) = (r for r in reports if chain_key in ("", r.chain_key))
    for finding in report.errors:
        if finding.kind not in LEDGER_ORDER:
            raise ProofRejected(
                f"chain {report.chain_key} is broken ({finding.kind}: {finding.message}), "
                "and nothing is signed or proven on top of that",
                where=str(folder),
                todo=f"run bronze verify {folder}",
            )
    return report


def line_of(report: ChainReport) -> list[AuditEvent]:
    """The chain's events in link order."""
    return [item.event for item in report.line]


def head_file(folder: Path, chain_key: str) -> Path:
    """Where a chain's signed head is published: beside its events."""
    return folder / signed_head_name(chain_key)


def renew_head(report: ChainReport, key: SigningKey, path: Path) -> bytes:
    """Sign the chain as it is now and put the head at ``path``; never one that contradicts the
    head that stands there.

    Raises:
        ProofRejected: the old head is about other events, or nobody we know signed it.
        UsageError: another key or another chain's head is there. StoreError: it cannot be written.
    """
    line = line_of(report)
    if path.exists():
        old = _own_head(path, key)
        if old.origin != origin_of(key.name, report.chain_key):
            raise UsageError(f"the signed head of another log, {old.origin}", where=str(path))
        matching_leaves(line, old)
    signed = sign_head(leaf_hashes(line), report.chain_key, key)
    with refusing(path):
        replace(path, signed)
    return signed


def _own_head(path: Path, key: SigningKey) -> TreeHead:
    try:
        return open_head(read_capped(path, MAX_NOTE_BYTES), [key.verify_key])
    except ProofRejected as error:
        todo = "if the key was replaced, move the old head away and keep it as evidence"
        raise ProofRejected(error.what, where=str(path), todo=todo) from None


def published_head(path: Path) -> bytes:
    """The signed head at ``path``.

    Raises:
        UsageError: there is none. SourceDenied: it cannot be read.
    """
    if not path.exists():
        raise UsageError(
            "no signed head is here", where=str(path), todo="sign one: 'bronze head', or give --key"
        )
    return read_capped(path, MAX_NOTE_BYTES)


def write_out(data: bytes, out: Path | None) -> None:
    """To a file, or to stdout."""
    if out is None:
        click.echo(data, nl=False, file=sys.stdout)
        return
    with refusing(out):
        replace(out, data)
