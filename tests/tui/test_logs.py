"""The Logs page: levels, filters, find, follow, floods, hostile text, every key, every size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import journals
import pytest
from piloting import play, settle, text_of, widget_text
from textual.pilot import Pilot

from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.logbook import A_TICK, CUT, KEPT, Filter, Line, LogBook
from bronze_tui.tui.screens.logs import LogsPage
from bronze_tui.tui.widgets.linelist import LineList

Canned = Callable[..., BronzeApp]
HOSTILE = "[/foo] [red]\x1b[31m\u202e" + "x" * 5_000


def alert(text: str, level: str = "warn", component: str = "source", **more: Any) -> dict[str, Any]:
    return {
        "kind": "alert",
        "time": 1_768_213_784.5,
        "run": "r",
        "level": level,
        "component": component,
        "message": text,
        **more,
    }


def of_partition(start: int, kind: str = "partition_committed") -> dict[str, Any]:
    partition = f"{start}-{start + 9}"
    return {"kind": kind, "time": 1.0, "run": "r", "partition": partition, "rows": 10}


# The book.


def test_levels_and_filters() -> None:
    records = [
        alert("one", "info"),
        alert("two", "warn", "store"),
        alert("three", "error"),
        of_partition(10),
        of_partition(20),
        of_partition(20, "partition_started"),
        {"kind": "something_new", "time": 2.0, "x": 1},
    ]
    book = LogBook()
    book.read_again(records)
    assert [line.level for line in book.lines] == ["info", "warn", "error", "info", "info", "info"]
    book.read_again(records, Filter(level="debug", partition="20-29"))
    assert [line.source for line in book.lines] == ["commit", "build"]
    book.read_again(records, Filter(level="warn"))
    assert [line.message for line in book.lines] == ["two", "three"]
    book.read_again(records, Filter(source="store"))
    assert [line.message for line in book.lines] == ["two"]
    book.read_again(records, Filter(text="SOMETHING"))
    assert "something_new" in book.lines[0].text()


def test_a_flood_is_thinned_and_counted() -> None:
    book = LogBook()
    book.take([alert(str(n)) for n in range(1_000)])
    assert len(book.lines) == A_TICK + 1
    assert book.lines[0].message.startswith("800 skipped")
    assert book.skipped == 800
    assert book.lines[-1].message == "999"
    book.take([alert(str(n)) for n in range(50)])
    assert len(book.lines) == A_TICK + 51


def test_it_keeps_a_bounded_number_of_lines_and_counts_matches_right() -> None:
    book = LogBook()
    book.find("even")
    for n in range(200):
        book.take([alert(f"{'even' if k % 2 == 0 else 'odd'} {n} {k}") for k in range(50)])
        assert book.matches == sum("even" in line.message for line in book.lines)
    assert len(book.lines) == KEPT
    assert book.dropped == 50


def test_long_lines_are_cut_before_anything_is_matched() -> None:
    line = Line(alert("a" * 5_000 + "needle"))
    assert len(line.message) <= CUT
    assert not line.holds("needle")


def test_hostile_text_is_made_visible() -> None:
    line = Line(alert(HOSTILE, component="\x1b[2J", partition="\u202e1-2"))
    assert line.text().isprintable()
    assert "[/foo] [red]\\x1b[31m\\u202e" in line.message


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": None},
        {"kind": "alert"},
        {"kind": "alert", "time": "x", "level": []},
        {"time": 1e40},
    ],
)
def test_records_of_any_shape_are_lines(record: dict[str, Any]) -> None:
    assert Line(record).text()
    assert Line(record).json()


def test_whole_hashes_do_not_fill_the_line() -> None:
    record = {**of_partition(10), "checksum": "sha256:" + "ab" * 32}
    assert "checksum=ababababab.." in Line(record).message


# The page.


def page_of(app: Any) -> LogsPage:
    assert isinstance(app.screen, LogsPage)
    return app.screen


def cursor(app: Any) -> int:
    return app.screen.query_one(LineList).cursor


def test_it_shows_the_journal_newest_last(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        assert "FOLLOWING" in text_of(app)
        assert "level>=INFO" in text_of(app)
        assert cursor(app) == len(page_of(app).book.lines) - 1
        assert "run finished: done" in widget_text(app, "#lines")
        assert "outcome" in widget_text(app, "#record")

    play(canned(journals.done(), first_page="logs"), step)


def test_levels_cycle(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        counts = {}
        for level in ("warn", "error", "debug", "info"):
            await pilot.press("l")
            assert page_of(app).book.filter.level == level
            counts[level] = len(page_of(app).book.lines)
        assert counts["debug"] > counts["info"] > counts["warn"] >= counts["error"]

    play(canned(journals.retrying(), first_page="logs"), step)


def test_source_and_partition_of_the_line_filter(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        page = page_of(app)
        line = page.book.lines[cursor(app)]
        await pilot.press("s")
        assert {x.source for x in page.book.lines} == {line.source}
        await pilot.press("s")
        assert len({x.source for x in page.book.lines}) > 1
        at = next(i for i, x in enumerate(page.book.lines) if x.partition != "-")
        page._list().move_to(at)
        wanted = page.book.lines[at].partition
        await pilot.press("p")
        assert {x.partition for x in page.book.lines} == {wanted}
        assert f"partition: {wanted}" in text_of(app)
        await pilot.press("escape")
        assert len({x.partition for x in page.book.lines}) > 1

    play(canned(journals.retrying(), first_page="logs"), step)


def test_find_marks_and_filter_hides(canned: Canned) -> None:
    records = journals.done()
    records[3:3] = [{**alert(f"needle {n}"), "run": records[0]["run"]} for n in range(3)]

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        page = page_of(app)
        everything = len(page.book.lines)
        await pilot.press("slash", *"needle", "enter")
        assert "3 matches" in text_of(app)
        first = cursor(app)
        assert not page.following
        await pilot.press("n")
        second = cursor(app)
        await pilot.press("N")
        assert cursor(app) == first != second
        assert len(page.book.lines) == everything
        await pilot.press("ampersand", *"needle 1", "enter")
        assert [x.message for x in page.book.lines] == ["needle 1"]
        await pilot.press("escape", "escape")
        assert len(page.book.lines) == everything
        assert page.book.pattern == ""
        await pilot.press("slash", *"nowhere", "enter")
        assert "not found" in text_of(app)

    play(canned(records, first_page="logs"), step)


def feed(app: BronzeApp, count: int, text: str = "fresh") -> None:
    for n in range(count):
        app.view.apply({**alert(f"{text} {n}"), "run": app.view.run_id})


def test_up_stops_following_and_end_follows_again(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        page = page_of(app)
        await pilot.press("up")
        assert "STOPPED" in text_of(app)
        here = page.book.lines[cursor(app)]
        feed(app, 30)
        app.tick()
        assert page.book.lines[cursor(app)] is here
        await pilot.press("end")
        assert page.following
        feed(app, 5, "later")
        app.tick()
        await pilot.pause()
        assert page.book.lines[cursor(app)].message == "later 4"
        await pilot.press("f")
        assert not page.following
        await pilot.press("f")
        assert page.following

    play(canned(journals.done(), first_page="logs"), step)


def test_a_flood_on_screen_says_what_it_skipped_and_reads_it_again(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        page = page_of(app)
        before = len(page.book.lines)
        feed(app, 1_200)
        app.tick()
        await pilot.pause()
        assert "1,000 skipped" in widget_text(app, "#foot")
        await pilot.press("r")
        assert len(page.book.lines) == before + 1_200

    play(canned(journals.done(), first_page="logs"), step)


def test_the_cursor_stays_when_old_lines_fall_off(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        page = page_of(app)
        for _ in range(KEPT // A_TICK):
            feed(app, A_TICK)
            app.tick()
        page._list().move_to(4_000, by_person=True)
        await pilot.pause()
        here = page.book.lines[4_000]
        for _ in range(3):
            feed(app, A_TICK)
            app.tick()
            await pilot.pause()
        assert page.book.lines[cursor(app)] is here
        assert len(page.book.lines) == KEPT

    play(canned(journals.done(), first_page="logs"), step)


def test_a_new_run_begins_a_new_page(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        app.view.apply({**alert("of the next run"), "run": "other"})
        app.tick()
        assert [x.message for x in page_of(app).book.lines] == ["of the next run"]

    play(canned(journals.done(), first_page="logs"), step)


def test_enter_shows_and_hides_the_record(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        record = app.screen.query_one("#record")
        assert record.display
        await pilot.press("enter")
        assert not record.display
        await pilot.resize_terminal(80, 24)
        await pilot.press("enter")
        assert record.display
        await pilot.press("escape")
        assert not record.display

    play(canned(journals.done(), first_page="logs"), step)


def test_saving_and_copying(
    canned: Canned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copied: list[str] = []
    monkeypatch.setattr(BronzeApp, "copy_to_clipboard", lambda self, text: copied.append(text))

    async def step(pilot: Pilot[Any]) -> None:
        await pilot.press("w", "y", "Y")

    play(canned(journals.done(), first_page="logs"), step)
    (saved,) = (tmp_path / "state").glob("logs-*.txt")
    assert "run finished: done" in saved.read_text().splitlines()[-1]
    assert copied[0] in saved.read_text()
    assert json.loads(copied[1])["kind"] == "run_finished"


def test_hostile_journal_is_shown_as_text(canned: Canned) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("l", "l", "l")
        for _ in range(4):
            await pilot.press("up", "s", "s", "p", "p")
        await pilot.press("end")
        assert "\x1b" not in text_of(app)
        assert "[bold]" in text_of(app)

    play(canned(journals.hostile(), first_page="logs"), step, size=(160, 40))


def test_without_a_journal() -> None:
    from bronze_tui.tui.session import Session

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        assert "no journal is open" in text_of(app)
        for key in ("f", "l", "s", "p", "n", "N", "y", "Y", "enter", "escape", "end", "up"):
            await pilot.press(key)

    play(BronzeApp(Session(kind="inspect", first_page="logs"), clock=lambda: 1.0), step)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_how_it_looks(canned: Canned, snap_compare: Any, size: tuple[int, int]) -> None:
    async def ready(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press("slash", *"retry", "enter")
        page = page_of(pilot.app)
        # The journal's path is another one each time.
        page.query_one("#foot").visible = False
        pilot.app.clear_notifications()
        await settle(pilot)

    app = canned(journals.retrying(), first_page="logs")
    assert snap_compare(app, terminal_size=size, run_before=ready)
