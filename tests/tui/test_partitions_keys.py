"""Every key of the partitions page."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from typing import Any

import journals
import pytest
from partitions_page import filter_by, on_page, table_of
from piloting import settle, text_of, until, widget_text
from textual.pilot import Pilot
from textual.widgets import Input

from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.screens.notes import Note
from bronze_tui.tui.widgets.partition_rows import SORTS

Canned = Callable[..., BronzeApp]


def test_filter_with_keys(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        await filter_by(pilot, "state:faile")
        await pilot.press("d")
        await settle(pilot)
        assert table_of(app).keys == [f"{journals.KEY}/59900000-59909999"]
        assert "1 of 5,993" in widget_text(app, "#partitions")
        await pilot.press("enter")
        await pilot.pause()
        assert app.focused is table_of(app)
        assert len(table_of(app).keys) == 1
        await pilot.press("escape")
        await settle(pilot)
        assert len(table_of(app).keys) == 5_993
        assert not app.screen.has_class("-filtering")
        await filter_by(pilot, "mb:x")
        assert "needs a number" in widget_text(app, "#partitions")
        await pilot.press("escape")
        await filter_by(pilot, "zzz")
        assert "no partition passes the filter" in widget_text(app, "#partitions")

    on_page(canned(journals.halted()), look)


def test_sort_and_reverse_keep_the_cursor(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        await pilot.press("down", "down")
        key = table_of(app).key
        await pilot.press("S")
        await settle(pilot)
        assert "state ↓" in widget_text(app, "#partitions")
        assert table_of(app).key == key
        assert table_of(app).keys[0] == f"{journals.KEY}/59900000-59909999"
        await pilot.press("r")
        await settle(pilot)
        assert "state ↑" in widget_text(app, "#partitions")
        assert table_of(app).keys[-1] == f"{journals.KEY}/59900000-59909999"
        for _ in SORTS[1:]:
            await pilot.press("S")
        await settle(pilot)
        assert "range ↑" in widget_text(app, "#partitions")
        assert table_of(app).keys[0] == f"{journals.KEY}/2-9999"

    on_page(canned(journals.halted()), look)


def test_go_to_a_ledger_or_range(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        for typed, found in (("12,345", "10000-19999"), ("59905000-59905001", "59900000-59909999")):
            await pilot.press("g")
            await until(pilot, lambda: isinstance(app.focused, Input))
            app.screen.query_one(Input).value = typed
            await pilot.press("enter")
            await settle(pilot)
            assert table_of(app).key == f"{journals.KEY}/{found}"
            assert found in widget_text(app, "#partitions")
        await pilot.press("g")
        await until(pilot, lambda: isinstance(app.focused, Input))
        await pilot.press("x", "enter")
        await settle(pilot)
        assert "neither a ledger nor a range" in text_of(app)

    on_page(canned(journals.halted()), look)


def test_requeue_shows_the_command_and_runs_nothing(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        await pilot.press("down", "down", "R")
        await until(pilot, lambda: isinstance(app.screen, Note))
        await settle(pilot)
        assert "bronze run --config /etc/bronze/pubnet.yaml" in text_of(app)
        await pilot.press("y")
        assert app.clipboard == "bronze run --config /etc/bronze/pubnet.yaml"
        await pilot.press("escape", "down", "R")
        await until(pilot, lambda: isinstance(app.screen, Note))
        await settle(pilot)
        assert "never built again" in text_of(app)
        assert "read-only" not in text_of(app)

    on_page(canned(journals.halted()), look)


def test_requeue_of_a_hole_is_a_repair(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        await filter_by(pilot, "state:hole")
        await pilot.press("enter", "R")
        await until(pilot, lambda: isinstance(app.screen, Note))
        await settle(pilot)
        assert "bronze run --repair --config" in text_of(app)
        assert "A run is active" in text_of(app)

    on_page(canned(journals.holes()), look)


def test_copies(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        await pilot.press("down", "down", "y")
        assert "partition=59900000-59909999  state=failed" in app.clipboard
        await pilot.press("Y")
        assert json.loads(app.clipboard)[0]["state"] == "failed"

    on_page(canned(journals.halted()), look)


def test_export_writes_what_is_shown(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        await filter_by(pilot, "!state:committed")
        await pilot.press("enter", "e")
        await settle(pilot)
        folder = app.session.state_dir
        assert folder is not None
        path = next(folder.glob("partitions-*.csv"))
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert [r["state"] for r in rows] == ["held", "held", "failed"]
        assert len(json.loads(path.with_suffix(".json").read_text())) == 3
        assert "3 rows in" in text_of(app)

    on_page(canned(journals.halted()), look)


@pytest.mark.parametrize(
    ("key", "method", "argument"),
    [
        ("enter", "open_ledger", 59_920_000),
        ("o", "open_sql", "BETWEEN 59920000 AND 59929999"),
        ("a", "open_audit", "59920000-59929999"),
    ],
)
def test_jumps(
    canned: Canned, monkeypatch: pytest.MonkeyPatch, key: str, method: str, argument: Any
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(BronzeApp, method, lambda self, what: asked.append(what))

    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        await pilot.press(key)
        await pilot.pause()
        assert len(asked) == 1
        assert argument == asked[0] or argument in asked[0]

    on_page(canned(journals.halted()), look)


def test_detail_is_a_second_step_where_it_is_narrow(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        assert not app.screen.query_one("#detail-pane").display
        await pilot.press("d")
        await settle(pilot)
        assert "WHY THE RUN HALTED" in text_of(app)
        assert not table_of(app).display
        await pilot.press("escape")
        await settle(pilot)
        assert table_of(app).display
        assert app.focused is table_of(app)

    on_page(canned(journals.halted()), look, (80, 24))
