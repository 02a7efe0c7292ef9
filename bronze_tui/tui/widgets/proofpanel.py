"""The Audit page's panel PROOF: signed head, verifier's memory, and the level verified last."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.widgets import Static

from bronze_tui.audit.standing import Row
from bronze_tui.tui.plain import plain

_COLOURS = {"good": "success", "worry": "warning", "bad": "error"}


class ProofPanel(Static):
    """Lines of name and value, the grave ones first; what finds no room is cut at the end."""

    DEFAULT_CSS = """
    ProofPanel {
        height: auto; max-height: 8; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self) -> None:
        super().__init__(id="proof", classes="panel", markup=False)
        self.border_title = "PROOF"
        self._shown: Text | None = None

    def show(self, rows: Iterable[Row]) -> None:
        """Draw the lines; nothing happens when they are what is there already."""
        variables = self.app.theme_variables
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, (name, value, role) in enumerate(rows):
            colour = variables.get(_COLOURS.get(role, ""), "")
            bold = "bold " if role == "bad" else ""
            text.append("\n" if number else "")
            text.append(f"{name:<12}", "dim")
            text.append_text(plain(value, f"{bold}{colour}".strip(), limit=400))
        if text != self._shown:
            self._shown = text
            self.update(text)
