"""Starts the engine as its own process, then the app on its journal; says the end on stdout.

The engine lives in a session of its own: a lost terminal, a killed app or ctrl-c end the view,
never the copy.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bronze_tui.domain.errors import BronzeError, Exit, UsageError
from bronze_tui.journal.newest import newest_records
from bronze_tui.journal.wire import engine_info
from bronze_tui.journal.writer import JOURNAL_NAME
from bronze_tui.tui import places
from bronze_tui.tui.enginestart import (
    Started,
    exit_code,
    last_words,
    start_engine,
    wait_until_begun,
)
from bronze_tui.tui.hangup import let_go, lost_terminal
from bronze_tui.tui.session import Session

if TYPE_CHECKING:
    from bronze_tui.config.load import Loaded
    from bronze_tui.tui.screens.start import Choice


def on_terminal() -> bool:
    """Whether the app can run: Textual reads stdin and draws on stderr."""
    dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return sys.stdin.isatty() and sys.stderr.isatty() and not dumb


def need_terminal(instead: str) -> None:
    """Refuse to open the app where nobody can see it.

    Raises:
        UsageError: stdin or stderr is no terminal.
    """
    # A browser's app talks over pipes, and its driver says so.
    if not on_terminal() and "TEXTUAL_DRIVER" not in os.environ:
        raise UsageError("this needs a terminal on stdin and stderr", todo=instead)


def nothing_configured(
    config: Path | None, sets: Sequence[str], environ: Mapping[str, str] = os.environ
) -> bool:
    """Whether neither a file, nor ``--set``, nor any variable says what to copy."""
    from bronze_tui.config.layers import from_environment
    from bronze_tui.config.load import find_config

    if sets or find_config(config, environ) is not None:
        return False
    layer, problems = from_environment(environ)
    return not problems and not any(entry.text for entry in layer.values())


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the app ended."""

    code: int
    finished: bool
    """Whether the run has ended, by its closing line."""


def run_with_app(loaded: Loaded, arguments: Sequence[str]) -> Outcome:
    """Start the engine with the command line ``arguments`` and open the app on it.

    Raises:
        BronzeError: the state folder cannot be used.
    """
    attach = _attach_command(loaded)
    started = start_engine(loaded.settings.state_dir(), arguments)
    try:
        if not wait_until_begun(started):
            return Outcome(_ended_early(started, attach), False)
    except KeyboardInterrupt:
        sys.stderr.write(f"The engine goes on (process {started.child.pid}). Come back: {attach}\n")
        raise
    session = session_of(loaded, "run", control=True, arguments=arguments)
    return open_app(replace(session, child=started.child, after=started.began))


def session_of(
    loaded: Loaded, kind: Any, *, control: bool, arguments: Sequence[str] | None = None
) -> Session:
    """The session of a configuration; ``arguments`` are what its engine is started with again."""
    settings = loaded.settings
    url = urlsplit(settings.store_options().url)
    return Session(
        kind=kind,
        journal=_journal(settings.state_dir()),
        state_dir=settings.state_dir(),
        loaded=loaded,
        control=control,
        arguments=None if arguments is None else tuple(arguments),
        data_root=Path(unquote(url.path)) if url.scheme == "file" else None,
        prefix=settings.storage.prefix,
        pas_dir=Path(settings.pas.backup_dir).absolute() if settings.pas.enabled else None,
        no_data=None if url.scheme == "file" else places.remote(settings.store_options().url),
        no_pas=None if settings.pas.enabled else places.PAS_OFF,
    )


def session_of_run(loaded: Loaded, *, control: bool, arguments: Sequence[str]) -> Session:
    """The session of a configuration whose run is there already.

    Raises:
        UsageError: the journal cannot be read.
    """
    session = session_of(loaded, "attach", control=control, arguments=arguments)
    if session.journal is None or not session.journal.exists():
        return session
    return places.with_recorded(session, _started(session.journal), here=True)


def session_of_journal(journal: Path, speed: float) -> Session:
    """A recording, with the data and the audit events of its run where they are on this machine.

    Raises:
        UsageError: it cannot be read.
    """
    session = Session(kind="replay", journal=journal, speed=speed)
    return places.with_recorded(session, _started(journal), here=False)


def _started(journal: Path) -> Mapping[str, Any]:
    """What the newest run said when it began; empty when it did not come so far."""
    return next((r for r in newest_records(journal) if r.get("kind") == "run_started"), {})


def session_of_state(state_dir: Path, *, control: bool) -> Session:
    """The session of a state folder alone: the rest comes from what its newest run said.

    Raises:
        UsageError: no run ever left a journal there.
    """
    journal = _journal(state_dir)
    started = _started(journal)
    session = Session(
        kind="attach", journal=journal, state_dir=state_dir.absolute(), control=control
    )
    file = Path(str(started.get("config_file") or ""))
    if file.is_file():
        from bronze_tui.config.load import load

        try:
            loaded = load(file, (), {})
        except BronzeError:
            pass
        else:
            if loaded.settings.state_dir() == state_dir.absolute():
                session = session_of(loaded, "attach", control=control, arguments=_again(loaded))
    return places.with_recorded(session, started, here=_is_home(started, state_dir))


def _is_home(started: Mapping[str, Any], state_dir: Path) -> bool:
    """Whether the state folder lies where the run had it: it was not copied from elsewhere."""
    return str(started.get("state_dir")) == str(state_dir.absolute())


def _again(loaded: Loaded) -> list[str] | None:
    """What starts a run of a configuration file again; None when this shell's variables would make
    it another run."""
    from bronze_tui.config.load import load

    try:
        here = load(loaded.path, ())
    except BronzeError:
        return None
    return ["--config", str(loaded.path)] if here.settings == loaded.settings else None


def open_app(session: Session) -> Outcome:
    """Run the app to its end and say on stdout what became of the run."""
    from bronze_tui.tui.app import BronzeApp
    from bronze_tui.tui.responsive import drawings_a_second, prepare_interpreter

    app = BronzeApp(replace(session, refresh_hz=drawings_a_second()))
    prepare_interpreter()
    result = app.run(mouse=session.mouse)
    code = app.return_code or 0 if result is None else result
    if code == 128 + signal.SIGHUP:
        if lost_terminal():
            let_go()
        return Outcome(code, False)
    finished = session.live and _say_end(app.session, app.view.run_id)
    return Outcome(code, finished)


def choose() -> Choice | None:
    """Ask on the start screen what to do; None when the person left."""
    from bronze_tui.tui.app import BronzeApp

    app = BronzeApp(Session(kind="start"))
    result = app.run()
    if result:
        raise SystemExit(result)
    return app.choice


def inspect_session(folder: Path) -> Session:
    """A dataset without a copier: the folder, or anything above it.

    Raises:
        UsageError: there is no dataset in it.
    """
    from bronze_tui.tui.datasets import find_dataset

    found = find_dataset(folder)
    return Session(
        kind="inspect",
        data_root=found.data_root,
        prefix="",
        pas_dir=found.pas_dir,
        no_pas=places.Absence(
            f"No audit folder lies near {found.data_root}.",
            "bronze attach FOLDER with the audit folder opens it",
        ),
        first_page="sql",
    )


def session_of_folder(folder: Path) -> Session:
    """A state folder, a dataset or an audit folder: whichever ``folder`` is; read-only.

    Raises:
        UsageError: it is none of them.
    """
    if (folder / JOURNAL_NAME).is_file():
        return session_of_state(folder, control=False)
    try:
        return inspect_session(folder)
    except UsageError:
        if not folder.is_dir():
            raise
        return verify_session(folder)


def verify_session(folder: Path) -> Session:
    """An audit folder without a copier; the data beside it when it lies there.

    Raises:
        UsageError: it is not one.
    """
    from bronze_tui.audit.folder import resolve
    from bronze_tui.tui.datasets import find_dataset

    pas = resolve(folder)
    root = None
    for place in (folder, pas.parent):
        try:
            root = find_dataset(place).data_root
            break
        except UsageError:
            continue
    return Session(
        kind="inspect",
        pas_dir=pas,
        data_root=root,
        prefix="",
        no_data=places.Absence(
            f"No dataset lies beside {pas}.", "bronze attach FOLDER with the data's folder opens it"
        ),
        first_page="audit",
    )


def _journal(state_dir: Path) -> Path:
    """The journal an engine of ``state_dir`` names, else the usual one."""
    try:
        info = engine_info(state_dir)
    except BronzeError:
        info = None
    named = Path(info.journal) if info is not None and info.journal else None
    return named if named is not None and named.exists() else state_dir / JOURNAL_NAME


def _ended_early(started: Started, attach: str) -> int:
    """Show what the engine said before it ended; its exit code."""
    code = exit_code(started.child)
    nothing = f"bronze: error: the engine ended with {code} and said nothing\n"
    sys.stderr.write(last_words(started) or nothing)
    if code == Exit.LOCKED:
        sys.stderr.write(f"look at the run that works there: {attach}\n")
    return code


def _attach_command(loaded: Loaded) -> str:
    if loaded.path is not None:
        return f"bronze attach --control --config {shlex.quote(str(loaded.path))}"
    return f"bronze attach --control --state-dir {shlex.quote(str(loaded.settings.state_dir()))}"


def _say_end(session: Session, run_id: str) -> bool:
    """The closing block of the run on screen, or how to come back to it; whether it has ended."""
    from bronze_tui.headless.final import final_text
    from bronze_tui.journal.run_view import view_of

    if session.journal is not None and run_id:
        view = view_of(r for r in newest_records(session.journal) if r.get("run") == run_id)
        if view.finished is not None and _is_newest(session, view.finished):
            print(final_text(view))
            return True
    attach = _attach_command(session.loaded) if session.loaded is not None else "bronze attach"
    if session.child is not None and session.child.poll() is None:
        print(f"The engine goes on (process {session.child.pid}). Come back: {attach}")
    elif session.kind == "run":
        again = attach.replace("attach --control", "run")
        print(f"The engine ended without a closing line. Run again to go on: {again}")
    return False


def _is_newest(session: Session, finished: Mapping[str, Any]) -> bool:
    """Whether this closing line is of the engine that was started last."""
    time = finished.get("time")
    return isinstance(time, int | float) and time >= session.after
