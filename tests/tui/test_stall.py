"""A source that blocks in the middle of a real run: the app says so, and keys still answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from copying import Site
from piloting import run, until, widget_text

from bronze_tui.journal import verdict
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Circumstances, judge
from bronze_tui.lake.source import LakeSource
from bronze_tui.testing.tiny_lake import write_tiny_lake
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.session import Session

BEFORE = 48
"""Ledgers read before the source blocks: three partitions of sixteen."""
PATIENCE = 1.5
"""Seconds without a commit that are a stall here; a minute for people."""


class Blocking:
    """Lets the reads of builds through up to a number, then holds them until it is opened."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._changed = threading.Condition()
        self._left: float = BEFORE
        real = LakeSource.read

        def read(source: LakeSource, ref: Any) -> bytes:
            if threading.current_thread().name.startswith("fetch"):
                with self._changed:
                    assert self._changed.wait_for(lambda: self._left > 0, 120)
                    self._left -= 1
            return real(source, ref)

        patch.setattr(LakeSource, "read", read)

    def open(self) -> None:
        with self._changed:
            self._left = float("inf")
            self._changed.notify_all()


@pytest.fixture
def blocking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Blocking]:
    made = Blocking(monkeypatch)
    yield made
    made.open()


def test_a_source_that_blocks_is_a_stall_until_it_answers(
    tmp_path: Path, blocking: Blocking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "STALL_LEAST", PATIENCE)
    lake = write_tiny_lake(tmp_path / "lake", first=2, count=64).root
    settings = {"era.ledger_end": 65, "era.partition_size": 16, "perf.workers": 1}
    site = Site(tmp_path, lake, settings)
    process, records = site.engine()
    engine = threading.Thread(target=process.run, name="engine")
    engine.start()
    journal = site.state / "bronze.jsonl"
    session = Session(kind="attach", journal=journal, state_dir=site.state, control=True)
    app = BronzeApp(session)

    async def go() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.view.partitions_committed == 3)
            last = max(r["time"] for r in records if r["kind"] == "partition_committed")
            await until(pilot, lambda: "STALLED" in widget_text(app, "StatusLine"))
            found = app.verdict(app.now())
            assert found.word == "STALLED"
            assert found.since == pytest.approx(last, abs=0.5)
            assert "nothing committed for" in found.evidence
            app.tick()
            await until(pilot, lambda: "stuck in fetch" in widget_text(app, "#stages"))
            await until(pilot, lambda: "> fetch" in widget_text(app, "#stages"))
            alone = RunView()
            for record in list(records):
                alone.apply(record)
            headless = judge(alone, app.now(), Circumstances(engine_alive=True))
            assert (headless.word, headless.since) == ("STALLED", found.since)
            await pilot.press("7")
            await until(pilot, lambda: app.current_mode == "logs")
            await pilot.press("1")
            await until(pilot, lambda: app.current_mode == "dashboard")
            blocking.open()
            await until(pilot, lambda: app.view.partitions_committed == 4)
            app.tick()
            assert app.verdict(app.now()).word in ("RUNNING", "DONE")

    try:
        run(go())
    finally:
        blocking.open()
        engine.join(30)
    assert records[-1]["exit_code"] == 0
