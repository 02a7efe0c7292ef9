"""A sign of life from a thread of its own, but only while a call lasts long."""

from __future__ import annotations

import threading

from bronze_tui.engine.pulse import Pulse

LONG = 20.0


def test_a_long_call_gives_signs_and_a_closed_pulse_none() -> None:
    signs = threading.Semaphore(0)
    pulse = Pulse(signs.release, patience=0.02, every=0.01)
    with pulse.busy():
        assert signs.acquire(timeout=LONG)
        assert signs.acquire(timeout=LONG)
    pulse.close()
    pulse.close()
    assert "pulse" not in {thread.name for thread in threading.enumerate()}


def test_short_calls_give_none() -> None:
    signs: list[int] = []
    looked = threading.Event()

    class Often(Pulse):
        def _work(self) -> None:
            super()._work()
            looked.set()

    pulse = Often(lambda: signs.append(1), patience=LONG, every=0.001)
    for _ in range(100):
        with pulse.busy():
            pass
    pulse.close()
    assert looked.is_set()
    assert signs == []
