"""Helpers of the screens' tests: play an app, wait on facts, read the screen as text."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from bronze_tui.tui.app import BronzeApp

Step = Callable[[Pilot[Any]], Awaitable[None]]

PATIENCE = 60.0
"""Seconds a condition may take on a busy machine."""


def play(app: BronzeApp, step: Step, size: tuple[int, int] = (120, 40)) -> None:
    """Run the app headless to the end of its journal, then ``step``."""

    async def go() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            await settle(pilot)
            await step(pilot)

    run(go())


def run(what: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine."""
    asyncio.run(what)


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until the journal is applied, the workers are done and the page is drawn."""
    app = pilot.app
    assert isinstance(app, BronzeApp)
    await until(pilot, lambda: _caught_up(app))
    app.tick()
    await app.workers.wait_for_complete()
    for _ in range(2):
        await pilot.pause()
        app.tick()
    await pilot.pause()


def _caught_up(app: BronzeApp) -> bool:
    """Whether every record that stands in the journal is applied; a followed one never ends."""
    if app.bridge.backlog:
        return False
    journal = app.session.journal
    if app.bridge.ended or journal is None or not journal.exists():
        return True
    newest = journal.read_bytes().rstrip().rpartition(b"\n")[2]
    return bool(app.view.log) and dict(app.view.log[-1]) == json.loads(newest)


async def posed(pilot: Pilot[Any]) -> None:
    """Settled, and without the toasts that leave by themselves: ready for a picture."""
    await settle(pilot)
    pilot.app.clear_notifications()
    await pilot.pause()


async def until(pilot: Pilot[Any], true: Callable[[], bool]) -> None:
    """Wait on a condition; the bound is for a busy machine."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if true():
            return
        await pilot.pause()
        await asyncio.sleep(0.005)
    raise AssertionError("it did not become true")


def text_of(app: BronzeApp) -> str:
    """The screen as plain text, line by line."""
    screen = app.screen
    strips = screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def widget_text(app: BronzeApp, selector: str) -> str:
    """A widget's part of the screen."""
    region = app.screen.query_one(selector).region
    rows = text_of(app).split("\n")[region.y : region.bottom]
    return "\n".join(row[region.x : region.right] for row in rows)


def lines_of(path: Path) -> list[Any]:
    """JSON lines."""
    return [json.loads(row) for row in path.read_text().splitlines()]
