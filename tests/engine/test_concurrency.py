"""The climb to the right number of reads, on simulated sources; and the gate it moves."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bronze_tui.engine.concurrency import Climber, Window
from bronze_tui.engine.gate import ReadGate

MB = 1_000_000


@dataclass(frozen=True)
class Lake:
    """A source: each read takes ``latency`` and then flows at ``each`` bytes a second, all together
    at most ``total``; with more than ``throttle`` reads the surplus is refused."""

    latency: float = 0.05
    size: int = MB // 10
    each: float = 50 * MB
    total: float = 200 * MB
    throttle: int = 10_000
    noise: float = 0.0
    wanted: float = float("inf")
    """Bytes a second that builders take."""

    @property
    def knee(self) -> float:
        """Reads at which more bring nothing."""
        return self.total * (self.latency + self.size / self.each) / self.size

    def rate(self, limit: int) -> float:
        """Bytes a second with that many reads at a time."""
        alone = self.size / (self.latency + self.size / self.each)
        return min(min(limit, self.throttle) * alone, self.total, self.wanted)

    def window(self, limit: int, dice: random.Random) -> Window:
        """One second of it."""
        rate = self.rate(limit) * (1 + dice.uniform(-self.noise, self.noise))
        reads = int(rate / self.size)
        idle = self.wanted < min(limit * self.size / self.latency, self.total)
        refused = max(0, limit - self.throttle) * 5
        return Window(1.0, reads, int(rate), 0.1 if idle else 1.0, refused)


def climb(lake: Lake, climber: Climber, seconds: int, seed: int = 1) -> list[int]:
    dice = random.Random(seed)
    return [climber.observe(lake.window(climber.limit, dice)) for _ in range(seconds)]


def mean_rate(lake: Lake, limits: list[int]) -> float:
    return sum(map(lake.rate, limits)) / len(limits)


@pytest.mark.parametrize(
    "lake",
    [
        Lake(),
        Lake(latency=0.3),
        Lake(latency=0.01, total=20 * MB),
        Lake(latency=0.005, size=MB, total=100 * MB),
        Lake(latency=0.1, size=10_000),
        Lake(noise=0.02),
    ],
    ids=lambda lake: f"knee-{lake.knee:.0f}-noise-{lake.noise}",
)
def test_it_finds_what_the_source_can_give_and_not_much_more(lake: Lake) -> None:
    limits = climb(lake, Climber(16, 512), 400)
    late = limits[150:]
    best = lake.rate(512)
    assert mean_rate(lake, late) >= 0.88 * best
    assert sorted(late)[len(late) // 2] <= max(3, 2.2 * lake.knee)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.002, 0.5),
    st.integers(2_000, 4 * MB),
    st.floats(5 * MB, 500 * MB),
    st.integers(1, 200),
    st.integers(0, 1000),
)
def test_any_source_is_used_well_within_the_bounds(
    latency: float, size: int, total: float, most: int, seed: int
) -> None:
    lake = Lake(latency=latency, size=size, total=total, noise=0.01)
    limits = climb(lake, Climber(16, most), 600, seed)
    assert all(1 <= limit <= most for limit in limits)
    assert mean_rate(lake, limits[300:]) >= 0.7 * lake.rate(most)


def test_throttling_is_answered_at_once_and_not_sought_again_soon() -> None:
    lake = Lake(latency=0.5, throttle=20)
    climber = Climber(16, 512)
    limits = climb(lake, climber, 600)
    over = [limit > lake.throttle for limit in limits]
    assert any(over[:100])
    assert sum(over[100:]) <= 0.03 * 500
    assert mean_rate(lake, limits[100:]) >= 0.9 * lake.rate(lake.throttle)


def test_a_lone_failure_means_nothing_and_many_end_at_one() -> None:
    climber = Climber(64, 128)
    before = climber.limit
    assert climber.observe(Window(1.0, 500, MB, 1.0, 1)) == before
    assert climber.observe(Window(1.0, 20, MB, 1.0, 1)) < before
    for _ in range(40):
        climber.observe(Window(1.0, 0, 0, 1.0, 10))
    assert climber.limit == 1


def test_it_gives_way_once_for_one_wave_of_refusals() -> None:
    climber = Climber(100, 128)
    assert climber.observe(Window(1.0, 100, MB, 1.0, 50)) == 70
    assert climber.observe(Window(1.0, 100, MB, 1.0, 50)) == 70
    assert climber.observe(Window(1.0, 100, MB, 1.0, 50)) == 49


def test_a_source_that_changes_is_followed() -> None:
    slow, fast = Lake(latency=0.02, total=20 * MB), Lake(latency=0.4, total=200 * MB)
    climber = Climber(16, 1024)
    climb(slow, climber, 600)
    assert climber.limit <= 2 * slow.knee + 3
    limits = climb(fast, climber, 300)
    assert mean_rate(fast, limits[30:60]) >= 0.8 * fast.rate(1024), "after a long rest too"
    limits = climb(slow, climber, 300)
    assert mean_rate(slow, limits[200:]) >= 0.85 * slow.rate(1024)


def test_builders_that_want_less_leave_it_alone() -> None:
    lake = replace(Lake(latency=0.2), wanted=1.0 * MB)
    assert set(climb(lake, Climber(16, 512), 200)) == {16}


# The gate.


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_no_more_reads_than_the_limit() -> None:
    gate = ReadGate(3)
    most, active, lock = [0], [0], threading.Lock()

    def read() -> None:
        for _ in range(50):
            gate.enter()
            with lock:
                active[0] += 1
                most[0] = max(most[0], active[0])
            with lock:
                active[0] -= 1
            gate.leave(reads=1, size=1, seconds=0.0)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert most[0] <= 3


def test_time_at_the_limit_is_counted() -> None:
    clock = Clock()
    gate = ReadGate(2, clock=clock)
    gate.enter()
    clock.now = 1.0
    gate.enter()
    clock.now = 4.0
    gate.leave(reads=1, size=10, seconds=4.0)
    clock.now = 9.0
    gate.leave(reads=1, size=10, seconds=8.0)
    figures = gate.take()
    assert (figures.full, figures.reading) == (3.0, 12.0)
    assert (gate.take().full, gate.take().reading) == (0.0, 0.0)


@pytest.mark.parametrize("by", ["error", "counter"])
def test_trouble_lowers_the_gate_and_those_who_wait_still_come_in(by: str) -> None:
    clock = Clock()
    throttles = [0]
    gate = ReadGate(9, Climber(10, 100), lambda: throttles[0], clock)
    assert (gate.limit, gate.most) == (10, 100)
    for _ in range(10):
        gate.enter()
    late = threading.Thread(target=gate.enter)
    late.start()
    clock.now = 1.5
    throttles[0] += by == "counter"
    gate.leave(reads=1, size=5, seconds=1.5, trouble=by == "error")
    assert gate.limit == 7
    for _ in range(3):
        gate.leave(reads=1, size=5, seconds=1.5)
    late.join(60)
    assert not late.is_alive()
