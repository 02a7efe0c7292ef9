"""The editor of the SQL page: colours by our own tokens, and a list that completes words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.widgets import OptionList, TextArea
from textual.widgets.option_list import Option

from bronze_tui.tui.keymap import PAGES
from bronze_tui.tui.plain import plain

if TYPE_CHECKING:
    from bronze_tui.query.client import Schema

MOST_OFFERED = 8
_WIDTH = 40
_PAGE_KEYS = frozenset(page.key for page in PAGES)


class SqlEditor(TextArea):
    """SQL text. Escape gives the keys back; tab completes a word, else goes on to the rows.

    Until somebody begins to type, the numbers of the pages are not the editor's: no statement
    begins with a digit, and whoever walks from page to page must not get stuck here.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+space,ctrl+@", "complete", "complete", show=False, id="sql.complete"),
    ]
    DEFAULT_CSS = """
    SqlEditor, SqlEditor:focus { border: none; padding: 0; background: $background; }
    SqlEditor .text-area--placeholder { color: $text-muted; }
    """

    class Left(Message):
        """Escape was pressed: the editor wants no more keys."""

    class CompletionAsked(Message):
        """Words that begin with ``fragment`` are wanted; ``explicit`` when by their own key."""

        def __init__(self, fragment: str, *, explicit: bool) -> None:
            super().__init__()
            self.fragment = fragment
            self.explicit = explicit

    def __init__(self, completions: Completions, text: str) -> None:
        super().__init__(
            text,
            soft_wrap=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            tab_behavior="focus",
            id="editor",
            placeholder="select … from ledgers_lcm_raw      F5 runs, ctrl+space completes",
        )
        self._completions = completions
        self._typing = False
        self._painted: tuple[str, str] = ("", "")
        self._spans: dict[int, list[tuple[int, int, Style]]] = {}

    @property
    def fragment(self) -> str:
        """The part of a word before the cursor."""
        row, column = self.cursor_location
        before = self.document.get_line(row)[:column]
        size = 0
        while size < len(before) and (before[-size - 1].isalnum() or before[-size - 1] in "_$"):
            size += 1
        return before[len(before) - size :]

    @property
    def offset_of_cursor(self) -> int:
        """The cursor's offset in the text."""
        row, column = self.cursor_location
        lines = self.text.split("\n")[:row]
        return sum(len(line) + 1 for line in lines) + column

    def complete_with(self, word: str) -> None:
        """Put ``word`` in place of the fragment."""
        row, column = self.cursor_location
        self.replace(word, (row, column - len(self.fragment)), (row, column))

    def action_complete(self) -> None:
        self.post_message(self.CompletionAsked(self.fragment, explicit=True))

    def rest(self) -> None:
        """Nobody types yet."""
        self._typing = False

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        return super().check_consume_key(key, character) and not self._is_a_page(key)

    def _is_a_page(self, key: str) -> bool:
        return not self._typing and key in _PAGE_KEYS

    async def _on_mouse_down(self, event: events.MouseDown) -> None:
        self._typing = True
        await super()._on_mouse_down(event)
        event.prevent_default()

    async def _on_key(self, event: events.Key) -> None:
        if self._is_a_page(event.key):
            event.prevent_default()  # and goes up to the app
            return
        self._typing = event.key not in ("escape", "tab")
        if self._completions.display and self._steer(event.key):
            event.stop()
            event.prevent_default()
            return
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            self.post_message(self.Left())
        elif event.key == "tab" and self.fragment:
            event.stop()
            event.prevent_default()
            self.post_message(self.CompletionAsked(self.fragment, explicit=False))
        else:
            self._completions.display = False
            await super()._on_key(event)

    def _steer(self, key: str) -> bool:
        """Whether ``key`` was for the list of completions."""
        offered = self._completions
        if key in ("down", "up"):
            offered.action_cursor_down() if key == "down" else offered.action_cursor_up()
        elif key in ("tab", "enter"):
            self.complete_with(offered.chosen)
            offered.display = False
        elif key == "escape":
            offered.display = False
        else:
            return False
        return True

    def _on_blur(self, event: events.Blur) -> None:
        self._completions.display = False
        super()._on_blur(event)

    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        self._paint()
        for start, end, style in self._spans.get(line_index, ()):
            line.stylize(style, start, end)
        return line

    def _paint(self) -> None:
        """Find the coloured spans again when the text or the theme changed."""
        if self._painted == (self.text, self.app.theme):
            return
        self._painted = (self.text, self.app.theme)
        self._spans = spans(self.text, _styles(self.app.theme_variables))


class Completions(OptionList, can_focus=False):
    """Words offered below the cursor; the editor keeps the keys."""

    DEFAULT_CSS = """
    Completions {
        display: none; layer: popup; position: absolute; width: auto; min-width: 18; max-width: 48;
        height: auto; max-height: 10; border: round $primary; background: $surface; padding: 0;
    }
    """

    def offer(self, words: Iterable[tuple[str, str]], fragment: str) -> int:
        """Show the words (each with what it is) that begin with ``fragment``, then those that
        hold it; how many there are."""
        sought = fragment.lower()
        pairs = sorted(set(words), key=lambda pair: pair[0].lower())
        first = [p for p in pairs if p[0].lower().startswith(sought) and p[0] != fragment]
        other = [p for p in pairs if len(sought) > 1 and sought in p[0].lower() and p not in first]
        found = [p for p in (first + other) if p[0] != fragment][:MOST_OFFERED]
        self.clear_options()
        for word, what in found:
            label = plain(word)
            label.append(f"  {what}", style="dim")
            self.add_option(Option(label, id=word))
        self.display = bool(found)
        if found:
            self.highlighted = 0
        return len(found)

    def place(self, column: int, row: int, screen: Size) -> None:
        """Stand below that cell of the screen, or above it where there is no room."""
        height = self.option_count + 2
        below = screen.height - row - 2 >= height
        left = max(0, min(column, screen.width - _WIDTH))
        self.styles.offset = (left, row + 1 if below else max(0, row - height))

    @property
    def chosen(self) -> str:
        """The highlighted word."""
        number = self.highlighted or 0
        return str(self.get_option_at_index(number).id)


def vocabulary(schema: Schema | None) -> Iterator[tuple[str, str]]:
    """Words worth offering, each with what it is."""
    from bronze_tui.query.statements import FUNCTIONS, KEYWORDS

    for table in schema.tables if schema is not None else ():
        yield table.name, "table"
        for name, _ in table.columns:
            yield name, "column"
    for word in KEYWORDS:
        yield word.lower(), "keyword"
    for word in FUNCTIONS:
        yield word, "function"


def spans(sql: str, styles: dict[str, Style]) -> dict[int, list[tuple[int, int, Style]]]:
    """Styled spans by line: first column, end column, style."""
    from bronze_tui.query.statements import FUNCTIONS, KEYWORDS, tokens

    functions = frozenset(FUNCTIONS)
    found: dict[int, list[tuple[int, int, Style]]] = {}
    row = at = 0
    for token in tokens(sql):
        row += sql.count("\n", at, token.start)
        at = token.start
        kind: str = token.kind
        if kind == "word":
            known = token.text.upper() in KEYWORDS, token.text.lower() in functions
            kind = "keyword" if known[0] else "function" if known[1] else kind
        style = styles.get(kind)
        if style is None:
            continue
        column = token.start - (sql.rfind("\n", 0, token.start) + 1)
        for number, piece in enumerate(token.text.split("\n")):
            begin = column if number == 0 else 0
            found.setdefault(row + number, []).append((begin, begin + len(piece), style))
    return found


def _styles(variables: dict[str, str]) -> dict[str, Style]:
    def style(name: str, **more: Any) -> Style:
        return Style(color=variables.get(name, "default"), **more)

    return {
        "keyword": style("primary", bold=True),
        "function": style("secondary"),
        "string": style("success"),
        "number": style("accent"),
        "comment": style("foreground", dim=True, italic=True),
        "quoted": style("foreground", italic=True),
    }
