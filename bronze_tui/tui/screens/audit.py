"""Audit: the chain as a walkable list, verified at open and as it grows, its first break first.

The page draws what the workers of ``ChainPage`` found.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from bronze_tui.audit.canonical import file_bytes
from bronze_tui.domain.errors import BronzeError
from bronze_tui.journal import run_figures
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict
from bronze_tui.tui.auditdesk import AuditDesk
from bronze_tui.tui.auditnews import FilesRead, Verified
from bronze_tui.tui.chainrows import ChainRow, matches
from bronze_tui.tui.chainwatch import SECOND_LOOK
from bronze_tui.tui.eventdetail import detail
from bronze_tui.tui.plain import plain
from bronze_tui.tui.screens.leveled import QUESTION, LeveledPage
from bronze_tui.tui.widgets.askline import AskLine
from bronze_tui.tui.widgets.auditband import band, bar, cells, columns, nothing
from bronze_tui.tui.widgets.figures import put
from bronze_tui.tui.widgets.linelist import Cell, LineList
from bronze_tui.tui.widgets.proofpanel import ProofPanel

GROWN_EVERY = 3.0
"""Least seconds between two verifications that growth asks for; longer for long chains."""
_TIMES_ITS_COST = 20


def _bind(key: str, action: str, name: str, id: str, tooltip: str, **more: Any) -> Binding:
    return Binding(key, action, name, id=f"audit.{id}", tooltip=tooltip, **more)


_KEEPING = ("report", "pin", "copy", "copy_json")
_ACTIONS = frozenset(("next_break", "verify", "files", "level", "find", "step", "chain", *_KEEPING))


class AuditPage(LeveledPage):
    """Walk and verify the PAS chain."""

    PAGE = "audit"
    AUTO_FOCUS = "#events"
    BINDINGS: ClassVar[list[BindingType]] = [
        _bind("b", "next_break", "next break", "break", "next break; after the last the first"),
        _bind("f5", "verify", "verify", "verify", "links and hashes again"),
        _bind("F", "files", "files", "files", "hash the Parquet files again"),
        _bind("l", "level", "level", "level", "verify at a level, 0 to 5"),
        _bind("w", "report", "report", "report", "save text and JSON"),
        _bind("h", "pin", "pin head", "pin", "keep the head apart from the chain"),
        _bind("slash", "find", "find", "find", "event number, ledger, hash", key_display="/"),
        _bind("n", "step(1)", "next", "next", "next event, or next match", show=False),
        _bind("p", "step(-1)", "previous", "previous", "event or match before", show=False),
        _bind("c", "chain", "chain", "chain", "next chain of the folder", show=False),
        _bind("y", "copy", "copy", "copy", "the event as text", show=False),
        _bind("Y", "copy_json", "copy JSON", "json", "the event as JSON", show=False),
        _bind("escape", "leave", "stop", "stop", "stop reading files", show=False),
    ]

    DEFAULT_CSS = """
    AuditPage.-nowhere #chain { display: none; }
    AuditPage #chain { height: 4; }
    AuditPage #chain > Static { height: 1; }
    AuditPage #middle { height: 1fr; }
    AuditPage #list { width: 3fr; }
    AuditPage #columns { height: 1; color: $text-muted; text-style: bold; }
    AuditPage #legend { height: 1; color: $text-muted; }
    AuditPage #detail { width: 2fr; min-width: 42; scrollbar-size-vertical: 1; }
    AuditPage #detail > Static { height: auto; }
    AuditPage #empty {
        display: none; height: 1fr; content-align: center middle; text-align: center;
        padding: 0 4;
    }
    AuditPage.-empty #empty { display: block; }
    AuditPage.-empty #middle { display: none; }
    AuditPage.-narrow #middle { layout: vertical; }
    AuditPage.-narrow #list { width: 1fr; height: 3fr; }
    AuditPage.-narrow #detail { width: 1fr; height: 2fr; }
    AuditPage.-low #legend { display: none; }
    AuditPage.-empty ProofPanel { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.desk = AuditDesk()
        self._verifying = False
        self._reading = False
        self._events_seen = -1
        self._wanted = ""
        self._drawn: tuple[Text, Text] | None = None
        self._heading: Text | None = None

    # Building.

    def body(self) -> ComposeResult:
        with Vertical(id="chain", classes="panel") as chain:
            chain.border_title = "CHAIN"
            yield Static(id="band", markup=False)
            yield Static(id="bar", markup=False)
        yield ProofPanel()
        yield Static(id="empty", markup=False)
        with Horizontal(id="middle"):
            with Vertical(id="list", classes="panel") as events:
                events.border_title = "EVENTS"
                yield Static(id="columns", markup=False)
                yield LineList(self._line, id="events")
                legend = Text("ok* linked, but after a break    ? file not read yet (F)")
                yield Static(legend, id="legend", markup=False)
            with VerticalScroll(id="detail", classes="panel", can_focus=False) as shown:
                shown.border_title = "EVENT"
                yield Static(id="event", markup=False)
        yield AskLine()

    def on_mount(self) -> None:
        self._draw_empty()
        self._verify_now(run_figures.events(self.bronze.view))

    # Verifying.

    def show(self, view: RunView, verdict: Verdict, now: float) -> None:  # noqa: ARG002
        events = run_figures.events(view)
        if events != self._events_seen and not self._verifying:
            wait = max(GROWN_EVERY, self.desk.cost * _TIMES_ITS_COST)
            if not 0 <= now - self.desk.checked_at < wait:
                self._verify_now(events)
        self._draw_band()

    def action_verify(self) -> None:
        if not self._verifying:
            self._verify_now(run_figures.events(self.bronze.view))

    def _has_no_folder(self) -> bool:
        return self.bronze.session.pas_dir is None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a folder no key of this page can do anything, so none is offered."""
        if action in _ACTIONS and self._has_no_folder():
            return False
        return super().check_action(action, parameters)

    def _verify_now(self, events: int) -> None:
        self._events_seen = events
        folder = self.bronze.session.pas_dir
        if folder is None:
            return
        self._verifying = True
        self.verify(folder)

    @on(Verified)
    def _verified(self, message: Verified) -> None:
        self._verifying = False
        current, desk = self._row(), self.desk
        young = self.bronze.session.live and not run_figures.events(self.bronze.view)
        desk.take_report(message, self.bronze.clock(), young=young)
        self._take_rows()
        self._draw_empty()
        kept = desk.row_of(current.ledgers) if current is not None else None
        self._select(kept if kept is not None else desk.news())
        if self._wanted:
            self.open_partition(self._wanted)
        self._tell_app()
        self._draw_band()

    def _take_rows(self) -> None:
        self.desk.take_rows()
        self._list().show(len(self.desk.rows))
        self._draw_columns()

    def _tell_app(self) -> None:
        desk = self.desk
        if desk.report is None or self.bronze.session.kind == "replay":
            # What the folder is today is no verdict on a recorded run.
            return
        self.bronze.damaged_file = desk.damaged_file()
        if not self.bronze.chain_watch.belief.take(desk.broken()):
            # An event may have been on its way to the disk: only a second look counts.
            self.set_timer(SECOND_LOOK, self.action_verify)

    def level_ended(self) -> None:
        self._tell_app()
        self._list().refresh()
        self._draw_detail()
        # It remembered the heads that it found.
        self.action_verify()

    # The files.

    def action_files(self) -> None:
        """Hash the partition files of every event again."""
        session = self.bronze.session
        if self._reading or self.desk.report is None:
            return
        if session.data_root is None:
            self.bronze.say(f"no files to read. {session.why_no_data.why}", "warning")
            return
        self._reading = True
        self.stop_reading.clear()
        self.desk.files = {}
        self.read_files(self.desk.events(), session.data_root / session.prefix)

    @on(FilesRead)
    def _files_read(self, message: FilesRead) -> None:
        self.desk.take_files(message)
        if message.progress.done:
            self._reading = False
        if message.progress.done and not message.progress.stopped:
            text, bad = self.desk.files_read()
            self.bronze.say(text, "error" if bad else "information")
        self._tell_app()
        self._list().refresh()
        self._draw_band()
        self._draw_detail()

    def action_leave(self) -> None:
        """Stop a level, or reading files (what was read stays). Else the search goes."""
        if self.levels.running:
            self.levels.stop()
        elif self._reading:
            self.stop_reading.set()
        else:
            self._search("")

    # Walking.

    def open_partition(self, partition: str) -> None:
        """Show the event of a partition, ``START-END``, once the chain is read."""
        self._wanted = partition
        if self.desk.report is None:
            return
        index = self.desk.chain_of(partition)
        if index is None:
            if not self._verifying:
                self._wanted = ""
                self.bronze.say(f"no event of partition {partition} is here", "warning")
            return
        self._wanted = ""
        if index != self.desk.index:
            self.desk.index = index
            self._take_rows()
            self._draw_band()
        self._select(self.desk.row_of(partition) or 0)

    def action_next_break(self) -> None:
        """The break behind the cursor, after the last one the first."""
        index, word = self.desk.next_break(self._list().cursor)
        if index is not None:
            self._select(index)
        if word:
            self.bronze.say(word)

    def action_step(self, by: int) -> None:
        if not self.desk.rows:
            return
        index = self.desk.step(self._list().cursor, by)
        if index is None:
            self.bronze.say(f"not found: {self.desk.search}", "warning")
        else:
            self._select(index)

    def action_find(self) -> None:
        hint = "event number, ledger, hash or file"
        self.query_one(AskLine).ask("find", hint, self.desk.search)

    @on(AskLine.Answered)
    def _find(self, message: AskLine.Answered) -> None:
        self._list().focus()
        if message.question == QUESTION:
            self.start_level(message.text)
            return
        self._search(message.text.strip())
        row = self._row()
        if self.desk.search and not (row is not None and matches(row, self.desk.search)):
            self.action_step(1)

    @on(AskLine.GivenUp)
    def _no_find(self) -> None:
        self._search("")
        self._list().focus()

    def _search(self, text: str) -> None:
        self.desk.search = text
        self._list().refresh()
        count = sum(matches(row, text) for row in self.desk.rows) if text else 0
        found = plain(f"/{text}: {count:,} found, n p, esc clears", limit=60) if text else None
        self.query_one("#list").border_subtitle = found

    def action_chain(self) -> None:
        if self.desk.report is None or len(self.desk.report.chains) < 2:
            self.bronze.say("the folder holds one chain")
            return
        self.desk.index = (self.desk.index + 1) % len(self.desk.report.chains)
        self._take_rows()
        self._select(self.desk.news())
        self._draw_band()

    @on(LineList.Moved)
    def _moved(self) -> None:
        self._draw_detail()

    @on(LineList.Chosen)
    def _chosen(self) -> None:
        row = self._row()
        if row is not None and row.item is not None:
            self.bronze.open_ledger(row.item.event.ledger_start)

    def _select(self, index: int) -> None:
        self._list().move_to(index)
        self._draw_detail()

    def _list(self) -> LineList:
        return self.query_one("#events", LineList)

    def _row(self) -> ChainRow | None:
        cursor = self._list().cursor
        return self.desk.rows[cursor] if cursor < len(self.desk.rows) else None

    # Keeping.

    def action_report(self) -> None:
        if self.desk.report is None:
            self.bronze.say("nothing is verified yet", "warning")
        else:
            self._save(self.desk.save_report)

    def action_pin(self) -> None:
        if self.desk.chain is None or not self.desk.chain.head:
            self.bronze.say("there is no head to pin", "warning")
            return
        head = self.desk.chain.head
        now = self.bronze.clock()
        if self._save(lambda folder: self.desk.pin(folder, now), f"pinned {head}"):
            self._draw_band()

    def _save(self, write: Callable[[Path], Path], what: str = "saved") -> bool:
        try:
            path = write(self.bronze.own_folder())
        except BronzeError as error:
            self.bronze.say(str(error), "error")
            return False
        self.bronze.say(f"{what}: {path}")
        return True

    def action_copy(self) -> None:
        row = self._row()
        if row is not None:
            self.app.copy_to_clipboard(detail(row, self.desk.files, self.desk.chain).plain)
            self.bronze.say(f"copied: event {row.ledgers}")

    def action_copy_json(self) -> None:
        row = self._row()
        if row is not None and row.item is not None:
            self.app.copy_to_clipboard(file_bytes(row.item.event).decode())
            self.bronze.say(f"copied as JSON: event {row.ledgers}")

    # Drawing.

    def _line(self, index: int, width: int) -> list[Cell]:
        return cells(self.desk.rows[index], self.desk.files, width, self.desk.search)

    def _draw_columns(self) -> None:
        text = Text(columns(self._list().size.width), no_wrap=True)
        if text != self._heading:
            self._heading = text
            self.query_one("#columns", Static).update(text)

    def _draw_band(self) -> None:
        self._draw_columns()
        self.draw_proof()
        desk = self.desk
        first = band(desk.chain, desk.report, desk.pinned, self.app.theme_variables)
        first = Text("NO EVENTS YET", "bold") if desk.waiting else first
        progress = desk.progress if self._reading or desk.files else None
        checked = (desk.checked_at, desk.cost, self._verifying)
        room, wrong = self.query_one("#bar").size.width, (desk.wrong, self.app.theme_variables)
        second = bar(desk.chain, desk.report, progress, checked, room, *wrong)
        if (first, second) != self._drawn:
            self._drawn = (first, second)
            self.query_one("#band", Static).update(first)
            self.query_one("#bar", Static).update(second)
            self.query_one("#chain").border_title = plain(desk.title)

    def _draw_empty(self) -> None:
        self.set_class(not self.desk.rows, "-empty")
        self.set_class(self._has_no_folder(), "-nowhere")
        if not self.desk.rows:
            absence = self.bronze.session.why_no_pas if self._has_no_folder() else None
            done = self.desk.report is not None
            shown = nothing(absence, self.desk.problem, verified=done)
            put(self.query_one("#empty", Static), shown, wraps=True)

    def _draw_detail(self) -> None:
        row = self._row()
        if row is None:
            return
        self.query_one("#detail").border_title = row.title
        text = detail(row, self.desk.files, self.desk.chain, self.app.theme_variables)
        self.query_one("#event", Static).update(text)
