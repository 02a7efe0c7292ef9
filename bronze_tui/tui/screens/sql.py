"""Page 4, SQL: an editor, the tables, the rows. Queries run in a child process that can write
nothing and reach nothing; this process only shows and exports what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.css.query import NoMatches
from textual.widgets import Static
from textual.worker import get_current_worker

from bronze_tui.domain.errors import BronzeError
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict
from bronze_tui.tui.plain import plain
from bronze_tui.tui.screens.base import Page
from bronze_tui.tui.widgets import result_pane
from bronze_tui.tui.widgets.result_pane import EMPTY, ResultPane, count_rows, no_data, summary
from bronze_tui.tui.widgets.sql_editor import Completions, SqlEditor, vocabulary
from bronze_tui.tui.widgets.sql_tree import SchemaTree

if TYPE_CHECKING:
    import pyarrow as pa

    from bronze_tui.query.client import QueryProcess, Schema
    from bronze_tui.query.history import History
    from bronze_tui.query.result import Result

CAP = 10_000
_SHOW_ELAPSED_AFTER = 0.2
_FIRST = "select *\nfrom   coverage\norder  by ledger_start"


class SqlPage(Page):
    """Query the committed Parquet, read only."""

    PAGE = "sql"
    AUTO_FOCUS = "#editor"
    BINDINGS: ClassVar[list[BindingType]] = [
        # Before the editor's own, which select a line and all.
        Binding("f5,ctrl+r", "run", "run", key_display="F5", id="sql.run", tooltip="run it",
                priority=True),
        Binding("escape", "cancel", "cancel", key_display="esc", id="sql.cancel", tooltip="end it"),
        Binding("f6", "explain", "explain", key_display="F6", id="sql.explain", tooltip="the plan",
                priority=True),
        Binding("f7", "export", "export", key_display="F7", id="sql.export", tooltip="into a file",
                priority=True),
        Binding("e", "export", "export", show=False, id="export", tooltip="into a file"),
        Binding("f2,t", "tables", "tables", key_display="F2", id="sql.tables", tooltip="go there"),
        Binding("f3,i", "edit", "edit", key_display="F3", id="sql.edit", tooltip="to the editor"),
        Binding("f4,h", "history", "history", key_display="F4", id="sql.history", tooltip="past"),
        Binding("y", "copy", "copy cell", id="sql.copy", tooltip="copy the cell"),
        Binding("r", "reread", "reread", show=False, id="refresh", tooltip="read what is new"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    SqlPage { layers: default popup; }
    SqlPage #left { width: 36; }
    SqlPage.-wide #left { width: 44; }
    SqlPage.-narrow #left { display: none; }
    SqlPage.-narrow.asked #left { display: block; }
    SqlPage.-narrow.asked #right { display: none; }
    SqlPage.-narrow.asked #left { width: 1fr; }
    SqlPage #ask { height: 30%; min-height: 5; padding: 0 1; }
    SqlPage.-low #ask { height: 7; min-height: 5; }
    SqlPage #foot {
        height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._process: QueryProcess | None = None
        self._schema: Schema | None = None
        self._history: History | None = None
        self._since: float | None = None
        self._doing = ""
        self._asked = ""
        self._last_error = ""
        self._foot = ""
        self._pending: str | None = None

    # Building.

    def body(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="left", classes="panel") as left:
                left.border_title = "TABLES"
                yield SchemaTree()
            with Vertical(id="right"):
                offered = Completions()
                with Container(id="ask", classes="panel") as ask:
                    ask.border_title = "SQL"
                    ask.border_subtitle = f"read only · {CAP:,} rows at most"
                    yield SqlEditor(offered, self._pending or _FIRST)
                yield ResultPane()
        yield Static(id="foot", markup=False)
        yield offered

    def on_mount(self) -> None:
        from bronze_tui.query.history import History

        self._history = History(self.bronze.own_folder())
        editor = self.query_one(SqlEditor)
        editor.move_cursor(editor.document.end)
        root = self.bronze.session.data_root
        if root is None:
            self.pane.say(no_data(self.bronze.session.why_no_data), middle=True)
            return
        self.pane.say(EMPTY, middle=True)
        self.set_interval(0.1, self._show_elapsed)
        self._connect()

    def on_screen_resume(self) -> None:
        """The numbers are the pages' again, until somebody types."""
        with suppress(NoMatches):
            self.query_one(SqlEditor).rest()

    def on_unmount(self) -> None:
        if self._process is not None:
            self._process.close()

    @property
    def process(self) -> QueryProcess | None:
        """The console, made when first used; None without a local dataset."""
        from bronze_tui.query.client import QueryProcess

        session = self.bronze.session
        if self._process is None and session.data_root is not None:
            self._process = QueryProcess(session.data_root, session.prefix, session.pas_dir)
        return self._process

    def open_query(self, text: str) -> None:
        """Put a query into the editor, keeping what stood there in the history."""
        self._pending = text
        with suppress(NoMatches):
            editor = self.query_one(SqlEditor)
            if self._history is not None and editor.text.strip() not in ("", _FIRST, text):
                self._history.add(editor.text)
            editor.load_text(text)
            editor.move_cursor(editor.document.end)

    # Drawing.

    def show(self, view: RunView, verdict: Verdict, now: float) -> None:  # noqa: ARG002
        """Only the last line: rows come when they come."""
        self._show_foot()

    def _show_foot(self) -> None:
        parts = []
        if self.bronze.session.data_root is None:
            parts.append("no local dataset")
        elif self._schema is None:
            parts.append(self._last_error or "connecting …")
        else:
            files = self._schema.files
            parts.append(f"{files:,} committed file{'s' if files != 1 else ''}")
            parts.append("locked to this dataset" + self._walls())
        if self._history is not None and self._history.queries:
            parts.append(f"history {len(self._history.queries)}")
        if self._schema is not None and self._schema.notes:
            parts.append(f"note: {self._schema.notes[0]}")
        text = "  ·  ".join(parts)
        if text != self._foot:
            self._foot = text
            self.query_one("#foot", Static).update(plain(text, limit=400))

    def _walls(self) -> str:
        walls = self._schema.walls if self._schema is not None else ()
        return ": no writing, no network" if any("Landlock" in w for w in walls) else ""

    def _show_elapsed(self) -> None:
        if self._since is None:
            return
        elapsed = time.monotonic() - self._since
        if elapsed >= _SHOW_ELAPSED_AFTER:
            self.pane.note(f"{self._doing} {elapsed:.1f} s · esc cancels")

    @property
    def pane(self) -> ResultPane:
        """Where rows and words go."""
        return self.query_one(ResultPane)

    # Asking.

    def action_run(self) -> None:
        self._ask(self._statement(), explain=False)

    def action_explain(self) -> None:
        self._ask(self._statement(), explain=True)

    def _statement(self) -> str:
        from bronze_tui.query.statements import statement_at

        editor = self.query_one(SqlEditor)
        return statement_at(editor.text, editor.offset_of_cursor)

    def _ask(self, sql: str, *, explain: bool) -> None:
        if self.process is None:
            self.pane.say(no_data(self.bronze.session.why_no_data), middle=True)
        elif self._since is not None:
            self.bronze.say(f"{self._doing}; esc cancels it", "warning")
        elif not sql:
            self.pane.say("There is no statement to run: write one above.", middle=True)
        else:
            if self._history is not None:
                self._history.add(sql)
            self._asked = sql
            self._begin("explaining" if explain else "running")
            self._query(f"EXPLAIN {sql}" if explain else sql)

    def _begin(self, doing: str) -> None:
        self._doing, self._since = doing, time.monotonic()
        self.pane.note("")

    @work(thread=True, group="sql", exit_on_error=False)
    def _query(self, sql: str) -> None:
        from bronze_tui.query.export import PLAN_COLUMNS
        from bronze_tui.tui.widgets import results

        assert self._process is not None
        try:
            result = self._process.run(sql, CAP, short=True)
            rows = result.read_all()
            if rows.column_names == PLAN_COLUMNS:
                plan = "\n".join(rows.column(1).to_pylist())
                self._back(self._show_plan, plan, result)
            else:
                self._back(self._show_rows, rows, results.measure(rows), result)
            self._back(self._show_schema, self._process.schema())
        except BronzeError as error:
            self._back(self._show_error, error)

    def _back(self, method: Callable[..., Any], *args: Any) -> None:
        """Call a method on the app's own thread, unless the page is gone."""
        if not get_current_worker().is_cancelled:
            with suppress(RuntimeError, NoMatches):
                self.app.call_from_thread(method, *args)

    @work(thread=True, group="sql", exit_on_error=False)
    def _connect(self) -> None:
        try:
            if self.process is not None:
                self._back(self._show_schema, self.process.schema())
        except BronzeError as error:
            self._back(self._show_error, error)

    def action_reread(self) -> None:
        if self._since is None:
            self._connect()

    def action_cancel(self) -> None:
        if self._since is not None and self._process is not None:
            self._process.cancel()
            self.pane.note("cancelling …")
        elif self.has_class("asked"):
            self.action_tables()
        else:
            # Printable keys are the app's again: page numbers, quit, help.
            self.set_focus(None)

    # Answers.

    def _show_schema(self, schema: Schema) -> None:
        self._schema = schema
        self.query_one(SchemaTree).show_schema(schema)
        self._show_foot()

    def _show_rows(self, rows: pa.Table, widths: list[int], result: Result) -> None:
        self._end(summary(result))
        self.pane.show_rows(rows, widths, roomy=self.has_class("-wide"))

    def _show_plan(self, plan: str, result: Result) -> None:
        self._end(f"plan in {result_pane.took(result.seconds)}")
        self.pane.say(plan)

    def _end(self, note: str) -> None:
        self._since = None
        self._last_error = ""
        self.pane.note(note)

    def _show_error(self, error: BronzeError) -> None:
        self._since = None
        self._last_error = str(error)
        self.pane.show_error(error)

    # The rest of the keys.

    def action_tables(self) -> None:
        """To the tables; where the page is narrow they take its place."""
        tree = self.query_one(SchemaTree)
        if self.has_class("-narrow"):
            self.toggle_class("asked")
            if not self.has_class("asked"):
                self.query_one(SqlEditor).focus()
                return
        tree.focus()

    def action_edit(self) -> None:
        self.remove_class("asked")
        self.query_one(SqlEditor).focus()

    @work
    async def action_history(self) -> None:
        from bronze_tui.tui.screens.sql_dialogs import AskHistory

        queries = list(self._history.queries) if self._history is not None else []
        chosen = await self.app.push_screen_wait(AskHistory(queries))
        if chosen is not None:
            self.open_query(chosen)

    def action_copy(self) -> None:
        if self.pane.table is not None:
            text = self.pane.table.text_at_cursor()
            self.app.copy_to_clipboard(text)
            self.bronze.say(f"copied: {text[:60]}")

    @work
    async def action_export(self) -> None:
        from bronze_tui.tui.screens.sql_dialogs import AskExport

        if not self._asked or self._process is None or self._since is not None:
            self.bronze.say("run a query first, then export it", "warning")
            return
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self.bronze.clock()))
        folder = self.bronze.own_folder()
        path = await self.app.push_screen_wait(AskExport(folder / f"query-{stamp}.csv"))
        if path is not None:
            self._begin("exporting")
            self._export(self._asked, path)

    @work(thread=True, group="sql", exit_on_error=False)
    def _export(self, sql: str, path: Path) -> None:
        from bronze_tui.query import export

        assert self._process is not None
        session = self.bronze.session
        data = [p for p in (session.data_root, session.pas_dir) if p is not None]
        try:
            result = self._process.run(sql, 0)
            with export.new_file(path, outside=data) as stream:
                rows = export.write(result, export.form_of(path), stream)
        except BronzeError as error:
            self._back(self._show_error, error)
            return
        self._back(self._exported, rows, path)

    def _exported(self, rows: int, path: Path) -> None:
        self._end(f"{count_rows(rows)} written")
        self.bronze.say(f"{count_rows(rows)} written to {path}")

    @on(SchemaTree.ColumnChosen)
    def _insert_column(self, message: SchemaTree.ColumnChosen) -> None:
        self.query_one(SqlEditor).insert(message.name)

    @on(SchemaTree.SavedChosen)
    def _run_saved(self, message: SchemaTree.SavedChosen) -> None:
        self.remove_class("asked")
        self.open_query(message.sql)
        self.action_run()

    @on(SqlEditor.Left)
    def _leave_editor(self) -> None:
        """Escape gives the keys back; a running query is cancelled first."""
        if self._since is not None:
            self.action_cancel()
            return
        target = self.pane.table or self.query_one(SchemaTree)
        self.set_focus(target if target.display else None)

    @on(SqlEditor.CompletionAsked)
    def _complete(self, message: SqlEditor.CompletionAsked) -> None:
        offered = self.query_one(Completions)
        if offered.offer(vocabulary(self._schema), message.fragment):
            at = self.query_one(SqlEditor).cursor_screen_offset
            offered.place(at.x - len(message.fragment), at.y, self.size)
        elif not message.explicit:
            self.focus_next()
