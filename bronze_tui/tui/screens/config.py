"""Config: effective values, where each came from, what is locked, and a preflight.

Nothing is changed in place while a run goes on: an edited file applies at the next start.
"""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from bronze_tui.config.load import Loaded
from bronze_tui.domain.errors import BronzeError
from bronze_tui.inspect.client import InspectClient
from bronze_tui.inspect.dataset import find_datasets
from bronze_tui.inspect.setup import Setup
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict
from bronze_tui.tui.screens.base import Page
from bronze_tui.tui.widgets import config_facts
from bronze_tui.tui.widgets.askline import AskLine
from bronze_tui.tui.widgets.config_facts import Standing
from bronze_tui.tui.widgets.figures import line, part, put, stack, title
from bronze_tui.tui.widgets.rows import Cell, Column, RowTable

COLUMNS = (
    Column("key", "key", 29),
    Column("value", "value", 10, grow=True),
    Column("origin", "set by", 11, least=62),
    Column("lock", "", 9, least=66),
)
_PREFLIGHT_PATIENCE = 180.0
"""Seconds: every group of checks is bounded, and some wait for others."""
EFFECTIVE = "effective-config.yaml"


def _bind(key: str, action: str, name: str, id: str, tooltip: str, **more: Any) -> Binding:
    return Binding(key, action, name, id=f"config.{id}", tooltip=tooltip, **more)


class ConfigPage(Page):
    """Effective values and where they came from."""

    PAGE = "config"
    AUTO_FOCUS = "#values"
    BINDINGS: ClassVar[list[BindingType]] = [
        _bind("c", "preflight", "preflight", "preflight", "source, store, identity, disk, head"),
        _bind("d", "changed", "only changed", "changed", "only values other than the default"),
        _bind("e", "edit", "edit", "edit", "open the file in $EDITOR"),
        _bind("y", "copy", "copy", "copy", "the key and its value"),
        _bind(
            "Y", "copy_all", "copy all", "copy_all", "as bronze config show --origin", show=False
        ),
        _bind("w", "write", "write", "write", "effective configuration, secrets as references"),
        _bind("slash", "filter", "filter", "filter", "only keys that hold a text", key_display="/"),
    ]
    DEFAULT_CSS = """
    ConfigPage #values-and-detail { height: 1fr; }
    ConfigPage #values { width: 2fr; height: 1fr; }
    ConfigPage #detail { width: 1fr; height: 1fr; scrollbar-size-vertical: 1; }
    ConfigPage #detail-text { height: auto; min-height: 100%; width: 1fr; }
    ConfigPage #preflight { height: auto; max-height: 14; min-height: 3;
        scrollbar-size-vertical: 1; }
    ConfigPage #preflight-text { height: auto; width: 1fr; }
    ConfigPage.-narrow #preflight { max-height: 8; }
    ConfigPage.-low #preflight { max-height: 6; }
    ConfigPage.-narrow #detail { width: 1fr; }
    ConfigPage.-narrow #values { width: 1fr; }
    ConfigPage.-narrow #values-and-detail { layout: vertical; }
    ConfigPage #nothing { display: none; height: 1fr; content-align: center middle; padding: 0 4; }
    ConfigPage.-nothing #nothing { display: block; }
    ConfigPage.-nothing #values-and-detail, ConfigPage.-nothing #preflight { display: none; }
    """

    class Checked(Message):
        """One check of the preflight; from the client's thread or a worker."""

        def __init__(self, check: dict[str, Any]) -> None:
            super().__init__()
            self.check = check

    class Found(Message):
        """What is committed of the configured eras."""

        def __init__(self, standing: dict[str, Standing]) -> None:
            super().__init__()
            self.standing = standing

    def __init__(self) -> None:
        super().__init__()
        self._entries: dict[str, config_facts.Entry] = {}
        self._standing: dict[str, Standing] = {}
        self._checks: list[dict[str, Any]] = []
        self._only_changed = False
        self._filter = ""
        self._checking = False
        self._client: InspectClient | None = None

    @property
    def _loaded(self) -> Loaded | None:
        return self.bronze.session.loaded

    def body(self) -> ComposeResult:
        yield AskLine("ask")
        yield Static(id="nothing", markup=False)
        with Horizontal(id="values-and-detail"):
            yield RowTable(COLUMNS, self._cells, id="values", classes="panel")
            with VerticalScroll(id="detail", classes="panel"):
                yield Static(id="detail-text", markup=False)
        with VerticalScroll(id="preflight", classes="panel"):
            yield Static(id="preflight-text", markup=False)

    def on_mount(self) -> None:
        title(self.query_one("#detail"), "DETAIL")
        if self._loaded is None:
            self.add_class("-nothing")
            self._draw_nothing(self.bronze.view)
            return
        self._entries = {entry.key: entry for entry in config_facts.entries(self._loaded)}
        self._draw()
        self._draw_preflight()
        self._look()

    def on_unmount(self) -> None:
        if self._client is not None:
            self._client.close()

    # Drawing.

    def show(self, view: RunView, verdict: Verdict, now: float) -> None:  # noqa: ARG002
        """Only what a journal adds: the values stand as they were when the app began."""
        if self._loaded is None:
            self._draw_nothing(view)

    def _draw_nothing(self, view: RunView) -> None:
        named = str(view.started.get("config_file") or "")
        put(self.query_one("#nothing", Static), config_facts.nothing(named))

    def _cells(self, key: str) -> Sequence[Cell]:
        entry = self._entries.get(key)
        if entry is None:
            return (("", ""),) * len(COLUMNS)
        return config_facts.cells(entry, self._standing_of(key))

    def _standing_of(self, key: str) -> Standing | None:
        if self._loaded is None:
            return None
        return config_facts.standing_of(key, self._loaded, self._standing)

    def _draw(self) -> None:
        table = self.query_one(RowTable)
        loaded = self._loaded
        assert loaded is not None
        keys = [
            entry.key
            for entry in self._entries.values()
            if (entry.changed or not self._only_changed)
            and config_facts.matches(entry, self._filter)
        ]
        table.set_empty("no key matches")
        table.set_rows(keys)
        notes = ["only changed"] if self._only_changed else []
        notes += [f"filter {self._filter!r}"] if self._filter else []
        where = str(loaded.path) if loaded.path is not None else "environment and defaults"
        title(table, f"CONFIG  valid  {where}", ", ".join([*notes, f"{len(keys)} keys"]))
        self._draw_detail()

    def _draw_detail(self) -> None:
        entry = self._entries.get(self.query_one(RowTable).key or "")
        if entry is not None:
            content = config_facts.detail(entry, self._standing_of(entry.key))
            put(self.query_one("#detail-text", Static), content)

    def _draw_preflight(self) -> None:
        panel, text = self.query_one("#preflight"), self.query_one("#preflight-text", Static)
        word = "running ..." if self._checking else "c runs it again" if self._checks else ""
        title(panel, config_facts.preflight_title(self._checks), word)
        warnings = self._loaded.warnings if self._loaded is not None else ()
        session = self.bronze.session
        notes = [*warnings, config_facts.other_places(session)] if session.overridden else warnings
        rows = [line(("[--] ", "worry"), " ", part(note)) for note in notes]
        if self._checks:
            rows.append(config_facts.finding_lines(self._checks))
        elif not self._checking:
            hint = "c checks all that bronze doctor checks; it writes nothing"
            if self.bronze.session.control:
                hint = hint.replace("it writes nothing", "it makes a probe object and removes it")
            rows.append(line((hint, "muted")))
        put(text, stack(rows))

    # Reading.

    @work(thread=True, exclusive=True, group="standing", exit_on_error=False)
    def _look(self) -> None:
        root, prefix = self.bronze.session.data_root, self.bronze.session.prefix
        if root is None:
            return
        try:
            found = {
                dataset.chain_key: Standing(dataset.chain_key, len(dataset.ranges), dataset.cut())
                for dataset in find_datasets(root, prefix)
            }
        except BronzeError:
            # The preflight says it; a list of values needs no dataset.
            return
        self.post_message(self.Found(found))

    def on_config_page_found(self, message: Found) -> None:
        self._standing = message.standing
        self._draw()

    def action_preflight(self) -> None:
        if self._loaded is not None and not self._checking:
            self._checking, self._checks = True, []
            self._draw_preflight()
            self._look()
            self._preflight()

    @work(exclusive=True, group="preflight", exit_on_error=False)
    async def _preflight(self) -> None:
        session = self.bronze.session
        assert session.loaded is not None
        if self._client is None:
            setup = Setup.of(session.loaded, session.data_root, session.prefix)
            self._client = InspectClient(setup)

        pas_dir = session.pas_dir or session.loaded.settings.emitter_options().backup_dir

        def tell(news: dict[str, Any]) -> None:
            self.post_message(self.Checked(news["check"]))

        try:
            await self._client.ask(
                "preflight",
                patience=_PREFLIGHT_PATIENCE,
                write=session.control,
                pas_dir=str(pas_dir),
                now=self.bronze.clock(),
                open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
                progress=tell,
            )
        except BronzeError as error:
            text = {"group": "doctor", "state": "fail", "text": "NOT checked"}
            self._add({**text, "detail": error.what, "todo": error.todo})
        self._checking = False
        self._draw_preflight()

    def on_config_page_checked(self, message: Checked) -> None:
        self._add(message.check)

    def _add(self, check: dict[str, Any]) -> None:
        self._checks.append(check)
        self._draw_preflight()

    # Keys.

    @on(RowTable.Moved)
    def _moved(self) -> None:
        self._draw_detail()

    def action_changed(self) -> None:
        if self._loaded is not None:
            self._only_changed = not self._only_changed
            self._draw()

    def action_filter(self) -> None:
        if self._loaded is not None:
            self.query_one(AskLine).ask("filter", "text in key, value or origin", self._filter)

    def action_write(self) -> None:
        if self._loaded is not None:
            folder = self.bronze.own_folder()
            self.query_one(AskLine).ask("write", "file to create", str(folder / EFFECTIVE))

    @on(AskLine.Answered)
    def _answered(self, message: AskLine.Answered) -> None:
        self.query_one(RowTable).focus()
        if message.question == "filter":
            self._filter = message.text.strip()
            self._draw()
        elif message.text.strip():
            self._write(Path(message.text.strip()).expanduser())

    @on(AskLine.GivenUp)
    def _given_up(self) -> None:
        self.query_one(RowTable).focus()
        if self.query_one(AskLine).question == "filter":
            self._filter = ""
            self._draw()

    @work(thread=True, exclusive=True, group="write", exit_on_error=False)
    def _write(self, path: Path) -> None:
        from bronze_tui.config.export import effective

        assert self._loaded is not None
        made = effective(self._loaded)
        say = self.bronze.say
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(made.text)
        except OSError as error:
            why = "it exists; choose another name" if path.exists() else str(error.strerror)
            self.app.call_from_thread(say, f"not written: {path}: {why}", "error")
            return
        needs = f"; set {', '.join(made.variables)} to use it" if made.variables else ""
        self.app.call_from_thread(say, f"written: {path}{needs}")

    def action_copy(self) -> None:
        entry = self._entries.get(self.query_one(RowTable).key or "")
        if entry is not None:
            self.bronze.copy_to_clipboard(f"{entry.key}: {entry.value}")
            self.bronze.say(f"copied: {entry.key}")

    def action_copy_all(self) -> None:
        from bronze_tui.config.show import as_yaml

        if self._loaded is not None:
            self.bronze.copy_to_clipboard(as_yaml(self._loaded, origins=True))
            self.bronze.say("copied: the text of bronze config show --origin")

    def action_edit(self) -> None:
        loaded = self._loaded
        if loaded is None:
            return
        if loaded.path is None:
            self.bronze.say("no file to edit: the values come from the environment", "warning")
            return
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        try:
            with self.app.suspend():
                subprocess.run([*shlex.split(editor), str(loaded.path)], check=False)  # noqa: S603
        except SuspendNotSupported:
            self.bronze.say("this terminal cannot be lent to an editor", "warning")
            return
        except (OSError, ValueError) as error:
            self.bronze.say(f"{editor}: {error}", "error")
            return
        self._tell_edited(loaded.path)

    def _tell_edited(self, path: Path) -> None:
        from bronze_tui.config.load import load

        try:
            load(path)
        except BronzeError as error:
            self.bronze.say(f"the file is not valid now: {error}", "error")
        else:
            self.bronze.say("the file is valid; it applies at the next start")
