"""Page 1: is it alive and moving, which stage, is anything wrong, what exactly, what next."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict
from bronze_tui.tui.screens.base import Page
from bronze_tui.tui.widgets.digest import Digester
from bronze_tui.tui.widgets.lists import AttentionTable, InFlightTable
from bronze_tui.tui.widgets.panels import (
    ChainPanel,
    ProgressPanel,
    RunPanel,
    StagesPanel,
    VerdictPanel,
    over,
)
from bronze_tui.tui.widgets.rows import RowTable
from bronze_tui.tui.widgets.throughput import ThroughputPanel

_SECOND = 0.99
"""Ages go on; a hair less, so that a beat of the clock does not just miss it."""


class DashboardPage(Page):
    """The first screen an operator sees, and the one left open."""

    PAGE = "dashboard"
    PACED = True
    AUTO_FOCUS = ""

    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-flat"),
        (18, "-small"),
        (23, "-low"),
        (30, "-tall"),
        (38, "-roomy"),
        (52, "-vast"),
    ]

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "why", "why", id="dashboard.why", tooltip="rule and evidence"),
        Binding("t", "window", "window", id="dashboard.window", tooltip="6 min, 1 h, run"),
        Binding("u", "unit", "unit", id="dashboard.unit", tooltip="ledgers/s or MB/s"),
        Binding("a", "attention", "attention", id="dashboard.attention", tooltip="all notices"),
        Binding("f", "faults", "faults", id="dashboard.faults", tooltip="hide what is well"),
    ]

    DEFAULT_CSS = """
    DashboardPage #verdict { height: 4; }
    DashboardPage #verdict.-bad { border: round $error; border-title-color: $error; }
    DashboardPage #verdict.-worry { border: round $warning; border-title-color: $warning; }
    DashboardPage #top { height: 9; }
    DashboardPage #progress { width: 3fr; height: 100%; }
    DashboardPage #throughput { width: 2fr; height: 100%; }
    DashboardPage #middle { height: 10; }
    DashboardPage #stages { width: 2fr; height: 100%; }
    DashboardPage #in-flight { width: 3fr; height: 100%; }
    DashboardPage #bottom { height: 1fr; }
    DashboardPage #attention { width: 1fr; height: 100%; }
    DashboardPage #chain { width: 44; height: 100%; }
    DashboardPage #chain, DashboardPage #run, DashboardPage #stages {
        text-wrap: nowrap; text-overflow: ellipsis; }
    DashboardPage #run { display: none; width: 60; height: 100%; }

    DashboardPage.-tall #top { height: 8; }
    DashboardPage.-tall #middle { height: 10; }
    DashboardPage.-roomy #verdict, DashboardPage.-vast #verdict { height: 5; }
    DashboardPage.-roomy #top { height: 12; }
    DashboardPage.-vast #top { height: 20; }
    DashboardPage.-vast #middle { height: 13; }
    DashboardPage.-wide #run { display: block; }
    DashboardPage.-wide #progress { width: 2fr; }
    DashboardPage.-wide #throughput { width: 1fr; }

    DashboardPage.-low #top, DashboardPage.-small #top { height: 6; }
    DashboardPage.-low #middle { height: 8; layout: vertical; }
    DashboardPage.-low #stages { width: 1fr; height: 3; }
    DashboardPage.-low #in-flight { width: 1fr; height: 5; }
    DashboardPage.-small #middle { display: none; }
    DashboardPage.-narrow #throughput, DashboardPage.-narrow #chain { display: none; }
    DashboardPage.-low #chain, DashboardPage.-small #chain { display: none; }
    DashboardPage.-low #run, DashboardPage.-small #run { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._digester = Digester()
        self._faults_only = False
        self._drawn: tuple[object, ...] = ()
        self._drawn_at = 0.0

    def body(self) -> ComposeResult:
        yield VerdictPanel()
        with Horizontal(id="top"):
            yield ProgressPanel()
            yield ThroughputPanel()
        with Horizontal(id="middle"):
            yield StagesPanel()
            yield InFlightTable()
        with Horizontal(id="bottom"):
            yield AttentionTable()
            yield ChainPanel()
            yield RunPanel()

    def show(self, view: RunView, verdict: Verdict, now: float) -> None:
        if not self._is_due(view, verdict, now):
            return
        digest = self._digester.take(view)
        faults, ended = self._faults_only, over(view, verdict)
        self.query_one(VerdictPanel).show(verdict, now)
        self.query_one(ProgressPanel).show(view, digest, verdict)
        self.query_one(ThroughputPanel).show(view, ended=ended)
        self.query_one(StagesPanel).show(view, verdict, now, faults_only=faults)
        self.query_one(InFlightTable).show(digest, view, view.time if ended else now)
        self.query_one(AttentionTable).show(digest, view, faults_only=faults)
        self.query_one(ChainPanel).show(view, digest, now, ended=ended)
        self.query_one(RunPanel).show(view)

    def _is_due(self, view: RunView, verdict: Verdict, now: float) -> bool:
        """Whether anything but the clock moved since it was drawn, or a second went by: what looks
        the same costs the copy nothing."""
        curve = self.query_one(ThroughputPanel)
        sizes = tuple(panel.size for panel in self.query(".panel").results())
        own = (self._faults_only, curve.window, curve.unit, sizes)
        state = (view.run_id, view.revision, verdict.word, verdict.next_step, own)
        if state == self._drawn and 0 <= now - self._drawn_at < _SECOND:
            return False
        self._drawn, self._drawn_at = state, now
        return True

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:
        """A partition at work opens on its page, a notice in the list of all."""
        event.stop()
        if event.table.id == "in-flight" and event.key is not None:
            self.bronze.open_row(event.key)
        else:
            self.action_attention()

    def action_why(self) -> None:
        from bronze_tui.tui.screens.notes import why

        now = self.bronze.now()
        note = why(self.bronze.view, self.bronze.verdict(now), now, self.app.size.width)
        self.app.push_screen(note)

    def action_window(self) -> None:
        self.query_one(ThroughputPanel).next_window()
        self.bronze.tick()

    def action_unit(self) -> None:
        self.query_one(ThroughputPanel).next_unit()
        self.bronze.tick()

    def action_attention(self) -> None:
        from bronze_tui.tui.screens.notes import AttentionScreen

        self.app.push_screen(AttentionScreen(faults_only=self._faults_only))

    def action_faults(self) -> None:
        self._faults_only = not self._faults_only
        self.bronze.tick()
