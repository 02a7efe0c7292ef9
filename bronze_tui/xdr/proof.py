"""What a ledger's header commits to, as slices of one walk: transaction set, results, signature.

A header (stellar-core ``LedgerHeader``) carries the hash of the transaction set, the hash of the
results, and since protocol 14 a validator's signature over transaction set and close time.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from bronze_tui.domain.errors import XdrError
from bronze_tui.domain.ledger import LedgerFacts
from bronze_tui.xdr.buffer import Buffer, view
from bronze_tui.xdr.header import FACTS, ROOT, VERSIONS, facts_of
from bronze_tui.xdr.projection import Kind, Mark, Projection, compile_projection
from bronze_tui.xdr.table import load

SIGNED = 1
"""``STELLAR_VALUE_SIGNED``; 0 is a value without signature, from before protocol 14."""

_ENVELOPE_SCP_VALUE = 4
_HASH = 32
_COUNT = struct.Struct(">I")
_SIGNATURE = struct.Struct(">II32sI")
_VALUE = struct.Struct(">i32sQ")


def _mark(name: str, path: str) -> Mark:
    return Mark(name, Kind.VALUE, tuple(f"{ROOT}.{v}.{path}" for v in VERSIONS))


_MARKS = (
    _mark("value", "ledgerHeader.header.scpValue.ext"),
    _mark("results", "ledgerHeader.header.txSetResultHash"),
    _mark("set", "txSet"),
    _mark("pair", "txProcessing[].result"),
)


@dataclass(frozen=True, slots=True)
class LedgerProof:
    """A ledger and the hashes that its own bytes give; raw values."""

    facts: LedgerFacts
    header_hash: bytes
    """SHA-256 of the header: must be the ledger hash."""
    tx_set_hash: bytes
    """Computed: must be the header's."""
    result_hash: bytes
    """Computed."""
    header_result_hash: bytes
    """The header's."""
    value_type: int
    """``StellarValueType``."""
    node: bytes
    """Ed25519 public key of the validator that signed; empty when none did."""
    signature: bytes


class ProofReader:
    """Reads proofs; one for each thread, because its walker reuses its arrays."""

    def __init__(self) -> None:
        from bronze_tui.xdr.walker import Walker

        self._walker = Walker(proof_projection())

    def read(self, buffer: Buffer, start: int = 0) -> LedgerProof:
        """Walk one LedgerCloseMeta and hash its parts.

        Raises:
            XdrError: the bytes are no LedgerCloseMeta.
        """
        end = self._walker.walk(buffer, start)
        data = view(buffer)
        plain: list[list[int]] = []
        parts: dict[int, tuple[int, int]] = {}
        pairs: list[memoryview] = []
        for row in self._walker.rows.tolist():
            mark, offset, size = row
            if mark < _FIRST:
                plain.append(row)
            elif mark == _PAIR:
                pairs.append(data[offset : offset + size])
            else:
                parts[mark] = (offset, size)
        facts = facts_of(data, start, end, sorted(plain), self._walker.sums)
        results = sha256(_COUNT.pack(len(pairs)))
        results.update(b"".join(pairs))
        at, size = parts[_FIRST + 1]
        value_type, node, signature = _signed(data, *parts[_FIRST])
        return LedgerProof(
            facts,
            sha256(data[facts.header_start : facts.header_end]).digest(),
            _set_hash(data, facts.version, *parts[_FIRST + 2]),
            results.digest(),
            bytes(data[at : at + size]),
            value_type,
            node,
            signature,
        )


@cache
def proof_projection() -> Projection:
    """The program for FACTS and what proves them."""
    return compile_projection(load(), ROOT, (*FACTS, *_MARKS))


_FIRST = sum(mark.kind is not Kind.SUM for mark in FACTS)
_PAIR = _FIRST + 3


def signed_value(network_id: bytes, tx_set_hash: bytes, close_time: int) -> bytes:
    """What a validator signs: ``networkID || ENVELOPE_TYPE_SCPVALUE || txSetHash || closeTime``."""
    return network_id + _VALUE.pack(_ENVELOPE_SCP_VALUE, tx_set_hash, close_time)


def _set_hash(data: memoryview, version: int, offset: int, size: int) -> bytes:
    """A generalized set is hashed whole; a classic one (V0) without its count of envelopes."""
    end = offset + size
    if version:
        return sha256(data[offset:end]).digest()
    digest = sha256(data[offset : offset + _HASH])
    digest.update(data[offset + _HASH + _COUNT.size : end])
    return digest.digest()


def _signed(data: memoryview, offset: int, size: int) -> tuple[int, bytes, bytes]:
    value_type = _COUNT.unpack_from(data, offset)[0]
    if value_type != SIGNED:
        return value_type, b"", b""
    if size < _SIGNATURE.size:
        raise XdrError("the signature of the closing value is cut", offset=offset)
    _, _, node, length = _SIGNATURE.unpack_from(data, offset)
    begin = offset + _SIGNATURE.size
    return value_type, node, bytes(data[begin : begin + length])
