"""What the copier needs of each ledger, from one walk; and the ledgers of a lake object.

Checks the XDR only: hashes, links and counts are compared by those who know what to expect.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache

from bronze_tui.domain.errors import XdrError
from bronze_tui.domain.ledger import LedgerFacts
from bronze_tui.xdr.buffer import Buffer, view
from bronze_tui.xdr.projection import Kind, Mark, Projection, compile_projection
from bronze_tui.xdr.table import load

ROOT = "LedgerCloseMeta"
VERSIONS = ("v0", "v1", "v2")
_RESULT = "txProcessing[].result.result.result"
_PHASE = "txSet.v1TxSet.phases[]"

_WORD = struct.Struct(">I")
_BATCH = struct.Struct(">III")
_OPENING = struct.Struct(">I32s")
_CLOSE = struct.Struct(">32sQ")
_TOTALS = struct.Struct(">Iqq")


def _each(path: str, versions: tuple[str, ...] = VERSIONS) -> tuple[str, ...]:
    return tuple(f"{ROOT}.{version}.{path}" for version in versions)


FACTS = (
    Mark("hash", Kind.VALUE, _each("ledgerHeader.hash")),
    Mark("header", Kind.VALUE, _each("ledgerHeader.header")),
    Mark("close", Kind.VALUE, _each("ledgerHeader.header.scpValue.txSetHash")),
    Mark("sequence", Kind.VALUE, _each("ledgerHeader.header.ledgerSeq")),
    Mark("transactions", Kind.VECTOR, _each("txProcessing")),
    Mark(
        "operations",
        Kind.SUM,
        (*_each(f"{_RESULT}.results"), *_each(f"{_RESULT}.innerResultPair.result.result.results")),
    ),
    Mark(
        "envelopes",
        Kind.SUM,
        (
            *_each("txSet.txs", ("v0",)),
            *_each(f"{_PHASE}.v0Components[].txsMaybeDiscountedFee.txs", ("v1", "v2")),
            *_each(f"{_PHASE}.parallelTxsComponent.executionStages[][]", ("v1", "v2")),
        ),
    ),
)
"""Fields that `LedgerReader` asks for. Fields at a fixed distance from a marked one have no mark
of their own: previousLedgerHash follows ledgerVersion, closeTime txSetHash, totalCoins and feePool
ledgerSeq. One walk emits one row for each of the first five, in this order."""


@cache
def facts_projection() -> Projection:
    """The program for ``FACTS``."""
    return compile_projection(load(), ROOT, FACTS)


class LedgerReader:
    """Reads facts of ledgers; one for each thread, because its walker reuses its arrays."""

    def __init__(self) -> None:
        from bronze_tui.xdr.walker import Walker

        self._walker = Walker(facts_projection())

    def read(self, buffer: Buffer, start: int = 0) -> LedgerFacts:
        """Facts of the LedgerCloseMeta (V0, V1 or V2) that begins at byte ``start``.

        Every field of it is validated; what follows it is not looked at.

        Raises:
            XdrError: the bytes are no LedgerCloseMeta; the offset counts from the buffer's start.
        """
        end = self._walker.walk(buffer, start)
        return facts_of(view(buffer), start, end, self._walker.rows.tolist(), self._walker.sums)


def facts_of(
    data: memoryview, start: int, end: int, rows: list[list[int]], sums: list[int]
) -> LedgerFacts:
    """Facts from the first five rows and first two sums of a walk that had the marks of FACTS."""
    hash_row, header_row, close_row, sequence_row, transactions_row = rows
    header_start = header_row[1]
    protocol, previous = _OPENING.unpack_from(data, header_start)
    tx_set_hash, close_time = _CLOSE.unpack_from(data, close_row[1])
    sequence, total_coins, fee_pool = _TOTALS.unpack_from(data, sequence_row[1])
    return LedgerFacts(
        version=_WORD.unpack_from(data, start)[0],
        sequence=sequence,
        start=start,
        end=end,
        header_start=header_start,
        header_end=header_start + header_row[2],
        ledger_hash=bytes(data[hash_row[1] : hash_row[1] + hash_row[2]]),
        previous_ledger_hash=previous,
        close_time=close_time,
        protocol_version=protocol,
        total_coins=total_coins,
        fee_pool=fee_pool,
        tx_set_hash=tx_set_hash,
        tx_count=transactions_row[2],
        tx_set_count=sums[1],
        operation_count=sums[0],
    )


def batch_bounds(buffer: Buffer) -> tuple[int, int] | None:
    """First and last sequence that a LedgerCloseMetaBatch (SEP-54) declares.

    None for a bare LedgerCloseMeta: there the first word is the version, at most 2, and the second
    is the version of an extension or begins a hash, so that the first three words agree with each
    other (first, last, count) only in a batch.

    Raises:
        XdrError: the bytes begin neither.
    """
    data = view(buffer)
    if len(data) < _BATCH.size:
        raise XdrError("bytes end inside the value", offset=len(data), path="LedgerCloseMetaBatch")
    first, last, count = _BATCH.unpack_from(data, 0)
    if first >= 2 and last >= first and count == last - first + 1:
        return first, last
    if first <= 2:
        return None
    raise XdrError(
        f"neither a LedgerCloseMeta nor a batch: {count} ledgers for {first} to {last}", offset=0
    )


def iter_ledgers(buffer: Buffer, reader: LedgerReader) -> Iterator[LedgerFacts]:
    """Facts of every ledger of a lake object: a batch, or one bare LedgerCloseMeta.

    Sequences are not compared with what the batch declares; the caller knows what it asked for.

    Raises:
        XdrError: a ledger is broken or missing, or bytes follow the last one. Ledgers before the
            broken one have been yielded by then.
    """
    bounds = batch_bounds(buffer)
    position, count = (0, 1) if bounds is None else (_BATCH.size, bounds[1] - bounds[0] + 1)
    for _ in range(count):
        facts = reader.read(buffer, position)
        position = facts.end
        yield facts
    left = len(view(buffer)) - position
    if left:
        raise XdrError(f"{left} bytes follow the last ledger", offset=position)
