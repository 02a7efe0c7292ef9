"""The ledgers of one partition as a list that holds only the rows somebody looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from bronze_tui.tui.widgets.figures import count, put, title
from bronze_tui.tui.widgets.ledger_facts import list_head, list_line
from bronze_tui.tui.widgets.linelist import Cell, LineList

ROWS = 200
"""Rows asked for at once."""


class LedgerRows(Vertical):
    """Head and list; asks for rows by ``Wanted``, the page answers with ``put_rows``."""

    DEFAULT_CSS = """
    LedgerRows > #rows-head { height: 1; color: $foreground 55%; background: $surface;
        text-style: bold; }
    """

    class Wanted(Message):
        """Rows from ``offset`` on are in sight and not here."""

        def __init__(self, start: int, offset: int) -> None:
            super().__init__()
            self.start, self.offset = start, offset

    def __init__(self) -> None:
        super().__init__(id="ledgers", classes="panel")
        self._start = 0
        self._rows: dict[int, Sequence[int]] = {}
        self._asked: set[int] = set()

    def compose(self) -> ComposeResult:
        yield Static(id="rows-head", markup=False)
        yield LineList(self._line, id="rows")

    @property
    def lines(self) -> LineList:
        """The list itself."""
        return self.query_one("#rows", LineList)

    def sequence(self, index: int) -> int:
        """The ledger of a row."""
        row = self._rows.get(index)
        return int(row[0]) if row is not None else self._start + index

    def take(self, partition: Mapping[str, Any]) -> None:
        """Show another partition."""
        self._start = int(partition["start"])
        self._rows, self._asked = {}, set()
        self.lines.show(int(partition["rows"]))
        title(self, "LEDGERS", f"{count(partition['rows'])} rows")

    def put_rows(self, start: int, reply: Mapping[str, Any] | None, offset: int) -> None:
        """Rows have come, or (None) could not be read and may be asked for again."""
        if start != self._start:
            return
        if reply is None:
            self._asked.discard(offset)
            return
        for number, row in enumerate(reply["rows"]):
            self._rows[offset + number] = row
        self.lines.show(int(reply["total"]))

    def draw_head(self) -> None:
        """Column titles at the width there is now."""
        width = self.lines.size.width
        put(self.query_one("#rows-head", Static), Content(list_head(width)))

    def _line(self, index: int, width: int) -> Sequence[Cell]:
        row = self._rows.get(index)
        if row is not None:
            return [(list_line(row, width), "")]
        offset = index - index % ROWS
        if offset not in self._asked:
            self._asked.add(offset)
            self.post_message(self.Wanted(self._start, offset))
        return [(f" {self.sequence(index):>10}", "muted"), ("   ...", "muted")]
