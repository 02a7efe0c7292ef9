"""Dialogs of the SQL page: queries run before, and where to put a result."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from bronze_tui.tui.plain import lines, plain

_CSS = """
NAME { align: center middle; }
NAME > Vertical {
    width: 96; max-width: 96%; height: auto; max-height: 90%; border: round $primary;
    padding: 1 2; background: $surface; border-title-color: $primary; border-title-style: bold;
}
NAME Static { width: 1fr; height: auto; }
NAME .choice { margin-top: 1; color: $text-muted; }
"""


class AskHistory(ModalScreen[str | None]):
    """Queries run before, newest first; enter takes one into the editor without running it."""

    DEFAULT_CSS = (
        _CSS.replace("NAME", "AskHistory")
        + """
    AskHistory OptionList, AskHistory OptionList:focus {
        height: auto; max-height: 16; background: $surface; border: none; padding: 0;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    AskHistory #whole { margin-top: 1; height: auto; max-height: 8; color: $secondary; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,h,f4", "leave", "close", id="history.close"),
    ]

    def __init__(self, queries: list[str]) -> None:
        super().__init__()
        self._queries = queries

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = f"HISTORY  {len(self._queries)} queries"
            if not self._queries:
                yield Static("Nothing was run yet; F5 runs the query in the editor.", markup=False)
            yield OptionList(*(Option(self._line(q)) for q in self._queries), markup=False)
            yield Static(id="whole", markup=False)
            yield Static("enter  take it     esc  close", markup=False, classes="choice")

    @staticmethod
    def _line(query: str) -> Text:
        return plain(" ".join(query.split()), limit=200)

    @on(OptionList.OptionHighlighted)
    def _show_whole(self, event: OptionList.OptionHighlighted) -> None:
        self.query_one("#whole", Static).update(lines(self._queries[event.option_index][:2_000]))

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._queries[event.option_index])

    def action_leave(self) -> None:
        self.dismiss(None)


class AskExport(ModalScreen[Path | None]):
    """Where to put the result; the name's ending says how."""

    DEFAULT_CSS = _CSS.replace("NAME", "AskExport") + "AskExport Input { margin-top: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "cancel", id="export.cancel"),
    ]

    def __init__(self, suggestion: Path) -> None:
        super().__init__()
        self._suggestion = suggestion

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "EXPORT"
            yield Static(
                "All rows of this query, whole cells, into a file. It is run again for that.",
                markup=False,
            )
            yield Input(str(self._suggestion), id="path")
            yield Static(id="wrong", markup=False, classes="bad")
            yield Static(
                "enter  write     esc  cancel     name it .csv, .json or .parquet",
                markup=False,
                classes="choice",
            )

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        from bronze_tui.domain.errors import UsageError
        from bronze_tui.query.export import form_of

        path = Path(event.value.strip()).expanduser()
        try:
            form_of(path)
        except UsageError as error:
            self.query_one("#wrong", Static).update(lines(f"{error.what}; {error.todo}"))
            return
        self.dismiss(path)

    def action_leave(self) -> None:
        self.dismiss(None)
