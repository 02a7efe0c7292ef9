"""Planner properties: partitions are aligned, tile the era, and are counted without listing."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bronze_tui.domain.era import Era
from bronze_tui.domain.ledger import FIRST_LEDGER, LedgerRange
from bronze_tui.engine.merge import merged
from bronze_tui.engine.plan import EraPlan, next_ledger, tail_partition


@st.composite
def eras(draw: st.DrawFn) -> Era:
    start = draw(st.integers(0, 500))
    end = draw(st.none() | st.integers(max(start, FIRST_LEDGER), start + 400))
    return Era("net", "era", "v1", start, end, draw(st.integers(1, 60)))


@given(eras(), st.integers(0, 1000))
def test_partitions_tile_the_era_up_to_the_last_whole_one(era: Era, last: int) -> None:
    partitions = list(era.partitions(era.first_ledger, last))
    position = era.first_ledger
    for partition in partitions:
        assert partition.start == position
        assert era.is_aligned(partition)
        position = partition.end + 1
    stop = last if era.ledger_end is None else min(last, era.ledger_end)
    if position <= stop:
        assert era.partition_at(position).end > stop


@given(eras(), st.integers(0, 900))
def test_alignment_does_not_depend_on_where_a_run_starts(era: Era, sequence: int) -> None:
    assume(sequence >= era.first_ledger)
    assume(era.ledger_end is None or sequence <= era.ledger_end)
    partition = era.partition_at(sequence)
    assert sequence in partition
    assert len(partition) <= era.partition_size
    assert era.partition_at(partition.start) == era.partition_at(partition.end) == partition
    if partition.start > era.first_ledger:
        assert (partition.start - era.ledger_start) % era.partition_size == 0


@given(eras(), st.integers(0, 900), st.data())
def test_count_equals_what_is_handed_out(era: Era, last: int, data: st.DataObject) -> None:
    whole = list(era.partitions(era.first_ledger, last))
    committed = whole[: data.draw(st.integers(0, len(whole)))]
    rest = whole[len(committed) :]
    holes = tuple(p for p in rest if data.draw(st.booleans()))
    plan = EraPlan(era, next_ledger(era, committed, holes), holes)
    handed = list(plan.partitions(last))
    assert plan.count(last) == (len(handed), sum(map(len, handed)))
    assert not set(handed) & set(holes)


@given(eras(), st.integers(0, 900))
def test_handing_out_one_by_one_is_the_list(era: Era, last: int) -> None:
    plan = EraPlan(era, era.first_ledger, ())
    wanted = list(plan.partitions(last))
    taken = []
    while (partition := next(iter(plan.partitions(last)), None)) is not None:
        taken.append(partition)
        plan = plan.without(partition)
    assert taken == wanted
    if era.ledger_end is not None and last >= era.ledger_end:
        assert plan.finished


@given(eras(), st.integers(0, 900))
def test_flush_adds_exactly_the_tail(era: Era, tip: int) -> None:
    plain = list(EraPlan(era, era.first_ledger, ()).partitions(tip))
    flushed = list(EraPlan(era, era.first_ledger, (), flush=True).partitions(tip))
    stop = tip if era.ledger_end is None else min(tip, era.ledger_end)
    assert flushed[: len(plain)] == plain
    covered = sum(map(len, flushed))
    assert covered == max(0, stop - era.first_ledger + 1)


@given(eras(), st.data())
def test_behind_a_flushed_tail_the_rest_of_the_block_follows(era: Era, data: st.DataObject) -> None:
    assume(era.ledger_end is None)
    tip = data.draw(st.integers(era.first_ledger, era.first_ledger + 200))
    tail = tail_partition(era, era.first_ledger, tip)
    assert tail is not None
    following = next(era.partitions(tail.end + 1, tail.end + 10_000))
    assert following.start == tail.end + 1
    assert following.end == era.partition_at(following.start).end


def test_repair_hands_out_holes_alone() -> None:
    era = Era("net", "era", "v1", 2, 101, 10)
    holes = (LedgerRange(12, 21), LedgerRange(52, 61))
    plan = EraPlan(era, 102, holes, repair=True)
    assert list(plan.partitions(200)) == list(holes)
    assert list(plan.partitions(30)) == [holes[0]]
    assert plan.without(holes[0]).without(holes[1]).finished


@pytest.mark.parametrize(
    ("texts", "expected"),
    [([], []), (["2-3", "4-9"], ["2-9"]), (["4-9", "2-3", "11-12"], ["2-9", "11-12"])],
)
def test_merged(texts: list[str], expected: list[str]) -> None:
    assert merged(LedgerRange.parse(t) for t in texts) == expected


@pytest.mark.parametrize("text", ["", "5", "5-", "-5", "6-5", "+1-2", "1-²", "0x1-2", "1-2-3"])
def test_ranges_are_read_strictly(text: str) -> None:
    with pytest.raises(ValueError):
        LedgerRange.parse(text)
