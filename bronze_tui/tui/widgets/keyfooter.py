"""The footer: help and quit are always there, and of the page's keys as many as the width takes.

Textual's own cuts what is too long at the right, which is where quit stands.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding
from textual.reactive import reactive
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

GENERAL = frozenset({"show_keys", "command_palette", "ask_quit", "app.show_keys", "app.ask_quit"})
"""Actions whose keys are never left out."""
Offer = tuple[str, str, str]
"""Key, action and what it does now."""


class KeyFooter(Footer):
    """Keys that matter now, left of the general ones."""

    offers: reactive[tuple[Offer, ...]] = reactive((), recompose=True)
    """Keys of the run's state, between the page's and the general ones."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._room = 0

    def compose(self) -> ComposeResult:
        self._room = self.app.size.width
        keys = [key for key in super().compose() if isinstance(key, FooterKey)]
        general = [key for key in keys if key.action in GENERAL]
        own = self._in_order([key for key in keys if key.action not in GENERAL])
        steering = [
            FooterKey(key, key, word, action).data_bind(compact=Footer.compact)
            for key, action, word in self.offers
            if keys
        ]
        room = self._room - self._width([*steering, *general])
        yield from self._fitting(own, room)
        yield from steering
        yield from general

    def _in_order(self, keys: Sequence[FooterKey]) -> list[FooterKey]:
        """As the page lists them: a widget's own key of the same name would come first."""
        listed = [b.action for b in self.screen.BINDINGS if isinstance(b, Binding)]
        return sorted(keys, key=lambda k: listed.index(k.action) if k.action in listed else -1)

    def _fitting(self, keys: Sequence[FooterKey], room: int) -> list[FooterKey]:
        """The first of ``keys`` that take no more than ``room`` columns."""
        count = len(keys)
        while count and self._width(keys[:count]) > room:
            count -= 1
        return list(keys[:count])

    def _width(self, keys: Sequence[FooterKey]) -> int:
        spaces = 2 if self.compact else 3
        return sum(cell_len(f"{key.key_display}{key.description}") + spaces for key in keys)

    def on_resize(self) -> None:
        """Another width takes other keys."""
        if self._room != self.app.size.width:
            self.call_after_refresh(self.recompose)
