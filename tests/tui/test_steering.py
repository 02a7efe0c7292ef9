"""Steering from any page, with real engines: retry, stop now, run again; and what is hidden."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import journals
import pytest
from copying import Site
from partitions_page import first, table_of
from piloting import run, settle, text_of, until
from test_app import control
from textual.pilot import Pilot
from textual.widgets import Input

from bronze_tui.config.load import load
from bronze_tui.testing.tiny_lake import write_tiny_lake
from bronze_tui.tui import keymap, launch
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.screens.dialogs import Confirm, TypeWord
from bronze_tui.tui.screens.notes import Note

Canned = Callable[..., BronzeApp]


async def soon(pilot: Pilot[Any], true: Callable[[], bool]) -> None:
    """Wait on what another process does."""
    for _ in range(20):
        try:
            await until(pilot, true)
        except AssertionError:
            continue
        return
    raise AssertionError(text_of(pilot.app))  # type: ignore[arg-type]


@pytest.fixture
def gap(tmp_path: Path) -> Site:
    """A lake of which one object is away, and a run that halted on it."""
    lake = write_tiny_lake(tmp_path / "lake", first=2, count=32)
    site = Site(tmp_path, lake.root, {"era.ledger_end": 33})
    missing = next(site.lake.rglob("*--20.*.zst"), None) or next(site.lake.rglob("*--20*.zst"))
    shutil.move(missing, tmp_path / "away")
    (tmp_path / "place").write_text(str(missing))
    assert site.run().code == 5
    return site


def mend(site: Site) -> None:
    shutil.move(site.root / "away", (site.root / "place").read_text())


def app_on(site: Site, **changes: Any) -> BronzeApp:
    words = [part for text in site.sets(**changes) for part in ("--set", text)]
    loaded = load(None, site.sets(**changes), {})
    return BronzeApp(launch.session_of(loaded, "attach", control=True, arguments=words))


def test_run_again_starts_a_new_engine_and_its_code_is_the_apps(gap: Site) -> None:
    app = app_on(gap)

    async def go() -> None:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await soon(pilot, lambda: app.ended)
            await soon(pilot, lambda: "HALTED" in text_of(app))
            assert app.exit_code() == 0, "no engine of ours has run"
            mend(gap)
            await pilot.press("R")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            assert "18-33" in text_of(app)
            await pilot.press("enter", "R")
            assert isinstance(app.screen, Confirm), "neither enter nor the same key says yes"
            before = app.view.run_id
            await pilot.press("y")
            await soon(pilot, lambda: app.view.run_id != before and app.ended)
            await soon(pilot, lambda: "DONE" in text_of(app))
            assert app.session.child is not None
            await pilot.press("q")

    run(go())
    assert app.return_value == 0
    assert gap.ranges() == ["2-17", "18-33"]


def test_a_new_run_that_halts_again_gives_its_code(gap: Site) -> None:
    app = app_on(gap)

    async def go() -> None:
        async with app.run_test(notifications=True) as pilot:
            await soon(pilot, lambda: app.ended)
            before = app.view.run_id
            await pilot.press("R")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press("y")
            await soon(pilot, lambda: app.view.run_id != before and app.ended)
            await pilot.press("q")

    run(go())
    assert app.return_value == 5


def test_an_engine_that_cannot_begin_says_why(gap: Site) -> None:
    app = app_on(gap)
    app.session = launch.replace(app.session, arguments=("--set", "nonsense.key=1"))

    async def go() -> None:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await soon(pilot, lambda: app.ended)
            await pilot.press("R")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press("y")
            await soon(pilot, lambda: isinstance(app.screen, Note))
            await settle(pilot)
            assert "The engine did not begin" in text_of(app)
            assert "nonsense" in text_of(app)
            await pilot.press("escape", "q")

    run(go())
    assert app.return_value == 0, "nothing of ours has run"


def test_a_hole_is_repaired_from_its_row(gap: Site) -> None:
    gap.settings["perf.on_failure"] = "skip"
    assert gap.run().code == 1
    mend(gap)
    app = first(app_on(gap))

    async def go() -> None:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await soon(pilot, lambda: app.ended and bool(table_of(app).keys))
            await soon(pilot, lambda: (table_of(app).key or "").endswith("18-33"))
            before = app.view.run_id
            await pilot.press("R")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            assert "--repair" in text_of(app)
            await pilot.press("y")
            await soon(pilot, lambda: app.view.run_id != before and app.ended)

    run(go())
    assert gap.ranges() == ["2-17", "18-33"]


def test_retry_of_what_waits_in_back_off(canned: Canned, monkeypatch: pytest.MonkeyPatch) -> None:
    app = first(canned(journals.retrying(), kind="attach", control=True))
    told = control(app, monkeypatch)

    async def go() -> None:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            key = f"{journals.KEY}/59950000-59959999"
            await until(pilot, lambda: key in table_of(app).keys)
            app.open_row(key)
            await until(pilot, lambda: table_of(app).key == key)
            await pilot.press("R")
            await until(pilot, lambda: told == [("retry", {"partition": "59950000-59959999"})])
            await until(pilot, lambda: "is tried now" in text_of(app))
            await pilot.press("home", "R")
            await until(pilot, lambda: isinstance(app.screen, Note))
            assert len(told) == 1

    run(go())


def test_stop_now_asks_for_the_word(canned: Canned, monkeypatch: pytest.MonkeyPatch) -> None:
    app = canned(journals.running(seconds=30), kind="attach", control=True)
    told = control(app, monkeypatch)

    async def go() -> None:
        async with app.run_test(notifications=True) as pilot:
            await until(pilot, lambda: app.view.started_at is not None)
            for word, said in (("", []), ("stp", []), ("stop", [("stop", {})])):
                await pilot.press("X")
                await until(pilot, lambda: isinstance(app.screen, TypeWord))
                await pilot.press(*word, "enter")
                await until(pilot, lambda: told == said)  # noqa: B023
                await pilot.press("escape")
                await pilot.pause()
        assert told == [("stop", {})], "once, and nothing for a wrong word"

    run(go())


def test_the_palette_has_stop_now_and_run_again(
    canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = canned(journals.halted(), kind="attach", control=True, arguments=())
    control(app, monkeypatch)

    async def go() -> None:
        async with app.run_test() as pilot:
            names = [command.title for command in app.get_system_commands(app.screen)]
            assert {"Stop now", "Run again", "Drain", "Workers", "Pause or resume"} <= set(names)
            await pilot.press("ctrl+p")
            await until(pilot, lambda: bool(app.screen.query(Input)))
            await pilot.press(*"stop now")
            await until(pilot, lambda: "asks for a word" in text_of(app))
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, TypeWord))

    run(go())


def test_while_an_engine_runs_there_is_no_second_one(
    canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = canned(journals.running(seconds=30), kind="attach", control=True, arguments=())
    told = control(app, monkeypatch)

    async def go() -> None:
        async with app.run_test(notifications=True) as pilot:
            await pilot.press("R")
            await until(pilot, lambda: "end it first" in text_of(app))
            assert not isinstance(app.screen, Confirm)
        assert (told, app.session.child) == ([], None)

    run(go())


@pytest.mark.parametrize("kind", ["attach", "replay"])
def test_who_may_only_look_has_no_such_keys(canned: Canned, kind: str) -> None:
    app = canned(journals.halted(), kind=kind, control=False, arguments=())

    async def go() -> None:
        async with app.run_test(notifications=True) as pilot:
            actions = {b.binding.action for b in app.screen.active_bindings.values()}
            assert not actions & keymap.CONTROL_ACTIONS
            names = {command.title for command in app.get_system_commands(app.screen)}
            assert not names & {"Stop now", "Run again", "Drain", "Workers", "Pause or resume"}
            for key in ("P", "D", "W", "X", "R"):
                app.clear_notifications()
                await pilot.press(key)
                await until(pilot, lambda: "read-only" in text_of(app))

    run(go())
