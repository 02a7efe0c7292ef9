"""The partitions page: what it lists, its detail pane, hostile text, pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import journals
import pytest
from partitions_page import filter_by, first, on_page, table_of
from piloting import posed, run, settle, text_of, until, widget_text
from textual.pilot import Pilot

from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.places import remote
from bronze_tui.tui.session import Session

Canned = Callable[..., BronzeApp]


def inspecting(data: Path, state: Path | None = None) -> BronzeApp:
    """An app on a dataset without any journal."""
    session = Session(kind="inspect", data_root=data, state_dir=state)
    return BronzeApp(session, clock=lambda: journals.T0)


def test_a_halted_run_says_why(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        assert "5,993 of 5,993" in widget_text(app, "#partitions")
        assert table_of(app).key == f"{journals.KEY}/59920000-59929999"
        shown = widget_text(app, "#detail-pane")
        assert "HELD" in shown
        assert "WHY THE RUN HALTED" in shown
        assert "2 built" in shown
        await pilot.press("down", "down")
        await settle(pilot)
        shown = widget_text(app, "#detail-pane")
        assert "FAILED" in shown
        assert "3,100 of 10,000" in shown
        assert "✗" in widget_text(app, "#coverage")
        assert "1 failed" in widget_text(app, "#coverage")

    on_page(canned(journals.halted()), look)


def test_a_dataset_without_a_journal_is_inspected(data: Path) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        shown = widget_text(app, "#partitions")
        assert "5 of 5" in shown
        assert "○ hole" in shown
        assert "4 committed" in widget_text(app, "#coverage")
        detail = widget_text(app, "#detail-pane")
        for text in ("42-51", "commit record", "part-42-51.parquet", "bronze-tui 0.1.0"):
            assert text in detail
        # Facts of rows that nobody opened are read too.
        assert shown.count("0.0") == 4
        await pilot.press("down", "down")
        await settle(pilot)
        assert "[red] ledger 23 is missing" in widget_text(app, "#detail-pane")

    on_page(inspecting(data), look)


def test_v_verifies_in_a_worker(data: Path) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        await pilot.press("v")
        await settle(pilot)
        assert "VERIFIED" in widget_text(app, "#detail-pane")
        path = datasets.commit(data, 3)
        path.write_bytes(b"other")
        await pilot.press("down", "v")
        await settle(pilot)
        assert "DIFFERS" in widget_text(app, "#detail-pane")
        assert "5 bytes" in widget_text(app, "#detail-pane")
        await pilot.press("up")
        await settle(pilot)
        assert "VERIFIED" in widget_text(app, "#detail-pane")

    on_page(inspecting(data), look, (120, 50))


def test_v_says_when_it_cannot(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        await pilot.press("v")
        await settle(pilot)
        assert "no files to verify. The store is s3://lake/bronze" in text_of(app)

    on_page(canned(journals.halted(), no_data=remote("s3://lake/bronze")), look)


def test_changes_show_although_another_page_took_them(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        await pilot.press("1")
        await settle(pilot)
        tape = journals.Tape(at=app.view.time, events=5_990)
        tape.begin(5_993, 1)
        for record in tape.records:
            app.view.apply(record)
        app.view.take_changed()
        await pilot.press("2")
        await settle(pilot)
        assert "59930000-59939999" in widget_text(app, "#partitions")

    on_page(canned(journals.halted()), look)


def test_rows_change_in_place(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        key = table_of(app).key
        tape = journals.Tape(at=app.view.time, size=64, events=24)
        tape.finish(25)
        for record in tape.records:
            app.view.apply(record)
        app.tick()
        await pilot.pause()
        assert table_of(app).key == key
        assert "◆ held" in widget_text(app, "#partitions")

    on_page(canned(journals.holes()), look)


def test_a_row_opens_when_it_is_listed(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        await filter_by(pilot, "state:failed")
        await pilot.press("enter", "1")
        app.open_row(f"{journals.KEY}/30000-39999")
        await until(pilot, lambda: app.current_mode == "partitions")
        await settle(pilot)
        assert table_of(app).key == f"{journals.KEY}/30000-39999"

    on_page(canned(journals.halted()), look)


def test_hostile_text_is_shown_as_text(canned: Canned) -> None:
    async def look(app: BronzeApp, pilot: Pilot[Any]) -> None:
        await filter_by(pilot, "[/foo]")
        assert len(table_of(app).keys) == 1
        await pilot.press("enter")
        for keys in (["R"], ["escape"], ["y"]):
            await pilot.press(*keys)
            await pilot.pause()
            assert "\x1b" not in text_of(app)
            assert "‮" not in text_of(app)
        assert "[/foo] [red]not red[/]" in widget_text(app, "#detail-pane")

    on_page(canned(journals.hostile()), look)


def test_nothing_to_list(tmp_path: Path) -> None:
    async def look() -> None:
        app = first(BronzeApp(Session(kind="inspect"), clock=lambda: journals.T0))
        async with app.run_test(size=(120, 40)) as pilot:
            await settle(pilot)
            assert "no run and no local dataset" in text_of(app)
            for key in ("v", "R", "o", "a", "y", "enter", "e", "d", "S", "r"):
                await pilot.press(key)
                await pilot.pause()
            assert "no partition is chosen" in text_of(app)

    run(look())


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda s: f"{s[0]}x{s[1]}")
def test_pictures(canned: Canned, snap_compare: Any, size: tuple[int, int]) -> None:
    async def show(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press("down", "down")
        await posed(pilot)

    app = first(canned(journals.halted()))
    assert snap_compare(app, terminal_size=size, run_before=show)


def test_picture_of_an_inspected_dataset(data: Path, snap_compare: Any) -> None:
    async def show(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press("v")
        await posed(pilot)

    assert snap_compare(first(inspecting(data)), terminal_size=(120, 50), run_before=show)
