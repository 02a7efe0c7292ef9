"""A list of one-line rows that costs what is visible, whatever its length.

Rows are asked for when they are drawn; their text is literal and their colours come by role, so
that rows of foreign text need no escaping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from bronze_tui.domain.text import safe_text

Cell = tuple[str, str]
"""Text and its role: one of ``ROLES``, or empty."""

ROLES = ("good", "worry", "bad", "muted", "accent", "found")


class LineList(ScrollView, can_focus=True):
    """Rows by index with a cursor.

    Args:
        line: the cells of row ``index`` for a width of so many characters.
    """

    DEFAULT_CSS = """
    LineList {
        background: $background; height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1;
    }
    LineList > .lines--cursor { background: $panel; text-style: bold; }
    LineList:focus > .lines--cursor {
        background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
    }
    LineList > .lines--good { color: $success; }
    LineList > .lines--worry { color: $warning; }
    LineList > .lines--bad { color: $error; text-style: bold; }
    LineList > .lines--muted { color: $text-muted; }
    LineList > .lines--accent { color: $accent; }
    LineList > .lines--found { color: $background; background: $accent; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "lines--cursor",
        *(f"lines--{role}" for role in ROLES),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", show=False, id="list.up", tooltip="row above"),
        Binding("down", "move(1)", "down", show=False, id="list.down", tooltip="row below"),
        Binding("pageup", "page(-1)", "page up", show=False, id="list.pageup", tooltip="page up"),
        Binding(
            "pagedown", "page(1)", "page down", show=False, id="list.pagedown", tooltip="page down"
        ),
        Binding("home", "first", "first", show=False, id="list.home", tooltip="first row"),
        Binding("end", "last", "last", show=False, id="list.end", tooltip="last row"),
        Binding("enter", "choose", "open", show=False, id="list.enter", tooltip="open the row"),
    ]

    class Moved(Message):
        """The cursor is on another row; ``by_person`` says whether a key or click moved it."""

        def __init__(self, sender: LineList, index: int, by_person: bool) -> None:
            super().__init__()
            self.lines = sender
            self.index = index
            self.by_person = by_person

        @property
        def control(self) -> LineList:
            return self.lines

    class Chosen(Message):
        """Enter on a row, or a click on the cursor's row."""

        def __init__(self, sender: LineList, index: int) -> None:
            super().__init__()
            self.lines = sender
            self.index = index

        @property
        def control(self) -> LineList:
            return self.lines

    def __init__(
        self, line: Callable[[int, int], Sequence[Cell]], *, id: str, classes: str = ""
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._line = line
        self.count = 0
        self.cursor = 0

    def show(self, count: int) -> None:
        """The list has ``count`` rows now; draw again."""
        self.count = count
        self._fit()
        self.cursor = max(0, min(self.cursor, count - 1))
        self.refresh()

    def move_to(self, index: int, *, by_person: bool = False) -> None:
        """Put the cursor on a row and bring it into sight."""
        index = max(0, min(index, self.count - 1))
        moved = index != self.cursor
        self.cursor = index
        self.scroll_to_region(
            Region(0, index, 1, 1), animate=False, force=True, immediate=True, x_axis=False
        )
        self.refresh()
        if moved or by_person:
            self.post_message(self.Moved(self, index, by_person))

    @property
    def in_sight(self) -> range:
        """Indices of the rows in sight."""
        top = self.scroll_offset.y
        return range(top, min(self.count, top + max(1, self.size.height)))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        index = self.scroll_offset.y + y
        base = self.rich_style
        if index >= self.count:
            return Strip.blank(width, base)
        at_cursor = index == self.cursor
        segments = [
            Segment(safe_text(text), None if at_cursor and role != "found" else self._style(role))
            for text, role in self._line(index, width)
        ]
        under = self.get_component_rich_style("lines--cursor") if at_cursor else base
        return Strip(segments).adjust_cell_length(width).apply_style(under)

    def _style(self, role: str) -> Style | None:
        if not role:
            return None
        return self.get_component_rich_style(f"lines--{role}", partial=True)

    def _fit(self) -> None:
        size = Size(self.size.width, self.count)
        if self.virtual_size != size:
            self.virtual_size = size

    def on_resize(self, event: Resize) -> None:  # noqa: ARG002
        self._fit()
        self.refresh()
        if self.count:
            # Where the cursor is by then: it may follow new rows meanwhile.
            self.call_after_refresh(lambda: self.move_to(self.cursor))

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        index = self.scroll_offset.y + offset.y
        if index >= self.count:
            return
        if index == self.cursor:
            self.action_choose()
        self.move_to(index, by_person=True)

    def action_move(self, step: int) -> None:
        self.move_to(self.cursor + step, by_person=True)

    def action_page(self, step: int) -> None:
        self.move_to(self.cursor + step * max(1, self.size.height - 1), by_person=True)

    def action_first(self) -> None:
        self.move_to(0, by_person=True)

    def action_last(self) -> None:
        self.move_to(self.count - 1, by_person=True)

    def action_choose(self) -> None:
        if self.count:
            self.post_message(self.Chosen(self, self.cursor))
