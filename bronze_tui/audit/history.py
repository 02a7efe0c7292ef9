"""History archives of stellar-core, of which only ledger headers are read.

A checkpoint file holds the headers of 64 ledgers as LedgerHeaderHistoryEntry, each after a record
mark (RFC 5531, section 11), in gzip. Nothing is believed for standing in it: a header must give
the hash beside it, link to the one before, and bear the number that its place says.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from bronze_tui.domain.errors import (
    SourceDataError,
    SourceDenied,
    SourceUnavailable,
    UsageError,
)
from bronze_tui.domain.ledger import MAX_LEDGER, LedgerRange
from bronze_tui.domain.text import safe_text

FREQUENCY = 64
"""Ledgers of a checkpoint, on public networks."""
STATE_NAME = ".well-known/stellar-history.json"
MAX_FILE = 1 << 20
"""Bytes of a state file, of a packed checkpoint file, and of one unpacked: 64 headers at their
largest have less than 128 KiB."""

_MARK = struct.Struct(">I")
_LAST_FRAGMENT = 0x8000_0000
_UNPACKED = b"\x80"
"""First byte of a record mark before a header."""


@dataclass(frozen=True, slots=True)
class Header:
    """One ledger header whose bytes give its hash; hashes are raw."""

    sequence: int
    ledger_hash: bytes
    previous_hash: bytes
    tx_set_hash: bytes
    close_time: int
    node: bytes
    """Public key of the validator that signed; empty when none did."""
    signature: bytes


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """What an archive says of itself."""

    current: int
    """The newest checkpoint ledger."""
    passphrase: str
    """Of its network; empty in archives of old."""


class Reader(Protocol):
    """Gives files of an archive, at most MAX_FILE bytes each."""

    where: str
    """For people."""

    def get(self, name: str) -> bytes | None:
        """A file, or None where there is none.

        Raises:
            SourceUnavailable, SourceDenied, SourceDataError.
        """
        ...

    def close(self) -> None:
        """Release what is held; idempotent."""
        ...


class FolderReader:
    """An archive on this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.where = safe_text(str(root))

    def get(self, name: str) -> bytes | None:
        """A file, or None where there is none.

        Raises:
            SourceDenied, SourceDataError.
        """
        path = self._root / name
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            text = f"cannot be read ({error.strerror})"
            raise SourceDenied(text, where=f"{self.where}/{name}") from error
        if len(data) > MAX_FILE:
            raise SourceDataError(f"longer than {MAX_FILE:,} bytes", where=f"{self.where}/{name}")
        return data

    def close(self) -> None:
        """Nothing is held."""


class Archive:
    """Ledger headers of one history archive."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.where = reader.where

    def close(self) -> None:
        """Release what is held; idempotent."""
        self._reader.close()

    def state(self) -> ArchiveState:
        """What the archive holds.

        Raises:
            UsageError: there is no archive. SourceError: it cannot be read.
        """
        data = self._reader.get(STATE_NAME)
        if data is None:
            raise UsageError(
                f"no history archive: it has no {STATE_NAME}",
                where=self.where,
                todo="give the archive's folder or address, without .well-known",
            )
        return parse_state(data, where=f"{self.where}/{STATE_NAME}")

    def checkpoint(self, ledger: int) -> tuple[Header, ...]:
        """All headers of the checkpoint at ``ledger``.

        Raises:
            SourceUnavailable: the archive lacks it, or does not answer. SourceDenied.
            SourceDataError: it is no whole and linked file of these headers.
        """
        name = checkpoint_name(ledger)
        data = self._reader.get(name)
        if data is None:
            raise SourceUnavailable("the archive lacks the file", where=f"{self.where}/{name}")
        return parse_checkpoint(data, ledger, where=f"{self.where}/{name}")


def checkpoint_of(ledger: int) -> int:
    """The checkpoint ledger whose file holds the header of ``ledger``."""
    return ledger | (FREQUENCY - 1)


def checkpoint_name(ledger: int) -> str:
    """``ledger/xx/yy/zz/ledger-xxyyzzww.xdr.gz`` of a checkpoint ledger."""
    digits = f"{ledger:08x}"
    return f"ledger/{digits[:2]}/{digits[2:4]}/{digits[4:6]}/ledger-{digits}.xdr.gz"


def checkpoint_range(ledger: int) -> LedgerRange:
    """Ledgers of the checkpoint at ``ledger``; the first one lacks ledger 0."""
    return LedgerRange(max(1, ledger - FREQUENCY + 1), ledger)


def parse_state(data: bytes, *, where: str) -> ArchiveState:
    """Read ``stellar-history.json``.

    Raises:
        SourceDataError: it is something else.
    """
    try:
        doc = json.loads(data)
        current, passphrase = doc["currentLedger"], doc.get("networkPassphrase", "")
        if type(current) is not int or not 0 < current <= MAX_LEDGER:
            raise ValueError("currentLedger is no ledger number")
        if type(passphrase) is not str:
            raise ValueError("networkPassphrase is no text")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = safe_text(str(error))[:200]
        raise SourceDataError(f"no state of a history archive ({why})", where=where) from None
    return ArchiveState(current, passphrase)


def parse_checkpoint(data: bytes, ledger: int, *, where: str) -> tuple[Header, ...]:
    """Headers of a checkpoint file, each proven by its hash and linked to the one before.

    Raises:
        SourceDataError: anything of that is wrong; the text names the ledger.
    """

    def refuse(what: str) -> SourceDataError:
        return SourceDataError(what, where=where)

    entries = _records(_unpacked(data, refuse), refuse)
    wanted = checkpoint_range(ledger)
    if len(entries) != len(wanted):
        raise refuse(f"{len(entries)} headers, and {len(wanted)} of ledgers {wanted} belong there")
    headers: list[Header] = []
    for sequence, entry in zip(range(wanted.start, wanted.end + 1), entries, strict=True):
        header = parse_header(entry, where=f"{where} ledger {sequence}")
        if header.sequence != sequence:
            raise refuse(f"header of ledger {header.sequence} stands where {sequence} belongs")
        if headers and header.previous_hash != headers[-1].ledger_hash:
            raise refuse(f"ledger {sequence} does not link to the header before")
        headers.append(header)
    return tuple(headers)


def parse_header(entry: bytes, *, where: str) -> Header:
    """One LedgerHeaderHistoryEntry, proven by its own hash.

    Raises:
        SourceDataError: it is none, or SHA-256 of the header is not the hash beside it.
    """
    from stellar_sdk.xdr import LedgerHeaderHistoryEntry

    try:
        value = LedgerHeaderHistoryEntry.from_xdr_bytes(entry)
        # The SDK takes padding and booleans that have a second spelling.
        if value.to_xdr_bytes() != entry:
            raise ValueError("another spelling of the same value")
    except Exception as error:
        # Foreign bytes make the SDK raise many kinds; all mean the same here.
        why = safe_text(f"{type(error).__name__}: {error}")[:120]
        raise SourceDataError(f"no ledger header ({why})", where=where) from None
    header, stated = value.header, value.hash.hash
    computed = sha256(header.to_xdr_bytes()).digest()
    if computed != stated:
        text = f"SHA-256 of the header is {computed.hex()}, and its hash is said to be"
        raise SourceDataError(f"{text} {stated.hex()}", where=where)
    signed = header.scp_value.ext.lc_value_signature
    key = signed.node_id.node_id.ed25519 if signed is not None else None
    return Header(
        header.ledger_seq.uint32,
        stated,
        header.previous_ledger_hash.hash,
        header.scp_value.tx_set_hash.hash,
        header.scp_value.close_time.time_point.uint64,
        key.uint256 if key is not None else b"",
        signed.signature.signature if signed is not None else b"",
    )


def signed_for(header: Header, passphrase: str) -> bool | None:
    """Whether the validator signed for that network; None for a header without signature."""
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import CryptoError

    from bronze_tui.xdr.proof import signed_value

    if not header.node:
        return None
    network_id = sha256(passphrase.encode()).digest()
    message = signed_value(network_id, header.tx_set_hash, header.close_time)
    if len(header.signature) != 64:
        return False
    try:
        crypto_sign_open(header.signature + message, header.node)
    except CryptoError:
        return False
    return True


Refusal = Callable[[str], SourceDataError]


def _unpacked(data: bytes, refuse: Refusal) -> bytes:
    """One gzip member and nothing else, never more than MAX_FILE bytes of it.

    Some servers unpack what is stored with ``Content-Encoding: gzip``; a record mark cannot be
    taken for the beginning of a gzip file.
    """
    if data[:1] == _UNPACKED:
        return data
    engine = zlib.decompressobj(wbits=31)
    try:
        plain = engine.decompress(data, MAX_FILE + 1)
    except zlib.error as error:
        raise refuse(f"no gzip file ({error})") from None
    if len(plain) > MAX_FILE:
        raise refuse(f"unpacks to more than {MAX_FILE:,} bytes, and headers have far less")
    if not engine.eof:
        raise refuse("the gzip file is cut off")
    if engine.unused_data:
        raise refuse(f"{len(engine.unused_data)} bytes follow the gzip file")
    return plain


def _records(data: bytes, refuse: Refusal) -> list[bytes]:
    records: list[bytes] = []
    at = 0
    while at < len(data):
        if len(records) == FREQUENCY or len(data) - at < _MARK.size:
            raise refuse(f"bytes follow the last header at byte {at}")
        (mark,) = _MARK.unpack_from(data, at)
        size = mark & ~_LAST_FRAGMENT
        at += _MARK.size
        if not mark & _LAST_FRAGMENT or size > len(data) - at:
            raise refuse(f"the record mark before byte {at} is wrong")
        records.append(data[at : at + size])
        at += size
    return records
