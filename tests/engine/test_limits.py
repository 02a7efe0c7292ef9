"""What limits a run, as a table; and that CPU time is measured."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from bronze_tui.engine.cpu import CpuClock, cores
from bronze_tui.engine.limits import WORDS, Load, limited_by

IDLE = Load(span=1.0, cores=4, cpu=0.1, queued=0.0, stages={})


def load(stages: dict[str, float], **more: object) -> Load:
    return replace(IDLE, stages=stages, **more)  # type: ignore[arg-type]


COMPUTE = {"decompress": 1.0, "walk": 1.0, "hash": 1.0, "encode": 1.0}


@pytest.mark.parametrize(
    ("measured", "word"),
    [
        (load({"waiting": 3.0, "encode": 1.0}, gate_full=0.9), "network"),
        (load({"waiting": 3.0, "encode": 1.0}, gate_full=0.1), "network"),
        (load({"waiting": 3.0}, gate_full=0.1, starved=True), "memory"),
        (load({"waiting": 3.0}, gate_full=0.9, starved=True), "network"),
        (load({"waiting": 3.0}, local_source=True), "disk"),
        (load({"waiting": 3.0}, cpu=3.6), "cpu"),
        (load({"waiting": 3.0}, cpu=1.0, queued=2.6), "cpu"),
        (load(COMPUTE, cpu=3.8), "cpu"),
        (load({"walk": 1.8, "waiting": 0.2}, cpu=1.7), "workers"),
        (load({"walk": 1.8, "waiting": 0.2}, cpu=0.4, queued=1.3), "workers"),
        (load({"encode": 1.8, "waiting": 0.2}, cpu=0.4), "disk"),
        (load({"store": 2.0, "walk": 1.0}), "store"),
        (load({"store": 2.0, "walk": 1.0}, local_store=True), "disk"),
        (load({"waiting": 3.0}, paced=2.0, gate_full=1.0), "requests"),
        (load({"waiting": 3.0}, paced=0.1, gate_full=1.0), "network"),
        (load(COMPUTE, cpu=3.8, paced=0.1), "cpu"),
        (load({"store": 2.0}, committing=True), "commit"),
        (load({"waiting": 1.0}, moving=False), "nothing"),
        (load({}, moving=False, awaited="walk"), "nothing"),
        (load({}, moving=False, awaited="waiting"), "network"),
        (load({}, moving=False, awaited="waiting", local_source=True), "disk"),
        (load({}, moving=False, awaited="store"), "store"),
        (load({}, moving=False, awaited="store", local_store=True), "disk"),
        (load({}, committing=True, moving=False), "commit"),
        (load({}, committing=True, delivering=True), "delivery"),
    ],
)
def test_one_word(measured: Load, word: str) -> None:
    assert limited_by(measured) == word
    assert word in WORDS


def test_cpu_time_of_all_threads_is_seen() -> None:
    clock = CpuClock()
    end = time.thread_time() + 0.05

    def burn() -> None:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass

    other = threading.Thread(target=burn)
    other.start()
    while time.thread_time() < end:
        pass
    other.join()
    used, queued = clock.take()
    assert used >= 0.1
    assert queued >= 0.0
    assert clock.take()[0] < used
    assert cores() > 0
