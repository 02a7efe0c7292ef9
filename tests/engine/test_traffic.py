"""Requests are paced together and counted, by plugins that count themselves and by the engine."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from bronze_store_local import open_local
from bronze_tui.domain.events import Requests
from bronze_tui.engine.traffic import Pace, Traffic
from bronze_tui.hooks.contracts import BatchRef, StoreOptions
from bronze_tui.hooks.metering import RequestMeter


class Times:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_pace_spaces_requests_evenly() -> None:
    times = Times()
    pace = Pace(4, lambda: times.now, times.sleep)
    for _ in range(5):
        pace.wait()
    assert times.slept == [0.25] * 4
    times.now += 10
    pace.wait()
    assert times.slept == [0.25] * 4


def test_what_requests_waited_is_told_once() -> None:
    pace = Pace(2, lambda: 0.0, lambda seconds: None)
    for _ in range(4):
        pace.wait()
    assert pace.take_waited() == 0.5 + 1.0 + 1.5
    assert pace.take_waited() == 0.0


def test_pace_gives_each_thread_its_own_place() -> None:
    asked: list[float] = []
    pace = Pace(10, lambda: 0.0, asked.append)
    threads = [threading.Thread(target=pace.wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(round(seconds, 6) for seconds in asked) == [n / 10 for n in range(1, 20)]


def test_no_limit_never_waits() -> None:
    slept: list[float] = []
    pace = Pace(0, lambda: 0.0, slept.append)
    for _ in range(100):
        pace.wait()
    assert slept == []
    assert pace.take_waited() == 0.0


class Plain:
    """A third-party source that counts nothing."""

    codec = "zstd"

    def tip(self) -> int:
        return 7

    def read(self, ref: BatchRef) -> bytes:
        return b"12345"


def test_a_source_that_does_not_count_is_counted() -> None:
    traffic = Traffic(0)
    source: Any = traffic.source(Plain(), "other://lake")  # type: ignore[arg-type]
    assert source.tip() == 7
    assert source.read(BatchRef("k", 1, 1)) == b"12345"
    assert source.codec == "zstd"
    (news,) = traffic.news()
    assert (news.role, news.total, news.gets, news.lists, news.bytes_in) == ("source", 2, 1, 1, 5)
    assert list(traffic.news()) == []
    source.read(BatchRef("k", 1, 1))
    assert [n.gets for n in traffic.news()] == [2]


def test_a_store_that_does_not_count_is_counted(tmp_path: Path) -> None:
    traffic = Traffic(0)
    real = open_local(StoreOptions("local", tmp_path.as_uri(), tmp_path / "staging"))
    store = traffic.store(real, "other://store")
    assert store.create("a/b", b"xyz") == "created"
    staged = store.stage("f")
    staged.write_bytes(b"12")
    store.replace("c", staged)
    assert store.get("a/b") == b"xyz"
    assert store.head("none") is None
    assert [o.key for o in store.list("a/")] == ["a/b"]
    store.delete("c")
    (news,) = traffic.news()
    expected = Requests(
        role="store",
        total=6,
        gets=1,
        puts=2,
        heads=1,
        lists=1,
        deletes=1,
        others=0,
        bytes_in=3,
        bytes_out=5,
        retries=0,
        throttles=0,
    )
    assert news == expected


def test_places_on_this_machine_and_those_that_count_are_left_alone(tmp_path: Path) -> None:
    traffic = Traffic(0)
    real = open_local(StoreOptions("local", tmp_path.as_uri(), tmp_path / "staging"))
    assert traffic.store(real, tmp_path.as_uri()) is real

    class Counting(Plain):
        def counters(self) -> object:
            return None

    source: Any = Counting()
    assert traffic.source(source, "s3://b") is source


def test_source_and_store_share_one_pace() -> None:
    traffic = Traffic(1e6)
    one, two = traffic.meter("source"), traffic.meter("store")
    assert one._pace == two._pace
    assert one is traffic.meter("source")


def test_meter_counts_from_many_threads() -> None:
    meter = RequestMeter()

    def work() -> None:
        for _ in range(500):
            meter.request("get")
            meter.moved(bytes_in=2)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = meter.counts()
    assert (counts.requests, counts.total, counts.bytes_in) == ({"get": 4000}, 4000, 8000)
