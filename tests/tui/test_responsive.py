"""What keeps keys quick: the pace of drawing, and bounded work between two keys."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import journals
import pytest

from bronze_tui.journal.run_view import RunView
from bronze_tui.tui import bridge
from bronze_tui.tui.bridge import Bridge
from bronze_tui.tui.responsive import HERTZ, HERTZ_SSH, drawings_a_second
from bronze_tui.tui.session import Session


@pytest.mark.parametrize("name", ["SSH_CONNECTION", "SSH_TTY"])
def test_over_ssh_it_draws_half_as_often(name: str) -> None:
    assert drawings_a_second({name: "10.0.0.1 4 10.0.0.2 22"}) == HERTZ_SSH == HERTZ / 2
    assert drawings_a_second({name: ""}) == drawings_a_second({}) == HERTZ


def test_the_reader_waits_for_room_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "QUEUE", 10)
    monkeypatch.setattr(bridge, "_FULL", 0.001)
    records = journals.done()
    path = journals.write_journal(tmp_path / "bronze.jsonl", records)
    made = Bridge(Session(kind="replay", journal=path, speed=0.0))
    view, most = RunView(), 0
    made.start()
    while not made.ended or made.backlog:
        most = max(most, made.backlog)
        made.drain(view)
    made.close()
    assert view.logged == len(records)
    assert most <= 10


def test_a_replay_waits_in_few_long_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty thousand records a second: a wait for each costs more than the records."""
    now = 100.0
    waits: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now
            assert timeout is not None
            waits.append(timeout)
            now += timeout
            return False

    monkeypatch.setattr(bridge.time, "monotonic", lambda: now)
    records: list[dict[str, Any]] = [{"time": 7.0 + n / 20_000} for n in range(20_000)]
    assert list(bridge._paced(iter(records), 1.0, Stop())) == records
    assert sum(waits) == pytest.approx(1.0, abs=0.03)
    assert len(waits) <= 1 / bridge._GRAIN
