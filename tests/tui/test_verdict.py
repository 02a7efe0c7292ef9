"""Every verdict rule as a table over journals."""

from __future__ import annotations

from typing import Any

import pytest

from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import WORDS, Circumstances, Verdict, clock, judge

KEY = "net/era/v1"


def started(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "run_started",
        "chain_keys": [KEY],
        "ledger_start": 2,
        "ledger_end": 1001,
        "source_tip": 2000,
        "workers": 2,
        **changes,
    }


def committed(start: int) -> dict[str, Any]:
    return {
        "kind": "partition_committed",
        "chain_key": KEY,
        "partition": f"{start}-{start + 9}",
        "rows": 10,
        "checksum": "sha256:0",
        "parquet_bytes": 1,
        "last_ledger": start + 9,
        "seconds": 0.1,
        "recovered": False,
    }


def throughput(rate: float, state: str = "running") -> dict[str, Any]:
    return {
        "kind": "throughput",
        "ledgers_per_second": rate,
        "xdr_bytes_per_second": rate,
        "source_bytes_per_second": rate,
        "state": state,
        "limited_by": "source",
        "eta_seconds": 5.0,
    }


def view(*records: tuple[float, dict[str, Any]]) -> RunView:
    made = RunView()
    for seq, (time, record) in enumerate(records):
        made.apply({"seq": seq, "time": time, "run": "r", **record})
    return made


def steady(until: int, rate: float = 100.0, first: int = 1) -> list[tuple[float, dict[str, Any]]]:
    return [(float(t), throughput(rate)) for t in range(first, until)]


FAILED = {
    "kind": "partition_failed",
    "chain_key": KEY,
    "partition": "12-21",
    "error": "key: ledger 15 is missing",
    "error_type": "GapError",
    "todo": "fill the gap",
    "halts": True,
}
FINISHED = {"kind": "run_finished", "exit_code": 0, "outcome": "done", "message": "m", "seconds": 9}
CHANGED = {"kind": "state_changed", "by": "control socket", "detail": ""}

CASES: list[tuple[str, RunView, float, Circumstances]] = [
    ("STARTING", view(), 0, Circumstances()),
    ("RUNNING", view((0, started()), (1, throughput(50))), 2, Circumstances()),
    ("GONE", view((0, started()), (1, throughput(50))), 12, Circumstances()),
    ("GONE", view((0, started()), (1, throughput(50))), 2, Circumstances(engine_alive=False)),
    ("RUNNING", view((0, started()), (1, throughput(50))), 12, Circumstances(recorded=True)),
    ("CHAIN BROKEN", view((0, started())), 1, Circumstances(chain_broken="fork at #3")),
    ("HALTED", view((0, started()), (1, FAILED)), 2, Circumstances()),
    (
        "FAILED",
        view((0, started()), (1, FINISHED | {"outcome": "failed", "exit_code": 1})),
        2,
        Circumstances(),
    ),
    (
        "STALLED",
        view((0, started()), *((t, committed(2 + t)) for t in (10, 20, 30)), (95, throughput(0))),
        96,
        Circumstances(),
    ),
    ("STALLED", view((0, started()), (61, throughput(0))), 62, Circumstances()),
    ("RUNNING", view((0, started()), (61, throughput(9))), 62, Circumstances()),
    (
        "SLOW",
        view((0, started()), *steady(400), *steady(461, 10.0, 400), (461, committed(2))),
        461,
        Circumstances(),
    ),
    ("PAUSED", view((0, started()), (1, CHANGED | {"state": "paused"})), 2, Circumstances()),
    ("DRAINING", view((0, started()), (1, CHANGED | {"state": "draining"})), 2, Circumstances()),
    ("STOPPING", view((0, started()), (1, CHANGED | {"state": "stopping"})), 2, Circumstances()),
    ("STOPPED", view((0, started()), (1, FINISHED | {"outcome": "drained"})), 2, Circumstances()),
    ("AT TIP", view((0, started()), (1, CHANGED | {"state": "at_tip"})), 2, Circumstances()),
    ("DONE", view((0, started()), (1, committed(2)), (2, FINISHED)), 99, Circumstances()),
]


@pytest.mark.parametrize(("word", "run", "now", "about"), CASES, ids=[c[0] for c in CASES])
def test_rules(word: str, run: RunView, now: float, about: Circumstances) -> None:
    verdict = judge(run, now, about)
    assert verdict.word == word
    assert verdict.evidence
    assert verdict.next_step


def test_every_word_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(WORDS)


def test_a_halt_names_partition_reason_and_remedy() -> None:
    verdict = judge(view((0, started()), (5, FAILED)), 6)
    assert verdict == Verdict(
        "HALTED", 5.0, "partition 12-21: key: ledger 15 is missing", "fill the gap"
    )


def test_a_stall_says_since_when_and_what_is_usual() -> None:
    run = view((0, started()), *((t, committed(2 + t)) for t in (10, 22, 34)), (99, throughput(0)))
    verdict = judge(run, 100)
    assert verdict.since == 34
    assert verdict.evidence == "nothing committed for 0:01:06 (usual 0:00:12); stage source"


def test_a_stall_is_over_with_the_next_commit() -> None:
    run = view((0, started()), *((t, committed(2 + t)) for t in (10, 20, 30)), (99, committed(60)))
    assert judge(run, 99).word == "RUNNING"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0:00:00"), (461, "0:07:41"), (90_061, "1 d 1:01:01"), (-5, "0:00:00")],
)
def test_clock(seconds: float | None, text: str) -> None:
    assert clock(seconds) == text


def outbox(state: str, waiting: int, parked: int = 0) -> dict[str, Any]:
    return {
        "kind": "outbox_figures",
        "state": state,
        "waiting": waiting,
        "parked": parked,
        "delivered": 0,
        "oldest_seconds": 75.0,
        "detail": "",
    }


@pytest.mark.parametrize(
    ("figures", "evidence", "step"),
    [
        (outbox("delivering", 3), "", "nothing to do"),
        (outbox("failing", 0), "", "nothing to do"),
        (outbox("failing", 1), "1 audit event waits (oldest 0:01:15), delivery is failing", ""),
        (outbox("parked", 3, 1), "3 audit events wait (oldest 0:01:15), 1 parked", "pas status"),
    ],
)
def test_events_that_do_not_go_out_are_evidence(
    figures: dict[str, Any], evidence: str, step: str
) -> None:
    running = view((0, started()), *steady(30), (31, figures))
    verdict = judge(running, 31)
    assert verdict.word == "RUNNING"
    assert evidence in verdict.evidence
    assert step in verdict.next_step
    assert ("audit event" in verdict.evidence) == bool(evidence)


@pytest.mark.parametrize("word", ["done", "at_tip"])
def test_a_finished_run_says_what_is_left(word: str) -> None:
    end = {"kind": "run_finished", "outcome": word, "exit_code": 0, "message": "m", "seconds": 1.0}
    over = view((0, started()), *steady(30), (31, outbox("idle", 2)), (32, end))
    verdict = judge(over, 32)
    assert "2 audit events wait" in verdict.evidence
    assert "bronze pas deliver" in verdict.next_step
