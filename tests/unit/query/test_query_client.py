"""Asking the console: caps, cells, cancelling, and a child that dies."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from copying import Site
from queried import open_console

from bronze_tui.query import client
from bronze_tui.query.client import QueryProcess
from bronze_tui.query.errors import QueryCancelled, QueryDied, QueryFailed, QueryRefused

ENDLESS = "select count(*) from range(10000000) a, range(1000000) b"

DEAF = """
from bronze_tui.query.console import Console
Console.cancel = lambda self, query: None
from bronze_tui.query.child import main
main()
"""


class Deaf(QueryProcess):
    """A child that does not obey a cancel."""

    command: ClassVar[tuple[str, ...]] = (sys.executable, "-P", "-c", DEAF)


LONG = 50.0
"""Seconds that a busy machine may take."""


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < end, "it did not become true"
        time.sleep(0.005)


def in_thread(process: QueryProcess, sql: str) -> tuple[threading.Thread, list[object]]:
    """Run ``sql`` in a thread; the list gets what came of it."""
    outcome: list[object] = []

    def ask() -> None:
        try:
            outcome.append(process.run(sql).read_all())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    # On a busy machine it may have run and ended between two looks.
    until(lambda: process.running or bool(outcome))
    return thread, outcome


@pytest.mark.parametrize(
    ("limit", "rows", "truncated"), [(10, 10, True), (20, 20, False), (0, 20, False)]
)
def test_the_cap(console: QueryProcess, limit: int, rows: int, truncated: bool) -> None:
    result = console.run("select * from range(20)", limit)
    assert result.read_all().num_rows == result.rows == rows
    assert result.truncated is truncated


def test_a_large_result_comes_in_pieces(console: QueryProcess) -> None:
    pieces = list(console.run("select * from range(1000000)", 0))
    assert sum(piece.num_rows for piece in pieces) == 1_000_000
    assert max(piece.num_rows for piece in pieces) < 100_000


def test_leaving_a_result_early_ends_the_query(console: QueryProcess) -> None:
    pid = console.pid
    for _piece in console.run("select * from range(1000000000)", 0):
        break
    assert not console.running
    assert console.run("select 1 as a").read_all().to_pylist() == [{"a": 1}]
    assert console.pid == pid


def test_cells_cut_for_a_screen(console: QueryProcess) -> None:
    row = (
        console.run(
            "select xdr_bytes, repeat('x', 5000) as long,"
            " '[/foo]' || chr(27) || chr(10) as hostile,"
            " {a: [1, 2]} as nested, close_time, 'infinity'::timestamp as never, null as nothing,"
            " 1.50::decimal(9, 2) as amount from ledgers_lcm_raw where ledger_sequence = 2",
            short=True,
        )
        .read_all()
        .to_pylist()[0]
    )
    assert row["xdr_bytes"].startswith("3,136 B  00000000")
    assert row["long"] == "x" * 999 + "…"
    assert row["hostile"] == "[/foo]\\x1b\\x0a"
    assert row["nested"] == "{'a': [1, 2]}"
    assert row["close_time"] == "2023-11-14 22:13:30Z"
    assert "out of range" in row["never"]
    assert row["nothing"] is None
    assert str(row["amount"]) == "1.50"


def test_whole_cells(console: QueryProcess) -> None:
    row = (
        console.run("select xdr_bytes, xdr_byte_length, close_time from ledgers_lcm_raw limit 1")
        .read_all()
        .to_pylist()[0]
    )
    assert len(row["xdr_bytes"]) == row["xdr_byte_length"]
    assert row["close_time"].astimezone(UTC) == datetime(2023, 11, 14, 22, 13, 30, tzinfo=UTC)


def test_types_that_arrow_has_no_plain_form_of(console: QueryProcess) -> None:
    row = (
        console.run(
            "select 'a'::enum('a', 'b') as e, '{\"b\": 1}'::json as j, uuid() as u, 1 as a, 2 as a,"
            " now()::timestamp_ns as n"
        )
        .read_all()
        .to_pylist()[0]
    )
    assert (row["e"], row["j"], len(row["u"]), row["a"], row["a_1"]) == ("a", '{"b": 1}', 36, 1, 2)
    assert isinstance(row["n"], datetime)


def test_a_mistake_says_where(console: QueryProcess) -> None:
    with pytest.raises(QueryRefused) as caught:
        console.run("selec 1")
    assert 'near "selec"' in str(caught.value)
    assert "^^^^^" in caught.value.detail
    with pytest.raises(QueryRefused, match="SHOW TABLES"):
        console.run("select * from nothing")
    with pytest.raises(QueryRefused):
        console.run("select '\ud800'")


def test_a_plan_keeps_its_lines(console: QueryProcess) -> None:
    plan = console.run("explain select 1", short=True).read_all()
    assert "\n" in plan.column("explain_value")[0].as_py()


def test_a_cancel_is_obeyed(console: QueryProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "OBEY_SECONDS", 60.0)
    pid = console.pid
    thread, outcome = in_thread(console, ENDLESS)
    assert console.cancel()
    thread.join(LONG)
    assert isinstance(outcome[0], QueryCancelled)
    assert not console.cancel()
    assert console.run("select 1 as a").read_all().num_rows == 1
    assert console.pid == pid


def test_who_does_not_obey_is_killed_and_started_again(
    kept: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "OBEY_SECONDS", 0.1)
    with open_console(kept, Deaf) as process:
        process.schema()
        pid = process.pid
        thread, outcome = in_thread(process, ENDLESS)
        process.cancel()
        thread.join(LONG)
        assert isinstance(outcome[0], QueryCancelled)
        assert process.run("select 1 as a").read_all().num_rows == 1
        assert process.pid != pid


def cpu_ticks(pid: int) -> int:
    """CPU time a process has used, in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_child_that_dies_is_an_error_and_the_next_query_works(kept: Site) -> None:
    with open_console(kept) as process:
        process.schema()
        assert process.pid is not None
        before = cpu_ticks(process.pid)
        thread, outcome = in_thread(process, ENDLESS)
        # Killed before the query is there, another child would take it, without an end.
        while cpu_ticks(process.pid) < before + 10:
            thread.join(0.01)
        os.kill(process.pid, signal.SIGKILL)
        thread.join(LONG)
        assert isinstance(outcome[0], QueryDied)
        assert "killed" in str(outcome[0])
        assert process.run("select 1 as a").read_all().num_rows == 1


def test_closing_ends_the_child_and_the_query(kept: Site) -> None:
    process = open_console(kept)
    process.schema()
    pid = process.pid
    thread, outcome = in_thread(process, ENDLESS)
    process.close()
    thread.join(LONG)
    assert isinstance(outcome[0], QueryCancelled)
    assert process.pid is None
    assert not Path(f"/proc/{pid}").exists()


def test_a_child_that_cannot_start_says_why(kept: Site) -> None:
    class Broken(QueryProcess):
        command = (sys.executable, "-c", "raise SystemExit('no such thing')")

    with open_console(kept, Broken) as process, pytest.raises(QueryDied, match="no such thing"):
        process.schema()


def test_the_time_a_query_may_take(kept: Site) -> None:
    expected = pytest.raises(QueryFailed, match=r"stopped after 0.5 s")
    with open_console(kept, seconds=0.5) as process, expected:
        process.run(ENDLESS).read_all()


def test_threads_wait_for_each_other(console: QueryProcess) -> None:
    asked = [in_thread(console, f"select {n} as n from range(1000)") for n in range(4)]
    for thread, _ in asked:
        thread.join(LONG)
    assert [outcome[0].column(0)[0].as_py() for _, outcome in asked] == [0, 1, 2, 3]  # type: ignore[attr-defined]
