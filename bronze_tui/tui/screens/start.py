"""The first screen of ``bronze`` without a configuration: four ways in, each one key away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from bronze_tui import __version__
from bronze_tui.tui.plain import plain
from bronze_tui.tui.widgets.bigword import big

What = Literal["demo", "config", "verify", "inspect"]

_SHOWN_FILES = 12
_WAYS: tuple[tuple[str, What, str, str], ...] = (
    ("d", "demo", "Try the demo", "a small lake, copied and verified offline"),
    ("o", "config", "Open a configuration", "starts or continues the copy it describes"),
    ("v", "verify", "Verify an audit folder", "walks a PAS chain; needs no data"),
    ("i", "inspect", "Inspect a dataset", "SQL over committed Parquet, read only"),
)
_ASKS: dict[What, tuple[str, str]] = {
    "demo": ("folder for the demo", "demo"),
    "config": ("path of a configuration file", ""),
    "verify": ("PAS folder, or a folder that holds pas-backup", "pas-backup"),
    "inspect": ("data folder, dataset folder, or any folder above", "data"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do, and with which path."""

    what: What
    path: Path


class StartScreen(Screen[Choice | None]):
    """Asks; dismisses with a choice, or None when the person leaves."""

    AUTO_FOCUS = "#ways"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, f"ask('{what}')", what, id=f"start.{what}", tooltip=summary)
            for key, what, _, summary in _WAYS
        ),
        Binding("escape", "back", "back", show=False, id="start.back", tooltip="back to the list"),
        Binding("q", "leave", "quit", id="start.quit", tooltip="leave without doing anything"),
    ]
    DEFAULT_CSS = """
    StartScreen { align: center middle; }
    StartScreen > #box {
        width: 92; max-width: 98%; height: auto; max-height: 95%; padding: 1 3;
        border: round $primary; border-title-color: $primary; border-title-style: bold;
        background: $surface;
    }
    StartScreen Static { height: auto; }
    StartScreen #name { text-style: bold; color: $primary; }
    StartScreen #claim { color: $text-muted; margin: 1 0; }
    StartScreen OptionList {
        height: auto; max-height: 16; border: none; background: $surface; padding: 0;
    }
    StartScreen OptionList:focus { border: none; background-tint: transparent 0%; }
    StartScreen #question { margin-top: 1; display: none; }
    StartScreen #path { display: none; border: round $border; background: $surface; }
    StartScreen #path:focus { border: round $primary; }
    StartScreen #wrong { color: $error; display: none; }
    StartScreen #hint { color: $text-muted; margin-top: 1; }
    StartScreen.asking #question, StartScreen.asking #path { display: block; }
    StartScreen.wrong #wrong { display: block; }
    """

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self._folder = folder or Path.cwd()
        self._asked: What | None = None
        self._files: list[Path] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = f"bronze {__version__}"
            yield Static(Text("\n".join(big("BRONZE") or ["bronze"])), id="name", markup=False)
            yield Static(
                Text("Stellar ledgers into immutable, verified, audited Parquet"),
                id="claim",
                markup=False,
            )
            yield OptionList(*self._options(), id="ways", markup=False)
            yield Static(id="question", markup=False)
            yield Input(id="path")
            yield Static(id="wrong", markup=False)
            yield Static(
                Text("a letter, or arrows and enter"),
                id="hint",
                markup=False,
            )
        yield Footer(show_command_palette=False)

    def _options(self) -> list[Option | None]:
        self._files = _configurations(self._folder)
        shown: list[Option | None] = []
        for key, what, title, summary in _WAYS:
            text = Text(no_wrap=True, overflow="ellipsis")
            text.append(f" {key}  {title:<24}", style="bold")
            text.append(summary)
            shown.append(Option(text, id=what))
        if self._files:
            shown.append(None)
        for number, file in enumerate(self._files):
            text = Text("    open  ", style="dim")
            text.append_text(plain(file.name, limit=60))
            shown.append(Option(text, id=f"file-{number}"))
        return shown

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        chosen = event.option.id or ""
        if chosen.startswith("file-"):
            self.dismiss(Choice("config", self._files[int(chosen.removeprefix("file-"))]))
        else:
            self.action_ask(chosen)

    def action_ask(self, what: str) -> None:
        """Ask for the path of one way in."""
        way = next(w for _, w, _, _ in _WAYS if w == what)
        question, usual = _ASKS[way]
        self._asked = way
        self.query_one("#question", Static).update(Text(f"{question}, then enter"))
        box = self.query_one("#path", Input)
        box.value = usual if way == "demo" or (self._folder / usual).is_dir() else ""
        self.remove_class("wrong")
        self.add_class("asking")
        box.focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        assert self._asked is not None
        text = event.value.strip()
        path = Path(text).expanduser()
        wrong = _wrong(self._asked, text, path)
        if wrong:
            self.query_one("#wrong", Static).update(plain(wrong))
            self.add_class("wrong")
        else:
            self.dismiss(Choice(self._asked, path))

    def action_back(self) -> None:
        self.remove_class("asking", "wrong")
        self._asked = None
        self.query_one("#ways").focus()

    def action_leave(self) -> None:
        self.dismiss(None)


def _configurations(folder: Path) -> list[Path]:
    """YAML files of the folder, by name."""
    try:
        found = [p for p in folder.iterdir() if p.suffix in (".yaml", ".yml") and p.is_file()]
    except OSError:
        return []
    return sorted(found)[:_SHOWN_FILES]


def _wrong(what: What, text: str, path: Path) -> str:
    """Why the path will not do, empty when it will."""
    if not text:
        return "give a path, or esc to go back"
    try:
        if what == "config":
            return "" if path.is_file() else f"there is no file {text}"
        if what == "demo":
            return f"{text} is a file" if path.is_file() else ""
        return "" if path.is_dir() else f"there is no folder {text}"
    except (OSError, ValueError) as error:
        return f"{text}: {error}"
