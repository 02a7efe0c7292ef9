"""What an operator may do to a run from any page: pause, drain, stop, workers, retry, run again.

Commands go to the engine's socket from worker threads; whatever ends work is asked about first.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from textual import events, work
from textual.app import App

from bronze_tui.domain.errors import BronzeError, Exit
from bronze_tui.domain.text import safe_text
from bronze_tui.journal import run_figures
from bronze_tui.journal.run_view import RunView
from bronze_tui.tui.bridge import Controls
from bronze_tui.tui.enginestart import (
    OPEN_WITHIN,
    Started,
    exit_code,
    has_begun,
    last_words,
    start_engine,
)
from bronze_tui.tui.keymap import CONTROL_ACTIONS
from bronze_tui.tui.session import Session

_LOOK_EVERY = 0.05


class Steered(App[int]):
    """An app that steers the run of its session."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.view = RunView()
        self.controls = Controls(session)
        self._starting = False
        self._alive: bool | None = None

    @property
    def engine_is_gone(self) -> bool:
        """Whether the engine's process is known to have ended."""
        return self._alive is False

    def say(self, text: str, severity: Any = "information") -> None:
        """A toast; the text is literal."""
        self.notify(safe_text(text)[:300], severity=severity, markup=False)

    # The run's end.

    @property
    def ended(self) -> bool:
        """Whether the newest run has its closing line: of the engine that was started last."""
        finished = self.view.finished
        if finished is None:
            return False
        when = finished.get("time")
        return not self.session.after or (
            isinstance(when, int | float) and when >= self.session.after
        )

    def exit_code(self) -> int:
        """The exit code of the newest run that this app started; 0 when nothing of ours ended."""
        if self.session.kind == "run" and self.ended and self.view.finished is not None:
            return int(self.view.finished.get("exit_code", 0))
        return 0

    # Commands.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that change a run are not there for who may only look."""
        if action in CONTROL_ACTIONS and not self.controls.allowed:
            return False
        if action == "run_again" and self.session.arguments is None:
            return False
        return super().check_action(action, parameters)

    def on_key(self, event: events.Key) -> None:
        """A key that is hidden because the view is read-only says so."""
        if self.controls.allowed or event.key in self.screen.active_bindings:
            return
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            if binding.action in CONTROL_ACTIONS:
                self.say("this view is read-only; attach with --control", "warning")

    def offers(self) -> tuple[tuple[str, str, str], ...]:
        """Key, action and word of what fits the run's state now; nothing to who may only look."""
        if not self.controls.allowed:
            return ()
        if self.ended or self.engine_is_gone:
            return (("R", "run_again", "run again"),) if self.may_run_again else ()
        state = self.view.engine_state
        if state in ("draining", "stopping"):
            return (("X", "stop_now", "stop now"),)
        pause = "resume" if state == "paused" else "pause"
        return (("P", "pause", pause), ("D", "drain", "drain"))

    def action_pause(self) -> None:
        paused = self.view.engine_state == "paused"
        self.command("resume" if paused else "pause")

    @work
    async def action_drain(self) -> None:
        from bronze_tui.tui.screens.dialogs import Confirm

        question = "Finish and commit what is being built, then end the run?"
        if await self.push_screen_wait(Confirm("Drain", question)):
            self.command("drain")

    @work
    async def action_stop_now(self) -> None:
        from bronze_tui.tui.screens.dialogs import TypeWord

        building = sum(v.state == "building" for v in run_figures.in_flight(self.view))
        question = (
            f"End the run without waiting: {building} unfinished builds are dropped. What is "
            "committed stays, nothing is half committed, and a new run goes on from there."
        )
        if await self.push_screen_wait(TypeWord("Stop now", question, "stop")):
            self.command("stop")

    @work
    async def action_workers(self) -> None:
        from bronze_tui.tui.screens.dialogs import AskNumber

        now = run_figures.workers(self.view) or 1
        count = await self.push_screen_wait(AskNumber("Workers", "Number of builders", now, 1, 64))
        if count is not None and count != now:
            self.command("workers", count=count)

    @work(thread=True, group="control", exit_on_error=False)
    def command(self, command: str, **args: Any) -> None:
        """Send a command; the answer comes as a toast."""
        try:
            answer = self.controls.send(command, **args)
        except BronzeError as error:
            self.call_from_thread(self.say, str(error), "error")
            return
        state = answer.get("state", "?")
        if command == "retry":
            when = "when the run is resumed" if state == "paused" else "now"
            text = f"partition {args.get('partition')} is tried {when}"
        else:
            text = f"{command}: engine is {state}"
        self.call_from_thread(self.say, text)

    # A new run.

    @property
    def may_run_again(self) -> bool:
        """Whether this app can start an engine."""
        return self.controls.allowed and self.session.arguments is not None

    def action_run_again(self) -> None:
        self.run_again()

    @work
    async def run_again(self, partition: str = "", *, repair: bool | None = None) -> None:
        """Ask, then start a new engine with the configuration of this run.

        Args:
            partition: what the person stood on.
            repair: work on declared holes alone; None: when nothing else is left.
        """
        if self._starting or self.controls.engine_alive():
            self.say("the engine runs; end it first (D drains), two cannot work here", "warning")
            return
        from bronze_tui.tui.screens.dialogs import Confirm

        repair = only_holes_left(self.view) if repair is None else repair
        question = again_question(self.view, partition, repair=repair)
        if await self.push_screen_wait(Confirm("Run again", question)):
            await self._start(repair=repair)

    async def _start(self, *, repair: bool) -> None:
        words = list(self.session.arguments or ())
        if repair and "--repair" not in words:
            words.append("--repair")
        if self._starting or self.session.state_dir is None:
            return
        self._starting = True
        try:
            started = await asyncio.to_thread(start_engine, self.session.state_dir, words)
            await self._watch_start(started)
        except BronzeError as error:
            self.say(str(error), "error")
        finally:
            self._starting = False

    async def _watch_start(self, started: Started) -> None:
        before = self.session
        self._take_session(replace(before, kind="run", child=started.child, after=started.began))
        self.say(f"starting the engine (process {started.child.pid}) ...")
        until = time.monotonic() + OPEN_WITHIN
        while (begun := has_begun(started)) is None and time.monotonic() < until:
            await asyncio.sleep(_LOOK_EVERY)
        if begun is not False:
            return
        self._take_session(before)
        code = exit_code(started.child)
        self._show_last_words(last_words(started), code)

    def _take_session(self, session: Session) -> None:
        self.session = session
        self.controls = Controls(session)

    def _show_last_words(self, words: str, code: int) -> None:
        from textual.content import Content

        from bronze_tui.tui.screens.notes import Note
        from bronze_tui.tui.widgets.figures import line, part, stack

        said = words.strip() or f"the engine ended with {code} and said nothing"
        rows = [line(("The engine did not begin", "bad"), f" (exit {code})."), Content("")]
        rows += [part(row, "worry") for row in said.splitlines()[-12:]]
        if code == Exit.LOCKED:
            rows += [Content(""), line("Another engine works there: attach to it.")]
        self.push_screen(Note("NOT STARTED", stack(rows), said))


def open_holes(view: RunView) -> int:
    """Declared holes that no run has filled."""
    return sum(
        chain.committed.covered(hole.start, hole.end) < len(hole)
        for chain in view.chains.values()
        for hole in chain.holes
    )


def only_holes_left(view: RunView) -> bool:
    """Whether the run is done but for declared holes."""
    return view.engine_state == "done" and open_holes(view) > 0


def again_question(view: RunView, partition: str, *, repair: bool) -> str:
    """What a new run would do."""
    if repair:
        holes = open_holes(view)
        many = "the declared hole" if holes == 1 else f"the {holes} declared holes"
        return f"Start a new run that works on {many} alone (--repair)?"
    if view.engine_state == "done":
        return "All is committed. Start a new run that looks for new work and ends?"
    failed = [str(v.partition) for v in view.partitions.values() if v.state == "failed"]
    first = f", so it begins with partition {failed[0]}" if failed else ""
    text = f"Start a new run with the same configuration? It goes on behind the last commit{first}."
    if partition and partition not in failed:
        text += f" Partitions go in ledger order: {partition} has its turn then."
    return text
