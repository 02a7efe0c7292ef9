"""The lower half of the SQL page: rows, or words in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from bronze_tui.domain.errors import BronzeError
from bronze_tui.tui.places import Absence
from bronze_tui.tui.plain import lines, plain

if TYPE_CHECKING:
    import pyarrow as pa

    from bronze_tui.query.result import Result
    from bronze_tui.tui.widgets.results import ResultTable


EMPTY = """\
F5 runs the statement under the cursor, esc cancels it.

ledgers_lcm_raw    the rows of every committed partition
commits            what was committed when, with which hash
manifests          the same as the manifests say it
coverage           ranges that are there, gaps and holes
audit_events       the PAS chain

F2 goes to the tables and saved queries, F3 back to the editor."""


def no_data(absence: Absence) -> str:
    """What stands there in a session without a local dataset."""
    script = "in a script: bronze sql --data DIR 'select count(*) from ledgers_lcm_raw'"
    return f"No local dataset to query\n\n{absence.why}\n\n{absence.todo}\n{script}"


class ResultPane(Vertical):
    """A panel that shows one result, a plan, or a sentence."""

    DEFAULT_CSS = """
    ResultPane { height: 1fr; padding: 0 1; }
    ResultPane #said { height: auto; width: 1fr; }
    ResultPane #said-box { height: 1fr; }
    ResultPane #said.middle { content-align: center middle; height: 1fr; color: $text-muted; }
    """

    def __init__(self) -> None:
        super().__init__(id="rows", classes="panel")
        self.border_title = "RESULT"
        self._table: ResultTable | None = None

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="said-box", can_focus=False):
            yield Static(id="said", markup=False)

    @property
    def table(self) -> ResultTable | None:
        """The rows on show."""
        return self._table

    def note(self, text: str) -> None:
        """Words on the lower border: how long, how many."""
        self.border_subtitle = plain(text, limit=120)

    def say(self, text: str, *, middle: bool = False, style: str = "") -> None:
        """Words in place of rows."""
        self._clear()
        said = self.query_one("#said", Static)
        self.query_one("#said-box").display = True
        said.set_classes("middle" if middle else style)
        said.update(lines(text))

    def show_rows(self, rows: pa.Table, widths: list[int], *, roomy: bool) -> None:
        """Rows; the focus stays where it was."""
        from bronze_tui.tui.widgets.results import ResultTable

        if not rows.num_rows:
            self.say(f"No rows.\n\ncolumns: {', '.join(rows.column_names)}", middle=True)
            return
        had_focus = self._table is not None and self._table.has_focus
        self._clear()
        self.query_one("#said-box").display = False
        self._table = ResultTable(rows, widths, roomy=roomy)
        self._table.add_class("result")
        self.mount(self._table)
        if had_focus:
            self._table.focus()

    def show_error(self, error: BronzeError) -> None:
        """What went wrong, with the place in the query where DuckDB tells it."""
        from bronze_tui.query.errors import QueryCancelled, QueryDied, QueryRefused

        self.note("")
        if isinstance(error, QueryCancelled):
            self.say("Cancelled.", middle=True)
            return
        ended = "The console ended" if isinstance(error, QueryDied) else "Failed"
        title = "Not run" if isinstance(error, QueryRefused) else ended
        detail = getattr(error, "detail", "")
        self.say(f"{title}: {error}" + (f"\n\n{detail}" if detail else ""), style="bad")

    def on_data_table_cell_highlighted(self) -> None:
        """Say the whole cell under the cursor, which its column may have cut."""
        if self._table is not None:
            told = f"RESULT  {self._table.name_at_cursor()}: {self._table.text_at_cursor()}"
            self.border_title = plain(told, limit=max(20, self.size.width - 4))

    def _clear(self) -> None:
        self.border_title = "RESULT"
        if self._table is not None:
            self._table.remove()
            self._table = None


def summary(result: Result) -> str:
    """Rows, time and files of a result."""
    amount = f"{result.rows:,} of more rows" if result.truncated else count_rows(result.rows)
    files = f" · {result.files:,} file{'s' if result.files != 1 else ''} read"
    return f"{amount} in {took(result.seconds)}{files if result.files else ''}"


def took(seconds: float) -> str:
    """How long a query ran."""
    return f"{seconds:.2f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def count_rows(count: int) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count:,} row{'s' if count != 1 else ''}"
