"""One hidden line of input that a key brings up: find, filter. Enter answers, esc gives the keys
back to the page; nothing else moves the focus."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class AskLine(Input):
    """Shown by ``ask``, gone after an answer."""

    DEFAULT_CSS = """
    AskLine { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    AskLine:focus { border: none; background: $panel; }
    AskLine.asking { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "close", show=False, id="ask.close", tooltip="close")
    ]

    class Answered(Message):
        """Enter: the text for the question asked."""

        def __init__(self, question: str, text: str) -> None:
            super().__init__()
            self.question = question
            self.text = text

    class GivenUp(Message):
        """Esc."""

    def __init__(self, id: str = "ask") -> None:
        super().__init__(id=id, select_on_focus=True)
        self.question = ""

    def ask(self, question: str, placeholder: str, value: str = "") -> None:
        """Come up and take the focus, because a person pressed a key for it."""
        self.question = question
        self.placeholder = placeholder
        self.value = value
        self.cursor_position = len(value)
        self.add_class("asking")
        self.focus()

    async def action_submit(self) -> None:
        text = self.value
        self.remove_class("asking")
        self.post_message(self.Answered(self.question, text))

    def action_give_up(self) -> None:
        self.remove_class("asking")
        self.post_message(self.GivenUp())
