"""Logs: the journal's newest lines; find marks, filter hides, both while following."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import Static

from bronze_tui.domain.errors import BronzeError
from bronze_tui.headless.lines import LEVELS
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict
from bronze_tui.tui.logbook import Filter, Line, LogBook, Record
from bronze_tui.tui.pins import write_file
from bronze_tui.tui.plain import plain
from bronze_tui.tui.screens.base import Page
from bronze_tui.tui.widgets.askline import AskLine
from bronze_tui.tui.widgets.linelist import Cell, LineList

_LEVEL_ROLES = {"debug": "muted", "info": "", "warn": "worry", "error": "bad"}


def _bind(key: str, action: str, name: str, id: str, tooltip: str, **more: Any) -> Binding:
    return Binding(key, action, name, id=f"logs.{id}", tooltip=tooltip, **more)


class LogsPage(Page):
    """The journal: filter, find, follow."""

    PAGE = "logs"
    PACED = True
    AUTO_FOCUS = "#lines"
    BINDINGS: ClassVar[list[BindingType]] = [
        _bind("f", "follow", "follow", "follow", "newest line stays in sight"),
        _bind("l", "level", "level", "level", "debug, info, warn, error"),
        _bind("s", "source", "source", "source", "only the source of this line"),
        _bind("p", "partition", "partition", "partition", "only the partition of this line"),
        _bind("slash", "find", "find", "find", "mark lines that hold a text", key_display="/"),
        _bind("ampersand", "filter", "filter", "filter", "hide other lines", key_display="&"),
        _bind("n", "next(1)", "next match", "next", "next match", show=False),
        _bind("N", "next(-1)", "previous match", "previous", "match before", show=False),
        _bind("w", "save", "save", "save", "write the shown lines to a file"),
        _bind("y", "copy", "copy", "copy", "the line as text", show=False),
        _bind("Y", "copy_json", "copy JSON", "json", "the record as JSON", show=False),
        _bind("r", "read_again", "read again", "again", "skipped lines too", show=False),
        _bind("escape", "clear", "clear", "clear", "search, then filters, off", show=False),
    ]

    DEFAULT_CSS = """
    LogsPage #both { height: 1fr; layout: vertical; }
    LogsPage.-wide #both { layout: horizontal; }
    LogsPage #log { height: 1fr; width: 1fr; }
    LogsPage #lines { height: 1fr; }
    LogsPage #empty {
        display: none; height: 1fr; content-align: center middle; color: $text-muted;
    }
    LogsPage.-empty #empty { display: block; }
    LogsPage.-empty #lines { display: none; }
    LogsPage #foot { height: 1; color: $text-muted; padding: 0 1; }
    LogsPage #record { height: 12; scrollbar-size-vertical: 1; }
    LogsPage #record > Static { height: auto; }
    LogsPage.-wide #record { width: 62; height: 1fr; }
    LogsPage.-low #record { display: none; }
    LogsPage.-low.-open #record { display: block; }
    LogsPage.-shut #record { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.book = LogBook()
        self.following = True
        self._taken = -1
        self._run = ""
        self._foot = ""
        self._recorded: Line | None = None
        self._record_rows = -1

    def body(self) -> ComposeResult:
        with Container(id="both"):
            with Vertical(id="log", classes="panel"):
                yield LineList(self._line, id="lines")
                yield Static(id="empty", markup=False)
            with VerticalScroll(id="record", classes="panel", can_focus=False) as record:
                record.border_title = "RECORD"
                yield Static(id="one", markup=False)
        yield AskLine()
        yield Static(id="foot", markup=False)

    # Taking lines.

    def show(self, view: RunView, verdict: Verdict, now: float) -> None:  # noqa: ARG002
        if self._taken < 0 or view.run_id != self._run or view.logged < self._taken:
            self._run, self._taken = view.run_id, view.logged
            self.book.read_again(view.log)
            self._renewed()
        elif view.logged > self._taken:
            self._take(view)
        self._draw_frame(view)

    def _take(self, view: RunView) -> None:
        """What came since the last tick; what the ring has lost meanwhile counts as skipped."""
        new = view.logged - self._taken
        self._taken = view.logged
        fresh: list[Record] = list(islice(reversed(view.log), min(new, len(view.log))))[::-1]
        lines = self._list()
        if not self.book.take(fresh):
            return
        lines.cursor = max(0, lines.cursor - self.book.dropped)
        top = lines.scroll_offset.y - self.book.dropped
        lines.show(len(self.book.lines))
        if self.following:
            lines.move_to(lines.count - 1)
        elif self.book.dropped:
            lines.scroll_to(y=max(0, top), animate=False, force=True, immediate=True)
        self._draw_record()

    def _renewed(self) -> None:
        lines = self._list()
        lines.show(len(self.book.lines))
        if self.following or lines.cursor >= lines.count:
            lines.move_to(lines.count - 1)
        self._draw_record()
        self._foot = ""

    def action_read_again(self) -> None:
        """Everything the ring still has, skipped lines too."""
        self._change(self.book.filter)

    def _change(self, found: Filter) -> None:
        here = self._at()
        self.book.read_again(self.bronze.view.log, found)
        self._taken = self.bronze.view.logged
        self._renewed()
        if here is not None and not self.following:
            shown = (i for i, line in enumerate(self.book.lines) if line.record is here.record)
            self._list().move_to(next(shown, self._list().cursor))
        self._draw_frame(self.bronze.view)

    # Keys.

    def action_follow(self) -> None:
        self.following = not self.following
        if self.following:
            self._list().move_to(self._list().count - 1)
        self._draw_frame(self.bronze.view)

    def action_level(self) -> None:
        names = list(LEVELS)
        following = names[(names.index(self.book.filter.level) + 1) % len(names)]
        self._change(replace(self.book.filter, level=following))

    def action_source(self) -> None:
        line = self._at()
        if self.book.filter.source:
            self._change(replace(self.book.filter, source=""))
        elif line is not None:
            self._change(replace(self.book.filter, source=line.source))

    def action_partition(self) -> None:
        line = self._at()
        if self.book.filter.partition:
            self._change(replace(self.book.filter, partition=""))
        elif line is not None and line.partition != "-":
            self._change(replace(self.book.filter, partition=line.partition))
        else:
            self.bronze.say("this line is of no partition", "warning")

    def action_find(self) -> None:
        self.query_one(AskLine).ask("find", "mark lines that hold ...", self.book.pattern)

    def action_filter(self) -> None:
        self.query_one(AskLine).ask(
            "filter", "show only lines that hold ...", self.book.filter.text
        )

    @on(AskLine.Answered)
    def _answered(self, message: AskLine.Answered) -> None:
        self._list().focus()
        if message.question == "filter":
            self._change(replace(self.book.filter, text=message.text))
            return
        self.book.find(message.text)
        if message.text:
            self.action_next(-1)
        self._list().refresh()
        self._draw_frame(self.bronze.view)

    @on(AskLine.GivenUp)
    def _given_up(self) -> None:
        self._list().focus()

    def action_next(self, step: int) -> None:
        if not self.book.pattern or not self.book.lines:
            return
        cursor = self._list().cursor
        # The newest match first: a search begins at the line in hand.
        here = self.book.lines[cursor].holds(self.book.pattern) and self.following
        index = cursor if here else self.book.next_match(cursor, step)
        if index is None:
            self.bronze.say(f"not found: {self.book.pattern}", "warning")
            return
        self.following = False
        self._list().move_to(index)

    def action_clear(self) -> None:
        """The search first, then the filters, then the record."""
        if self.book.pattern:
            self.book.find("")
            self._list().refresh()
            self._draw_frame(self.bronze.view)
        elif self.book.filter != Filter(level=self.book.filter.level):
            self._change(Filter(level=self.book.filter.level))
        else:
            self.remove_class("-open")

    @on(LineList.Moved)
    def _moved(self, message: LineList.Moved) -> None:
        if message.by_person:
            self.following = message.index == message.lines.count - 1
        self._draw_record()
        self._draw_frame(self.bronze.view)

    @on(LineList.Chosen)
    def _chosen(self) -> None:
        """Enter shows the whole record, and hides it again."""
        if self.has_class("-low"):
            self.toggle_class("-open")
        else:
            self.toggle_class("-shut")
        self._draw_record()

    def action_save(self) -> None:
        when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.bronze.clock()))
        path = self.bronze.own_folder() / f"logs-{when}.txt"
        text = "\n".join(line.text() for line in self.book.lines)
        try:
            write_file(path, text.encode() + b"\n")
        except BronzeError as error:
            self.bronze.say(str(error), "error")
            return
        self.bronze.say(f"saved {len(self.book.lines):,} lines: {path}")

    def action_copy(self) -> None:
        line = self._at()
        if line is not None:
            self.app.copy_to_clipboard(line.text())
            self.bronze.say("line copied")

    def action_copy_json(self) -> None:
        line = self._at()
        if line is not None:
            self.app.copy_to_clipboard(line.json())
            self.bronze.say("record copied as JSON")

    def _list(self) -> LineList:
        return self.query_one("#lines", LineList)

    def _at(self) -> Line | None:
        cursor = self._list().cursor
        return self.book.lines[cursor] if cursor < len(self.book.lines) else None

    # Drawing.

    def _line(self, index: int, width: int) -> list[Cell]:
        line = self.book.lines[index]
        found = bool(self.book.pattern) and line.holds(self.book.pattern)
        sign = (">" if found else " ", "found" if found else "")
        if line.skipped:
            return [sign, (f"      {line.message}", "worry")]
        role = _LEVEL_ROLES.get(line.level, "")
        cells: list[Cell] = [sign, (f"{line.clock}  ", "muted"), (f"{line.level.upper():<6}", role)]
        if width >= 90:
            cells.append((f"{line.source[:9]:<10}", "accent"))
        cells.append((f"{line.partition[:21]:<18}", "muted"))
        return [*cells, (line.message, role if line.level in ("warn", "error") else "")]

    def _draw_frame(self, view: RunView) -> None:
        shown = self.book.filter
        parts = [
            f"level>={shown.level.upper()}",
            f"source: {shown.source or 'all'}",
            f"partition: {shown.partition or 'all'}",
            *([f"only lines with: {shown.text}"] if shown.text else []),
            "FOLLOWING" if self.following else "STOPPED (f or end follows)",
        ]
        foot = [f"{len(self.book.lines):,} lines shown of {view.logged:,} records"]
        if self.book.pattern:
            foot.append(f"/{self.book.pattern}: {self.book.matches:,} matches, n N, esc clears")
        if self.book.skipped:
            foot.append(f"{self.book.skipped:,} skipped (r reads what is left of them)")
        foot.append(f"file {self.bronze.session.journal or '-'}")
        text = "   ".join(parts) + "\n" + "   ".join(foot)
        if text == self._foot:
            return
        self._foot = text
        self.query_one("#log").border_title = plain(f"LOGS  {'   '.join(parts)}", limit=300)
        self.query_one("#foot", Static).update(plain("   ".join(foot)), layout=False)
        self.set_class(not self.book.lines, "-empty")
        if not self.book.lines:
            self.query_one("#empty", Static).update(self._why_empty(view))

    def _why_empty(self, view: RunView) -> Text:
        if not view.logged:
            return Text("no record yet" if self.bronze.session.journal else "no journal is open")
        return Text("no line passes the filter: l for more levels, esc clears the rest")

    def _draw_record(self) -> None:
        line = self._at()
        if line is self._recorded:
            return
        self._recorded = line
        text = Text(overflow="fold")
        if line is not None and line.skipped:
            text.append_text(plain(line.message))
        elif line is not None:
            for key, value in line.record.items():
                shown = value if isinstance(value, str) else json.dumps(value, default=str)
                text.append_text(plain(f"{key[:24]:<24}", "dim"))
                text.append_text(plain(shown, limit=5_000))
                text.append("\n")
        one = self.query_one("#one", Static)
        # Laid out again only for another number of lines, or where one wraps: it follows each key.
        width, lines = one.size.width, text.plain.split("\n")
        rows = len(lines) if all(cell_len(each) <= width for each in lines) else -1
        one.update(text, layout=rows < 0 or rows != self._record_rows)
        self._record_rows = rows
