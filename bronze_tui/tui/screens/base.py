"""What all pages share: status line, tabs, footer, the refresh, and the size below which a page
shows one line. A screen has no I/O: it draws a RunView and asks the app for everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict
from bronze_tui.tui.widgets.keyfooter import KeyFooter
from bronze_tui.tui.widgets.status import StatusLine, Tabs

if TYPE_CHECKING:
    from bronze_tui.tui.app import BronzeApp

LEAST_WIDTH, LEAST_HEIGHT = 60, 18
NARROW = 100


class Page(Screen[None]):
    """One of the eight pages."""

    PAGE: ClassVar[str] = ""
    PACED: ClassVar[bool] = False
    """It shows the copy alone, so that it may be drawn less often while that is dear."""

    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-tiny"),
        (60, "-narrow"),
        (NARROW, "-normal"),
        (160, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-flat"),
        (18, "-low"),
        (30, "-tall"),
    ]

    DEFAULT_CSS = """
    Page { layout: vertical; }
    Page > #too-small { display: none; height: 1fr; content-align: center middle; }
    Page > #page { height: 1fr; }
    Page.-tiny > #page, Page.-flat > #page { display: none; }
    Page.-tiny > #too-small, Page.-flat > #too-small { display: block; }
    Page.-tiny KeyFooter, Page.-flat KeyFooter { display: none; }
    """

    _had_focus: Widget | None = None
    _was_small = False

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield Tabs(self.PAGE)
        yield Static(id="too-small", markup=False)
        with Container(id="page"):
            yield from self.body()
        yield KeyFooter()

    def on_resize(self) -> None:
        """Where it is narrow the keys stand closer, so that help and quit are there too."""
        self.query_one(KeyFooter).compact = self.size.width < NARROW
        self._was_small = self._was_small or self._too_small()

    def _too_small(self) -> bool:
        return self.size.width < LEAST_WIDTH or self.size.height < LEAST_HEIGHT

    def body(self) -> ComposeResult:
        """The page's own widgets."""
        yield from ()

    def show(self, view: RunView, verdict: Verdict, now: float) -> None:
        """Draw the page's own widgets from ``view``; called at the refresh rate while active."""

    def refresh_page(
        self, view: RunView, verdict: Verdict, now: float, notes: list[str], *, frozen: bool
    ) -> None:
        """Draw everything; the status line goes on while the view is frozen."""
        if not self.is_mounted:
            # A page that has just been opened may be asked before its widgets are there.
            return
        self.query_one(StatusLine).show(view, verdict, notes)
        if self.PAGE == "dashboard":
            self.query_one(KeyFooter).offers = self.bronze.offers()
        if self._too_small():
            text = f"{verdict.word}\n{verdict.evidence}\nneeds {LEAST_WIDTH}x{LEAST_HEIGHT},"
            text += f" is {self.size.width}x{self.size.height}"
            self.query_one("#too-small", Static).update(Text(text, justify="center"))
            return
        self._keep_focus()
        if not frozen:
            self.show(view, verdict, now)

    def _keep_focus(self) -> None:
        """What was hidden for want of room lost the focus and has it again; whatever else gave it
        away meant to, so that keys are the page's."""
        if not self._was_small:
            self._had_focus = self.focused
            return
        had = self._had_focus
        if self.focused is not None or had is None:
            self._was_small = False
        elif had.focusable:
            self._was_small = False
            self.set_focus(had, scroll_visible=False)

    @property
    def bronze(self) -> BronzeApp:
        """The app, typed."""
        from bronze_tui.tui.app import BronzeApp

        assert isinstance(self.app, BronzeApp)
        return self.app
