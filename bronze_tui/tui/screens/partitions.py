"""Page 2: is there a hole, every partition, why one failed, and is its file still what was
committed. The store's folder is read in workers, so a finished or foreign dataset shows too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input, Static

from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict
from bronze_tui.tui.dataset import Check, Papers
from bronze_tui.tui.screens.dataset_page import Hashed, Listed, Read
from bronze_tui.tui.screens.finding import FindingPage
from bronze_tui.tui.widgets.coverage import CoverageMap, legend, tally
from bronze_tui.tui.widgets.digest import Digester
from bronze_tui.tui.widgets.figures import count, line, put, title
from bronze_tui.tui.widgets.partition_detail import Knowledge, detail, requeue
from bronze_tui.tui.widgets.partition_rows import PartitionRow, as_csv, as_json, as_text
from bronze_tui.tui.widgets.partition_table import PartitionTable
from bronze_tui.tui.widgets.rows import RowTable

_MANY = 1_000
"""Rows from which on changes are sorted in once a second instead of at each refresh."""


class PartitionsPage(FindingPage):
    """Coverage, table, detail."""

    PAGE = "partitions"
    PACED = True
    AUTO_FOCUS = "#partitions"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "ledger", "ledgers", id="partitions.ledger", tooltip="its first ledger"),
        Binding("slash", "filter", "filter", key_display="/", id="partitions.filter",
                tooltip="state:failed  try:>1  mb:<400  text  !text"),
        Binding("S", "sort", "sort", id="partitions.sort", tooltip="by the next column"),
        Binding("r", "reverse", "reverse", show=False, id="partitions.reverse",
                tooltip="turn the order"),
        Binding("g", "goto", "go to", id="partitions.goto", tooltip="a ledger or a range"),
        Binding("v", "verify", "verify", id="partitions.verify",
                tooltip="hash the files again and compare with the commit record"),
        Binding("R", "requeue", "requeue", id="partitions.requeue",
                tooltip="try it now, or run again; read-only: the command for it"),
        Binding("d", "detail", "detail", id="partitions.detail", tooltip="pane in full or beside"),
        Binding("o", "sql", "SQL", id="partitions.sql", tooltip="query its ledgers"),
        Binding("a", "audit", "audit", id="partitions.audit", tooltip="its event in the chain"),
        Binding("y", "copy_text", "copy", show=False, id="partitions.copy",
                tooltip="the row as text"),
        Binding("Y", "copy_json", "copy JSON", show=False, id="partitions.copy_json",
                tooltip="the row as JSON"),
        Binding("e", "export", "export", id="partitions.export",
                tooltip="the table as CSV and JSON into the state folder"),
        Binding("escape", "back", "clear", show=False, id="partitions.back",
                tooltip="clear the filter, leave the detail"),
    ]  # fmt: skip

    DEFAULT_CSS = """
    PartitionsPage #coverage { height: 5; }
    PartitionsPage #coverage CoverageMap { height: 2; }
    PartitionsPage #coverage #coverage-legend { height: 1; }
    PartitionsPage #lists { height: 1fr; }
    PartitionsPage #partitions { width: 3fr; height: 100%; }
    PartitionsPage #detail-pane { width: 2fr; height: 100%; overflow-x: hidden; }
    PartitionsPage #detail { height: auto; width: 100%; }
    PartitionsPage #filter { height: 3; border: round $primary; display: none;
        background: $background; }
    PartitionsPage.-filtering #filter { display: block; }
    PartitionsPage.-narrow #detail-pane { display: none; }
    PartitionsPage.-narrow #partitions { width: 1fr; }
    PartitionsPage.-only-detail #detail-pane { display: block; width: 1fr; }
    PartitionsPage.-only-detail #partitions { display: none; }
    PartitionsPage.-wide #partitions { width: 4fr; }
    PartitionsPage.-wide #detail-pane { width: 3fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._digester = Digester()
        self._run_id: str | None = None
        self._nothing_on_disk = False
        self._ticks = 0
        self._papers: tuple[str, Papers] | None = None
        self._checks: dict[str, Check | float] = {}

    def body(self) -> ComposeResult:
        with VerticalScroll(id="coverage", classes="panel", can_focus=False):
            yield CoverageMap(strip=True)
            yield Static(id="coverage-legend", markup=False)
        with Horizontal(id="lists"):
            yield PartitionTable(self._listing)
            with VerticalScroll(id="detail-pane", classes="panel"):
                yield Static(id="detail", markup=False)
        yield Input(id="filter", placeholder="state:failed  try:>1  mb:<400  text  !text",
                    select_on_focus=False)  # fmt: skip

    # Drawing.

    def on_screen_resume(self) -> None:
        """Somebody else may have taken the changes meanwhile: look at everything once."""
        self._everything = True
        if self._lists_disk():
            self.list_disk(tuple(self.bronze.view.chains))

    def _lists_disk(self) -> bool:
        """A recording has the partitions of its own time: what came later is none of them."""
        session = self.bronze.session
        return session.data_root is not None and session.kind != "replay"

    def show(self, view: RunView, verdict: Verdict, now: float) -> None:  # noqa: ARG002
        self._gather(view)
        table = self.query_one(PartitionTable)
        self._ticks += 1
        now_or_never = self._everything or self._listing.waiting
        if now_or_never or len(self._listing.rows) < _MANY or self._ticks % 4 == 0:
            self._everything = False
            reordered = self._listing.settle()
        else:
            reordered = False
        self._draw_table(table, view, reordered=reordered)
        self._draw_coverage(view)
        self._draw_detail(view, verdict, table.key)

    def _gather(self, view: RunView) -> None:
        if view.run_id != self._run_id:
            self._run_id, self._everything = view.run_id, True
        changed = view.take_changed()
        self._listing.take_run(view, list(view.partitions) if self._everything else changed)
        if not self._lists_disk() or self._nothing_on_disk:
            self._listing.take_coverage(view)

    def _draw_table(self, table: PartitionTable, view: RunView, *, reordered: bool) -> None:
        rows = self._listing
        table.set_empty(self._nothing(view))
        table.show(reordered=reordered)
        if self._wanted is not None and table.select(self._wanted):
            self._wanted = None
        number = f"{count(len(rows.order))} of {count(len(rows.rows))}"
        coming = f", {count(rows.waiting)} to come" if rows.waiting else ""
        title(table, f"PARTITIONS {number}{coming}", rows.problem or self._about_order())

    def _about_order(self) -> str:
        rows = self._listing
        order = f"by {rows.sort} {'down' if rows.descending else 'up'}"
        return f"{rows.filter}   {order}" if rows.filter else order

    def _nothing(self, view: RunView) -> str:
        if self._listing.rows:
            return "no partition passes the filter (esc clears it)"
        if view.started_at is None and self.bronze.session.data_root is None:
            return "no run and no local dataset: nothing to list yet"
        return "no partition yet"

    def _draw_coverage(self, view: RunView) -> None:
        land = self._digester.take(view).land or self._listing.land()
        self.query_one(CoverageMap).show(land)
        panel = self.query_one("#coverage")
        span = f"{count(land.span.start)} - {count(land.span.end)}" if land else ""
        title(panel, f"COVERAGE {span}")
        made = legend(tally(land), max(20, self.size.width - 6)) if land else line("")
        put(self.query_one("#coverage-legend", Static), made)

    def _draw_detail(self, view: RunView, verdict: Verdict, key: str | None) -> None:
        row = self._listing.rows.get(key or "")
        pane, text = self.query_one("#detail-pane"), self.query_one("#detail", Static)
        if row is None:
            title(pane, "DETAIL")
            put(text, line(("no partition is chosen", "muted")))
            return
        title(pane, str(row.partition))
        known = Knowledge(
            row=row,
            view=view,
            verdict=verdict,
            papers=self._papers[1] if self._papers and self._papers[0] == row.key else None,
            local=self.bronze.session.data_root is not None,
            check=self._checks.get(row.key),
            width=max(20, text.size.width),
            may_run_again=self.bronze.may_run_again,
        )
        put(text, detail(known), wraps=True)

    # What the disk told.

    @on(Listed)
    def _listed(self, message: Listed) -> None:
        self._nothing_on_disk = not message.found
        self._listing.take_disk(message.found)
        self._everything = True

    @on(Read)
    def _read(self, message: Read) -> None:
        for key, found in message.found:
            self._listing.take_papers(key, found)
            if message.chosen:
                self._papers = (key, found)

    @on(Hashed)
    def _hashed(self, message: Hashed) -> None:
        self._checks[message.key] = message.check
        if isinstance(message.check, Check):
            where = message.key.rpartition("/")[2]
            if message.check.problems:
                self.bronze.say(f"{where} differs: {message.check.problems[0]}", "error")
            else:
                self.bronze.say(f"{where} verified: {count(message.check.octets)} bytes")

    # Keys.

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        event.stop()
        row = self._listing.rows.get(event.key or "")
        self.query_one("#detail-pane").scroll_home(animate=False)
        if row is not None:
            self.read_papers(row)
        self.bronze.tick()

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:
        event.stop()
        self.action_ledger()

    def _with_row(self, do: Callable[[PartitionRow], None]) -> None:
        row = self._listing.rows.get(self.query_one(PartitionTable).key or "")
        if row is None:
            self.bronze.say("no partition is chosen", "warning")
        else:
            do(row)

    def action_ledger(self) -> None:
        self._with_row(lambda row: self.bronze.open_ledger(row.partition.start))

    def action_sql(self) -> None:
        def ask(row: PartitionRow) -> None:
            first, last = row.partition.start, row.partition.end
            self.bronze.open_sql(
                "SELECT ledger_sequence, close_time, tx_count, operation_count, ledger_hash\n"
                f"FROM ledgers_lcm_raw WHERE ledger_sequence BETWEEN {first} AND {last}\n"
                "ORDER BY ledger_sequence LIMIT 100"
            )

        self._with_row(ask)

    def action_audit(self) -> None:
        self._with_row(lambda row: self.bronze.open_audit(str(row.partition)))

    def action_copy_text(self) -> None:
        self._with_row(lambda row: self._copy(as_text(row), "row copied as text"))

    def action_copy_json(self) -> None:
        self._with_row(lambda row: self._copy(as_json([row]), "row copied as JSON"))

    def _copy(self, text: str, said: str) -> None:
        self.app.copy_to_clipboard(text)
        self.bronze.say(said)

    def action_verify(self) -> None:
        def begin(row: PartitionRow) -> None:
            place = self.place_of(row.chain_key)
            if place is None:
                why = self.bronze.session.why_no_data.why
                self.bronze.say(f"no files to verify. {why}", "warning")
            elif row.state != "committed":
                self.bronze.say("only committed partitions have files to verify", "warning")
            else:
                self._checks[row.key] = 0.0
                self.verify_files(row, place)
                self.bronze.tick()

        self._with_row(begin)

    def action_requeue(self) -> None:
        from bronze_tui.tui.screens.notes import Note

        def ask(row: PartitionRow) -> None:
            if self._act_on(row):
                return
            view, loaded = self.bronze.view, self.bronze.session.loaded
            given = str(view.started.get("config_file") or "")
            config = given or str((loaded.path if loaded else None) or "")
            running = view.started_at is not None and view.finished is None
            content, command = requeue(row, running=running, config=config)
            self.app.push_screen(Note("REQUEUE", content, command))

        self._with_row(ask)

    def _act_on(self, row: PartitionRow) -> bool:
        """Retry it, or run again for it, where that is possible; false when only words help."""
        app = self.bronze
        alive = app.controls.allowed and app.controls.engine_alive() is True
        if alive and row.state == "retrying":
            app.command("retry", partition=str(row.partition))
        elif not alive and app.may_run_again and row.state != "committed":
            app.run_again(str(row.partition), repair=row.state == "hole")
        else:
            return False
        return True

    def action_detail(self) -> None:
        self.toggle_class("-only-detail")

    @work(thread=True, exclusive=True, group="export", exit_on_error=False)
    def export(self, rows: list[PartitionRow], stem: str) -> None:
        """Write CSV and JSON beside each other."""
        folder = self.bronze.own_folder()
        path = folder / f"{stem}.csv"
        try:
            path.write_text(as_csv(rows), encoding="utf-8")
            path.with_suffix(".json").write_text(as_json(rows), encoding="utf-8")
        except OSError as error:
            text = f"not exported: {folder}: {error.strerror or error}"
            self.app.call_from_thread(self.bronze.say, text, "error")
            return
        self.app.call_from_thread(self.bronze.say, f"{count(len(rows))} rows in {path} and .json")

    def action_export(self) -> None:
        rows = self._listing.shown_rows()
        stem = time.strftime("partitions-%Y%m%dT%H%M%SZ", time.gmtime(self.bronze.clock()))
        self.export(rows, stem)
