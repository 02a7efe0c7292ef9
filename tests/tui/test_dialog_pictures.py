"""How questions and toasts look: nothing cut off, the worst choice last, the bounds told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import journals
import pytest
from piloting import posed, settle, until
from textual.pilot import Pilot
from textual.widgets import Input

from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.screens.dialogs import AskNumber, Confirm, QuitDialog, TypeWord
from bronze_tui.tui.steering import Steered, again_question

Canned = Callable[..., BronzeApp]
Open = Callable[[BronzeApp], Any]


def _quit(app: BronzeApp) -> None:
    app.push_screen(QuitDialog(4))


def _stop(app: BronzeApp) -> None:
    Steered.action_stop_now(app)


def _drain(app: BronzeApp) -> None:
    Steered.action_drain(app)


def _workers(app: BronzeApp) -> None:
    Steered.action_workers(app)


def _again(app: BronzeApp) -> None:
    app.push_screen(Confirm("Run again", again_question(app.view, "", repair=True)))


QUESTIONS: dict[str, tuple[Open, type]] = {
    "quit": (_quit, QuitDialog),
    "stop": (_stop, TypeWord),
    "drain": (_drain, Confirm),
    "workers": (_workers, AskNumber),
    "again": (_again, Confirm),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_picture_of_a_question(canned: Canned, snap_compare: Any, name: str) -> None:
    opens, kind = QUESTIONS[name]

    async def ask(pilot: Pilot[Any]) -> None:
        await posed(pilot)
        assert isinstance(pilot.app, BronzeApp)
        opens(pilot.app)
        await until(
            pilot, lambda: isinstance(pilot.app.screen, kind) and pilot.app.screen.is_mounted
        )
        await pilot.pause()
        for entry in pilot.app.screen.query(Input):
            entry.cursor_blink = False

    made = canned(journals.holes() if name == "again" else journals.running())
    assert snap_compare(made, terminal_size=(80, 24), run_before=ask)


def test_picture_of_a_wrong_word(canned: Canned, snap_compare: Any) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        await posed(pilot)
        pilot.app.push_screen(QuitDialog(1))
        await until(pilot, lambda: bool(pilot.app.screen.query(Input)))
        pilot.app.screen.query_one(Input).cursor_blink = False
        await pilot.press("s", "x", "enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, QuitDialog)

    assert snap_compare(canned(journals.running()), terminal_size=(80, 24), run_before=ask)


def test_picture_of_toasts(canned: Canned, snap_compare: Any) -> None:
    async def tell(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        app = pilot.app
        assert isinstance(app, BronzeApp)
        app.clear_notifications()
        app.say("run finished: done")
        app.say("the engine runs; end it first (D drains), two cannot work here", "warning")
        app.say("CHAIN BROKEN: event #12 [red]names another[/] previous hash \x1b[31m", "error")
        await pilot.pause()
        await until(pilot, lambda: len(app.screen.query("Toast")) == 3)
        await pilot.pause()

    made = canned(journals.running())
    assert snap_compare(made, terminal_size=(80, 24), run_before=tell)
