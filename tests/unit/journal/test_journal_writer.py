"""The journal file: order, bounds, rotation, refusing disks, listeners."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bronze_tui.domain.events import Alert, EngineEvent, PartitionProgress, StateChanged
from bronze_tui.journal import writer
from bronze_tui.journal.reader import read
from bronze_tui.journal.writer import Journal, rotated


class Clock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def progress(ledgers: int, partition: str = "2-9") -> PartitionProgress:
    return PartitionProgress("t/e/v", partition, 0, ledgers, ledgers * 10, ledgers)


def note(text: str) -> Alert:
    return Alert(level="info", component="test", message=text)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Journal:
    return Journal(tmp_path / "state" / "bronze.jsonl", "run1", clock)


def test_one_line_an_event_with_sequence_time_and_run(journal: Journal, clock: Clock) -> None:
    journal.emit(note("a"))
    clock.now += 1.5
    journal.emit(StateChanged("paused", "ctl"))
    journal.close()
    first, second = lines(journal.path)
    assert list(first)[:4] == ["seq", "time", "run", "kind"]
    assert (first["seq"], first["time"], first["run"], first["message"]) == (1, 1000.0, "run1", "a")
    assert (second["seq"], second["time"], second["kind"]) == (2, 1001.5, "state_changed")


def test_progress_is_bounded_and_the_last_state_comes_before_what_follows(
    journal: Journal, clock: Clock
) -> None:
    for count in range(100):
        journal.emit(progress(count))
        journal.emit(progress(count, "10-19"))
        clock.now += 0.01
    journal.emit(StateChanged("paused", "ctl"))
    journal.emit(Alert("info", "x", "y"))
    journal.close()
    by_partition = Counter(r.get("partition") for r in lines(journal.path))
    assert by_partition["2-9"] <= 5
    last = [r for r in lines(journal.path) if r.get("partition") == "2-9"][-1]
    assert last["ledgers"] == 99
    assert journal.counts.held > 150


def test_held_progress_is_written_before_the_partition_goes_on(
    journal: Journal, clock: Clock
) -> None:
    from bronze_tui.domain.events import PartitionRetried

    journal.emit(progress(1))
    journal.emit(progress(2))
    journal.emit(PartitionRetried("t/e/v", "2-9", 1, 3, 1.0, "x"))
    assert [(r["kind"], r.get("ledgers")) for r in lines(journal.path)] == [
        ("partition_progress", 1),
        ("partition_progress", 2),
        ("partition_retried", None),
    ]
    journal.emit(progress(1))
    assert lines(journal.path)[-1]["ledgers"] == 1


def test_held_progress_is_written_when_its_time_has_come(journal: Journal, clock: Clock) -> None:
    journal.emit(progress(1))
    journal.emit(progress(2))
    clock.now += 0.3
    journal.emit(note("beat"))
    assert [r.get("ledgers") for r in lines(journal.path)] == [1, 2, None]


def test_rotation_keeps_the_newest_files_and_loses_no_line_among_them(
    tmp_path: Path, clock: Clock
) -> None:
    journal = Journal(tmp_path / "b.jsonl", "r", clock, max_bytes=1000, keep=3)
    for number in range(200):
        journal.emit(note(f"n{number}"))
    journal.close()
    assert (
        sorted(p.name for p in tmp_path.iterdir())
        == [
            "b.jsonl",
            "b.jsonl.1",
            "b.jsonl.2",
            "b.jsonl.3",
        ]
        or not (tmp_path / "b.jsonl").exists()
    )
    sequences = [r["seq"] for r in read(tmp_path / "b.jsonl")]
    assert sequences == list(range(sequences[0], 201))
    assert all(rotated(tmp_path / "b.jsonl", n).stat().st_size < 1200 for n in (1, 2, 3))


def test_a_line_cut_by_a_crash_does_not_swallow_the_next(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "b.jsonl"
    path.write_bytes(b'{"seq":1,"kind":"al')
    journal = Journal(path, "r", clock)
    journal.emit(note("after"))
    journal.close()
    records = read(path)
    assert [r["message"] for r in records] == ["after"]
    assert records.garbage == 1


class FullDisk:
    """Stands for os.write: takes ``take`` bytes of a line, or refuses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, take: int = 0) -> None:
        self.full = True
        self._take = take
        self._write = os.write
        monkeypatch.setattr(writer.os, "write", self)

    def __call__(self, fd: int, data: bytes) -> int:
        if not self.full:
            return self._write(fd, data)
        if self._take:
            return self._write(fd, data[: self._take])
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("take", [0, 10])
def test_a_full_disk_is_told_once_counted_and_tried_again(
    journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch, take: int
) -> None:
    told: list[dict[str, Any]] = []
    journal.subscribe(told.append)
    disk = FullDisk(monkeypatch, take)
    for number in range(5):
        journal.emit(note(f"lost {number}"))
        clock.now += 3
    assert [r["message"] for r in told if r["component"] == "test"] == [
        f"lost {n}" for n in range(5)
    ]
    assert len([r for r in told if "cannot be written" in r["message"]]) == 1
    assert journal.counts.lost == 5
    disk.full = False
    clock.now += 10
    journal.emit(note("again"))
    journal.close()
    kept = [r["message"] for r in read(journal.path)]
    assert kept[0] == "again"
    assert "5 events are not in it" in kept[1]


def test_an_impossible_folder_does_not_raise(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "b.jsonl", "r", clock)
    journal.emit(note("x"))
    journal.close()
    assert journal.counts.lost == 1


def test_listeners_get_the_lines_in_order_and_a_bad_one_harms_nobody(journal: Journal) -> None:
    told: list[int] = []

    def bad(record: dict[str, Any]) -> None:
        raise RuntimeError("listener")

    journal.subscribe(bad)
    end = journal.subscribe(lambda r: told.append(r["seq"]))

    def work() -> None:
        for _ in range(200):
            journal.emit(note("x"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == list(range(1, 801))
    assert [r["seq"] for r in lines(journal.path)] == told
    assert journal.counts.listener_errors == 800
    end()
    journal.emit(note("y"))
    assert len(told) == 800


def test_a_listener_may_emit(journal: Journal) -> None:
    seen: list[str] = []

    def echo(record: dict[str, Any]) -> None:
        seen.append(record["message"])
        if record["message"] == "first":
            journal.emit(note("second"))

    journal.subscribe(echo)
    journal.emit(note("first"))
    assert seen == ["first", "second"]


def test_secrets_are_redacted_before_they_are_written_or_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "b.jsonl", "r", redact=lambda t: t.replace("hunter2", "***"))
    told: list[dict[str, Any]] = []
    journal.subscribe(told.append)
    journal.emit(note('dsn "hunter2"'))
    journal.close()
    assert "hunter2" not in journal.path.read_text()
    assert told[0]["message"] == 'dsn "***"'


def test_a_huge_flood_of_kinds_stays_bounded(journal: Journal, clock: Clock) -> None:
    events: list[EngineEvent] = [progress(n, f"{n}-{n}") for n in range(500)]
    for event in events:
        journal.emit(event)
        journal.emit(StateChanged("x", "y"))
    assert len(lines(journal.path)) == 1000
