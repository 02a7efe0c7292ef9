"""What keeps the screen out of the copy's way: only changed lines are drawn, and no more often than
its share of a core allows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import journals
import pytest
from piloting import play, run, settle
from textual.app import App, ComposeResult
from textual.content import Content
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widgets import Static

from bronze_tui.journal.run_view import RunView
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.pace import SHARE, SLOWEST, Pace
from bronze_tui.tui.screens.base import Page
from bronze_tui.tui.widgets.figures import age, line, put, stack, title
from bronze_tui.tui.widgets.lines import Lines, looks
from bronze_tui.tui.widgets.throughput import ThroughputPanel, grown, rates


class Probe(Lines):
    """Keeps what it was asked to draw again; an empty list is everything."""

    def __init__(self) -> None:
        super().__init__(id="probe", markup=False)
        self.asked: list[list[int]] = []

    def _set_dirty(self, *regions: Region) -> None:
        self.asked.append(sorted(y for region in regions for y in region.line_range))
        super()._set_dirty(*regions)


class Board(App[None]):
    """A bordered panel of lines."""

    CSS = "#probe { border: round white; height: 6; width: 30; }"

    def compose(self) -> ComposeResult:
        yield Probe()

    def rows(self) -> list[str]:
        strips = self.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip)[:30] for strip in strips][:6]


def on_board(step: Callable[[Pilot[None], Probe], Any]) -> None:
    async def go() -> None:
        app = Board()
        async with app.run_test(size=(40, 10)) as pilot:
            probe = app.query_one(Probe)
            put(probe, stack([line("one"), line(("two", "muted")), line("three")]))
            await pilot.pause()
            probe.asked.clear()
            await step(pilot, probe)

    run(go())


def test_only_lines_that_changed_are_drawn() -> None:
    async def step(pilot: Pilot[None], probe: Probe) -> None:
        app = pilot.app
        assert isinstance(app, Board)
        assert put(probe, stack([line("one"), line(("TWO", "muted")), line("three")]))
        assert probe.asked == [[1]]
        await pilot.pause()
        assert [row.strip(" │") for row in app.rows()[1:4]] == ["one", "TWO", "three"]

    on_board(step)


def test_another_style_of_the_same_text_is_a_change() -> None:
    async def step(_: Pilot[None], probe: Probe) -> None:
        put(probe, stack([line("one"), line(("two", "bad")), line("three")]))
        assert probe.asked == [[1]]
        assert not put(probe, stack([line("one"), line(("two", "bad")), line("three")]))
        assert probe.asked == [[1]]

    on_board(step)


def test_another_number_of_lines_draws_all() -> None:
    async def step(pilot: Pilot[None], probe: Probe) -> None:
        app = pilot.app
        assert isinstance(app, Board)
        put(probe, stack([line("one"), line("two")]))
        assert [] in probe.asked
        await pilot.pause()
        assert [row.strip(" │") for row in app.rows()[1:4]] == ["one", "two", ""]

    on_board(step)


def test_a_new_title_draws_the_border_alone() -> None:
    async def step(pilot: Pilot[None], probe: Probe) -> None:
        app = pilot.app
        assert isinstance(app, Board)
        title(probe, "HEAD", "foot")
        assert probe.asked == [[-1, 4], [-1, 4]]
        await pilot.pause()
        rows = app.rows()
        assert "HEAD" in rows[0]
        assert "foot" in rows[5]

    on_board(step)


def test_a_look_is_text_and_styles_of_each_line() -> None:
    first = looks(stack([line("a", ("b", "bad")), line(""), line(("c\nd", "muted"))]))
    assert len(first) == 4
    second = looks(stack([line("a", ("b", "bad")), line(""), line(("c\nd", "good"))]))
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, True, False, False]
    assert looks(Content("")) == looks(line(""))


def test_a_plain_static_takes_content_as_before() -> None:
    async def step(pilot: Pilot[None], _: Probe) -> None:
        text = Static(markup=False)
        await pilot.app.mount(text)
        assert put(text, line("x"))
        assert not put(text, line("x"))

    on_board(step)


# The pace.


class Time:
    """A clock and a CPU meter that are set by hand."""

    def __init__(self) -> None:
        self.now = self.used = 0.0

    def drawings(self, seconds: float, cost: float, beat: float = 0.25) -> int:
        """How many drawings of ``cost`` CPU seconds there are in ``seconds``."""
        pace = Pace(beat, lambda: self.now, lambda: self.used)
        made = 0
        for _ in range(round(seconds / beat)):
            self.now += beat
            if pace.due():
                made += 1
                self.used += cost
        return made


def test_what_is_cheap_is_drawn_at_every_beat() -> None:
    assert Time().drawings(60, SHARE * 0.2) == 240


@pytest.mark.parametrize("cost", [0.008, 0.012, 0.018])
def test_what_is_dear_takes_no_more_than_its_share(cost: float) -> None:
    drawings = Time().drawings(120, cost)
    assert drawings * cost <= 120 * SHARE * 1.35
    assert drawings >= 120 / SLOWEST * 0.9


def test_it_is_drawn_once_a_second_whatever_it_costs() -> None:
    assert 110 <= Time().drawings(120, 0.5) <= 125


# What the dashboard does with it.


def test_the_dashboard_draws_what_looks_the_same_once_a_second(
    canned: Callable[..., BronzeApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    show = ThroughputPanel.show

    def counted(panel: ThroughputPanel, view: RunView, *, ended: bool) -> None:
        drawn.append(view.time)
        show(panel, view, ended=ended)

    async def step(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        monkeypatch.setattr(ThroughputPanel, "show", counted)
        start = app.now()
        for beat in range(9):
            monkeypatch.setattr(app, "now", lambda beat=beat: start + 10 + beat / 4)
            app.tick()
        assert len(drawn) == 3
        await pilot.press("u")
        assert len(drawn) == 4

    play(canned(journals.running()), step)


def test_ages_change_on_whole_seconds_together() -> None:
    assert age(100.2, 90.9) == age(100.9, 90.1) == "0:00:10"
    assert age(101.0, 90.9) == "0:00:11"
    assert age(5.0, 9.0) == "0:00:00"


def test_the_curve_of_a_young_run_grows_in_steps_and_newest_samples_change_alone() -> None:
    assert grown(3) == grown(30) == 30
    assert grown(31) == 38
    assert all(age <= grown(age) <= max(30, age * 1.25 + 1) for age in range(1, 5_000))
    tape = journals.Tape()
    tape.start(10)
    for second in range(1, 301):
        tape.at = journals.T0 + second
        tape.figures(100.0 + second)
    view, curves = RunView(), []
    for record in tape.records:
        view.apply(record)
        if record["kind"] == "throughput":
            curves.append(rates(view, "ledgers", 60.0, 12).curve)
    same = [a[:-1] == b[:-1] for a, b in itertools.pairwise(curves[100:])]
    assert sum(same) / len(same) >= 0.75


def test_pages_that_show_the_copy_alone_are_paced(
    canned: Callable[..., BronzeApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    refresh = Page.refresh_page

    def counted(page: Page, *args: Any, **kwargs: Any) -> None:
        drawn.append(page.PAGE)
        refresh(page, *args, **kwargs)

    async def step(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        monkeypatch.setattr(Page, "refresh_page", counted)
        monkeypatch.setattr(Pace, "due", lambda _: False)
        paced = {}
        for key, page in (("1", "dashboard"), ("2", "partitions"), ("6", "plugins"), ("7", "logs")):
            await pilot.press(key)
            await settle(pilot)
            drawn.clear()
            app._beat()
            paced[page] = not drawn
        assert paced == {"dashboard": True, "partitions": True, "plugins": False, "logs": True}

    play(canned(journals.running()), step)
