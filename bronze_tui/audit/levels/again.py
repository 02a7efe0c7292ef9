"""Level ``source``: the rows against the lake that they came from, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256

from bronze_tui.audit.levels.unit import Outcome
from bronze_tui.domain.errors import GapError, SourceDataError
from bronze_tui.domain.ledger import FIRST_LEDGER, LedgerRange
from bronze_tui.hooks.contracts import LedgerSource
from bronze_tui.lake.frames import decompress_frame
from bronze_tui.xdr.header import LedgerReader, iter_ledgers


class SourceAgain:
    """Reads partitions again from a ledger source; safe to call from several threads.

    Args:
        most: bytes that one decompressed object may have.
    """

    def __init__(self, source: LedgerSource, most: int) -> None:
        self._source, self._most = source, most

    def check(self, out: Outcome, rows: Mapping[int, str], stop: Callable[[], None]) -> None:
        """Compare the SHA-256 of every ledger's XDR.

        Args:
            rows: hex SHA-256 of the stored XDR by ledger.

        Raises:
            SourceUnavailable, SourceDenied: the lake does not answer.
        """
        reader = LedgerReader()
        partition = out.unit.partition
        ledgers = LedgerRange(max(partition.start, FIRST_LEDGER), partition.end)
        for ref in self._source.batches(ledgers):
            stop()
            try:
                data = self._source.read(ref)
                raw = data
                if self._source.codec != "none":
                    raw = decompress_frame(data, self._most)
                for facts in iter_ledgers(raw, reader):
                    if facts.sequence in ledgers:
                        theirs = sha256(memoryview(raw)[facts.start : facts.end]).hexdigest()
                        self._compare(out, rows, facts.sequence, theirs, ref.key)
            except GapError:
                text = f"the lake has no object of ledgers {ref.first}-{ref.last}"
                out.add("source_unreadable", text, ledger=ref.first, file=ref.key)
            except SourceDataError as error:
                text = f"the lake's object cannot be read ({error.what})"
                cause = "the lake is damaged there: compare with another lake"
                out.add("source_unreadable", text, ledger=ref.first, file=ref.key, cause=cause)

    def _compare(
        self, out: Outcome, rows: Mapping[int, str], sequence: int, theirs: str, key: str
    ) -> None:
        ours = rows.get(sequence)
        if ours is not None and ours != theirs:
            out.add(
                "source_mismatch",
                "the lake has other bytes for this ledger",
                ledger=sequence,
                file=key,
                expected=theirs,
                found=ours,
                cause="the stored XDR or the lake was altered; where header hashes agree, only "
                "meta differs, as it does between versions of stellar-core",
            )
