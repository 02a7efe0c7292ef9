"""Plugins: what is installed, what it offers and costs, why one failed and how to do without it.

The records are those of ``bronze plugins --json``. A child process loads the plugins, so that a
bad one cannot reach this app; nothing here changes what a running engine has loaded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from bronze_tui.domain.errors import BronzeError
from bronze_tui.domain.text import safe_text
from bronze_tui.inspect.client import InspectClient
from bronze_tui.inspect.setup import Setup
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict
from bronze_tui.journal.views import Notice
from bronze_tui.tui.screens.base import Page
from bronze_tui.tui.screens.notes import Note
from bronze_tui.tui.widgets import plugin_facts
from bronze_tui.tui.widgets.askline import AskLine
from bronze_tui.tui.widgets.figures import line, part, put, title
from bronze_tui.tui.widgets.rows import Cell, Column, RowTable

COLUMNS = (
    Column("name", "name", 14),
    Column("status", "status", 11),
    Column("use", "used as", 8, least=44),
    Column("package", "package", 16, least=60, grow=True),
    Column("offers", "offers", 6, right=True, least=84),
    Column("hooks", "hooks", 5, right=True, least=92),
    Column("ms", "ms", 6, right=True, least=40),
)


def _bind(key: str, action: str, name: str, id: str, tooltip: str, **more: Any) -> Binding:
    return Binding(key, action, name, id=f"plugins.{id}", tooltip=tooltip, **more)


class PluginsPage(Page):
    """What is loaded, what it costs, what is broken."""

    PAGE = "plugins"
    AUTO_FOCUS = "#plugins"
    BINDINGS: ClassVar[list[BindingType]] = [
        _bind("t", "traceback", "traceback", "traceback", "show or hide the traceback"),
        _bind("H", "hooks", "by hook", "hooks", "who implements which hook"),
        _bind("x", "disable", "do without", "disable", "the command that starts without it"),
        _bind(
            "slash", "filter", "filter", "filter", "only names that hold a text", key_display="/"
        ),
        _bind("y", "copy", "copy JSON", "copy", "the record as JSON"),
        _bind("Y", "copy_all", "copy all", "copy_all", "all records as JSON", show=False),
        _bind("r", "reload", "read again", "reload", "load all plugins again", show=False),
    ]
    DEFAULT_CSS = """
    PluginsPage #list { height: 1fr; }
    PluginsPage #plugins { width: 3fr; height: 1fr; }
    PluginsPage #detail { width: 2fr; height: 1fr; scrollbar-size-vertical: 1; }
    PluginsPage #detail-text { height: auto; min-height: 100%; width: 1fr; }
    PluginsPage #told { height: 1; padding: 0 1; }
    PluginsPage.-narrow #list { layout: vertical; }
    PluginsPage.-narrow #plugins { width: 1fr; height: 2fr; }
    PluginsPage.-narrow #detail { width: 1fr; height: 3fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._records: list[dict[str, Any]] = []
        self._uses: dict[str, list[str]] = {}
        self._notices: tuple[Notice, ...] = ()
        self._traceback = False
        self._by_hook = False
        self._filter = ""
        self._client: InspectClient | None = None
        self._state = "loading"

    def body(self) -> ComposeResult:
        yield Static(id="told", markup=False)
        yield AskLine("filter")
        with Horizontal(id="list"):
            yield RowTable(COLUMNS, self._cells, id="plugins", classes="panel")
            with VerticalScroll(id="detail", classes="panel"):
                yield Static(id="detail-text", markup=False)

    def on_mount(self) -> None:
        title(self.query_one("#plugins"), "PLUGINS")
        title(self.query_one("#detail"), "DETAIL")
        self.action_reload()

    def on_unmount(self) -> None:
        if self._client is not None:
            self._client.close()

    def show(self, view: RunView, verdict: Verdict, now: float) -> None:  # noqa: ARG002
        notices = tuple(n for n in view.notices if n.component == "plugins")
        if notices != self._notices:
            self._notices = notices
            self._draw_detail()

    # Drawing.

    def _cells(self, key: str) -> Sequence[Cell]:
        record = self._record(key)
        if record is None:
            return (("", ""),) * len(COLUMNS)
        return plugin_facts.cells(record, self._uses.get(record["name"], []))

    def _record(self, key: str | None) -> dict[str, Any] | None:
        """Rows are numbered: two packages may claim one name."""
        return self._records[int(key)] if key and int(key) < len(self._records) else None

    def _draw(self) -> None:
        table = self.query_one(RowTable)
        shown = [
            str(number)
            for number, record in enumerate(self._records)
            if plugin_facts.matches(record, self._filter)
        ]
        words = {"loading": "loading plugins ...", "failed": "the plugins could not be listed"}
        nothing = "no plugin matches the filter" if self._filter else "no plugin is installed"
        table.set_empty(words.get(self._state, nothing))
        table.set_rows(shown)
        note = f"filter {self._filter!r}, {len(shown)} of {len(self._records)}"
        title(table, plugin_facts.heading(self._records), note if self._filter else "")
        self._draw_detail()

    def _draw_detail(self) -> None:
        panel, text = self.query_one("#detail"), self.query_one("#detail-text", Static)
        if self._by_hook:
            title(panel, "BY HOOK", "H back to plugins")
            put(text, plugin_facts.by_hook(self._records))
            return
        record = self._record(self.query_one(RowTable).key)
        title(panel, "DETAIL")
        if record is None:
            put(
                text, line((self._state if self._state != "ready" else "no plugin chosen", "muted"))
            )
            return
        told = [n for n in self._notices if f"'{record['name']}'" in n.message]
        uses = self._uses.get(record["name"], [])
        put(text, plugin_facts.detail(record, uses, told, traceback=self._traceback))

    # Reading.

    def action_reload(self) -> None:
        self._state = "loading"
        self._draw()
        self._load()

    @work(exclusive=True, group="plugins", exit_on_error=False)
    async def _load(self) -> None:
        session = self.bronze.session
        if self._client is not None:
            self._client.close()
        self._client = client = InspectClient(
            Setup.of(session.loaded, session.data_root, session.prefix)
        )
        told: Content = line(
            ("loaded in a process of its own; a running engine is untouched", "muted")
        )
        try:
            records = await client.ask("plugins")
        except BronzeError as error:
            records = _listed(self._disabled())
            told = line(("NOT LOADED  ", "bad"), part(error.what), ("; names only", "muted"))
        finally:
            client.close()
        self._records, self._state = records, "ready"
        self._uses = plugin_facts.uses(records, session.loaded)
        put(self.query_one("#told", Static), told)
        self._draw()

    def _disabled(self) -> tuple[str, ...]:
        loaded = self.bronze.session.loaded
        return loaded.settings.plugins.disable if loaded is not None else ()

    # Keys.

    @on(RowTable.Moved)
    def _moved(self) -> None:
        self._draw_detail()

    def action_traceback(self) -> None:
        record = self._record(self.query_one(RowTable).key)
        if record is not None and not record["traceback"]:
            self.bronze.say("this plugin has no traceback: it did not fail here")
            return
        self._traceback = not self._traceback
        self._draw_detail()

    def action_hooks(self) -> None:
        self._by_hook = not self._by_hook
        self._draw_detail()

    def action_filter(self) -> None:
        self.query_one(AskLine).ask(
            "filter", "text in name, package, status or offer", self._filter
        )

    @on(AskLine.Answered)
    def _answered(self, message: AskLine.Answered) -> None:
        self._filter = message.text.strip()
        self.query_one(RowTable).focus()
        self._draw()

    @on(AskLine.GivenUp)
    def _given_up(self) -> None:
        self._filter = ""
        self.query_one(RowTable).focus()
        self._draw()

    def action_disable(self) -> None:
        record = self._record(self.query_one(RowTable).key)
        if record is None:
            return
        content, command = plugin_facts.without(record, self._uses.get(record["name"], []))
        self.app.push_screen(
            Note(f"START WITHOUT {safe_text(record['name'])[:40]}", content, command)
        )

    def action_copy(self) -> None:
        record = self._record(self.query_one(RowTable).key)
        if record is not None:
            self._copy(record, safe_text(record["name"]))

    def action_copy_all(self) -> None:
        self._copy(self._records, f"{len(self._records)} records")

    def _copy(self, data: Any, what: str) -> None:
        self.bronze.copy_to_clipboard(json.dumps(data, indent=2))
        self.bronze.say(f"copied: {what}")


def _listed(disabled: Sequence[str]) -> list[dict[str, Any]]:
    """Names from package metadata; nothing is imported."""
    from bronze_tui.hooks.discovery import list_plugins

    return [record.to_json() for record in list_plugins(disable=disabled)]
