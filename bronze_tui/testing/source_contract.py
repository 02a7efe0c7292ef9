"""What every ledger source must do, as pytest methods: subclass, give the fixtures, pass.

``source`` yields an open :class:`bronze_tui.hooks.contracts.LedgerSource` that holds exactly the
ledgers of ``held``, without a hole; ``empty_source`` one that holds none. Time-outs, permissions
and throttling are each source's own tests' matter.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from bronze_tui.domain.errors import GapError, SourceError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.hooks.contracts import BatchRef, LedgerSource
from bronze_tui.lake.frames import decompress_frame
from bronze_tui.xdr.header import LedgerReader, iter_ledgers

_MOST_BYTES = 1 << 28
_THREADS = 8


def content(source: LedgerSource, ref: BatchRef) -> bytes:
    """The object's bytes as XDR."""
    data = source.read(ref)
    return decompress_frame(data, _MOST_BYTES) if source.codec == "zstd" else data


class SourceContract:
    """Inherit and define the fixtures; every method here is one promise of the contract."""

    def test_describes_itself_without_secrets(self, source: LedgerSource) -> None:
        info = source.describe()
        assert info.kind
        assert info.location
        assert "@" not in info.location
        assert info == source.describe()

    def test_tip_is_the_newest_ledger(self, source: LedgerSource, held: LedgerRange) -> None:
        assert source.tip() == held.end

    def test_empty_source_has_no_tip(self, empty_source: LedgerSource) -> None:
        assert empty_source.tip() is None

    def test_batches_cover_the_range_in_order(
        self, source: LedgerSource, held: LedgerRange
    ) -> None:
        refs = source.batches(held)
        assert refs[0].first <= held.start
        assert refs[-1].last >= held.end
        for before, after in pairwise(refs):
            assert after.first == before.last + 1
        assert len({ref.key for ref in refs}) == len(refs)

    def test_every_ledger_has_one_batch(self, source: LedgerSource, held: LedgerRange) -> None:
        whole = source.batches(held)
        for sequence in (held.start, (held.start + held.end) // 2, held.end):
            (ref,) = source.batches(LedgerRange(sequence, sequence))
            assert ref in whole
            assert ref.first <= sequence <= ref.last

    def test_batches_need_no_ledgers_there(self, source: LedgerSource, held: LedgerRange) -> None:
        ahead = LedgerRange(held.end + 1_000_000, held.end + 1_064_000)
        refs = source.batches(ahead)
        assert refs[0].first <= ahead.start
        assert refs[-1].last >= ahead.end

    def test_batches_hold_their_ledgers(self, source: LedgerSource, held: LedgerRange) -> None:
        reader = LedgerReader()
        sequences = [
            facts.sequence
            for ref in source.batches(held)
            for facts in iter_ledgers(content(source, ref), reader)
        ]
        assert [sequence for sequence in sequences if sequence in held] == list(
            range(held.start, held.end + 1)
        )

    def test_reading_again_gives_the_same_bytes(
        self, source: LedgerSource, held: LedgerRange
    ) -> None:
        ref = source.batches(held)[0]
        data = source.read(ref)
        assert type(data) is bytes
        assert source.read(ref) == data

    def test_threads_read_what_one_thread_reads(
        self, source: LedgerSource, held: LedgerRange
    ) -> None:
        refs = source.batches(held)
        alone = [source.read(ref) for ref in refs]
        with ThreadPoolExecutor(_THREADS) as pool:
            assert list(pool.map(source.read, refs)) == alone

    def test_absent_object_is_a_gap_with_a_place(
        self, source: LedgerSource, held: LedgerRange
    ) -> None:
        ref = source.batches(LedgerRange(held.end + 1_000_000, held.end + 1_000_000))[0]
        with pytest.raises(GapError) as caught:
            source.read(ref)
        assert caught.value.where
        assert caught.value.todo
        assert not caught.value.retryable

    def test_errors_of_an_empty_source_are_ours(self, empty_source: LedgerSource) -> None:
        with pytest.raises(SourceError):
            empty_source.read(empty_source.batches(LedgerRange(2, 2))[0])

    def test_close_twice(self, source: LedgerSource) -> None:
        source.close()
        source.close()
