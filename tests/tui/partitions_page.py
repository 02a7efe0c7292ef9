"""Helpers of the tests of the partitions page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from piloting import play, settle, until
from textual.pilot import Pilot
from textual.widgets import Input

from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.widgets.partition_table import PartitionTable


def table_of(app: BronzeApp) -> PartitionTable:
    return app.screen.query_one(PartitionTable)


def on_page(
    app: BronzeApp, step: Callable[[BronzeApp, Pilot[Any]], Any], size: tuple[int, int] = (120, 40)
) -> None:
    """Start the app on its second page, wait until all is drawn, then ``step``."""

    async def go(pilot: Pilot[Any]) -> None:
        await step(app, pilot)

    play(first(app), go, size)


def first(app: BronzeApp) -> BronzeApp:
    """The app, beginning with this page."""
    app.session = replace(app.session, first_page="partitions")
    return app


async def filter_by(pilot: Pilot[Any], text: str) -> None:
    """Open the filter by its key; the text comes at once, as by pasting."""
    await pilot.press("slash")
    await until(pilot, lambda: isinstance(pilot.app.focused, Input))
    pilot.app.screen.query_one("#filter", Input).value = text
    await settle(pilot)
