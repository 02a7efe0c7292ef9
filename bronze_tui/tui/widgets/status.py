"""The two lines on top of every screen: what runs and how it is; and the pages."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from bronze_tui import __version__
from bronze_tui.journal import run_figures
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict, clock
from bronze_tui.tui.keymap import PAGES
from bronze_tui.tui.plain import plain
from bronze_tui.tui.theme import VERDICT_STYLE


class StatusLine(Widget):
    """``bronze 0.1  pubnet/pre_p23/v1  run 7f3a  RUNNING 2:14:07    source OK  store OK``."""

    DEFAULT_CSS = """
    StatusLine { height: 1; background: $panel; layout: horizontal; }
    StatusLine > #who { width: auto; max-width: 60%; color: $text-muted; padding: 0 1; }
    StatusLine > #word { width: auto; text-style: bold; padding: 0 1; }
    StatusLine > #word.bad { background: $error; color: $background; }
    StatusLine > #word.worry { background: $warning; color: $background; }
    StatusLine > #word.good { color: $success; }
    StatusLine > #word.calm { color: $secondary; }
    StatusLine > #health { width: 1fr; text-align: right; padding: 0 1; color: $text-muted; }
    """

    def compose(self) -> ComposeResult:
        yield Static(id="who", markup=False)
        yield Static(id="word", markup=False)
        yield Static(id="health", markup=False)

    def show(self, view: RunView, verdict: Verdict, notes: list[str]) -> None:
        """Draw; ``notes`` stand on the right, such as FROZEN or REPLAY."""
        who = Text("bronze ", style="bold", no_wrap=True, overflow="ellipsis")
        who.append(f"{__version__}  ")
        names = list(view.chains) or ["no copier"]
        who.append_text(plain(names[0] if len(names) == 1 else f"{names[0]} +{len(names) - 1}"))
        if view.run_id:
            who.append(f"  run {view.run_id[:4]}")
        _set(self.query_one("#who", Static), who)
        word = self.query_one("#word", Static)
        word.set_classes(VERDICT_STYLE.get(verdict.word, "calm"))
        age = f" {clock(run_figures.elapsed(view))}" if view.started_at is not None else ""
        _set(word, Text(f"{verdict.word}{age}"))
        health = Text("  ".join(notes), no_wrap=True, overflow="ellipsis")
        _set(self.query_one("#health", Static), health)


class Tab(Static):
    """One page's name; click to go there."""

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, page: str) -> None:
            super().__init__()
            self.page = page

    def __init__(self, key: str, name: str, title: str, active: bool) -> None:
        label = Text(f"{key} ", style="bold")
        label.append(title)
        super().__init__(label, markup=False, classes="active" if active else "")
        self._page = name

    def on_click(self) -> None:
        self.post_message(self.Chosen(self._page))


class Tabs(Horizontal):
    """All pages in one line; titles give way to numbers where it is narrow."""

    DEFAULT_CSS = """
    Tabs { height: 1; background: $surface; }
    Tabs > Tab { width: auto; padding: 0 1; color: $text-muted; }
    Tabs > Tab:hover { color: $foreground; background: $panel; }
    Tabs > Tab.active { color: $background; background: $primary; text-style: bold; }
    """

    def __init__(self, active: str) -> None:
        super().__init__()
        self._active = active

    def compose(self) -> ComposeResult:
        for page in PAGES:
            yield Tab(page.key, page.name, page.title, page.name == self._active)


def _set(widget: Static, content: Text) -> None:
    """Update only what changed: each update is bytes over somebody's slow line."""
    shown = getattr(widget, "_shown", None)
    if shown != content:
        widget._shown = content  # type: ignore[attr-defined]
        widget.update(content, layout=shown is None or shown.cell_len != content.cell_len)
