"""The dashboard: what each panel says in each state, every key, every size, hostile text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import journals
import pytest
from piloting import play, posed, run, settle, text_of, until, widget_text
from textual.pilot import Pilot

from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.screens.notes import RULES, AttentionScreen, Note
from bronze_tui.tui.session import Session
from bronze_tui.tui.theme import STATE_SIGNS
from bronze_tui.tui.widgets.lists import AttentionTable, InFlightTable
from bronze_tui.tui.widgets.throughput import ThroughputPanel

Canned = Callable[..., BronzeApp]
SIZES = [(80, 24), (120, 40), (200, 60)]


def test_a_running_copy(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        progress = widget_text(app, "#progress")
        assert "99.91 %" in progress
        assert "ETA 2:04:22" in progress
        assert "5,995 of 6,000" in progress
        for state in ("committed", "building", "held"):
            assert STATE_SIGNS[state][0] in progress
        assert "59970000-59979999" in widget_text(app, "#in-flight")
        assert "61%" in widget_text(app, "#in-flight")
        assert "1 held: commits go in order" in widget_text(app, "#in-flight")
        assert "> fetch" in widget_text(app, "#stages")
        chain = widget_text(app, "#chain")
        assert "59,949,999" in chain
        assert "412.0 MiB" in chain
        assert "88.0 MiB" in chain
        assert "5,995 events" in chain
        assert "event #5994" in widget_text(app, "#attention")
        assert "limited by source" in widget_text(app, "#verdict")

    play(canned(journals.running()), look)


@pytest.mark.parametrize(
    ("name", "word", "evidence"),
    [
        ("running", "RUNNING", "limited by source"),
        ("stalled", "STALLED", "nothing committed for 0:07:40"),
        ("halted", "HALTED", "partition 59900000-59909999"),
        ("done", "DONE", "20 partitions committed"),
        ("at_tip", "AT TIP", "source tip 59999999"),
        ("paused", "PAUSED", "by control socket"),
    ],
)
def test_the_verdict_leads(canned: Canned, name: str, word: str, evidence: str) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        assert word in widget_text(app, "StatusLine")
        panel = widget_text(app, "#verdict")
        assert "VERDICT" in panel
        assert evidence in panel
        assert "since" in panel
        assert "next" in panel
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert word in widget_text(app, "#verdict")

    play(canned(getattr(journals, name)()), look)


def test_a_stall_names_the_stage_and_no_eta(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        assert "ETA unknown (stalled)" in widget_text(app, "#progress")
        assert "stuck in fetch" in widget_text(app, "#stages")
        assert "> fetch" in widget_text(app, "#stages")
        assert "retrying" in widget_text(app, "#in-flight")
        await pilot.resize_terminal(200, 60)
        await settle(pilot)
        assert "503 SlowDown" in widget_text(app, "#in-flight")

    play(canned(journals.stalled()), look)


def test_a_hole_is_in_map_and_legend(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        assert STATE_SIGNS["hole"][0] * 6 in widget_text(app, "#map")
        assert "1 hole" in widget_text(app, "#legend")

    play(canned(journals.holes()), look)


def test_before_the_first_record(tmp_path: Any) -> None:
    async def look() -> None:
        session = Session(kind="replay", journal=tmp_path / "none.jsonl", state_dir=tmp_path)
        app = BronzeApp(session, clock=lambda: journals.T0)
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            app.tick()
            await pilot.pause()
            assert "waiting for the run's plan" in text_of(app)
            assert "no figures yet" in text_of(app)
            assert "nothing yet" in text_of(app)
            assert "no chain is known yet" in text_of(app)

    (tmp_path / "none.jsonl").write_text("")
    run(look())


def test_source_store_and_sizes_are_shown_where_there_is_room(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        shown = widget_text(app, "#run")
        for text in ("s3://aws-public", "file:///srv/bronze", "10,000 ledgers", "59,999,999"):
            assert text in shown

    play(canned(journals.running(seconds=60)), look, (200, 60))


# Keys.


def test_enter_says_why(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, Note)
        shown = text_of(app)
        assert RULES["STALLED"].split(".")[0][:40] in shown
        assert "usual gap" in shown
        assert "20 requests were throttled" in shown
        await pilot.press("y")
        assert "STALLED" in app.clipboard
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.id is None or not isinstance(app.screen, Note)

    play(canned(journals.stalled()), look)


def test_t_and_u_turn_the_curve(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        panel = app.screen.query_one(ThroughputPanel)
        titles = []
        for key in ("t", "t", "t", "u"):
            await pilot.press(key)
            await pilot.pause()
            titles.append(str(panel.border_title))
        assert titles == [
            "THROUGHPUT ledgers/s, 1 h",
            "THROUGHPUT ledgers/s, run",
            "THROUGHPUT ledgers/s, 6 min",
            "THROUGHPUT MB/s, 6 min",
        ]

    play(canned(journals.running()), look)


def test_f_hides_what_is_well(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        assert "INFO" in widget_text(app, "#attention")
        await pilot.press("f")
        await pilot.pause()
        shown = widget_text(app, "#attention")
        assert "FAULTS" in shown
        assert "INFO" not in shown
        assert "WARN" in shown
        assert "encode" not in widget_text(app, "#stages")
        assert "fetch" in widget_text(app, "#stages")
        await pilot.press("f")
        await pilot.pause()
        assert "encode" in widget_text(app, "#stages")

    play(canned(journals.stalled()), look)


def test_a_shows_all_notices_whole(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        await pilot.press("a")
        await pilot.pause()
        assert isinstance(app.screen, AttentionScreen)
        assert "lower source.concurrency if this goes on" in widget_text(app, "#attention-text")
        await pilot.press("down")
        await pilot.pause()
        assert "503 SlowDown" in widget_text(app, "#attention-text")
        await pilot.press("y")
        assert "503 SlowDown" in app.clipboard
        await pilot.press("f")
        await pilot.pause()
        assert "INFO" not in widget_text(app, "#attention-all")
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, AttentionScreen)

    play(canned(journals.stalled()), look)


def test_enter_on_a_row_opens_the_partition(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        table = app.screen.query_one(InFlightTable)
        table.focus()
        await pilot.press("down", "down")
        assert table.key == f"{journals.KEY}/59970000-59979999"
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "partitions")
        await settle(pilot)
        assert app.screen.query_one("#partitions").key == table.key  # type: ignore[attr-defined]

    play(canned(journals.running(seconds=420)), look)


def test_a_cursor_stays_on_its_notice_while_newer_ones_come(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        table = app.screen.query_one(AttentionTable)
        table.focus()
        await pilot.press("down", "down")
        before = table.notice(table.key)
        tape = journals.Tape(at=app.view.time)
        tape.say(journals.Alert("warn", "disk", "81 % full"), 1.0)
        app.view.apply(tape.records[0])
        app.tick()
        await pilot.pause()
        assert "81 % full" in widget_text(app, "#attention")
        assert table.notice(table.key) == before
        assert table.place == 3

    play(canned(journals.running(seconds=60)), look)


def test_a_cursor_that_nobody_moved_stays_on_the_newest(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        table = app.screen.query_one(AttentionTable)
        chosen = table.key
        app.view.apply(_alert(app, "81 % full"))
        app.tick()
        await pilot.pause()
        assert (table.place, table.key != chosen) == (0, True)
        # A row that was chosen by name is kept, also the first.
        kept = table.key
        assert kept is not None
        table.select(kept)
        app.view.apply(_alert(app, "82 % full"))
        app.tick()
        await pilot.pause()
        assert (table.place, table.key) == (1, kept)

    play(canned(journals.running(seconds=60)), look)


def _alert(app: BronzeApp, message: str) -> dict[str, Any]:
    tape = journals.Tape(at=app.view.time + 1.0)
    tape.say(journals.Alert("warn", "disk", message), 1.0)
    return tape.records[0]


def test_no_focus_at_the_start(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        assert pilot.app.focused is None

    play(canned(journals.running(seconds=20)), look)


# Sizes, colour, hostile text.


def test_all_sizes_and_back(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        await posed(pilot)
        begin = text_of(app)
        for size in [(100, 30), (80, 24), (60, 20), (40, 10), (200, 60), (61, 70), (180, 18)]:
            await pilot.resize_terminal(*size)
            await settle(pilot)
            assert "HALTED" in text_of(app)
            if size == (40, 10):
                assert "needs 60x18" in text_of(app)
            if size == (60, 20):
                assert "PROGRESS" in text_of(app)
                assert "ATTENTION" in text_of(app)
                assert "STAGES" not in text_of(app)
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: text_of(app) == begin)

    play(canned(journals.halted()), look)


def test_hostile_text_is_shown_as_text(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        shown = text_of(app)
        assert "[/foo] [red]not red[/]" in shown
        assert "\x1b" not in shown
        assert "‮" not in shown
        for key in ("enter", "escape", "a", "down", "escape", "f"):
            await pilot.press(key)
            await pilot.pause()
            shown = text_of(app)
            assert "\x1b" not in shown
            assert "‮" not in shown
        await pilot.press("a")
        await pilot.pause()
        assert "\\x1b[31m" in text_of(app)
        assert "\\u202e" in text_of(app)

    play(canned(journals.hostile()), look, (200, 60))


def test_a_still_run_repaints_nothing(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        app.tick()
        await pilot.pause()
        dirty: list[object] = []
        for widget in app.screen.query("#page *"):
            widget.refresh = lambda *a, w=widget, **k: dirty.append(w)  # type: ignore[method-assign,misc]
        app.tick()
        assert dirty == []

    play(canned(journals.done()), look)


def test_six_thousand_partitions_and_a_flood(canned: Canned) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        assert "6,000 of 6,000" in widget_text(app, "#progress")
        assert app.view.partitions_committed == 6_000
        assert app.view.chains[journals.KEY].events == 6_000

    play(canned(journals.large()), look)


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("name", ["running", "stalled", "halted"])
def test_pictures(canned: Canned, snap_compare: Any, name: str, size: tuple[int, int]) -> None:
    app = canned(getattr(journals, name)())
    assert snap_compare(app, terminal_size=size, run_before=posed)


def test_picture_of_why(canned: Canned, snap_compare: Any) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        await posed(pilot)
        page = pilot.app.screen
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is not page and pilot.app.screen.is_mounted)
        await pilot.pause()

    assert snap_compare(canned(journals.stalled()), terminal_size=(120, 40), run_before=ask)


def test_picture_in_the_light(canned: Canned, snap_compare: Any) -> None:
    async def lighten(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        assert isinstance(pilot.app, BronzeApp)
        pilot.app.action_toggle_dark()
        await posed(pilot)

    assert snap_compare(canned(journals.holes()), terminal_size=(120, 40), run_before=lighten)
