"""Facts and checks of one ledger, side by side where there is room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.widgets import Static

from bronze_tui.tui.widgets import ledger_facts
from bronze_tui.tui.widgets.figures import count, put, title

NOT_COMPARED = {
    "name": "source",
    "state": "none",
    "text": "not compared with the source (c compares)",
    "detail": "",
}


class LedgerAbout(Container):
    """Two panels; the page says how much room there is."""

    DEFAULT_CSS = """
    LedgerAbout { height: auto; }
    LedgerAbout #facts { height: auto; width: 1fr; min-width: 40; }
    LedgerAbout #checks { height: auto; width: 1fr; min-height: 8; max-height: 12; }
    LedgerAbout.-compact #checks { height: 4; min-height: 4; max-height: 4; }
    .-wide LedgerAbout { layout: horizontal; height: 12; }
    .-wide LedgerAbout #facts { height: 100%; width: 82; }
    .-wide LedgerAbout #checks { height: 100%; }
    .-wide LedgerAbout.-compact { height: 9; }
    .-wide LedgerAbout.-compact #checks { height: 9; max-height: 9; }
    """

    def __init__(self) -> None:
        super().__init__(id="about")
        self._columns: Mapping[str, Any] = {}
        self._header: Sequence[Sequence[str]] = ()
        self._compact = False
        self.checks: list[dict[str, str]] = []

    def compose(self) -> ComposeResult:
        yield Static(id="facts", markup=False, classes="panel")
        with VerticalScroll(id="checks", classes="panel", can_focus=False):
            yield Static(id="check-lines", markup=False)

    def on_mount(self) -> None:
        title(self.query_one("#facts"), "LEDGER")
        title(self.query_one("#checks"), "CHECKS")

    def show_ledger(self, chain_key: str, sequence: int, columns: Mapping[str, Any]) -> None:
        """Another ledger; its checks have not run yet."""
        self._columns, self._header, self.checks = columns, (), []
        title(self.query_one("#facts"), f"LEDGER {count(sequence)}", chain_key)
        title(self.query_one("#checks"), "CHECKS", "running ...")
        self._draw()

    def show_checks(self, checks: list[dict[str, str]]) -> None:
        """What the checks found."""
        self.checks = checks
        title(self.query_one("#checks"), ledger_facts.check_title(checks), "v runs them again")
        self._draw()

    def show_header(self, header: Sequence[Sequence[str]]) -> None:
        """Fields of the header that are no columns."""
        self._header = header
        self._draw()

    def show_compared(self, check: dict[str, str]) -> None:
        """What the source says."""
        self.show_checks([*(c for c in self.checks if c["name"] != "source"), check])

    def fit(self, *, compact: bool) -> None:
        """Draw again at the size there is now."""
        self._compact = compact
        self.set_class(compact, "-compact")
        self._draw()

    def _draw(self) -> None:
        panel = self.query_one("#facts", Static)
        width = panel.content_size.width
        if self._columns and width:
            content = ledger_facts.facts(self._columns, self._header, width, compact=self._compact)
            put(panel, content)
        lines = self.query_one("#check-lines", Static)
        if put(lines, ledger_facts.check_lines(self.checks, compact=self._compact)):
            # Beside a toast that comes at the same moment the new height is not always taken.
            self.call_after_refresh(lines.refresh, layout=True)
