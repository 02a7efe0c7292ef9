"""Dialogs that say something at length: why the verdict is what it is, a command to run, all
notices. They change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

from bronze_tui.journal import run_figures
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict, clock
from bronze_tui.tui.plain import lines
from bronze_tui.tui.theme import VERDICT_STYLE
from bronze_tui.tui.widgets.digest import Digester
from bronze_tui.tui.widgets.figures import hms, line, pairs, part, put, rate, stack
from bronze_tui.tui.widgets.lists import AttentionTable
from bronze_tui.tui.widgets.rows import RowTable

if TYPE_CHECKING:
    from bronze_tui.tui.app import BronzeApp

RULES = {
    "GONE": "The engine's process ended, or wrote nothing for 10 s, without a closing line.",
    "CHAIN BROKEN": "A verification found a break in the audit chain.",
    "HALTED": "The engine stopped itself on data: a gap, a wrong hash, a required plugin.",
    "FAILED": "The engine ended with an error that is not about the data.",
    "STALLED": "Nothing was committed for longer than 60 s and longer than five usual gaps.",
    "SLOW": "The last minute's rate is under half of the median of the last 15 minutes.",
    "PAUSED": "Somebody asked for a pause: builders wait, nothing is lost.",
    "DRAINING": "Somebody asked for the end: what is being built is finished and committed.",
    "STOPPING": "Somebody asked for the end now: unfinished builds are dropped, which is safe.",
    "STOPPED": "The run ended on request.",
    "AT TIP": "All ledgers the source has are copied; it waits for new ones.",
    "DONE": "The end of the range is committed and linked.",
    "STARTING": "The engine has not told its plan yet.",
    "RUNNING": "No rule of worry holds.",
}
"""The rules of ``journal.verdict`` as sentences."""

_WIDTH = 84
_BOX = """
NAME { align: center middle; background: $background 60%; }
NAME > .box {
    width: 84; max-width: 96%; height: auto; max-height: 90%; border: round $primary;
    padding: 1 2; background: $surface; border-title-color: $primary; border-title-style: bold;
    border-subtitle-color: $text-muted;
}
NAME > .box Static { width: 1fr; height: auto; }
"""


class Note(ModalScreen[None]):
    """A title and a text; `y` copies the part worth copying."""

    DEFAULT_CSS = _BOX.replace("NAME", "Note")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter", "close", "close", id="note.close"),
        Binding("y", "copy", "copy", id="note.copy", tooltip="copy the command or the text"),
    ]

    def __init__(self, heading: str, content: Content, copied: str = "") -> None:
        super().__init__()
        self._heading, self._content, self._copied = heading, content, copied

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box") as box:
            box.border_title = Content(self._heading)
            box.border_subtitle = "esc  close     y  copy"
            yield Static(self._content, markup=False)

    def action_close(self) -> None:
        self.dismiss()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self._copied or self._content.plain)
        self.app.notify("copied", markup=False)


def why(view: RunView, verdict: Verdict, now: float, screen_width: int) -> Note:
    """The rule that holds, its evidence and what was measured."""
    width = min(_WIDTH, int(screen_width * 0.96)) - 6
    kind = VERDICT_STYLE.get(verdict.word, "calm")
    minute, usual = run_figures.mean_rate(view, 60.0), run_figures.median_rate(view, 900.0)
    last, gap = run_figures.last_commit(view), run_figures.usual_gap(view)
    since = f"{hms(verdict.since)}, {clock(now - verdict.since)} ago" if verdict.since else "-"
    content = stack(
        [
            line((verdict.word, kind), "  ", (f"since {since}", "muted")),
            line(""),
            pairs(
                [
                    ("rule", RULES.get(verdict.word, "")),
                    ("evidence", verdict.evidence),
                    ("next", verdict.next_step),
                ],
                13,
                width,
            ),
            line(""),
            pairs(
                [
                    ("state", part(f"{view.engine_state}, by {view.state_by or 'nobody'}")),
                    ("last commit", "-" if last is None else f"{clock(now - last)} ago"),
                    ("usual gap", clock(gap)),
                    ("1 min", "-" if minute is None else f"{rate(minute)} ledgers/s"),
                    ("15 min", "-" if usual is None else f"{rate(usual)} ledgers/s (median)"),
                    ("last word", f"{clock(now - view.time)} ago" if view.time else "-"),
                    ("limited by", part(run_figures.limited_by(view) or "nothing")),
                    ("in flight", str(len(run_figures.in_flight(view)))),
                    ("retries", str(view.retries)),
                    ("errors", str(view.errors)),
                ],
                13,
            ),
            *_last_error(view, width),
        ]
    )
    return Note("WHY", content)


def _last_error(view: RunView, width: int) -> list[Content]:
    for notice in reversed(view.notices):
        if notice.level in ("error", "warn"):
            where = f" {notice.partition}" if notice.partition else ""
            head = f"last {notice.level} {hms(notice.time)}{where}"
            todo = [pairs([("todo", notice.todo)], 13, width)] if notice.todo else []
            return [line(""), line((head, "worry")), part(notice.message), *todo]
    return []


class AskText(ModalScreen[str | None]):
    """One line of text; escape gives none."""

    DEFAULT_CSS = _BOX.replace("NAME", "AskText")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", id="ask.cancel")]

    def __init__(self, heading: str, question: str, hint: str) -> None:
        super().__init__()
        self._heading, self._question, self._hint = heading, question, hint

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = self._heading
            box.border_subtitle = "enter  go     esc  cancel"
            yield Static(lines(self._question), markup=False)
            yield Input(placeholder=self._hint)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip() or None)

    def action_cancel(self) -> None:
        self.dismiss(None)


class AttentionScreen(ModalScreen[None]):
    """All notices, full screen, the whole text of the chosen one below."""

    DEFAULT_CSS = """
    AttentionScreen { background: $background; }
    AttentionScreen > #attention-all { height: 1fr; }
    AttentionScreen > #attention-text { height: auto; max-height: 40%; min-height: 5; }
    """
    AUTO_FOCUS = "#attention-all"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,a", "close", "back", id="attention.close"),
        Binding("f", "faults", "faults only", id="attention.faults"),
        Binding("y", "copy", "copy", id="attention.copy"),
    ]

    def __init__(self, *, faults_only: bool) -> None:
        super().__init__()
        self._faults_only = faults_only
        self._digester = Digester()

    def compose(self) -> ComposeResult:
        yield AttentionTable(id="attention-all")
        yield Static(id="attention-text", markup=False, classes="panel")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self._draw()
        self.set_interval(0.5, self._draw)

    @property
    def _bronze(self) -> BronzeApp:
        from bronze_tui.tui.app import BronzeApp

        assert isinstance(self.app, BronzeApp)
        return self.app

    def _draw(self) -> None:
        app = self._bronze
        if app.frozen_since is None:
            table = self.query_one(AttentionTable)
            table.show(self._digester.take(app.view), app.view, faults_only=self._faults_only)
            self._show_text()

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        event.stop()
        self._show_text()

    def _show_text(self) -> None:
        put(self.query_one("#attention-text", Static), self._text(), wraps=True)

    def _text(self) -> Content:
        table = self.query_one(AttentionTable)
        notice = table.notice(table.key)
        if notice is None:
            return line(("nothing chosen", "muted"))
        about = f"{hms(notice.time)}  {notice.level.upper()}  {notice.component}"
        head = f"{about}  {notice.partition}" if notice.partition else about
        rows = [part(head, "muted"), part(notice.message, limit=5_000)]
        return stack(
            [*rows, *([line(("todo  ", "muted"), part(notice.todo))] if notice.todo else [])]
        )

    def action_faults(self) -> None:
        self._faults_only = not self._faults_only
        self._draw()

    def action_close(self) -> None:
        self.dismiss()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self._text().plain)
        self.app.notify("copied", markup=False)
