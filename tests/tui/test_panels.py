"""Coverage map, figures, rates and the digest, without a screen."""

from __future__ import annotations

import itertools
from typing import Any

import journals
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.journal import run_figures
from bronze_tui.journal.run_view import RunView, view_of
from bronze_tui.journal.spans import Spans
from bronze_tui.journal.verdict import WORDS
from bronze_tui.tui.screens.notes import RULES
from bronze_tui.tui.widgets import figures
from bronze_tui.tui.widgets.bigword import big
from bronze_tui.tui.widgets.coverage import Territory, cells, draw_map, draw_strip, tally
from bronze_tui.tui.widgets.digest import Digester, digest
from bronze_tui.tui.widgets.panels import checkpoint, outbox, stage_times, workers
from bronze_tui.tui.widgets.throughput import axis, draw_curve, rates

# The coverage map, without a screen.


def land(total: int, *, done: int = 0, size: int = 10, **changes: Any) -> Territory:
    committed = Spans()
    if done:
        committed.add(LedgerRange(0, done * size - 1))
    values = {"span": LedgerRange(0, total * size - 1), "partition_size": size, "origin": 0}
    return Territory(**{**values, "committed": committed, **changes})  # type: ignore[arg-type]


def at(number: int, size: int = 10) -> LedgerRange:
    return LedgerRange(number * size, number * size + size - 1)


def test_every_partition_is_a_cell_when_it_fits() -> None:
    made = cells(
        land(8, done=3, marks=((at(3), "held"), (at(4), "building"), (at(5), "retrying"))), 8
    )
    assert made == ["committed"] * 3 + ["held", "building", "retrying", "todo", "todo"]


@pytest.mark.parametrize("state", ["failed", "hole", "held", "building", "retrying"])
def test_the_worst_of_a_bucket_wins(state: str) -> None:
    made = cells(land(1_000, done=1_000, marks=((at(517), state),)), 10)
    assert made[5] == state
    assert made[:5] + made[6:] == ["committed"] * 9


def test_failed_beats_hole_beats_gap_beats_held_beats_building() -> None:
    order = ["failed", "hole", "retrying", "held", "building"]
    for worse, better in itertools.pairwise(order):
        marks = ((at(1), better), (at(2), worse))
        assert cells(land(10, done=0, marks=marks), 1) == [worse]


def test_a_gap_behind_committed_ledgers_is_missing_and_what_comes_is_not() -> None:
    committed = Spans()
    committed.add(LedgerRange(0, 399))
    committed.add(LedgerRange(410, 599))
    made = cells(land(100, committed=committed, marks=((at(41), "building"),)), 10)
    assert made[4] == "missing"
    assert made[5] == "committed"
    assert set(made[6:]) == {"todo"}


def test_a_hole_that_was_filled_is_committed() -> None:
    assert cells(land(10, done=10, holes=(at(4),)), 10) == ["committed"] * 10
    made = cells(land(10, done=3, holes=(at(1), at(5))), 10)
    assert made[5] == "hole"
    assert made[1] == "committed"


def test_a_hole_under_repair_shows_the_work() -> None:
    assert cells(land(6, done=2, holes=(at(3),), marks=((at(3), "building"),)), 6)[3] == "building"


def test_an_era_from_one_has_its_first_ledger_at_two() -> None:
    tape = journals.Tape(size=64)
    tape.start(9)
    tape.begin(0)
    tape.commit(0)
    tape.begin(1)
    view = view_of(tape.records)
    made = digest(view)
    assert made.land is not None
    assert made.land.total == 10
    assert made.land.done() == 1
    assert cells(made.land, 10)[:3] == ["committed", "building", "todo"]


@given(
    st.integers(1, 400),
    st.integers(1, 120),
    st.lists(st.tuples(st.integers(0, 399), st.sampled_from(["failed", "hole", "held"]))),
)
def test_no_bad_partition_is_ever_hidden(total: int, most: int, bad: list[tuple[int, str]]) -> None:
    marks = tuple((at(n), state) for n, state in dict(bad).items() if n < total)
    made = cells(land(total, done=total, marks=marks), most)
    assert len(made) == min(total, most)
    rank = ["committed", "held", "hole", "failed"]
    for cell, state in enumerate(made):
        first, last = cell * total // len(made), (cell + 1) * total // len(made) - 1
        inside = [s for p, s in marks if first <= p.start // 10 <= last]
        assert state == max(inside, key=rank.index, default="committed")


@given(st.lists(st.integers(0, 99), max_size=60), st.integers(1, 25))
def test_done_counts_whole_partitions(numbers: list[int], size: int) -> None:
    committed = Spans()
    for number in numbers:
        committed.add(LedgerRange(number, number))
    whole = Territory(LedgerRange(2, 99), size, 0, committed)
    covered = set(numbers)
    model = 0
    for start in range(0, 100, size):
        partition = [n for n in range(start, start + size) if 2 <= n <= 99]
        model += bool(partition) and covered.issuperset(partition)
    assert whole.done() == model
    assert tally(whole)["committed"] == model


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (5, 1), (23, 3), (24, 2), (70, 7), (190, 20)]
)
@pytest.mark.parametrize("total", [1, 7, 60, 6_000])
def test_maps_fit_their_room(width: int, height: int, total: int) -> None:
    one = land(total, done=total // 2)
    for draw in (draw_map, draw_strip):
        rows = draw(one, width, height).plain.split("\n")
        assert len(rows) <= height
        assert all(len(row) <= width for row in rows)


# Figures.


def test_figures_are_grouped_and_short() -> None:
    assert figures.count(59_959_999) == "59,959,999"
    assert figures.rate(3.14159) == "3.1"
    assert figures.size(1536) == "1.5 KiB"
    assert figures.short_hash("sha256:" + "ab12" + "0" * 58 + "9f") == "ab12..9f"
    assert figures.short_hash("") == "-"
    assert figures.hms(journals.T0) == "00:00:00Z"
    assert figures.hms(1e300) == "-"
    assert figures.bar(0.5, 4) == "██  "
    assert figures.bar(7.0, 4) == "████"


def test_every_verdict_has_a_picture_and_a_rule() -> None:
    for word in WORDS:
        rows = big(word)
        assert rows is not None
        assert len({len(row) for row in rows}) == 1
        assert RULES[word]
    assert big("Ω") is None


def test_rates_are_means_and_the_peak_is_a_sample() -> None:
    tape = journals.Tape()
    tape.start(10)
    for second in range(1, 121):
        tape.at = journals.T0 + second
        tape.figures(100.0 if second <= 60 else 300.0)
    found = rates(view_of(tape.records), "ledgers", 120.0, 2)
    assert found.curve == (pytest.approx(103, abs=5), pytest.approx(300))
    assert found.now == 300
    assert found.peak == 300
    assert found.quarter == pytest.approx(200)
    mega = rates(view_of(tape.records), "bytes", 120.0, 2)
    assert mega.now == pytest.approx(300 * 0.37)


def test_a_curve_has_the_rows_asked_for() -> None:
    rows = draw_curve((None, 0.0, 5.0, 10.0), 2).plain.split("\n")
    assert rows == ["   █", " ▁██"]


def test_the_digest_is_made_once_a_revision() -> None:
    view, digester = view_of(journals.running(seconds=30)), Digester()
    assert digester.take(view) is digester.take(view)
    before = digester.take(view)
    view.apply(journals.running(seconds=30)[-1])
    assert digester.take(view) is not before


def test_the_digest_counts_what_is_not_announced() -> None:
    tape = journals.Tape()
    tape.start(9)
    for number, link in ((0, True), (1, False), (2, True)):
        tape.begin(number)
        tape.commit(number, link=link)
    tape.begin(3)
    made = digest(view_of(tape.records))
    assert made.unlinked == 1
    assert [v.partition.start for v in made.recent] == [20_000, 10_000, 2]
    assert [v.partition.start for v in made.in_flight] == [30_000]


def outbox_row(records: list[journals.Record]) -> str:
    view = view_of(records)
    return str(outbox(view, digest(view)))


def test_the_outbox_has_commits_without_a_durable_event() -> None:
    tape = journals.Tape()
    tape.start(9)
    for number, link in ((0, True), (1, False), (2, False)):
        tape.begin(number)
        tape.commit(number, link=link)
    assert outbox_row(tape.records) == "2 to file"
    assert outbox_row(tape.records[:-2]) != "empty"
    assert outbox_row(journals.done()) == "empty"


def test_the_outbox_has_what_the_endpoint_did_not_take() -> None:
    records = journals.delivering()
    states = [n for n, r in enumerate(records) if r["kind"] == "outbox_figures"]
    assert outbox_row(records[: states[0] + 1]) == "8 to deliver, failing"
    assert outbox_row(records[: states[1] + 1]) == "8 wait, 1 parked"
    empty = {**records[states[1]], "state": "idle", "waiting": 0, "parked": 0}
    assert outbox_row([*records, empty]) == "empty, 12 delivered"


def test_the_checkpoint_has_an_age() -> None:
    view = view_of(journals.running(seconds=30))
    last = run_figures.last_commit(view)
    assert last is not None
    ends = [chain.committed.last_end for chain in view.chains.values()]
    assert checkpoint(view, last + 61) == f"{max(ends):,}  0:01:01 ago"
    assert checkpoint(RunView(), 0.0) == "nothing committed"


def test_every_worker_has_a_row_until_the_run_is_over() -> None:
    view = view_of(journals.running(seconds=30))
    rows = {name: str(doing) for name, doing in workers(view, ended=False)}
    at_work = {v.worker: v for v in run_figures.in_flight(view) if v.worker is not None}
    assert len(rows) >= len(at_work) > 0
    for worker, partition in at_work.items():
        assert str(partition.partition) in rows[f"worker {worker}"]
    assert workers(view, ended=True) == []


def test_a_run_that_is_over_shows_where_its_time_went() -> None:
    view = view_of(journals.running(seconds=30))
    last = {name: seconds for name, _, seconds in stage_times(view, ended=False)}
    whole = stage_times(view, ended=True)
    assert sum(share for _, share, _ in whole) == pytest.approx(1.0)
    assert sum(seconds for _, _, seconds in whole) > sum(last.values())


def test_broad_cells_are_tiles_and_narrow_ones_squares() -> None:
    assert "▇▇" in draw_map(land(8, done=3), 80, 4).plain
    assert "■" not in draw_map(land(8, done=3), 80, 4).plain
    assert "■" in draw_map(land(2_000, done=900), 80, 4).plain


def test_the_axis_says_how_long_ago_its_edges_are() -> None:
    assert axis(60.0, 40).plain.startswith("-0:01:00")
    assert axis(60.0, 40).plain.endswith("now")
    assert "-0:00:30" in axis(60.0, 40).plain
    assert len(axis(60.0, 40, "end").plain) == 40
