"""Every key that works on every page; pages add their own. Ids are stable: people remap them."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True)
class Page:
    """One screen of the app."""

    key: str
    name: str
    title: str
    summary: str


PAGES: tuple[Page, ...] = (
    Page("1", "dashboard", "Dashboard", "verdict, progress, stages, what is in flight"),
    Page("2", "partitions", "Partitions", "coverage, every partition, why one failed"),
    Page("3", "ledger", "Ledger", "one ledger: header, checks, decoded XDR"),
    Page("4", "sql", "SQL", "DuckDB over the committed Parquet, read only"),
    Page("5", "audit", "Audit", "walk and verify the PAS chain"),
    Page("6", "plugins", "Plugins", "what is loaded, what it costs, what is broken"),
    Page("7", "logs", "Logs", "the journal: filter, find, follow"),
    Page("8", "config", "Config", "effective values and where they came from"),
)

CONTROL_ACTIONS = frozenset({"pause", "drain", "workers", "stop_now", "run_again"})
"""Actions that change a run: not offered to a view that may only look."""

GLOBAL: list[BindingType] = [
    *(
        Binding(p.key, f"go('{p.name}')", p.title, show=False, id=f"go.{p.name}", tooltip=p.summary)
        for p in PAGES
    ),
    Binding("question_mark", "show_keys", "help", key_display="?", id="help"),
    Binding("f1", "show_keys", "help", key_display="F1", id="help.typing",
            tooltip="also while a text is typed"),
    Binding("ctrl+p,colon", "command_palette", "all", key_display="^p", id="palette"),
    Binding("minus", "jump_back", "back", show=False, key_display="-", id="back.jump"),
    Binding("space", "freeze", "freeze", show=False, id="freeze", tooltip="hold the view still"),
    Binding("P", "pause", "pause", show=False, id="control.pause", tooltip="pause or resume"),
    Binding("D", "drain", "drain", show=False, id="control.drain", tooltip="finish, commit, end"),
    Binding("W", "workers", "workers", show=False, id="control.workers",
            tooltip="number of builders"),
    Binding("X", "stop_now", "stop now", show=False, id="control.stop",
            tooltip="end without waiting, by a typed word"),
    Binding("R", "run_again", "run again", show=False, id="control.run_again",
            tooltip="a new run when this one has ended"),
    Binding("f12", "save_screenshot", "screenshot", show=False, id="screenshot"),
    Binding("ctrl+z", "suspend_process", "suspend", show=False, id="suspend"),
    Binding("q", "ask_quit", "quit", id="quit"),
    Binding("f10", "ask_quit", "quit", key_display="F10", id="quit.typing",
            tooltip="also while a text is typed"),
]  # fmt: skip
