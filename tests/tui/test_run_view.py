"""The reducer: spans against a set, exact totals, nothing malformed raises."""

from __future__ import annotations

import itertools
from typing import Any

import journals
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bronze_tui.domain.events import KINDS, Requests, to_record
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.journal import run_figures
from bronze_tui.journal.run_view import KEPT_LOG, KEPT_NOTICES, KEPT_PARTITIONS, view_of
from bronze_tui.journal.spans import Spans
from bronze_tui.journal.verdict import judge
from bronze_tui.journal.views import STAGES
from bronze_tui.tui.widgets.coverage import Territory, draw_map, territory

LAND = Territory(LedgerRange(2, 99), 10, 0, Spans())
LEDGERS = st.integers(0, 60)
RANGES = st.tuples(LEDGERS, st.integers(0, 12)).map(lambda p: LedgerRange(p[0], p[0] + p[1]))


@given(st.lists(RANGES, max_size=25), RANGES)
def test_spans_are_the_set_of_their_ledgers(added: list[LedgerRange], asked: LedgerRange) -> None:
    spans, model = Spans(), set()
    for span in added:
        spans.add(span)
        model |= set(range(span.start, span.end + 1))
    held = [n for span in spans for n in range(span.start, span.end + 1)]
    assert held == sorted(model)
    assert spans.ledgers == len(model)
    assert spans.last_end == max(model, default=-1)
    # Merged: no two spans touch.
    ends = list(spans)
    assert all(a.end + 1 < b.start for a, b in itertools.pairwise(ends))
    wanted = set(range(asked.start, asked.end + 1))
    assert spans.covered(asked.start, asked.end) == len(model & wanted)
    gaps = [n for gap in spans.gaps(asked.start, asked.end) for n in range(gap.start, gap.end + 1)]
    assert gaps == sorted(wanted - model)


EVENT = st.tuples(st.sampled_from(["begin", "progress", "finish", "commit"]), st.integers(0, 30))


@settings(max_examples=60)
@given(st.lists(EVENT, max_size=120))
def test_totals_are_exact_after_any_stream(stream: list[tuple[str, int]]) -> None:
    tape = journals.Tape(size=100)
    tape.start(30)
    committed: dict[int, int] = {}
    for what, number in stream:
        if number in committed:
            continue
        if what == "progress":
            tape.progress(number, 0.5)
        elif what == "commit":
            tape.commit(number)
            committed[number] = tape.rows(number)
        else:
            getattr(tape, what)(number)
    view = view_of(tape.records)
    assert view.partitions_committed == len(committed)
    assert view.ledgers_committed == sum(committed.values())
    assert sum(c.committed.ledgers for c in view.chains.values()) == sum(committed.values())
    assert view.logged == len(tape.records)
    shown = {k for k, v in view.partitions.items() if v.state == "committed"}
    assert shown == {f"{journals.KEY}/{tape.partition(n)}" for n in committed}
    assert all(view.partitions[key].rows > 0 for key in shown)
    span = run_figures.span(view)
    assert span is not None
    assert run_figures.fraction(view) == pytest.approx(sum(committed.values()) / len(span))
    assert {v.key for v in run_figures.in_flight(view)}.isdisjoint(shown)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=3), SCALARS)
SAMPLES = {r["kind"]: r for r in [*journals.running(seconds=30), *journals.stalled()]}
SAMPLES |= {r["kind"]: r for r in [*journals.holes(), *journals.halted(), *journals.at_tip()]}
SAMPLES |= {r["kind"]: r for r in journals.delivering()}
_REQUESTS = Requests("store", 9, 2, 5, 1, 1, 0, 0, 4096, 8192, 1, 0)
SAMPLES["requests"] = SAMPLES["throughput"] | to_record(_REQUESTS)


def broken(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """A sound record of a kind with fields replaced or left out."""
    names = sorted(SAMPLES[kind])
    replaced = st.dictionaries(st.sampled_from(names), JSON, min_size=1, max_size=2)
    dropped = st.sets(st.sampled_from(names), max_size=2)
    return st.tuples(replaced, dropped).map(
        lambda both: {k: v for k, v in (SAMPLES[kind] | both[0]).items() if k not in both[1]}
    )


def test_deliveries_are_counted_and_the_newest_figures_kept() -> None:
    view = view_of(journals.delivering())
    assert view.events_delivered == 12
    assert (view.outbox["state"], view.outbox["waiting"], view.outbox["parked"]) == ("parked", 8, 1)


def test_there_is_a_sample_of_each_kind() -> None:
    assert set(SAMPLES) == set(KINDS)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(sorted(SAMPLES)).flatmap(broken), max_size=6))
def test_malformed_records_never_raise(records: list[dict[str, Any]]) -> None:
    tape = journals.Tape(size=10)
    tape.start(5)
    view = view_of(tape.records)
    for record in records:
        view.apply(record)
    judge(view, view.time + 1)
    run_figures.span(view)
    run_figures.fraction(view)
    run_figures.eta_seconds(view)
    run_figures.elapsed(view)
    draw_map(territory(view, []) or LAND, 60, 5)
    assert view.logged >= 1


def test_a_malformed_record_stays_in_the_log() -> None:
    view = view_of([{"kind": "partition_committed", "partition": "9-1", "chain_key": "k"}])
    assert view.partitions_committed == 0
    assert len(view.log) == 1


def test_a_new_run_forgets_the_old_one() -> None:
    view = view_of(journals.halted())
    fresh = journals.Tape(run="another", at=journals.end_of(journals.halted()) + 60)
    fresh.start(10, 2)
    for record in fresh.records:
        view.apply(record)
    assert view.run_id == "another"
    assert view.finished is None
    assert not view.notices
    assert not view.partitions


def test_changes_are_told_once() -> None:
    view = view_of(journals.running(seconds=30))
    changed = view.take_changed()
    assert changed == set(view.partitions)
    assert not view.take_changed()
    view.apply(journals.running(seconds=30)[-1])
    assert len(view.take_changed()) == 1


def test_log_and_notices_are_bounded() -> None:
    tape = journals.Tape()
    tape.start(10)
    for _ in range(KEPT_LOG + 50):
        tape.say(journals.Alert("warn", "x", "y"), 0.001)
    view = view_of(tape.records)
    assert len(view.log) == KEPT_LOG
    assert len(view.notices) == KEPT_NOTICES
    assert view.warnings == KEPT_LOG + 50
    assert view.logged == len(tape.records)


def test_stage_shares_are_of_the_whole() -> None:
    view = view_of(journals.running(seconds=5))
    assert sum(view.stages[name].share for name in STAGES) == pytest.approx(1.0)


def test_six_thousand_partitions_have_exact_totals() -> None:
    view = view_of(journals.large())
    assert view.partitions_committed == 6_000
    assert len(view.partitions) == 6_000
    assert run_figures.fraction(view) == 1.0
    assert view.chains[journals.KEY].events == 6_000


def test_partitions_that_nobody_commits_are_bounded_too() -> None:
    tape = journals.Tape(size=10)
    tape.start(KEPT_PARTITIONS)
    tape.commit(0)
    for number in range(1, KEPT_PARTITIONS + 2):
        tape.begin(number)
    view = view_of(tape.records)
    assert len(view.partitions) <= KEPT_PARTITIONS
    assert f"{journals.KEY}/{tape.partition(0)}" not in view.partitions
    assert f"{journals.KEY}/{tape.partition(KEPT_PARTITIONS + 1)}" in view.partitions
    assert view.chains[journals.KEY].committed.ledgers == tape.rows(0)


@pytest.mark.parametrize(
    ("field", "value"), [("ledger_start", -1), ("source_tip", 1 << 40), ("ledger_end", 1 << 33)]
)
def test_a_start_with_impossible_ledgers_starts_nothing(field: str, value: int) -> None:
    tape = journals.Tape(size=10)
    tape.start(5)
    view = view_of([tape.records[0] | {field: value}])
    assert view.started_at is None
    assert run_figures.span(view) is None


def test_an_event_linked_before_its_commit_is_told_is_not_lost() -> None:
    """What a crash left in the outbox is filed first, at the next start."""
    tape = journals.Tape()
    tape.start(9)
    tape.begin(0)
    tape.commit(0)
    records = tape.records
    commit = next(i for i, r in enumerate(records) if r["kind"] == "partition_committed")
    linked = next(i for i, r in enumerate(records) if r["kind"] == "event_linked")
    early = [r for r in records[:commit] if not r["kind"].startswith("partition_")]
    view = view_of([*early, records[linked], records[commit]])
    (partition,) = view.partitions.values()
    assert partition.event == records[linked]["chain_seq"] + 1
    assert partition.event_hash == records[linked]["event_hash"]
