"""``bronze ledger``: look inside one lake object, or one ledger of the configured source.

Reads only; says nothing about copies already made.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bronze_tui.commands._options import config_options
from bronze_tui.domain.errors import (
    BronzeError,
    FrameError,
    LedgerMismatch,
    SourceDenied,
    UsageError,
    XdrError,
)
from bronze_tui.domain.ledger import MAX_LEDGER, LedgerFacts, LedgerRange
from bronze_tui.domain.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 256 << 20
"""Most bytes of XDR that are looked at, the default of ``source.max_ledger_bytes``."""

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@click.command("ledger")
@click.argument("target", metavar="FILE|SEQ")
@config_options
@click.option("--json", "as_json", is_flag=True, help="Print the whole decoded XDR as JSON.")
def command(target: str, config: Path | None, sets: tuple[str, ...], as_json: bool) -> None:
    """Print header, counts, sizes and hashes of ledgers.

    FILE is a lake object (.xdr.zst, .xdr.zstd, or not compressed) with one or more ledgers. SEQ is
    a decimal ledger number, read from the configured source; a file with such a name is ./SEQ.
    """
    if target.isascii() and target.isdigit():
        name, stored, only = _from_source(int(target), config, sets)
    else:
        name, stored, only = target, _from_file(Path(target)), None
    xdr = _decompressed(name, stored)
    if as_json:
        click.echo(json.dumps(_decoded(name, xdr, only), indent=2))
        return
    click.echo(_aligned(_object_lines(name, stored, xdr)))
    mismatches = []
    for facts in _ledgers(name, xdr, only):
        click.echo("\n" + _aligned(_ledger_lines(xdr, facts)))
        if _header_sha256(xdr, facts) != facts.ledger_hash:
            mismatches.append(facts.sequence)
    if mismatches:
        listed = ", ".join(map(str, mismatches))
        raise LedgerMismatch(
            f"the header's SHA-256 is not the ledger hash of {listed}",
            where=safe_text(name),
            todo="fetch the object again or from another lake",
        )


def ledgers_in_file(path: Path) -> Iterator[tuple[str, bytes, LedgerFacts]]:
    """Name of a lake object, its XDR, and the facts of each of its ledgers.

    Raises:
        UsageError, SourceDenied, SourceDataError: there are none.
    """
    name = str(path)
    xdr = _decompressed(name, _from_file(path))
    for facts in _ledgers(name, xdr, None):
        yield name, xdr, facts


def ledgers_in_source(
    sequence: int, config: Path | None, sets: tuple[str, ...]
) -> Iterator[tuple[str, bytes, LedgerFacts]]:
    """The same for one ledger of the configured source.

    Raises:
        ConfigError, PluginError, SourceError.
    """
    name, stored, only = _from_source(sequence, config, sets)
    xdr = _decompressed(name, stored)
    for facts in _ledgers(name, xdr, only):
        yield name, xdr, facts


def _from_file(path: Path) -> bytes:
    where = safe_text(str(path))
    try:
        if not path.is_file():
            what = "not a file" if path.exists() else "no such file"
            raise UsageError(what, where=where, todo="give a lake object or a ledger number")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"larger than {MAX_BYTES >> 20} MiB", where=where)
        return path.read_bytes()
    except OSError as error:
        raise SourceDenied(f"cannot be read: {error.strerror}", where=where) from error


def _from_source(
    sequence: int, config: Path | None, sets: tuple[str, ...]
) -> tuple[str, bytes, int]:
    from bronze_tui.commands._context import open_source

    if sequence > MAX_LEDGER:
        raise UsageError(f"{sequence} is no ledger number", todo=f"the largest is {MAX_LEDGER}")
    source = open_source(config, sets)
    try:
        ref = source.batches(LedgerRange(sequence, sequence))[0]
        return ref.key, source.read(ref), sequence
    finally:
        source.close()


def _decompressed(name: str, stored: bytes) -> bytes:
    from bronze_tui.lake.frames import decompress_frame

    if not stored.startswith(_ZSTD_MAGIC):
        return stored
    try:
        return decompress_frame(stored, MAX_BYTES)
    except FrameError as error:
        _place(error, name)
        raise


def _place(error: BronzeError, name: str) -> None:
    """Say which object an error is about, unless it already does."""
    error.where = error.where or safe_text(name)


def _ledgers(name: str, xdr: bytes, only: int | None) -> Iterator[LedgerFacts]:
    from bronze_tui.xdr.header import LedgerReader, iter_ledgers

    found = False
    try:
        for facts in iter_ledgers(xdr, LedgerReader()):
            if only is None or facts.sequence == only:
                found = True
                yield facts
    except XdrError as error:
        _place(error, name)
        raise
    if not found:
        raise LedgerMismatch(f"ledger {only} is not in its object", where=safe_text(name))


def _decoded(name: str, xdr: bytes, only: int | None) -> Any:
    """The value as the Stellar SDK decodes it (SEP-51 JSON), after our own stricter walk."""
    from stellar_sdk.xdr import LedgerCloseMeta, LedgerCloseMetaBatch

    from bronze_tui.xdr.header import batch_bounds

    wanted = list(_ledgers(name, xdr, only))
    whole = only is None and batch_bounds(xdr) is not None
    kind = LedgerCloseMetaBatch if whole else LedgerCloseMeta
    try:
        value: Any = kind.from_xdr_bytes(xdr if whole else xdr[wanted[0].start : wanted[0].end])
        return value.to_json_dict()
    except (ValueError, EOFError, RecursionError) as error:
        raise XdrError(f"the Stellar SDK refuses it: {error}", where=safe_text(name)) from error


def _object_lines(name: str, stored: bytes, xdr: bytes) -> list[tuple[str, str]]:
    from bronze_tui.xdr.header import batch_bounds

    try:
        bounds = batch_bounds(xdr)
    except XdrError as error:
        _place(error, name)
        raise
    shape = "one LedgerCloseMeta" if bounds is None else f"batch of {bounds[0]} to {bounds[1]}"
    return [
        ("object", safe_text(name)),
        ("holds", shape),
        ("bytes stored", str(len(stored))),
        ("bytes of XDR", str(len(xdr))),
    ]


def _ledger_lines(xdr: bytes, facts: LedgerFacts) -> list[tuple[str, str]]:
    from bronze_tui.xdr.fields import header_fields

    header_hash = _header_sha256(xdr, facts)
    agrees = "agrees" if header_hash == facts.ledger_hash else f"IS NOT {header_hash.hex()}"
    return [
        ("ledger", str(facts.sequence)),
        ("version", f"LedgerCloseMeta V{facts.version}"),
        ("closed", _utc(facts.close_time)),
        ("hash", facts.ledger_hash.hex()),
        ("header SHA-256", agrees),
        *((f"  {name}", text) for name, text in header_fields(xdr, facts.start)),
        ("transactions", str(facts.tx_count)),
        ("envelopes in set", str(facts.tx_set_count)),
        ("operations", str(facts.operation_count)),
        ("first byte", str(facts.start)),
        ("XDR bytes", str(facts.end - facts.start)),
        ("XDR SHA-256", sha256(memoryview(xdr)[facts.start : facts.end]).hexdigest()),
    ]


def _header_sha256(xdr: bytes, facts: LedgerFacts) -> bytes:
    return sha256(memoryview(xdr)[facts.header_start : facts.header_end]).digest()


def _utc(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"{seconds} seconds after 1970, beyond the calendar"


def _aligned(lines: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines)
