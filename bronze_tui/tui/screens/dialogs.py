"""Questions: confirm, ask for a number, how to leave. Yes is `y`, never Enter nor the key that
opened the question, and the worst choice never comes first."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.validation import Integer
from textual.widgets import Input, Static

from bronze_tui.tui.plain import lines

QuitChoice = Literal["detach", "drain", "stop"]

_CSS = """
%s { align: center middle; background: $background 60%%; }
%s > Vertical {
    width: 64; max-width: 95%%; height: auto; border: round $primary; padding: 1 2;
    background: $surface; border-title-color: $primary; border-title-style: bold;
}
%s Static { width: 1fr; height: auto; }
%s .choice { margin-top: 1; color: $text-muted; }
%s Input { margin-top: 1; }
%s .ways { margin-top: 1; }
"""


class Confirm(ModalScreen[bool]):
    """Yes or no."""

    DEFAULT_CSS = _CSS.replace("%s", "Confirm").replace("%%", "%")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", id="dialog.yes"),
        Binding("n,escape", "answer(False)", "no", id="dialog.no"),
    ]

    def __init__(self, title: str, question: str) -> None:
        super().__init__()
        self._title, self._question = title, question

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._title
            yield Static(lines(self._question), markup=False)
            yield Static("y  yes     n  no", markup=False, classes="choice")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class WordInput(Input):
    """Takes one word for what cannot be taken back; ``Typed`` when it is entered."""

    class Typed(Message):
        """The word was entered."""

    def __init__(self, word: str) -> None:
        super().__init__(placeholder=f"type {word}, then enter", select_on_focus=False)
        self._word = word

    def begin(self) -> None:
        """Take the keys, the first letter typed already."""
        self.value = self._word[0]
        self.focus()
        self.cursor_position = 1

    async def action_submit(self) -> None:
        if self.value.strip().lower() == self._word:
            self.post_message(self.Typed())
        else:
            self.placeholder = f"that was not the word: type {self._word}, then enter"
            self.value = ""


class TypeWord(ModalScreen[bool]):
    """Yes by a typed word, for what cannot be taken back."""

    DEFAULT_CSS = _CSS.replace("%s", "TypeWord").replace("%%", "%")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel")
    ]

    def __init__(self, title: str, question: str, word: str) -> None:
        super().__init__()
        self._title, self._question, self._word = title, question, word

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._title
            yield Static(lines(self._question), markup=False)
            yield WordInput(self._word)
            yield Static("esc  cancel", markup=False, classes="choice")

    def on_word_input_typed(self) -> None:
        self.dismiss(True)

    def action_cancel(self) -> None:
        self.dismiss(False)


class AskNumber(ModalScreen[int | None]):
    """A whole number within bounds; escape gives none."""

    DEFAULT_CSS = _CSS.replace("%s", "AskNumber").replace("%%", "%")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel")]

    def __init__(self, title: str, question: str, value: int, least: int, most: int) -> None:
        super().__init__()
        self._title, self._question, self._value = title, question, value
        self._validator = Integer(least, most)
        self._bounds = f", {least} to {most}"

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._title
            yield Static(lines(self._question + self._bounds), markup=False)
            yield Input(str(self._value), type="integer", validators=[self._validator])
            yield Static("enter  set     esc  cancel", markup=False, classes="choice")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.validation_result is not None and event.validation_result.is_valid:
            self.dismiss(int(event.value))

    def action_cancel(self) -> None:
        self.dismiss(None)


_WAYS = """\
d     detach: the engine goes on, bronze attach returns
D     drain: commit what is being built, then end
stop  stop now, safely: unfinished builds are dropped\
"""


class QuitDialog(ModalScreen[QuitChoice | None]):
    """How to leave a running engine."""

    DEFAULT_CSS = _CSS.replace("%s", "QuitDialog").replace("%%", "%")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "choose('detach')", "detach", id="quit.detach"),
        Binding("D", "choose('drain')", "drain", id="quit.drain"),
        Binding("escape,n", "choose('')", "stay", id="quit.stay"),
        Binding("s", "begin_word", "stop", show=False, id="quit.stop"),
    ]
    AUTO_FOCUS = ""
    """Without a focus the letters are keys; with one in the input they would be typed there."""

    def __init__(self, in_flight: int) -> None:
        super().__init__()
        self._in_flight = in_flight

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Leave the copy running?"
            many = "1 partition is" if self._in_flight == 1 else f"{self._in_flight} partitions are"
            about = f"{many} in flight; the engine is its own process."
            yield Static(about, markup=False)
            yield Static(_WAYS, markup=False, classes="ways")
            yield WordInput("stop")
            yield Static("esc  stay", markup=False, classes="choice")

    def action_begin_word(self) -> None:
        """The first letter of ``stop`` opens the input, so that the word can simply be typed."""
        self.query_one(WordInput).begin()

    def on_word_input_typed(self) -> None:
        self.dismiss("stop")

    def action_choose(self, choice: str) -> None:
        self.dismiss(choice or None)  # type: ignore[arg-type]
