"""A table that draws only the lines in sight: thousands of rows cost a list of keys.

Lines are repainted only when their text changed. The order of rows and the text of cells belong to
the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from bronze_tui.tui.widgets.lines import Sparing

Cell = tuple[str, str]
"""Text on one line, already safe, and its tone."""


@dataclass(frozen=True, slots=True)
class Column:
    """``least`` is the table width from which it is shown; one column may take what is left."""

    name: str
    title: str
    width: int
    right: bool = False
    grow: bool = False
    least: int = 0


class RowTable(Sparing, ScrollView, can_focus=True, inherit_bindings=False):
    """Rows by key.

    Args:
        columns: from left to right.
        cells: texts of the row with that key, one for each column.
        empty: what stands there without rows.
    """

    TONES: ClassVar[tuple[str, ...]] = ("good", "worry", "bad", "calm", "muted", "accent", "strong")
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--head",
        "rows--cursor",
        "rows--good",
        "rows--worry",
        "rows--bad",
        "rows--calm",
        "rows--muted",
        "rows--accent",
        "rows--strong",
    }
    DEFAULT_CSS = """
    RowTable { background: $background; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0;
        scrollbar-background: $background; scrollbar-color: $border;
        height: 1fr; overflow-x: hidden; overflow-y: auto; }
    RowTable > .rows--head { color: $text-muted; background: $surface; text-style: bold; }
    RowTable > .rows--cursor { background: $surface; }
    RowTable:focus > .rows--cursor { background: $block-cursor-background;
        color: $block-cursor-foreground; }
    RowTable > .rows--good { color: $success; }
    RowTable > .rows--worry { color: $warning; }
    RowTable > .rows--bad { color: $error; text-style: bold; }
    RowTable > .rows--calm { color: $secondary; }
    RowTable > .rows--muted { color: $foreground 55%; }
    RowTable > .rows--accent { color: $primary; }
    RowTable > .rows--strong { text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", show=False, id="rows.up"),
        Binding("down", "move(1)", "down", show=False, id="rows.down"),
        Binding("pageup", "page(-1)", "page up", show=False, id="rows.pageup"),
        Binding("pagedown", "page(1)", "page down", show=False, id="rows.pagedown"),
        Binding("home", "edge(0)", "first", show=False, id="rows.first"),
        Binding("end", "edge(-1)", "last", show=False, id="rows.last"),
        Binding("enter", "choose", "open", show=False, id="rows.choose"),
    ]

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, table: RowTable, key: str | None) -> None:
            super().__init__()
            self.table, self.key = table, key

        @property
        def control(self) -> RowTable:
            return self.table

    class Chosen(Moved):
        """Enter, or a click on the row under the cursor."""

    def __init__(
        self,
        columns: Sequence[Column],
        cells: Callable[[str], Sequence[Cell]],
        *,
        empty: str = "",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._columns, self._cells, self._empty = tuple(columns), cells, empty
        self._rows: list[str] = []
        self._places: dict[str, int] = {}
        self._key: str | None = None
        self._chosen = False
        self._painted: dict[int, tuple[object, ...]] = {}
        self.head_marks: dict[str, str] = {}
        """Signs behind column titles by column name, such as the sort's."""

    # Rows.

    @property
    def keys(self) -> list[str]:
        """All rows in order."""
        return self._rows

    @property
    def key(self) -> str | None:
        """The row under the cursor."""
        return self._key

    @property
    def place(self) -> int:
        """The cursor's index, 0 without rows."""
        return self._places.get(self._key or "", 0)

    def set_rows(self, keys: Sequence[str]) -> None:
        """Another order or other rows; cursor and scroll stay with the row they are on. A cursor
        on the first row stays there, unless somebody chose that row."""
        before, offset = self.place, self.scroll_offset.y
        self._rows = list(keys)
        self._places = {key: i for i, key in enumerate(self._rows)}
        rests = not self._chosen and before == 0 and offset == 0
        if self._key not in self._places or (rests and self._places[self._key] != 0):
            last = len(self._rows) - 1
            self._key = self._rows[min(before, last)] if self._rows else None
            self.post_message(self.Moved(self, self._key))
        self._measure()
        if offset:
            self.scroll_to(y=offset + self.place - before, animate=False, immediate=True)
        self.repaint()

    def _measure(self) -> None:
        # Never less than what is seen: a new virtual size lays the whole page out again.
        lines = max(len(self._rows) + self.head_rows, self.size.height)
        self.virtual_size = Size(self.size.width, lines)

    def set_empty(self, text: str) -> None:
        """What stands there without rows, in one or several lines."""
        if text != self._empty:
            self._empty = text
            self.repaint()

    def select(self, key: str) -> bool:
        """Move the cursor to a row; false when it is not there."""
        if key not in self._places:
            return False
        self._go(self._places[key])
        self._chosen = True
        return True

    @property
    def head_rows(self) -> int:
        """Lines of the header: none where there is room for a row or two."""
        return 1 if self.size.height > 2 else 0

    def repaint(self) -> None:
        """Repaint the lines whose text changed."""
        for y in range(self.size.height):
            key = self._line_key(y)
            if self._painted.get(y) != key:
                self._painted[y] = key
                self.refresh_lines(y + self.scroll_offset.y, 1)

    # Drawing.

    def _shown_columns(self) -> list[tuple[int, Column, int]]:
        """Index, column and width of what fits."""
        width = self.size.width
        shown = [(i, c) for i, c in enumerate(self._columns) if width >= c.least]
        while len(shown) > 1 and sum(c.width + 2 for _, c in shown) > width:
            shown.remove(max(shown, key=lambda pair: (pair[1].least, pair[0])))
        rest = width - sum(c.width + 2 for _, c in shown if not c.grow)
        return [(i, c, max(c.width, rest - 2) if c.grow else c.width) for i, c in shown]

    def _line_key(self, y: int) -> tuple[object, ...]:
        """All that decides what line ``y`` looks like."""
        width = self.size.width
        head = self.head_rows
        if y < head:
            return ("head", width, tuple(sorted(self.head_marks.items())))
        index = y - head + self.scroll_offset.y
        if index >= len(self._rows):
            lines = [] if self._rows else self._empty.split("\n")
            return ("blank", width, lines[y - head] if y - head < len(lines) else "")
        key = self._rows[index]
        return ("row", width, key, key == self._key, self.has_focus, tuple(self._cells(key)))

    def render_line(self, y: int) -> Strip:
        key = self._line_key(y)
        self._painted[y] = key
        base = self.rich_style
        if key[0] == "head":
            return self._head(self.get_component_rich_style("rows--head"))
        if key[0] == "blank":
            column = Column("", "", 1, grow=True)
            return self._strip([(str(key[2]), "muted")], [(0, column, 1)], base)
        tone = self.get_component_rich_style("rows--cursor") if key[3] else base
        cells: Sequence[Cell] = key[5]  # type: ignore[assignment]
        return self._strip(cells, self._shown_columns(), tone, cursor=bool(key[3]))

    def _head(self, style: Style) -> Strip:
        cells = [(c.title + self.head_marks.get(c.name, ""), "") for c in self._columns]
        return self._strip(cells, self._shown_columns(), style)

    def _strip(
        self,
        cells: Sequence[Cell],
        columns: Sequence[tuple[int, Column, int]],
        base: Style,
        *,
        cursor: bool = False,
    ) -> Strip:
        parts = []
        for i, column, width in columns:
            text, tone = cells[i]
            width = self.size.width - 1 if not column.name else width
            if cell_len(text) > width:
                text = set_cell_size(text, max(0, width - 1)) + "…"
            elif column.right:
                text = " " * (width - cell_len(text)) + text
            style = base if cursor and self.has_focus else base + self._tone(tone)
            parts.append(Segment(" " + set_cell_size(text, width) + " ", style))
        return Strip(parts).adjust_cell_length(self.size.width, base).crop(0, self.size.width)

    def _tone(self, tone: str) -> Style:
        if not tone:
            return Style.null()
        style = self.get_component_rich_style(f"rows--{tone}")
        return Style(color=style.color, bold=style.bold)

    # Moving.

    def _go(self, place: int) -> None:
        if not self._rows:
            return
        place = max(0, min(place, len(self._rows) - 1))
        self._chosen = place > 0
        moved, self._key = self._rows[place] != self._key, self._rows[place]
        top, room = self.scroll_offset.y, max(1, self.size.height - self.head_rows)
        if place < top:
            self.scroll_to(y=place, animate=False, immediate=True)
        elif place >= top + room:
            self.scroll_to(y=place - room + 1, animate=False, immediate=True)
        self.repaint()
        if moved:
            self.post_message(self.Moved(self, self._key))

    def action_move(self, by: int) -> None:
        self._go(self.place + by)

    def action_page(self, by: int) -> None:
        self._go(self.place + by * max(1, self.size.height - 2))

    def action_edge(self, place: int) -> None:
        self._go(place if place >= 0 else len(self._rows) - 1)

    def action_choose(self) -> None:
        if self._key is not None:
            self.post_message(self.Chosen(self, self._key))

    def on_click(self, event: events.Click) -> None:
        place = event.y - self.head_rows + self.scroll_offset.y
        if event.y < self.head_rows or place >= len(self._rows):
            return
        if self._rows[place] == self._key and event.chain == 2:
            self.action_choose()
        else:
            self._go(place)

    def on_resize(self) -> None:
        self._measure()
        self._painted.clear()

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.repaint()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._painted.clear()
        self.refresh()
