"""What is computed of a run: each number once, from records as the engine writes them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bronze_tui.domain.events import (
    KINDS,
    Alert,
    Coverage,
    EventLinked,
    PartitionCommitted,
    PartitionFailed,
    PartitionQuarantined,
    PartitionRetried,
    StateChanged,
    to_record,
)
from bronze_tui.headless.final import final_json, final_text
from bronze_tui.headless.lines import log_line
from bronze_tui.headless.progress import frame
from bronze_tui.journal import run_figures as figures
from bronze_tui.journal.run_view import KEPT_NOTICES, RunView, view_of
from bronze_tui.journal.verdict import judge

Records = list[dict[str, Any]]
MakeRecords = Callable[[list[Any]], Records]
KEY = "testnet/era/v1"
LATER = "testnet/later/v1"


def test_half_a_run(half: Records) -> None:
    view = view_of(half)
    assert (view.run_id, view.engine_state, figures.limited_by(view)) == (
        "7f3a",
        "running",
        "decode",
    )
    assert (view.partitions_committed, figures.partitions_done(view)) == (1, 2)
    assert [
        (str(p.partition), p.ledgers, len(p.partition), p.attempt) for p in figures.in_flight(view)
    ] == [("22-31", 5, 10, 1), ("32-41", 0, 10, 2)]
    assert [n.level for n in view.notices] == ["warn", "warn"]
    assert (view.retries, view.warnings, view.errors) == (1, 2, 0)
    assert (figures.head(view), figures.events(view)) == ("cd" * 32, 2)
    assert figures.last_committed_ledger(view) == 21
    assert figures.fraction(view) == pytest.approx(0.5)
    assert figures.eta_seconds(view) == pytest.approx(3.0)
    assert figures.elapsed(view) == pytest.approx(12.0)
    assert (figures.ledgers(view), figures.source_bytes(view)) == (15, 15 << 20)
    assert (figures.workers(view), figures.resident_bytes(view)) == (2, 300 << 20)


def test_the_eta_is_the_engines_or_none(
    half: Records, make_records: MakeRecords, make_throughput: Callable[..., Any]
) -> None:
    def eta(*events: Any) -> float | None:
        return figures.eta_seconds(view_of([*half, *make_records(list(events))]))

    told = make_throughput(eta_seconds=77.0)
    assert eta(told) == 77.0
    assert eta(make_throughput(eta_seconds=None)) is None
    for state in ("paused", "draining", "stopping", "at_tip"):
        assert eta(told, StateChanged(state, "ctl")) is None


def test_only_what_is_committed_is_done(half: Records) -> None:
    assert figures.fraction(view_of(half[:1])) == 0.0
    assert figures.fraction(view_of(half[:2])) == pytest.approx(10 / 40)
    assert figures.fraction(view_of(half[:6])) == pytest.approx(10 / 40)
    assert figures.fraction(view_of(half[:7])) == pytest.approx(20 / 40)


def test_the_fraction_needs_an_end(half: Records) -> None:
    half[0]["ledger_end"] = None
    half[0]["source_tip"] = 21
    assert figures.fraction(view_of(half)) == 1.0
    half[0]["source_tip"] = None
    assert figures.fraction(view_of(half)) is None


def test_the_end_has_the_engines_totals(whole: Records) -> None:
    view = view_of(whole)
    assert (view.engine_state, figures.fraction(view)) == ("done", 1.0)
    assert (figures.ledgers(view), view.ledgers_committed, view.partitions_committed) == (30, 30, 3)
    assert (figures.elapsed(view), figures.overall_rate(view)) == (6.0, 5.0)
    assert (view.parquet_bytes, view.retries) == (33 << 20, 1)
    assert figures.last_committed_ledger(view) == 41
    assert figures.head(view) == "ab" * 32


def test_failures_and_holes(half: Records, make_records: MakeRecords) -> None:
    failed = PartitionFailed(KEY, "22-31", "bad hash", "LinkError", "look at the lake", True)
    hole = PartitionQuarantined(KEY, "32-41", "gone")
    view = view_of([*half, *make_records([failed, hole])])
    assert (view.partitions_failed, view.partitions_quarantined, view.errors) == (1, 1, 2)
    assert view.engine_state == "halted"
    assert figures.in_flight(view) == []
    assert [(n.text, n.todo) for n in list(view.notices)[-2:]] == [
        ("partition 22-31: bad hash", "look at the lake"),
        ("partition 32-41: declared a hole: gone", "fill it later with 'bronze run --repair'"),
    ]


def test_a_partition_that_waits_for_its_retry_is_in_flight(
    half: Records, make_records: MakeRecords
) -> None:
    retried = make_records([PartitionRetried(KEY, "22-31", 1, 5, 8.0, "503")])
    view = view_of([*half, *retried])
    assert [p.state for p in figures.in_flight(view)] == ["retrying", "building"]
    out = io.StringIO()
    Console(file=out, width=80, height=24).print(frame(view, 24))
    assert "to retry" in out.getvalue()


def test_a_stop_leaves_partitions_unfinished(
    half: Records, make_finished: Callable[..., Any]
) -> None:
    end = {"time": half[-1]["time"] + 1, **to_record(make_finished(outcome="stopped"))}
    verdict = judge(view_of([*half, end]), end["time"])
    assert (verdict.word, verdict.evidence) == (
        "STOPPED",
        "by engine; 2 partitions left unfinished",
    )


def test_what_was_said_before_the_start_stays_and_a_new_run_begins_empty(
    half: Records, make_records: MakeRecords
) -> None:
    early = make_records([Alert("warn", "config", "early"), Coverage(KEY, ["2-11"], [], "aa", 1)])
    view = view_of([*early, half[0]])
    assert (figures.head(view), figures.last_committed_ledger(view)) == ("aa", 11)
    assert view_of([*early, *half]).notices[0].message == "early"
    twice = view_of([*half, *half])
    assert (twice.partitions_committed, twice.logged) == (1, 2 * len(half))


def test_what_opening_rolled_forward_is_not_this_runs_work(
    half: Records, make_records: MakeRecords
) -> None:
    """The engine counts it among ``partitions_done``; and its haste is no usual gap."""
    opening: list[Any] = [Coverage(KEY, [], [], "", 0)]
    for start in (100, 110, 120):
        text = f"{start}-{start + 9}"
        opening += [
            PartitionCommitted(KEY, text, 10, "sha256:1", 5, start + 9, 0.1, True),
            EventLinked(KEY, text, 0, "aa", "", True),
        ]
    view = view_of([*make_records(opening), half[0]])
    assert (view.partitions_committed, figures.partitions_done(view)) == (0, 1)
    assert (view.ledgers_committed, view.parquet_bytes) == (0, 0)
    assert (figures.usual_gap(view), figures.last_commit(view)) == (None, None)
    assert figures.last_committed_ledger(view) == 129


def test_an_era_without_events_does_not_hide_the_head(
    half: Records, make_records: MakeRecords
) -> None:
    coverage = [Coverage(KEY, ["2-11"], [], "aa", 1), Coverage(LATER, [], [], "", 0)]
    view = view_of([half[0], *make_records(coverage)])
    assert (figures.head(view), figures.last_committed_ledger(view)) == ("aa", 11)


def test_notices_are_bounded(make_records: MakeRecords) -> None:
    view = view_of(make_records([Alert("info", "x", str(n)) for n in range(KEPT_NOTICES + 9)]))
    assert len(view.notices) == KEPT_NOTICES
    assert view.notices[-1].message == str(KEPT_NOTICES + 8)


def state_of(view: RunView) -> dict[str, Any]:
    """All that steps change, without the records kept as they came."""
    kept = ("log", "logged", "revision", "time", "started", "throughput", "figures", "chains")
    chains = {
        key: (list(c.committed), list(c.holes), c.head, c.events, c.last_linked)
        for key, c in view.chains.items()
    }
    return {k: v for k, v in vars(view).items() if k not in kept} | {"chains": chains}


def test_a_record_that_lacks_a_field_is_applied_whole_or_not_at_all(
    half: Records, make_records: MakeRecords
) -> None:
    hole = PartitionQuarantined(KEY, "32-41", "gone")
    failed = PartitionFailed(KEY, "22-31", "bad hash", "LinkError", "look at the lake", True)
    events = make_records([failed, hole, StateChanged("paused", "ctl", "d")])
    mandatory = [r for r in half[1:] if r["kind"] != "alert"]
    for record in [*mandatory, *events]:
        untouched = state_of(view_of(half[:1]))
        whole = state_of(view_of([half[0], record]))
        for name in set(record) - {"kind", "seq", "time", "run"}:
            lacking = {k: v for k, v in record.items() if k != name}
            view = view_of([half[0], lacking])
            assert view.logged == 2
            assert state_of(view) in (untouched, whole), (record["kind"], name)


NUMBERS = st.one_of(st.integers(), st.floats(), st.integers(10**300, 10**400))
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.text(),
    st.sampled_from(["2-9", "10-19"]),
    st.lists(st.text()),
)
BY_TYPE = {
    "str": st.one_of(st.text(), st.sampled_from(["2-9", "10-19"])),
    "int": st.integers(-(2**63), 2**63),
    "float": st.floats(),
    "bool": st.booleans(),
    "list[str]": st.lists(st.text(), max_size=3),
}


@st.composite
def records_of_any_origin(draw: st.DrawFn) -> dict[str, Any]:
    """Right types as a rule, anything at times, so that both paths are walked."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    record: dict[str, Any] = {"kind": kind, "time": draw(NUMBERS)}
    for field in fields(KINDS[kind]):
        right = BY_TYPE[str(field.type).partition(" | ")[0]]
        record[field.name] = draw(ANYTHING if draw(st.integers(0, 40)) == 40 else right)
    return record


@given(st.lists(records_of_any_origin(), max_size=6))
def test_records_of_any_origin_can_be_folded_and_shown(records: Records) -> None:
    view = view_of(records)
    console = Console(file=io.StringIO(), width=80, height=24)
    console.print(frame(view, 24, judge(view, view.time + 1)))
    assert final_text(view)
    json.dumps(final_json(view))
    for record in records:
        line = log_line(record)
        assert line is None or (line.text() and json.loads(line.json()))
