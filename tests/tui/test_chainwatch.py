"""A broken chain is seen whatever page is open, and an event on its way to the disk is no break."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from piloting import run, text_of, until
from test_audit import Folder, alter

from bronze_tui.tui import chainwatch
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.chaincheck import Request, check
from bronze_tui.tui.chainwatch import ALWAYS, EVENTS, LEAST, Belief, ChainWatch, Schedule
from bronze_tui.tui.session import Session


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_break_is_believed_when_it_is_found_twice() -> None:
    belief = Belief(writing=True)
    assert not belief.take("one")
    assert belief.broken == ""
    assert not belief.take("other"), "an event was being written"
    assert belief.take("other")
    assert belief.broken == "other"
    assert belief.take("other")
    assert not belief.take("third")
    assert belief.broken == "other", "what is believed stays until something else is sure"
    assert belief.take("")
    assert belief.broken == ""


def test_where_nobody_writes_it_is_believed_at_once() -> None:
    belief = Belief(writing=False)
    assert belief.take("one")
    assert belief.broken == "one"


def test_when_it_is_time() -> None:
    plan = Schedule()
    assert plan.due(0, finished=False, now=0.0), "after the first frame"
    plan.begun(0, finished=False, now=0.0)
    plan.took(0.3)
    assert not plan.due(EVENTS, finished=False, now=LEAST - 1)
    assert not plan.due(EVENTS - 1, finished=False, now=LEAST + 1)
    assert plan.due(EVENTS, finished=False, now=LEAST + 1)
    assert plan.due(0, finished=False, now=ALWAYS)
    assert plan.due(0, finished=True, now=0.5), "at the run's end at once"
    plan.begun(0, finished=True, now=0.5)
    assert not plan.due(0, finished=True, now=1.0)
    plan.took(10.0)
    assert not plan.due(EVENTS, finished=True, now=100.0), "a long chain is not read all the time"


def test_it_looks_again_before_it_says_so(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chainwatch, "SECOND_LOOK", 0.0)
    answers = ["gap at event 9", ""]
    session = Session("attach", pas_dir=folder.pas)

    async def verify() -> str | None:
        assert watch.belief.broken == ""
        return answers.pop(0)

    watch = ChainWatch(session, folder.state, verify)
    asyncio.run(watch.look())
    assert answers == []
    assert watch.belief.broken == ""


def test_a_folder_that_cannot_be_read_says_nothing(folder: Folder) -> None:
    async def verify() -> str | None:
        return None

    watch = ChainWatch(Session("attach", pas_dir=folder.pas), folder.state, verify)
    watch.belief.broken = "before"
    asyncio.run(watch.look())
    assert watch.belief.broken == "before"


@pytest.mark.parametrize("kind", ["attach", "inspect"])
def test_the_verdict_says_it_though_nobody_opened_audit(folder: Folder, kind: str) -> None:
    alter(folder)
    session = Session(
        kind,  # type: ignore[arg-type]
        pas_dir=folder.pas,
        data_root=folder.data,
        state_dir=folder.state,
        first_page="dashboard",
    )
    app = BronzeApp(session)

    async def go() -> None:
        async with app.run_test(notifications=True) as pilot:
            for _ in range(10):
                if app.chain_broken:
                    break
                try:
                    await until(pilot, lambda: app.chain_broken != "")
                except AssertionError:
                    continue
            app.tick()
            await pilot.pause()
            assert "hash_mismatch at event 5" in app.chain_broken
            assert "CHAIN BROKEN" in text_of(app)
            assert app.current_mode == "dashboard"

    run(go())


def test_checkpoint_and_event_that_disagree(folder: Folder) -> None:
    event = folder.chain[-1]
    doc = {
        "copier_id": "c",
        "network": event.network,
        "era_id": event.era_id,
        "version_label": event.version_label,
        "last_committed_ledger": event.ledger_end,
        "last_committed_partition": {
            "start": event.ledger_start,
            "end": event.ledger_end,
            "checksum": event.tables[0][1].checksum,
        },
        "updated_at": "2026-01-01T00:00:00Z",
    }
    folder.state.mkdir(exist_ok=True)
    path = folder.state / "checkpoint_x.json"
    request = Request(str(folder.pas), state_dir=str(folder.state))
    path.write_text(json.dumps(doc))
    assert check(request) == {"broken": "", "problem": ""}
    doc["last_committed_partition"]["checksum"] = "sha256:" + "0" * 64  # type: ignore[index]
    path.write_text(json.dumps(doc))
    assert "checkpoint and event of ledgers" in check(request)["broken"]
    doc["last_committed_partition"]["end"] += 1_000  # type: ignore[index]
    path.write_text(json.dumps(doc))
    assert check(request)["broken"] == "", "an event may be filed later"
    path.write_text("{")
    assert check(request)["broken"] == ""


def test_nothing_is_proven_and_nothing_broken_without_events(tmp_path: Path) -> None:
    assert check(Request(str(tmp_path)))["broken"] == ""
    assert "cannot be read" in check(Request(str(tmp_path / "none")))["problem"]
