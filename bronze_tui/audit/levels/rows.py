"""Levels ``row`` and ``ledger``: every row of a partition read once, a few in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bronze_tui.audit.levels.network import NetworkCheck
from bronze_tui.audit.levels.unit import Edges, Outcome
from bronze_tui.domain.errors import XdrError
from bronze_tui.domain.layout import RAW_FACTS, RAW_TABLE, RAW_XDR
from bronze_tui.domain.ledger import FIRST_LEDGER, LedgerFacts
from bronze_tui.tables.reread import ContentHash
from bronze_tui.xdr.header import LedgerReader

_BATCH = 32
_COLUMNS = tuple(name for name in RAW_FACTS if name != "ingested_at")
"""What follows from the XDR and the announcement; when the row was written follows from nothing."""
_FOREIGN = (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError)
"""What values of other types, ranges or none at all give when they are compared."""
_NOT_ITS_XDR = "the row was altered, or the software that derived it erred"

Row = dict[str, Any]
Seen = Callable[[int, str], None]
"""Told of sequence and SHA-256 (hex) of each row's XDR."""


class RowCheck:
    """Judges the rows of one partition; one for each thread and partition.

    Args:
        network: the ledger level's checks; None stays at level ``row``.
        by_go: the file is the Go copier's, which counts fewer operations.
        stop: asked between batches.
    """

    def __init__(
        self,
        out: Outcome,
        file: str,
        network: NetworkCheck | None,
        *,
        by_go: bool = False,
        seen: Seen | None = None,
    ) -> None:
        self._out = out
        self._file = file
        self._network = network
        self._reader = LedgerReader() if network is None else None
        self._seen = seen
        self._content = ContentHash()
        self._next = max(out.unit.partition.start, FIRST_LEDGER)
        self._before = ""
        self._first_previous = ""
        self._first = self._last = -1
        self._by_go = by_go
        self._uncounted = 0

    def run(self, path: Path, manifest: dict[str, Any] | None, stop: Callable[[], None]) -> None:
        """Read the file and judge it as a whole.

        Raises:
            What ``stop`` raises.
        """
        try:
            with pq.ParquetFile(str(path), buffer_size=1 << 20, pre_buffer=False) as file:
                self._read(file, stop)
        except (pa.ArrowException, OSError, *_FOREIGN) as error:
            text = " ".join(str(error).split())[:300]
            self._add("parquet_unreadable", f"no readable Parquet file of ledgers ({text})")
            return
        self._end(manifest or {})

    def _read(self, file: pq.ParquetFile, stop: Callable[[], None]) -> None:
        lacking = {*_COLUMNS, RAW_XDR} - set(file.schema_arrow.names)
        if lacking:
            raise ValueError(f"it lacks the columns {', '.join(sorted(lacking))}")
        columns = [*_COLUMNS, RAW_XDR]
        for batch in file.iter_batches(batch_size=_BATCH, columns=columns, use_threads=False):
            stop()
            rows = batch.select(list(_COLUMNS)).to_pylist()
            for row, xdr in zip(rows, _values(batch.column(RAW_XDR)), strict=True):
                self._row(row, xdr)

    def _row(self, row: Row, xdr: memoryview) -> None:
        self._out.ledgers += 1
        sequence = int(row["ledger_sequence"])
        self._place(sequence)
        digest = sha256(xdr).hexdigest()
        if digest != row["xdr_sha256"]:
            text = "xdr_sha256 is not the SHA-256 of xdr_bytes"
            self._add("row_xdr", text, sequence, row["xdr_sha256"], digest, _NOT_ITS_XDR)
        facts = self._facts(sequence, xdr)
        if facts is not None:
            self._columns(sequence, row, facts, len(xdr))
            self._content.add(facts.sequence, facts.ledger_hash, bytes.fromhex(digest))
        self._link(sequence, row)
        if self._seen is not None:
            self._seen(sequence, digest)

    def _facts(self, sequence: int, xdr: memoryview) -> LedgerFacts | None:
        try:
            if self._network is not None:
                facts = self._network.check(self._out, self._file, sequence, xdr)
            else:
                assert self._reader is not None
                facts = self._reader.read(xdr)
        except XdrError as error:
            text = f"xdr_bytes is no LedgerCloseMeta ({error})"
            self._add("row_xdr", text, sequence, cause="the bytes were altered or cut")
            return None
        if facts.end != len(xdr):
            text = f"{len(xdr) - facts.end} bytes follow the ledger in xdr_bytes"
            self._add("row_xdr", text, sequence)
        return facts

    def _place(self, sequence: int) -> None:
        if sequence == self._next:
            self._next += 1
            return
        if sequence > self._next and sequence in self._out.unit.partition:
            self._missing(self._next, sequence - 1)
            self._next = sequence + 1
            # The row before is not here, so that there is nothing to link to.
            self._before = ""
            return
        text = f"row of ledger {sequence} stands where {self._next} belongs"
        cause = "rows were put in another order, doubled, or are another partition's"
        self._add("row_out_of_order", text, sequence, str(self._next), str(sequence), cause)

    def _missing(self, first: int, last: int) -> None:
        span = str(first) if first == last else f"{first}-{last}"
        what = f"ledger{'s' if last > first else ''} {span}"
        text = f"{what} of the partition: no row"
        cause = "the source lacked it and the copier published without it, or rows were removed"
        self._add("row_missing", text, first, what, "no row", cause)

    def _link(self, sequence: int, row: Row) -> None:
        previous = row["previous_ledger_hash"]
        if self._before and previous != self._before:
            text = f"previous_ledger_hash is not the hash of ledger {sequence - 1}"
            cause = "one of the two ledgers is not the one that the network closed"
            self._add("ledger_link", text, sequence, self._before, previous, cause)
        if self._first < 0:
            self._first, self._first_previous = sequence, str(previous)
        self._last, self._before = sequence, str(row["ledger_hash"])

    def _columns(self, sequence: int, row: Row, facts: LedgerFacts, length: int) -> None:
        for name, value in self._derived(facts, length):
            stored = row[name]
            if name == "close_time":
                stored = int(stored.timestamp())
            if stored == value:
                continue
            if name == "operation_count" and self._by_go and stored < value:
                self._uncounted += 1
                continue
            text = f"{name} is not what the XDR says"
            self._add("row_column", text, sequence, str(value), str(stored), _NOT_ITS_XDR)

    def _derived(self, facts: LedgerFacts, length: int) -> Iterator[tuple[str, Any]]:
        network, era, version = self._out.unit.chain_key.split("/")
        yield "ledger_sequence", facts.sequence
        yield "ledger_hash", facts.ledger_hash.hex()
        yield "previous_ledger_hash", facts.previous_ledger_hash.hex()
        yield "close_time", facts.close_time
        yield "protocol_version", facts.protocol_version
        yield "total_coins", facts.total_coins
        yield "fee_pool", facts.fee_pool
        yield "tx_set_hash", facts.tx_set_hash.hex()
        yield "tx_count", facts.tx_count
        yield "operation_count", facts.operation_count
        yield "xdr_byte_length", length
        yield "bronze_version", version
        yield "era_id", era
        yield "network", network

    def _end(self, manifest: dict[str, Any]) -> None:
        out = self._out
        if self._next <= out.unit.partition.end:
            self._missing(self._next, out.unit.partition.end)
        table = next((t for name, t in out.unit.tables if name == RAW_TABLE), None)
        if table is not None and table.row_count != out.ledgers:
            text = "the file has another number of rows than was announced"
            cause = "rows were put in or taken out, or the event was altered"
            self._add("row_column", text, None, str(table.row_count), str(out.ledgers), cause)
        partition = out.unit.partition
        out.edges = Edges(
            self._first_previous if self._first == max(partition.start, FIRST_LEDGER) else "",
            self._before if self._last == partition.end else "",
        )
        if self._uncounted:
            text = f"operation_count of {self._uncounted:,} ledgers is less than the XDR says"
            cause = "the Go copier does not count operations inside fee bumps"
            self._add("row_column", text, cause=cause, severity="note")
        tables = manifest.get("tables")
        entry = tables.get(RAW_TABLE) if isinstance(tables, dict) else None
        wanted = entry.get("content_hash", "") if isinstance(entry, dict) else ""
        if wanted and wanted != self._content.digest():
            text = "content_hash of the manifest is not that of the rows"
            cause = "manifest or rows were altered"
            self._add("content_hash", text, None, wanted, self._content.digest(), cause)
        links = manifest.get("links")
        ours = {"first_previous_hash": self._first_previous, "last_hash": self._before}
        if links is not None and links != ours:
            text = "links of the manifest are not those of the rows"
            cause = "manifest or rows were altered"
            self._add("ledger_link", text, None, str(links), str(ours), cause)

    def _add(
        self,
        kind: Any,
        text: str,
        ledger: int | None = None,
        expected: str = "",
        found: str = "",
        cause: str = "",
        severity: Any = "error",
    ) -> None:
        self._out.add(
            kind,
            text,
            ledger=ledger,
            file=self._file,
            expected=expected,
            found=found,
            cause=cause,
            severity=severity,
        )


def _values(column: Any) -> Iterator[memoryview]:
    """The column's values without a copy."""
    if not pa.types.is_binary(column.type):
        column = column.cast(pa.binary())
    if column.null_count:
        raise ValueError("xdr_bytes has empty cells")
    offsets_buffer, data = column.buffers()[1:]
    offsets = np.frombuffer(offsets_buffer, np.int32)[column.offset :][: len(column) + 1].tolist()
    view = memoryview(data if data is not None else b"")
    return (view[a:b] for a, b in pairwise(offsets))
