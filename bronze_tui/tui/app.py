"""The app: owns the session, the run view and the clock; pages draw, dialogs ask.

The engine is another process; nothing here can slow or end a copy.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from bronze_tui.journal import run_figures
from bronze_tui.journal.verdict import Circumstances, Verdict, judge
from bronze_tui.tui import keymap
from bronze_tui.tui.bridge import Bridge
from bronze_tui.tui.chainwatch import ChainWatch
from bronze_tui.tui.hangup import end_without_terminal, lost_terminal
from bronze_tui.tui.keeping import keeper_of, own_folder
from bronze_tui.tui.pace import Pace
from bronze_tui.tui.screens.base import Page
from bronze_tui.tui.session import Session
from bronze_tui.tui.steering import Steered
from bronze_tui.tui.terminaltitle import TerminalTitle
from bronze_tui.tui.theme import DARK, LIGHT, themes
from bronze_tui.tui.widgets.status import Tab

if TYPE_CHECKING:
    from bronze_tui.tui.screens.start import Choice

_ALIVE_EVERY = 1.0
_BREATH = 0.015
"""Seconds for keys and drawing between two rounds of catching up with the journal."""

PAGE_CLASSES = {
    "dashboard": "bronze_tui.tui.screens.dashboard:DashboardPage",
    "partitions": "bronze_tui.tui.screens.partitions:PartitionsPage",
    "ledger": "bronze_tui.tui.screens.ledger:LedgerPage",
    "sql": "bronze_tui.tui.screens.sql:SqlPage",
    "audit": "bronze_tui.tui.screens.audit:AuditPage",
    "plugins": "bronze_tui.tui.screens.plugins:PluginsPage",
    "logs": "bronze_tui.tui.screens.logs:LogsPage",
    "config": "bronze_tui.tui.screens.config:ConfigPage",
}
"""Imported when first opened: the first frame pays for the dashboard alone."""


class BronzeApp(Steered):
    """The operator's screen.

    Args:
        clock: Unix seconds; tests freeze it.
    """

    TITLE = "bronze"
    CSS_PATH = "bronze.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = keymap.GLOBAL

    def __init__(self, session: Session, clock: Callable[[], float] = time.time) -> None:
        super().__init__(session)
        self.bridge = Bridge(session, clock)
        self.chain_watch = ChainWatch(session, own_folder(session))
        self.keeper = keeper_of(session, kept=not self.is_web)
        self.clock = clock
        self.frozen_since: float | None = None
        self.damaged_file = ""
        """A partition file that is not the one announced, as the Audit page found."""
        self.choice: Choice | None = None
        """What was chosen on the start screen."""
        self._alive_checked = -1e9
        self._pages: list[str] = []
        self._last_notice = 0
        self._finish_told = False
        self._break_told = ""
        self._title: TerminalTitle | None = None
        self._catching_up = False
        self._pace = Pace(1 / session.refresh_hz)

    # Start and end.

    def on_mount(self) -> None:
        for theme in themes():
            self.register_theme(theme)
        if "NO_COLOR" not in os.environ:
            kept = self.keeper.theme
            self.theme = kept if kept in self.available_themes else DARK
            self.theme_changed_signal.subscribe(self, lambda _: self.keeper.save(self.theme))
        elif not self.theme.startswith("ansi"):
            # The filter chosen at the start stays, so an ansi theme must too; ours is lighter.
            self.theme = DARK
        if self._driver is not None and not (self.is_web or self.is_headless):
            self._title = TerminalTitle(self._driver.write)
        for page in keymap.PAGES:
            self.add_mode(page.name, self._page_maker(page.name))
        self._handle_signals()
        self.bridge.start()
        if self.session.kind == "start":
            self._ask_start()
            return
        self.go(self._first_page())
        self.set_interval(1 / self.session.refresh_hz, self._beat)

    @work
    async def _ask_start(self) -> None:
        from bronze_tui.tui.screens.start import StartScreen

        self.choice = await self.push_screen_wait(StartScreen())
        self.exit(0)

    def _first_page(self) -> str:
        """Where the person left it; a recording and a plain folder open as asked."""
        kept = self.keeper.kept.page
        return kept if self.session.live and kept in PAGE_CLASSES else self.session.first_page

    def on_unmount(self) -> None:
        self.bridge.close()
        self.chain_watch.close()
        if self.current_mode in PAGE_CLASSES:
            self.keeper.kept.page = self.current_mode
            self.keeper.save()
        if self._title is not None:
            self._title.give_back()

    def _page_maker(self, name: str) -> Callable[[], Screen[Any]]:
        def make() -> Screen[Any]:
            module, _, attribute = PAGE_CLASSES[name].partition(":")
            page: Screen[Any] = getattr(import_module(module), attribute)()
            return page

        return make

    def _handle_signals(self) -> None:
        """Without this a SIGTERM or SIGHUP leaves the terminal in the alternate screen, its mouse
        on and its echo off."""
        import asyncio

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            try:
                loop.add_signal_handler(number, self._leave, 128 + number)
            except (NotImplementedError, RuntimeError, ValueError):
                return

    def _leave(self, code: int) -> None:
        if not self.is_web and lost_terminal():
            end_without_terminal(code)
        self.exit(code)

    # The tick.

    def tick(self) -> None:
        """Apply what the journal said, judge, draw the page in front."""
        if self.is_running:
            self._advance(draw=True)

    def _beat(self) -> None:
        if self.is_running:
            due, front = self._pace.due(), self.screen_stack[-1] if self.screen_stack else None
            self._advance(draw=due or not getattr(front, "PACED", False))

    def _advance(self, *, draw: bool) -> None:
        self._take_records()
        now = self.now()
        verdict = self.verdict(now)
        self._tell_news()
        self._watch_chain()
        self._show_title(verdict)
        if not draw:
            return
        page = self.screen_stack[-1] if self.screen_stack else None
        if isinstance(page, Page) and page.is_mounted:
            page.refresh_page(
                self.view, verdict, now, self.status_notes(), frozen=self.frozen_since is not None
            )

    @property
    def chain_broken(self) -> str:
        """Evidence of the verdict CHAIN BROKEN."""
        return self.chain_watch.belief.broken or self.damaged_file

    def _watch_chain(self) -> None:
        """Verify the chain now and then in a process of its own, whatever page is open."""
        events = sum(chain.events for chain in self.view.chains.values())
        if self.chain_watch.due(events, finished=self.view.finished is not None):
            self.run_worker(self.chain_watch.look(), group="chain", exit_on_error=False)
        if self.chain_broken != self._break_told:
            self._break_told = self.chain_broken
            if self._break_told:
                self.say(f"CHAIN BROKEN: {self._break_told}", "error")
                self.bell()

    def _show_title(self, verdict: Verdict) -> None:
        if self._title is not None:
            done = run_figures.fraction(self.view)
            percent = "" if done is None else f" {int(done * 100)}%"
            chain = next(iter(self.view.chains), "")
            self._title.show(f"{verdict.word}{percent} {chain} - bronze")

    def _take_records(self) -> None:
        """Apply what was read; behind a flood go on between the ticks, with room for keys."""
        self.bridge.drain(self.view)
        if self.bridge.backlog and self.is_running and not self._catching_up:
            self._catching_up = True
            self.set_timer(_BREATH, self._catch_up)

    def _catch_up(self) -> None:
        self._catching_up = False
        self._take_records()

    def now(self) -> float:
        """The time of the run: of the recording in a replay, else of the clock."""
        return self.view.time if self.session.kind == "replay" else self.clock()

    def verdict(self, now: float) -> Verdict:
        """The verdict at ``now``."""
        if now - self._alive_checked >= _ALIVE_EVERY:
            self._alive_checked = now
            self._alive = self.controls.engine_alive()
        about = Circumstances(
            engine_alive=self._alive,
            chain_broken=self.chain_broken,
            recorded=not self.session.live,
        )
        if self.session.kind == "inspect" and not self.chain_broken:
            folder = self.session.data_root or self.session.pas_dir
            return Verdict("READ ONLY", now, f"no copier: {folder}", "walk the chain (5 Audit)")
        return judge(self.view, now, about)

    def status_notes(self) -> list[str]:
        """Words on the right of the status line."""
        notes = []
        if self.frozen_since is not None:
            notes.append(f"FROZEN {time.strftime('%H:%M:%S', time.gmtime(self.frozen_since))}")
        if self.session.kind == "replay":
            notes.append("REPLAY END" if self.bridge.ended else f"REPLAY x{self.session.speed:g}")
        elif not self.session.control:
            notes.append("READ ONLY")
        if self.bridge.backlog > 10_000:
            notes.append(f"{self.bridge.backlog:,} events behind")
        if self.view.errors:
            notes.append(f"errors {self.view.errors}")
        notes.append(time.strftime("%H:%M:%SZ", time.gmtime(self.now())))
        return notes

    def _tell_news(self) -> None:
        """Toasts for errors, a bell and the terminal's title for the end."""
        if self.view.finished is not None and not self._finish_told:
            self._finish_told = True
            outcome = str(self.view.finished.get("outcome", ""))
            self.say(f"run finished: {outcome}", "information" if outcome == "done" else "warning")
            if self.session.live:
                self.bell()
        elif self.view.finished is None:
            self._finish_told = False
        errors = [n for n in self.view.notices if n.level == "error"]
        if self.view.errors > self._last_notice and errors:
            self.say(errors[-1].message, "error")
        self._last_notice = self.view.errors

    # Going about.

    def go(self, page: str) -> None:
        """Open a page."""
        if self.current_mode == page:
            return
        if self.current_mode in PAGE_CLASSES:
            self._pages.append(self.current_mode)
        self.switch_mode(page)
        self.call_after_refresh(self.tick)

    def action_go(self, page: str) -> None:
        self.go(page)

    def open_ledger(self, sequence: int) -> None:
        """Show one ledger."""
        self._open("ledger", "open_sequence", sequence)

    def open_sql(self, text: str) -> None:
        """Put a query into the editor."""
        self._open("sql", "open_query", text)

    def open_audit(self, partition: str) -> None:
        """Show a partition's event."""
        self._open("audit", "open_partition", partition)

    def open_row(self, key: str) -> None:
        """Show one partition by its row key (``chain_key/S-E``)."""
        self._open("partitions", "open_row", key)

    def _open(self, page: str, method: str, argument: Any) -> None:
        """Go to a page and tell it what to show, once it is there."""
        self.go(page)

        def tell() -> None:
            getattr(self.screen, method)(argument)

        self.call_after_refresh(tell)

    def action_jump_back(self) -> None:
        if self._pages:
            page = self._pages.pop()
            self.switch_mode(page)
            self.call_after_refresh(self.tick)

    @on(Tab.Chosen)
    def _tab_chosen(self, message: Tab.Chosen) -> None:
        self.go(message.page)

    def action_show_keys(self) -> None:
        if self.screen.query("HelpPanel"):
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def action_freeze(self) -> None:
        self.frozen_since = None if self.frozen_since is not None else self.now()
        self.tick()

    def action_save_screenshot(self) -> None:
        try:
            path = self.save_screenshot(path=str(self.own_folder()))
        except OSError as error:
            self.say(f"no screenshot: {error.filename}: {error.strerror}", "error")
            return
        self.say(f"screenshot saved: {path}")

    def own_folder(self) -> Path:
        """Where this session's exports, reports and queries go; made when it is not there."""
        folder = own_folder(self.session)
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def get_system_commands(
        self,
        screen: Screen[Any],  # noqa: ARG002
    ) -> Iterable[SystemCommand]:
        """The palette: pages and controls first."""
        for page in keymap.PAGES:
            yield SystemCommand(page.title, page.summary, self._going(page.name))
        if self.controls.allowed:
            yield SystemCommand("Pause or resume", "builders wait", self.action_pause)
            yield SystemCommand("Drain", "finish what is being built, then end", self.action_drain)
            yield SystemCommand("Workers", "change the number of builders", self.action_workers)
            about = "drop unfinished builds, end; asks for a word"
            yield SystemCommand("Stop now", about, self.action_stop_now)
        if self.may_run_again:
            about = "start a new run when this one has ended"
            yield SystemCommand("Run again", about, self.action_run_again)
        yield SystemCommand("Theme", "dark, light and others", self.action_change_theme)
        yield SystemCommand("Keys", "all keys of this page", self.action_show_keys)
        yield SystemCommand("Screenshot", "save this screen as SVG", self.action_save_screenshot)
        yield SystemCommand("Quit", "detach, drain or stop", self.action_ask_quit)

    def _going(self, page: str) -> Callable[[], None]:
        return lambda: self.go(page)

    async def action_quit(self) -> None:
        """Textual's own ctrl+q asks too."""
        self.action_ask_quit()

    def action_toggle_dark(self) -> None:
        self.theme = LIGHT if self.theme == DARK else DARK

    # Leaving.

    @work
    async def action_ask_quit(self) -> None:
        from bronze_tui.tui.screens.dialogs import QuitDialog

        running = not self.ended and self.controls.engine_alive() is True
        if not (running and self.controls.allowed):
            self.exit(self.exit_code())
            return
        choice = await self.push_screen_wait(QuitDialog(len(run_figures.in_flight(self.view))))
        if choice == "detach":
            self.exit(0)
        elif choice in ("drain", "stop"):
            self.command(choice)
