"""The run as a value folded from its records."""

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
    PartitionFailed,
    PartitionQuarantined,
    StateChanged,
)
from bronze_tui.headless.final import final_json, final_text
from bronze_tui.headless.lines import log_line
from bronze_tui.headless.progress import frame
from bronze_tui.headless.summary import KEPT_ALERTS, advance, summarise

Records = list[dict[str, Any]]
MakeRecords = Callable[[list[Any]], Records]
KEY = "testnet/era/v1"


def test_half_a_run(half: Records) -> None:
    state = summarise(half)
    assert (state.run_id, state.state, state.limited_by) == ("7f3a", "running", "decode")
    assert (state.partitions_before, state.partitions_committed, state.partitions_total) == (
        1,
        1,
        4,
    )
    assert [(p.partition, p.ledgers, p.ledgers_total, p.attempt) for p in state.in_flight] == [
        ("22-31", 5, 10, 1),
        ("32-41", 0, 10, 2),
    ]
    assert [n.level for n in state.notices] == ["warn", "warn"]
    assert (state.retries, state.warnings, state.errors) == (1, 2, 0)
    assert (state.head, state.events, state.last_committed_ledger) == ("cd" * 32, 2, 21)
    assert state.fraction == pytest.approx(0.5)
    assert state.eta_seconds == pytest.approx(3.0)
    assert state.seconds == pytest.approx(12.0)


def test_the_engines_eta_wins_and_none_is_told_when_paused(
    half: Records, make_records: MakeRecords, make_throughput: Callable[..., Any]
) -> None:
    told = make_records([make_throughput(eta_seconds=77.0)])
    assert advance(summarise(half), told[0]).eta_seconds == 77.0
    paused = make_records([make_throughput(eta_seconds=77.0), StateChanged("paused", "ctl")])
    assert summarise([*half, *paused]).eta_seconds is None


def test_fraction_by_ledgers_when_bytes_are_unknown(half: Records) -> None:
    half[0]["bytes_expected"] = None
    assert summarise(half).fraction == pytest.approx(25 / 40)
    half[0]["ledgers_total"] = None
    assert summarise(half).fraction is None


def test_fraction_moves_between_the_engines_totals(half: Records) -> None:
    assert summarise(half[:4]).fraction == 0.0
    assert summarise(half[:5]).fraction == pytest.approx(5 / 30)
    assert summarise(half[:6]).fraction == pytest.approx(15 / 30)
    assert summarise(half[:7]).fraction == pytest.approx(15 / 30)


def test_the_end_has_the_engines_totals(whole: Records) -> None:
    state = summarise(whole)
    assert (state.state, state.fraction, state.in_flight) == ("done", 1.0, ())
    assert (state.ledgers, state.partitions_committed, state.seconds) == (30, 3, 6.0)
    assert state.head == "ab" * 32


def test_failures_and_holes(half: Records, make_records: MakeRecords) -> None:
    failed = PartitionFailed(KEY, "22-31", "bad hash", "LinkError", "look at the lake", True)
    hole = PartitionQuarantined(KEY, "32-41", "gone")
    state = summarise([*half, *make_records([failed, hole])])
    assert (state.partitions_failed, state.partitions_quarantined, state.errors) == (1, 1, 2)
    assert state.state == "halted"
    assert state.in_flight == ()
    assert state.notices[-2].todo == "look at the lake"


def test_what_was_said_before_the_start_stays_and_a_new_run_begins_empty(
    half: Records, make_records: MakeRecords
) -> None:
    early = make_records([Alert("warn", "config", "early"), Coverage(KEY, ["2-11"], [], "aa", 1)])
    assert summarise([*early, half[0]]).head == "aa"
    assert summarise([*early, half[0]]).last_committed_ledger == 11
    state = summarise([*early, *half])
    assert state.notices[0].message == "early"
    assert summarise([*half, *half]).partitions_committed == 1


def test_alerts_are_bounded(make_records: MakeRecords) -> None:
    state = summarise(make_records([Alert("info", "x", str(n)) for n in range(100)]))
    assert len(state.notices) == KEPT_ALERTS
    assert state.notices[-1].message == "99"


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
    state = summarise(records)
    console = Console(file=io.StringIO(), width=80, height=24)
    console.print(frame(state, 24))
    assert final_text(state)
    json.dumps(final_json(state))
    for record in records:
        line = log_line(record)
        assert line is None or (line.text() and json.loads(line.json()))
