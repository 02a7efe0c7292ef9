"""The verdict without screens: one line when the word changes, one under the bars."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from bronze_tui.headless.jsonl import JsonLinesSink
from bronze_tui.headless.progress import frame
from bronze_tui.headless.text import TextSink
from bronze_tui.headless.verdicts import VerdictWatch
from bronze_tui.journal.run_view import RunView, view_of

RUN = {"run": "r", "kind": "run_started", "chain_keys": ["n/e/v"], "ledger_start": 2}


def heartbeat(time: float) -> dict[str, Any]:
    return {
        "run": "r",
        "time": time,
        "kind": "throughput",
        "ledgers_per_second": 0.0,
        "xdr_bytes_per_second": 0.0,
        "source_bytes_per_second": 0.0,
        "state": "running",
        "limited_by": "source",
    }


def stalled() -> list[dict[str, Any]]:
    beats = [heartbeat(100.0 + n * 5) for n in range(1, 30)]
    return [{**RUN, "time": 100.0}, *beats]


def test_a_stall_is_one_line_with_evidence_and_next_step() -> None:
    out = io.StringIO()
    sink = TextSink(out)
    for record in stalled():
        sink.show(record)
    lines = [line for line in out.getvalue().splitlines() if "verdict" in line]
    assert len(lines) == 2
    assert 'level=INFO msg="verdict RUNNING"' in lines[0]
    assert 'level=WARN msg="verdict STALLED" evidence="nothing committed for' in lines[1]
    assert "next=" in lines[1]


def test_progress_shows_it_under_the_bars() -> None:
    watch = VerdictWatch()
    verdict = None
    for record in stalled():
        verdict = watch.take(record) or verdict
    console = Console(file=io.StringIO(), width=120)
    console.print(frame(view_of(stalled()), 30, verdict))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "STALLED  nothing committed for" in shown
    console.print(frame(RunView(), 30))


def test_json_lines_stay_the_journal() -> None:
    out = io.StringIO()
    sink = JsonLinesSink(out)
    for record in stalled():
        sink.show(record)
    assert "verdict" not in out.getvalue()


def test_a_watch_forgets_what_it_does_not_need() -> None:
    watch = VerdictWatch()
    for start in range(0, 1_000, 10):
        watch.take(
            {
                "run": "r",
                "time": 1.0,
                "kind": "partition_started",
                "chain_key": "n/e/v",
                "partition": f"{start}-{start + 9}",
                "worker": 0,
                "attempt": 1,
            }
        )
    assert watch.view.changed == set()


def test_a_commit_ends_a_stall_and_is_not_judged_otherwise() -> None:
    watch = VerdictWatch()
    for record in stalled():
        watch.take(record)
    assert watch.word == "STALLED"
    commit = {
        "run": "r",
        "time": 250.0,
        "kind": "partition_committed",
        "chain_key": "n/e/v",
        "partition": "2-9",
        "rows": 8,
        "checksum": "sha256:0",
        "parquet_bytes": 1,
        "recovered": False,
    }
    ended = watch.take(commit)
    assert ended is not None
    assert ended.word == "RUNNING"
    assert watch.take(commit | {"partition": "10-19"}) is None
    assert watch.view.partitions_committed == 2
