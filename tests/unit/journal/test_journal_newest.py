"""Coming back to a run reads that run, and of its past what a view is built from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.events import (
    EngineEvent,
    PartitionBuilt,
    PartitionCommitted,
    PartitionProgress,
    StateChanged,
    Throughput,
)
from bronze_tui.journal import newest, run_figures
from bronze_tui.journal.newest import follow, newest_records, newest_run
from bronze_tui.journal.reader import read
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.writer import Journal, rotated

KEY = "testnet/first/v1"
CALM = StateChanged("running", "test")


def committed(number: int) -> PartitionCommitted:
    start = number * 10
    return PartitionCommitted(KEY, f"{start}-{start + 9}", 10, "", 7, start + 9, 1.0, False)


def built(number: int) -> PartitionBuilt:
    start = number * 10
    return PartitionBuilt(KEY, f"{start}-{start + 9}", 0, 10, 9, 8, 7, 1.0, False)


def progress(number: int, ledgers: int) -> PartitionProgress:
    start = number * 10
    return PartitionProgress(KEY, f"{start}-{start + 9}", 0, ledgers, 1, 1)


def figures(number: int) -> Throughput:
    return Throughput(number, 0, 0, 0, 0, 1.0, 1.0, 1.0, None, "source", "running", 1, 1)


class Tape:
    """Writes runs into one journal; every event comes a second after the one before."""

    def __init__(self, path: Path, max_bytes: int = 1 << 30, keep: int = 100) -> None:
        self.path, self.max_bytes, self.keep = path, max_bytes, keep
        self.now = 1_000_000.0

    def run(self, run_id: str, events: list[EngineEvent]) -> None:
        journal = Journal(
            self.path, run_id, lambda: self.now, max_bytes=self.max_bytes, keep=self.keep
        )
        for event in events:
            self.now += 1.0
            journal.emit(event)
        journal.close()


def long_run(partitions: int) -> list[EngineEvent]:
    """Each partition: two progress lines, one of figures, built, committed."""
    return [
        event
        for n in range(partitions)
        for event in (progress(n, 3), figures(n), progress(n, 7), built(n), committed(n))
    ]


@pytest.fixture
def rotating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tape:
    """A journal of many small files of which only the last lines are taken whole."""
    monkeypatch.setattr(newest, "WHOLE", 2_000)
    monkeypatch.setattr(newest, "RECENT", 300.0)
    monkeypatch.setattr(newest, "MAX_LINE", 1_500)
    return Tape(tmp_path / "bronze.jsonl", max_bytes=6_000)


class Waits:
    """Does things between two looks at the journal, and then ends."""

    def __init__(self, *actions: Callable[[], Any]) -> None:
        self._actions = list(actions)
        self.over = not actions

    def wait(self, seconds: float) -> None:
        if self._actions:
            self._actions.pop(0)()
        else:
            self.over = True

    def follow(self, path: Path) -> list[dict[str, Any]]:
        return list(follow(path, stop=lambda: self.over, wait=self.wait))


def kinds(records: Any, kind: str) -> list[dict[str, Any]]:
    return [r for r in records if r["kind"] == kind]


def test_only_the_newest_run_is_read(rotating: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    rotating.run("old", long_run(200))
    rotating.run("new", long_run(200))
    files = list(rotating.path.parent.glob("bronze.jsonl*"))
    assert len(files) > 20
    touched: set[str] = set()
    real = newest._Past._read

    def read_one(self: Any, file: IO[bytes], size: int, left: int) -> Any:
        touched.add(file.name)
        return real(self, file, size, left)

    monkeypatch.setattr(newest._Past, "_read", read_one)
    records = list(newest_records(rotating.path))
    assert newest_run(rotating.path) == "new"
    assert {r["run"] for r in records} == {"new"}
    assert len(kinds(records, "partition_committed")) == 200
    assert len(touched) < len(files) * 0.6, "files of the old run alone stay closed"


def test_the_view_is_that_of_the_whole_journal(rotating: Tape) -> None:
    rotating.run("old", long_run(5))
    rotating.run("new", [*long_run(400), progress(400, 9), CALM])
    whole, quick = RunView(), RunView()
    for record in read(rotating.path):
        whole.apply(record)
    records = list(newest_records(rotating.path))
    for record in records:
        quick.apply(record)
    assert quick.partitions_committed == whole.partitions_committed == 400
    assert list(quick.chain(KEY).committed) == list(whole.chain(KEY).committed)
    assert quick.partitions == whole.partitions
    assert list(quick.samples)[-50:] == list(whole.samples)[-50:]
    assert quick.throughput == whole.throughput
    assert run_figures.in_flight(quick)[0].ledgers == 9
    assert len(records) < whole.logged * 0.6


def test_old_progress_and_figures_are_left_out_and_the_end_is_whole(rotating: Tape) -> None:
    rotating.run("r", long_run(400))
    records = list(newest_records(rotating.path))
    end = rotating.now
    assert min(r["time"] for r in kinds(records, "throughput")) >= end - 300.0 - 40.0
    assert min(r["time"] for r in kinds(records, "throughput")) <= end - 250.0
    last = [r for r in records if r["time"] > end - 5]
    assert [r["kind"] for r in last] == [event.kind for event in long_run(1)]


def test_following_goes_on_without_a_gap_or_a_double(rotating: Tape) -> None:
    rotating.run("old", long_run(30))
    rotating.run("new", long_run(30))
    got = Waits(lambda: rotating.run("newer", long_run(40))).follow(rotating.path)
    numbers = [(r["run"], r["partition"]) for r in kinds(got, "partition_committed")]
    wanted = [("new", n) for n in range(30)] + [("newer", n) for n in range(40)]
    assert numbers == [(run, f"{n * 10}-{n * 10 + 9}") for run, n in wanted]


def test_a_line_that_is_being_written_comes_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "bronze.jsonl"
    line = json.dumps({"kind": "alert", "run": "r", "time": 1.0, "n": 2}, separators=(",", ":"))
    path.write_text(f'{{"kind":"alert","run":"r","time":1.0,"n":1}}\n{line[:20]}')

    def go_on() -> None:
        with path.open("a") as file:
            file.write(line[20:] + "\n")

    got = Waits(go_on).follow(path)
    assert [r["n"] for r in got] == [1, 2]


def test_a_journal_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "bronze.jsonl")
    got = Waits(lambda: tape.run("r", [committed(1)])).follow(tape.path)
    assert [r["kind"] for r in got] == ["partition_committed"]


def test_garbage_foreign_forms_and_giant_lines_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newest, "MAX_LINE", 100)
    path = tmp_path / "bronze.jsonl"
    spaced = json.dumps({"kind": "alert", "run": "r", "n": 2})
    lines = [b"\xff\x00", b"[1]", b"x" * 1_000, spaced.encode(), b'{"kind":"a","run":"r","n":3}']
    path.write_bytes(b"\n".join([*lines, b'{"kind":"a","run":"o"}', lines[-1], b""]))
    assert [r["n"] for r in newest_records(path)] == [2, 3, 3]


def test_nothing_there(tmp_path: Path) -> None:
    assert newest_run(tmp_path / "none") == ""
    (tmp_path / "empty").touch()
    assert newest_run(tmp_path / "empty") == ""
    assert list(newest_records(tmp_path / "empty")) == []
    with pytest.raises(UsageError, match="there is no journal"):
        list(newest_records(tmp_path / "none"))


def test_a_rotation_while_the_past_is_read_loses_nothing(rotating: Tape) -> None:
    rotating.run("r", long_run(60))
    got = follow(rotating.path, stop=lambda: True)
    first = next(got)
    rotating.run("r", long_run(60))
    assert rotated(rotating.path, 1).exists()
    records = [first, *got]
    assert len(kinds(records, "partition_committed")) == 120
