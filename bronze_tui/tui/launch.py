"""Starts the engine as its own process, then the app on its journal; says the end on stdout.

The engine lives in a session of its own: a lost terminal, a killed app or ctrl-c end the view,
never the copy.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bronze_tui.domain.errors import BronzeError, Exit, UsageError
from bronze_tui.journal.reader import last_run
from bronze_tui.journal.wire import engine_info
from bronze_tui.journal.writer import JOURNAL_NAME
from bronze_tui.tui.hangup import let_go, lost_terminal
from bronze_tui.tui.session import Session

if TYPE_CHECKING:
    from bronze_tui.config.load import Loaded
    from bronze_tui.tui.screens.start import Choice

ENGINE_LOG = "engine.log"
OPEN_WITHIN = 15.0
"""Seconds to wait for the engine's first line; after that the app opens and shows STARTING."""
_POLL = 0.02
_LOG_SHOWN = 4_000


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
    state_dir = loaded.settings.state_dir()
    began = time.time()
    attach = _attach_command(loaded)
    with _open_log(state_dir) as log:
        said_before = log.tell()
        child = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-m", "bronze_tui.cli", "engine", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        if not _first_line(state_dir, child, began):
            return Outcome(_ended_early(child, state_dir / ENGINE_LOG, said_before, attach), False)
    except KeyboardInterrupt:
        sys.stderr.write(f"The engine goes on (process {child.pid}). Come back: {attach}\n")
        raise
    session = replace(session_of(loaded, "run", control=True), child=child, after=began)
    return open_app(session, attach)


def session_of(loaded: Loaded, kind: Any, *, control: bool) -> Session:
    """The session of a configuration."""
    settings = loaded.settings
    url = urlsplit(settings.store_options().url)
    return Session(
        kind=kind,
        journal=_journal(settings.state_dir()),
        state_dir=settings.state_dir(),
        loaded=loaded,
        control=control,
        data_root=Path(unquote(url.path)) if url.scheme == "file" else None,
        prefix=settings.storage.prefix,
        pas_dir=Path(settings.pas.backup_dir).absolute() if settings.pas.enabled else None,
    )


def session_of_state(state_dir: Path, *, control: bool) -> Session:
    """The session of a state folder alone: the rest comes from what its newest run said.

    Raises:
        UsageError: no run ever left a journal there.
    """
    journal = _journal(state_dir)
    started = next((r for r in last_run(journal) if r.get("kind") == "run_started"), {})
    file = Path(str(started.get("config_file") or ""))
    if file.is_file():
        from bronze_tui.config.load import load

        try:
            loaded = load(file, (), {})
        except BronzeError:
            pass
        else:
            if loaded.settings.state_dir() == state_dir.absolute():
                return session_of(loaded, "attach", control=control)
    url = urlsplit(str(started.get("store") or ""))
    root = Path(unquote(url.path)) if url.scheme == "file" else None
    # The address names the dataset: network, era and version are its last three folders.
    data_root = root.parent.parent.parent if root is not None and len(root.parts) > 4 else None
    return Session(
        kind="attach",
        journal=journal,
        state_dir=state_dir.absolute(),
        control=control,
        data_root=data_root,
        prefix="",
    )


def open_app(session: Session, attach: str = "") -> Outcome:
    """Run the app to its end and say on stdout what became of the run."""
    from bronze_tui.tui.app import BronzeApp

    app = BronzeApp(session)
    result = app.run(mouse=session.mouse)
    code = app.return_code or 0 if result is None else result
    if code == 128 + signal.SIGHUP:
        if lost_terminal():
            let_go()
        return Outcome(code, False)
    finished = session.live and _say_end(session, app.view.run_id, attach)
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
        first_page="sql",
    )


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
    return Session(kind="inspect", pas_dir=pas, data_root=root, prefix="", first_page="audit")


def _journal(state_dir: Path) -> Path:
    """The journal an engine of ``state_dir`` names, else the usual one."""
    try:
        info = engine_info(state_dir)
    except BronzeError:
        info = None
    named = Path(info.journal) if info is not None and info.journal else None
    return named if named is not None and named.exists() else state_dir / JOURNAL_NAME


def _open_log(state_dir: Path) -> IO[bytes]:
    """Where what the engine prints goes: its last words when it cannot write a journal."""
    from bronze_tui.domain.refusal import refusing

    path = state_dir / ENGINE_LOG
    with refusing(path):
        state_dir.mkdir(parents=True, exist_ok=True)
        return path.open("ab")


def _first_line(state_dir: Path, child: subprocess.Popen[bytes], began: float) -> bool:
    """Wait until the new run has a journal line; false when the child ended without one."""
    path = state_dir / JOURNAL_NAME
    until = time.monotonic() + OPEN_WITHIN
    while time.monotonic() < until:
        ended = child.poll() is not None
        if _written_since(path, began):
            return True
        if ended:
            return False
        time.sleep(_POLL)
    return True


def _written_since(path: Path, began: float) -> bool:
    try:
        state = path.stat()
    except OSError:
        return False
    return state.st_size > 0 and state.st_mtime >= began


def _ended_early(child: subprocess.Popen[bytes], log: Path, said_before: int, attach: str) -> int:
    """Show what the engine said before it ended; its exit code."""
    code = child.wait()
    try:
        text = log.read_bytes()[said_before:][-_LOG_SHOWN:].decode("utf-8", "replace")
    except OSError:
        text = ""
    sys.stderr.write(text or f"bronze: error: the engine ended with {code} and said nothing\n")
    if code == Exit.LOCKED:
        sys.stderr.write(f"look at the run that works there: {attach}\n")
    return code if code >= 0 else 128 - code


def _attach_command(loaded: Loaded) -> str:
    if loaded.path is not None:
        return f"bronze attach --control --config {shlex.quote(str(loaded.path))}"
    return f"bronze attach --control --state-dir {shlex.quote(str(loaded.settings.state_dir()))}"


def _say_end(session: Session, run_id: str, attach: str) -> bool:
    """The closing block of the run on screen, or how to come back to it; whether it has ended."""
    from bronze_tui.headless.final import final_text
    from bronze_tui.journal.run_view import view_of

    if session.journal is not None and run_id:
        view = view_of(r for r in last_run(session.journal) if r.get("run") == run_id)
        if view.finished is not None:
            print(final_text(view))
            return True
    if session.child is not None and session.child.poll() is None:
        print(f"The engine goes on (process {session.child.pid}). Come back: {attach}")
    elif session.kind == "run":
        again = attach.replace("attach --control", "run")
        print(f"The engine ended without a closing line. Run again to go on: {again}")
    return False
