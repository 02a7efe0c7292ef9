"""One row group of ``ledgers_lcm_raw`` in the making: an arena for XDR, lists for the rest.

The arena is one buffer that each worker reuses for all its partitions: large short-lived buffers
would be mapped, faulted and unmapped again for every row group.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa

from bronze_tui.domain.era import Era
from bronze_tui.domain.ledger import LedgerFacts
from bronze_tui.tables.schema import raw_schema

ROW_GROUP_BYTES = 64 * 1024 * 1024
"""XDR bytes of a row group; a single larger ledger makes one of its own."""

ROW_GROUP_ROWS = 1024


class Arena:
    """A byte buffer that grows for a giant ledger and is otherwise kept for ever."""

    def __init__(self, size: int = ROW_GROUP_BYTES) -> None:
        self._bytes = np.empty(size, dtype=np.uint8)
        self.used = 0

    def append(self, data: np.ndarray) -> None:
        """Copy ``data`` (uint8, one dimension) behind what is there."""
        end = self.used + data.size
        if end > self._bytes.size:
            larger = np.empty(end, dtype=np.uint8)
            larger[: self.used] = self._bytes[: self.used]
            self._bytes = larger
        self._bytes[self.used : end] = data
        self.used = end

    def buffer(self) -> pa.Buffer:
        """The used bytes, not copied; valid until the next append."""
        return pa.py_buffer(self._bytes[: self.used])


class RowGroup:
    """Rows of one row group, closed by a rule of the data alone: 64 MiB of XDR or 1,024 rows."""

    def __init__(self, era: Era, arena: Arena, ingested_at: datetime | None) -> None:
        self._era = era
        self._arena = arena
        self._ingested_at = ingested_at
        self._schema = raw_schema(era)
        self._reset()

    def __len__(self) -> int:
        return len(self._facts)

    def is_full(self, length: int) -> bool:
        """Whether the group must be written before a ledger of ``length`` bytes joins."""
        rows = len(self._facts)
        return rows == ROW_GROUP_ROWS or (rows > 0 and self._arena.used + length > ROW_GROUP_BYTES)

    def append(self, facts: LedgerFacts, xdr: np.ndarray, sha256_hex: str) -> None:
        """Add a ledger; ``xdr`` are the bytes of its LedgerCloseMeta, copied here."""
        self._arena.append(xdr)
        self._offsets.append(self._arena.used)
        self._facts.append(facts)
        self._sha256.append(sha256_hex)

    def take(self) -> pa.Table:
        """The rows as a table of one chunk whose XDR column points into the arena.

        Write it before the next ``append``: the arena starts over.
        """
        facts, rows = self._facts, len(self._facts)
        offsets = pa.py_buffer(np.array(self._offsets, dtype=np.int32))
        columns = [
            pa.array([f.sequence for f in facts], pa.uint64()),
            pa.array([f.ledger_hash.hex() for f in facts], pa.string()),
            pa.array([f.previous_ledger_hash.hex() for f in facts], pa.string()),
            pa.array([f.close_time * 1000 for f in facts], pa.timestamp("ms", tz="UTC")),
            pa.array([f.protocol_version for f in facts], pa.uint32()),
            pa.array([f.total_coins for f in facts], pa.int64()),
            pa.array([f.fee_pool for f in facts], pa.int64()),
            pa.array([f.tx_set_hash.hex() for f in facts], pa.string()),
            pa.array([f.tx_count for f in facts], pa.int32()),
            pa.array([f.operation_count for f in facts], pa.int32()),
            pa.BinaryArray.from_buffers(pa.binary(), rows, [None, offsets, self._arena.buffer()]),
            pa.array(np.diff(np.array(self._offsets, dtype=np.int64)).astype(np.int32)),
            pa.array(self._sha256, pa.string()),
            _constant(self._era.version_label, rows),
            _constant(self._era.era_id, rows),
            _constant(self._era.network, rows),
            pa.array([self._ingested_at] * rows, pa.timestamp("ms", tz="UTC")),
        ]
        self._reset()
        return pa.Table.from_arrays(columns, schema=self._schema)

    def _reset(self) -> None:
        self._arena.used = 0
        self._facts: list[LedgerFacts] = []
        self._sha256: list[str] = []
        self._offsets: list[int] = [0]


def _constant(value: str, rows: int) -> pa.Array:
    return pa.array([value] * rows, pa.string())
