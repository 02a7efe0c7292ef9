"""Reading journals: rotation, following, cut lines, garbage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.events import Alert
from bronze_tui.journal import reader
from bronze_tui.journal.reader import last_run, parse, read, tail
from bronze_tui.journal.writer import Journal, rotated


def line(seq: int, run: str = "r") -> bytes:
    return json.dumps({"seq": seq, "time": 1.0, "run": run, "kind": "alert"}).encode() + b"\n"


def test_rotated_files_come_in_order(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    rotated(path, 2).write_bytes(line(1))
    rotated(path, 1).write_bytes(line(2) + line(3))
    path.write_bytes(line(4))
    assert [r["seq"] for r in read(path)] == [1, 2, 3, 4]


def test_a_cut_last_line_is_noticed_and_no_garbage(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_bytes(line(1) + b'{"seq":2,"ki')
    records = read(path)
    assert [r["seq"] for r in records] == [1]
    assert records.cut
    assert records.garbage == 0


def test_garbage_is_counted_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    giant = b"x" * (3 * reader.MAX_LINE) + b"\n"
    deep = b"[" * 100_000 + b"\n"
    path.write_bytes(
        b"\x00\xff\n" + line(1) + b"[1]\n\n" + giant + b'{"kind":3}\n' + deep + line(2)
    )
    records = read(path)
    assert [r["seq"] for r in records] == [1, 2]
    assert records.garbage == 5
    assert not records.cut


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    record = parse(data)
    assert record is None or isinstance(record["kind"], str)


def test_last_run_takes_the_newest_run_across_files(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    rotated(path, 1).write_bytes(line(1, "old") + line(2, "new"))
    path.write_bytes(line(3, "new") + b"garbage\n" + b'{"seq":4,"run":"new","ki')
    records = last_run(path)
    assert [r["seq"] for r in records] == [2, 3]


def test_no_journal_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no journal"):
        read(tmp_path / "b.jsonl")
    with pytest.raises(UsageError, match="cannot be read"):
        list(read(tmp_path))


class Script:
    """Does one step each time the follower waits; then it is time to stop."""

    def __init__(self, *steps: Any) -> None:
        self._steps = list(steps)

    def wait(self, seconds: float) -> None:
        self._steps.pop(0)()

    def stop(self) -> bool:
        return not self._steps


def test_tail_waits_for_the_file_and_for_the_end_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"

    def add(data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)

    script = Script(
        lambda: None,
        lambda: add(line(1) + line(2)[:9]),
        lambda: add(line(2)[9:]),
        lambda: add(b"garbage\n" + line(3)),
    )
    followed = tail(path, stop=script.stop, wait=script.wait)
    assert [r["seq"] for r in followed] == [1, 2, 3]


def test_tail_follows_several_rotations_between_two_looks(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    journal = Journal(path, "r", max_bytes=300, keep=50)

    def emit(count: int) -> None:
        for _ in range(count):
            journal.emit(Alert("info", "c", "m" * 50))

    script = Script(*[lambda n=n: emit(n) for n in (1, 2, 30, 0, 7)])
    emit(4)
    sequences = [r["seq"] for r in tail(path, stop=script.stop, wait=script.wait)]
    assert sequences == list(range(1, 45))


def test_tail_from_now_on(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    journal = Journal(path, "r")
    journal.emit(Alert("info", "c", "old"))
    script = Script(lambda: journal.emit(Alert("info", "c", "new")))
    followed = tail(path, from_start=False, stop=script.stop, wait=script.wait)
    assert [r["message"] for r in followed] == ["new"]
    journal.close()


def test_tail_survives_truncation(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_bytes(line(1) + line(2))
    script = Script(lambda: path.write_bytes(line(9)))
    assert [r["seq"] for r in tail(path, stop=script.stop, wait=script.wait)] == [1, 2, 9]
