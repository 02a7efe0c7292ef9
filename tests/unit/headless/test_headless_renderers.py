"""Renderers: text, JSON, live display, and the feed that never waits."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bronze_tui.domain.events import (
    KINDS,
    EventDelivered,
    OutboxFigures,
    PartitionProgress,
    Requests,
    to_record,
)
from bronze_tui.headless.feed import Feed
from bronze_tui.headless.final import final_json, final_text
from bronze_tui.headless.metrics import RunMetrics
from bronze_tui.headless.progress import ProgressSink, frame
from bronze_tui.headless.renderer import choose_mode, renderer
from bronze_tui.journal import run_view
from bronze_tui.journal.run_view import view_of

Records = list[dict[str, Any]]
MakeRecords = Callable[[list[Any]], Records]
LINE = re.compile(r"time=\S+ level=(INFO|WARN|ERROR|DEBUG) msg=")


def drawn(records: Records, width: int = 80, height: int = 24) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, no_color=True, highlight=False)
    console.print(frame(view_of(records), height))
    return out.getvalue()


def test_text_lines_then_the_closing_block(whole: Records) -> None:
    err, out = io.StringIO(), io.StringIO()
    feed = renderer("text", stderr=err, stdout=out)
    for record in whole:
        feed(record)
    feed.close()
    lines = err.getvalue().splitlines()
    log = [line for line in lines if LINE.match(line)]
    assert len(log) == 8
    assert "level=DEBUG" not in err.getvalue()
    assert lines[len(log)].startswith("done: 30 ledgers in 3 partitions, 6.0 s (5.0 ledgers/s)")
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("level", "lines"), [("debug", 16), ("info", 8), ("warn", 2), ("error", 0)]
)
def test_json_log_lines_and_levels(whole: Records, level: str, lines: int) -> None:
    err = io.StringIO()
    feed = renderer("log-json", stderr=err, level=level)
    for record in whole:
        feed(record)
    feed.close()
    docs = [json.loads(line) for line in err.getvalue().splitlines()]
    assert len(docs) == lines


def test_a_long_quiet_run_says_progress_now_and_then(
    half: Records, make_throughput: Callable[..., Any]
) -> None:
    err = io.StringIO()
    feed = renderer("text", stderr=err)
    for record in half:
        feed(record)
    for second in range(1, 31):
        feed({"time": 1_700_000_013.0 + second, **to_record(make_throughput())})
    feed.close()
    said = [line for line in err.getvalue().splitlines() if "msg=progress" in line]
    assert len(said) == 3
    assert "state=running done=50.0% partitions=2 partitions_total=4" in said[0]
    assert "limited_by=decode" in said[0]


def test_json_lines_are_the_journal(whole: Records) -> None:
    out = io.StringIO()
    feed = renderer("jsonl", stdout=out)
    for record in whole:
        feed(record)
    feed.close()
    assert [json.loads(line) for line in out.getvalue().splitlines()] == whole


def test_the_end_is_shown_even_when_its_record_was_lost(
    half: Records, make_finished: Callable[..., Any]
) -> None:
    out = io.StringIO()
    feed = renderer("jsonl", stdout=out)
    for record in half:
        feed(record)
    feed.close(make_finished())
    feed.close(make_finished())
    kinds = [json.loads(line)["kind"] for line in out.getvalue().splitlines()]
    assert kinds.count("run_finished") == 1


class Gate:
    """A sink that waits until it is let through."""

    interval: float | None = None

    def __init__(self) -> None:
        self.open = threading.Event()
        self.shown: Records = []
        self.skipped = -1

    def show(self, record: Any) -> None:
        assert self.open.wait(60)
        self.shown.append(record)

    def tick(self) -> None:
        pass

    def finish(self, skipped: int) -> None:
        self.skipped = skipped


def test_a_slow_sink_never_holds_the_engine_and_gets_the_newest_state() -> None:
    gate = Gate()
    feed = Feed(gate, behind=10, full=50)
    for number in range(5000):
        feed(to_record(PartitionProgress("k", f"{number % 3}-9", 0, number, 0, 0)))
        if number % 100 == 0:
            feed({"kind": "partition_committed", "n": number})
    feed({"kind": "run_finished"})
    gate.open.set()
    feed.close()
    assert len(gate.shown) < 100
    assert len(gate.shown) + gate.skipped == 5000 + 50 + 1
    assert gate.shown[-1]["kind"] == "run_finished"
    assert {r["ledgers"] for r in gate.shown[-4:-1] if "ledgers" in r} <= set(range(4990, 5000))


def test_order_is_kept_when_progress_is_thinned() -> None:
    gate = Gate()
    feed = Feed(gate, behind=2, full=1000)
    for number in range(100):
        kind = "throughput" if number % 2 else "partition_committed"
        feed({"kind": kind, "seq": number})
    gate.open.set()
    feed.close()
    sequences = [r["seq"] for r in gate.shown]
    assert sequences == sorted(sequences)
    assert [r["seq"] for r in gate.shown if r["kind"] == "partition_committed"] == list(
        range(0, 100, 2)
    )


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_closed_pipe_ends_the_renderer_and_nothing_else(whole: Records) -> None:
    feed = renderer("jsonl", stdout=Closed())
    for record in whole:
        feed(record)
    feed.close()
    assert isinstance(feed.failure, BrokenPipeError)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 20), (40, 10)])
def test_frame_fits_and_says_the_main_things(half: Records, width: int, height: int) -> None:
    lines = drawn(half, width, height).splitlines()
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    assert "RUNNING" in text
    assert "50.0%" in text
    assert "ETA 0:03" in text
    assert "22-31" in text
    if width >= 80:
        for words in (
            "310 ledgers/s",
            "115.0 MiB/s",
            "limited by decode",
            "2/4 partitions",
            "5/10",
        ):
            assert words in text, words


def test_frame_shows_foreign_text_literally(half: Records) -> None:
    text = drawn(half, 120, 40)
    assert "slow [bold]disk" in text
    assert "503 SlowDown [/foo] \\x1b[31m" in text
    assert "\x1b" not in text


def test_many_partitions_in_flight_still_fit(half: Records) -> None:
    from bronze_tui.domain.events import PartitionStarted

    for n in range(60):
        event = PartitionStarted("testnet/era/v1", f"{100 + n * 10}-{109 + n * 10}", n, 1)
        half.append({"time": 1_700_000_020.0, **to_record(event)})
    lines = drawn(half).splitlines()
    assert len(lines) <= 24
    assert any("more in flight" in line for line in lines)


def terminal(**kwargs: Any) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, height=24, **kwargs)


def test_live_display_draws_at_most_four_frames_a_second(whole: Records) -> None:
    console = terminal(color_system=None)
    now = [0.0]
    sink = ProgressSink(console, clock=lambda: now[0])
    for record in whole[:-1]:
        sink.show(record)
        sink.tick()
        now[0] += 0.01
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("bronze ") == 1
    now[0] += 1
    sink.tick()
    sink.show(whole[-1])
    sink.finish(0)
    text = console.file.getvalue()
    assert text.count("bronze ") >= 3
    assert "\x1b[?25h" in text
    assert text.rstrip().endswith("proves the chain")
    assert "done: 30 ledgers in 3 partitions" in text
    assert "in flight" not in text.rpartition("bronze DONE")[2]


def test_no_color_is_obeyed(whole: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = terminal(color_system="truecolor")
    sink = ProgressSink(console)
    for record in whole:
        sink.show(record)
    sink.finish(0)
    assert isinstance(console.file, io.StringIO)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", console.file.getvalue())


def test_ascii_terminals_get_ascii_bars(half: Records) -> None:
    buffer = io.BytesIO()
    console = Console(file=io.TextIOWrapper(buffer, "ascii"), width=80, height=24)
    console.print(frame(view_of(half[:8]), 24))
    console.file.flush()
    assert b"---" in buffer.getvalue()


def test_final_text_and_json(whole: Records) -> None:
    text = final_text(view_of(whole))
    assert "head        " + "ab" * 32 in text
    assert "30.0 MiB of file:///lake/[red]x[/foo]" in text
    assert "33.0 MiB to file:///bronze" in text
    assert "last committed 41" in text
    assert "bronze status --config /etc/bronze/config.yaml" in text
    assert final_text(view_of(whole), "look").endswith("next        look")
    doc = final_json(view_of(whole))
    assert (doc["outcome"], doc["ledgers"], doc["ledgers_per_second"]) == ("done", 30, 5.0)
    json.dumps(doc)


def test_final_text_and_json_tell_requests(whole: Records) -> None:
    seen = Requests("store", 14, 3, 10, 0, 0, 0, 1, 2048, 4 << 20, 2, 1)
    plain = Requests("source", 1204, 1200, 0, 0, 4, 0, 0, 85 << 20, 0, 0, 0)
    stranger = Requests("\x1b[31m", 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    end = whole.pop()
    whole += [to_record(one) | {"time": 1.0} for one in (seen, plain, stranger)]
    state = view_of([*whole, end])
    text = final_text(state)
    assert "source I/O  1\xa0204 requests (1\xa0200 get, 4 list), 85.0 MiB in\n" in text
    assert (
        "store I/O   14 requests (3 get, 10 put, 1 other), 2.0 KiB in, 4.0 MiB out, 2 repeated, "
        "1 throttled\n" in text
    )
    assert "\x1b" not in text
    doc = final_json(state)["requests"]
    assert doc["store"]["puts"] == 10
    assert sorted(doc) == ["source", "store"]


def test_every_kind_of_event_has_a_step() -> None:
    assert set(run_view._STEPS) == set(KINDS)


def test_metrics_of_requests_are_the_journals_totals() -> None:
    metrics = RunMetrics()
    for puts, out in ((5, 100), (9, 250), (9, 250)):
        metrics(to_record(Requests("store", puts, 0, puts, 0, 0, 0, 0, 0, out, 1, 2)))
    value = metrics.registry.get_sample_value
    name = "bronze_copier_requests_total"
    assert value(name, {"role": "store", "kind": "put"}) == 9
    assert value("bronze_copier_request_bytes_total", {"role": "store", "direction": "out"}) == 250
    assert value("bronze_copier_request_retries_total", {"role": "store"}) == 1
    assert value("bronze_copier_request_throttles_total", {"role": "store"}) == 2


@pytest.mark.parametrize(
    ("outcome", "advice"),
    [
        ("stopped", "goes on where this one ended"),
        ("halted", "mend the cause"),
        ("failed", "goes on where this one ended"),
    ],
)
def test_final_advice(
    half: Records, make_finished: Callable[..., Any], outcome: str, advice: str
) -> None:
    half.append(to_record(make_finished(outcome=outcome, exit_code=5, message="gap [x]\x1b")))
    text = final_text(view_of(half))
    assert advice in text
    assert "gap [x]\\x1b" in text


def test_deliveries_stand_in_the_closing_block_the_frame_and_the_metrics(
    whole: Records, make_records: MakeRecords
) -> None:
    assert "audit events" not in final_text(view_of(whole)), "nothing is posted without endpoint"
    key = whole[0]["chain_keys"][0]
    posted = make_records(
        [
            EventDelivered(key, "2-11", 0, "sha256:aa", 1, 0.1),
            OutboxFigures("parked", 3, 1, 1, 75.0, "422"),
        ]
    )
    view = view_of([*whole[:-1], *posted, whole[-1]])
    text = final_text(view)
    assert "delivered   1 audit events; 3 audit events wait (oldest 0:01:15), 1 parked" in text
    assert "bronze pas retry" in text
    shown = final_json(view)
    assert (shown["events_delivered"], shown["events_undelivered"], shown["events_parked"]) == (
        1,
        3,
        1,
    )
    assert "3 events to deliver" in drawn([*whole[:-1], *posted], 160)
    metrics = RunMetrics()
    for record in posted:
        metrics(record)
    names = {"network": key.split("/")[0], "era_id": "era", "version": "v1"}
    read = metrics.registry.get_sample_value
    assert read("bronze_copier_pas_events_delivered_total", names) == 1
    assert read("bronze_copier_pas_outbox_events") == 3
    assert read("bronze_copier_pas_parked_events") == 1
    assert read("bronze_copier_pas_delivery_failing") == 0
    assert (read("bronze_copier_pas_outbox_oldest_seconds") or 0) >= 75
    metrics({**posted[1], "waiting": 0})
    assert read("bronze_copier_pas_outbox_oldest_seconds") == 0


def test_final_text_of_a_run_that_never_began(make_finished: Callable[..., Any]) -> None:
    end = make_finished(outcome="failed", exit_code=2, message="unknown source 'x'")
    assert final_text(view_of([to_record(end)])).splitlines() == [
        "FAILED before anything was copied",
        "  unknown source 'x'",
    ]


@pytest.mark.parametrize(
    ("json_lines", "log_format", "on_terminal", "term", "mode"),
    [
        (True, "json", True, "xterm", "jsonl"),
        (False, "json", True, "xterm", "log-json"),
        (False, "text", True, "xterm", "progress"),
        (False, "text", True, "dumb", "text"),
        (False, "text", False, "xterm", "text"),
    ],
)
def test_mode(json_lines: bool, log_format: str, on_terminal: bool, term: str, mode: str) -> None:
    chosen = choose_mode(
        json=json_lines, log_format=log_format, terminal=on_terminal, env={"TERM": term}
    )
    assert chosen == mode


def test_journal_to_renderer(tmp_path: Path) -> None:
    from bronze_tui.domain.events import Alert
    from bronze_tui.journal.writer import Journal

    out = io.StringIO()
    feed = renderer("jsonl", stdout=out)
    journal = Journal(tmp_path / "b.jsonl", "r")
    journal.subscribe(feed)
    journal.emit(Alert("info", "x", "y"))
    journal.close()
    feed.close()
    assert out.getvalue() == (tmp_path / "b.jsonl").read_text()
