"""The app itself: keys everywhere, palette, freeze, leaving, sizes, themes, text that attacks."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import journals
import pytest
from piloting import play, posed, run, settle, text_of, until
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import HelpPanel, Input

from bronze_tui.tui import keymap
from bronze_tui.tui.app import PAGE_CLASSES, BronzeApp
from bronze_tui.tui.bridge import Controls
from bronze_tui.tui.screens.base import Page
from bronze_tui.tui.screens.dialogs import Confirm, QuitDialog

Canned = Callable[..., BronzeApp]
HOSTILE = "[/foo] [red] \x1b[31m [@click=app.quit]x[/] " + "x" * 5_000
THEMES = [
    "bronze-dark",
    "bronze-light",
    "textual-dark",
    "textual-light",
    "ansi-dark",
    "ansi-light",
]
SIZES = [(120, 40), (100, 30), (80, 24), (60, 20), (40, 10)]


def there(name: str) -> bool:
    return importlib.util.find_spec(PAGE_CLASSES[name].partition(":")[0]) is not None


PAGES = [page for page in keymap.PAGES if there(page.name)]


def control(app: BronzeApp, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Make the app believe an engine obeys; what it is told."""
    told: list[Any] = []

    def send(self: Controls, command: str, **args: Any) -> dict[str, Any]:
        told.append((command, args))
        return {"state": "as told"}

    monkeypatch.setattr(Controls, "send", send)
    monkeypatch.setattr(Controls, "engine_alive", lambda self: True)
    return told


# Going about.


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_one_key_opens_each_page_and_minus_goes_back(canned: Canned, page: keymap.Page) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press(page.key)
        await settle(pilot)
        assert page.name == app.screen.PAGE
        assert f"{page.key} {page.title}" in text_of(app)
        if page.name != "dashboard":
            # An editor that has the focus gives the keys back on escape.
            await pilot.press("escape", "minus")
            await settle(pilot)
            assert app.screen.PAGE == "dashboard"

    play(canned(journals.done()), step)


def test_every_key_of_every_page_has_an_id_and_words_and_none_is_taken() -> None:
    """Keys that tmux, screen, wezterm and line editors hold are never the only way."""
    taken = {f"ctrl+{letter}" for letter in "abhijklmoqs"}
    seen: dict[str, str] = {}
    for page in PAGES:
        module, _, name = PAGE_CLASSES[page.name].partition(":")
        made = getattr(importlib.import_module(module), name)
        for binding in [*keymap.GLOBAL, *made.__dict__.get("BINDINGS", [])]:
            assert isinstance(binding, Binding)
            assert binding.id, (page.name, binding)
            assert binding.description, (page.name, binding)
            assert not set(binding.key.split(",")) <= taken, (page.name, binding)
            if binding.id.startswith(page.name):
                assert binding.tooltip, (page.name, binding)
            where = seen.setdefault(f"{page.name} {binding.id}", binding.action)
            assert where == binding.action


def test_the_palette_finds_pages(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        for key in ("ctrl+p", "colon"):
            await pilot.press(key)
            await until(pilot, lambda: bool(app.screen.query(Input)))
            await pilot.press(*"logs")
            await until(pilot, lambda: "the journal: filter" in text_of(app))
            await pilot.press("enter")
            await until(pilot, lambda: getattr(app.screen, "PAGE", "") == "logs")
            await pilot.press("1")
            await settle(pilot)
            assert app.screen.PAGE == "dashboard"

    play(canned(journals.done()), step)


def test_help_shows_the_keys_and_goes_again(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("7", "question_mark")
        await until(pilot, lambda: bool(app.screen.query(HelpPanel)))
        await settle(pilot)
        assert "hide other" in text_of(app), "what each key of this page does"
        await pilot.press("question_mark")
        await until(pilot, lambda: not app.screen.query(HelpPanel))
        await settle(pilot)
        assert "hide other" not in text_of(app)

    play(canned(journals.done()), step)


def test_a_remapped_key_works(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        app.set_keymap({"go.logs": "x"})
        await pilot.press("x")
        await settle(pilot)
        assert app.screen.PAGE == "logs"

    play(canned(journals.done()), step)


def test_freeze_holds_the_view_and_says_since_when(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("7")
        await settle(pilot)
        await pilot.press("space")
        assert "FROZEN" in text_of(app)
        lines = len(app.screen.book.lines)
        alert = {"kind": "alert", "level": "error", "component": "x", "message": "news"}
        app.view.apply({**alert, "time": app.view.time, "run": app.view.run_id})
        app.tick()
        assert len(app.screen.book.lines) == lines
        await pilot.press("space")
        await settle(pilot)
        assert "FROZEN" not in text_of(app)
        assert len(app.screen.book.lines) == lines + 1

    play(canned(journals.done()), step)


# Control and leaving.


@pytest.mark.parametrize(
    ("keys", "told", "code"),
    [
        (["d"], [], 0),
        (["D"], [("drain", {})], None),
        ([*"stop", "enter"], [("stop", {})], None),
        (["escape"], [], None),
        (["enter"], [], None),
        (["q"], [], None),
        ([*"stp", "enter"], [], None),
    ],
)
def test_leaving_a_running_engine_asks(
    canned: Canned,
    monkeypatch: pytest.MonkeyPatch,
    keys: list[str],
    told: list[Any],
    code: int | None,
) -> None:
    app = canned(journals.running(seconds=30), kind="attach", control=True)
    said = control(app, monkeypatch)

    async def go() -> None:
        async with app.run_test() as pilot:
            await until(pilot, lambda: app.view.run_id != "")
            app._alive_checked = -1e9
            app.tick()
            await pilot.press("q")
            await until(pilot, lambda: isinstance(app.screen, QuitDialog))
            await pilot.press(*keys)
            if told:
                await until(pilot, lambda: said == told)
            await pilot.pause()

    run(go())
    assert app.return_value == code
    assert said == told


def test_leaving_what_has_ended_does_not_ask(canned: Canned) -> None:
    app = canned(journals.done(), kind="run")

    async def go() -> None:
        async with app.run_test() as pilot:
            await until(pilot, lambda: app.view.finished is not None)
            await pilot.press("q")

    run(go())
    assert app.return_value == 0


def test_the_exit_code_is_the_runs(canned: Canned) -> None:
    app = canned(journals.halted(), kind="run")

    async def go() -> None:
        async with app.run_test() as pilot:
            await until(pilot, lambda: app.view.finished is not None)
            await pilot.press("q")

    run(go())
    assert app.return_value == app.view.finished["exit_code"] != 0  # type: ignore[index]


def test_control_keys(canned: Canned, monkeypatch: pytest.MonkeyPatch) -> None:
    app = canned(journals.running(seconds=30), kind="attach", control=True)
    told = control(app, monkeypatch)

    async def go() -> None:
        async with app.run_test(notifications=True) as pilot:
            await until(pilot, lambda: app.view.started_at is not None)
            await pilot.press("P")
            await until(pilot, lambda: told == [("pause", {})])
            await pilot.press("D")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press("enter", "D", "n")
            await pilot.pause()
            assert told == [("pause", {})], "neither enter nor the same key says yes"
            await pilot.press("D")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press("y")
            await until(pilot, lambda: ("drain", {}) in told)

    run(go())


def test_without_control_nothing_is_sent(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("P")
        await until(pilot, lambda: "read-only" in text_of(app))
        assert "READ ONLY" in text_of(app) or "REPLAY" in text_of(app)

    play(canned(journals.paused()), step)


def test_an_engine_that_is_gone_is_seen(canned: Canned, monkeypatch: pytest.MonkeyPatch) -> None:
    app = canned(journals.running(seconds=30), kind="attach")
    monkeypatch.setattr(Controls, "engine_alive", lambda self: False)

    async def go() -> None:
        async with app.run_test() as pilot:
            await until(pilot, lambda: app.view.started_at is not None)
            app._alive_checked = -1e9
            app.tick()
            await pilot.pause()
            assert "GONE" in text_of(app)
            assert "run again" in text_of(app)

    run(go())


# Looks.


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_size_and_back(canned: Canned, page: keymap.Page) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press(page.key)
        await posed(pilot)
        before, focus = text_of(app), app.focused
        for width, height in [*SIZES, (200, 60), (120, 40)]:
            await pilot.resize_terminal(width, height)
            await settle(pilot)
            shown = text_of(app)
            assert "DONE" in shown
            assert ("needs 60x18" in shown) == (width < 60 or height < 18)
        await posed(pilot)
        assert app.focused is focus
        # The ends of scrollbars are drawn in eighths of a row, and rounded.
        eighths = str.maketrans("▁▂▃▄▅▆▇█", " " * 8)
        after = text_of(app).translate(eighths).split("\n")
        pairs = zip(after, before.translate(eighths).split("\n"), strict=True)
        assert [a for a, b in pairs if a != b] == []

    play(canned(journals.done()), step)


@pytest.mark.parametrize("theme", THEMES)
def test_themes(canned: Canned, theme: str) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        if theme not in app.available_themes:
            pytest.skip(f"no theme {theme} here")
        app.theme = theme
        for page in ("audit", "logs", "dashboard"):
            app.go(page)
            await settle(pilot)
            assert "DONE" in text_of(app)
            if not theme.startswith("ansi"):
                assert_readable(app)

    play(canned(journals.done()), step)


def assert_readable(app: BronzeApp) -> None:
    """Every visible character differs from its ground."""
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            if segment.text.strip() and segment.style is not None:
                one, two = segment.style.color, segment.style.bgcolor
                if one is not None and two is not None:
                    assert one != two, segment


def test_without_colour_states_can_be_told_apart(
    canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    words = []
    for records in (journals.done(), journals.halted(), journals.paused()):

        async def step(pilot: Pilot[Any]) -> None:
            app: Any = pilot.app
            assert_readable(app)
            words.append(app.screen.query_one("#word").render().plain.split()[0])
            assert words[-1] in text_of(app)

        play(canned(records), step)
    assert len(set(words)) == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_text_that_attacks_is_shown(canned: Canned, page: keymap.Page) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press(page.key)
        await settle(pilot)
        for severity in ("information", "warning", "error"):
            app.say(HOSTILE, severity)
        await until(pilot, lambda: "[/foo]" in text_of(app))
        assert "\x1b" not in text_of(app)
        app.clear_notifications()
        await settle(pilot)
        assert isinstance(app.screen, Page)

    play(canned(journals.hostile()), step)


def test_the_screenshot_lands_in_the_state_folder(canned: Canned, tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        await pilot.press("f12")

    play(canned(journals.done()), step)
    assert len(list((tmp_path / "state").glob("*.svg"))) == 1


def test_the_first_frame_loads_nothing_heavy(tmp_path: Path) -> None:
    """Starting the app pays for Textual and the dashboard; data libraries come with their page."""
    journal = journals.write_journal(tmp_path / "bronze.jsonl", journals.done())
    script = """
import asyncio, json, sys
from pathlib import Path
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.session import Session
async def go():
    app = BronzeApp(Session(kind="replay", journal=Path(sys.argv[1]), speed=0.0))
    async with app.run_test() as pilot:
        await pilot.pause()
asyncio.run(go())
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(journal)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "NO_COLOR": ""},
    )
    assert done.stdout, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    heavy = {"duckdb", "numba", "numpy", "obstore", "pyarrow", "sqlalchemy", "stellar_sdk"}
    assert loaded & heavy == set()


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_footer_of_each_page_has_its_keys_help_and_quit(canned: Canned, width: int) -> None:
    matter = {
        "dashboard": "⏎ why t window u unit",
        "partitions": "/ filter S sort g go to v verify",
        "ledger": "g go to n next N previous x hex",
        "sql": "F5 run",
        "audit": "b next break f5 verify F files",
        "plugins": "t traceback H by hook x do without",
        "logs": "f follow l level s source p partition",
        "config": "c preflight d only changed",
    }
    general = "? help ^p all q quit"
    typing = "F1 help ^p all F10 quit"
    app = canned(journals.done(), kind="attach", control=True, arguments=(), pas_dir=Path("/no"))

    def footer() -> str:
        return " ".join(text_of(app).split("\n")[-1].split())

    async def go() -> None:
        async with app.run_test(size=(width, 24)) as pilot:
            await until(pilot, lambda: "R run again ? help" in footer())
            for page in PAGES:
                app.go(page.name)
                end = typing if page.name == "sql" else general
                await until(
                    pilot,
                    lambda p=page, e=end: matter[p.name] in footer() and footer().endswith(e),  # type: ignore[misc]
                )

    run(go())


def test_the_footer_offers_what_fits_the_state_of_the_run(
    canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = canned(journals.running(), kind="attach", control=True, arguments=())
    control(app, monkeypatch)
    alive = [True]
    monkeypatch.setattr(app.controls, "engine_alive", lambda: alive[0])

    async def go() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "P pause D drain ? help" in text_of(app))
            app.view.engine_state = "paused"
            await until(pilot, lambda: "P resume D drain ? help" in text_of(app))
            app.view.engine_state = "draining"
            await until(pilot, lambda: "X stop now ? help" in text_of(app))
            alive[0] = False
            app._alive_checked = -1e9
            await until(pilot, lambda: "R run again ? help" in text_of(app))

    run(go())
