"""``bronze doctor``: examine a configuration end to end and say what to fix."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bronze_tui.commands._options import config_options
from bronze_tui.domain.errors import ConfigError, Exit

if TYPE_CHECKING:
    from bronze_tui.config.load import Loaded
    from bronze_tui.inspect.doctor.examine import Examination
    from bronze_tui.inspect.doctor.finding import Finding

_SIGNS = {"ok": "[ok]  ", "warn": "[warn]", "fail": "[FAIL]", "none": "[--]  "}
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_INDENT = " " * 9


@click.command("doctor")
@config_options
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
@click.option("--read-only", is_flag=True, help="Make no probe object; only look at permissions.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.5, max=3600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a group of checks may be silent.",
)
def command(
    config: Path | None, sets: tuple[str, ...], as_json: bool, read_only: bool, timeout: float
) -> int:
    """Examine a configuration end to end and say what to fix.

    Plugins, source, store, catalog, audit events, endpoint, machine, clock and terminal. It
    changes nothing but a probe object of its own, which it removes, and may be used while a
    copier runs. Exit code 0: nothing failed; 2: configuration; 4: plugin; 1: anything else; 7:
    only unreachable things failed.
    """
    from bronze_tui.commands._context import load_config
    from bronze_tui.inspect.doctor.finding import Notes, exit_code

    printer = _Printer(as_json)
    try:
        loaded = load_config(config, sets)
    except ConfigError as error:
        notes = Notes("config")
        found = [notes.fail("config", each, code=Exit.USAGE) for each in error.problems]
        printer.group("config", found)
        printer.end(found, Exit.USAGE)
        return Exit.USAGE
    findings = _examine(loaded, printer, write=not read_only, timeout=timeout)
    code = exit_code(findings)
    printer.end(findings, code)
    return code


def _examine(loaded: Loaded, printer: _Printer, *, write: bool, timeout: float) -> list[Finding]:
    import resource
    import time

    from bronze_tui.inspect.doctor import terminal
    from bronze_tui.inspect.doctor.examine import Examination
    from bronze_tui.inspect.doctor.groups import GROUPS
    from bronze_tui.inspect.doctor.subject import Subject, data_root_of

    settings = loaded.settings
    subject = Subject(
        settings,
        write=write,
        data_root=data_root_of(settings),
        pas_dir=settings.emitter_options().backup_dir,
        now=time.time(),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )
    printer.running(_engine(settings.state_dir()))
    found = list(_config(loaded))
    printer.group("config", found)
    with _closing(Examination(subject, GROUPS, timeout), printer) as examination:
        found += _in_order(examination, [group.name for group in GROUPS], printer)
    last = list(terminal.of_this_process())
    printer.group("terminal", last)
    return found + last


def _config(loaded: Loaded) -> Iterator[Finding]:
    from bronze_tui.inspect.doctor.finding import Notes

    notes = Notes("config")
    where = str(loaded.path) if loaded.path is not None else "environment and defaults"
    yield notes.ok("config", "configuration valid", where)
    for warning in loaded.warnings:
        yield notes.warn("warning", warning)


def _engine(state_dir: Path) -> str:
    """Who runs with this state folder, in words."""
    from bronze_tui.domain.errors import BronzeError
    from bronze_tui.journal.wire import engine_info

    try:
        info = engine_info(state_dir)
    except BronzeError:
        return ""
    return f"process {info.pid}, run {info.run_id}" if info is not None else ""


def _in_order(examination: Examination, order: Sequence[str], printer: _Printer) -> list[Finding]:
    """All findings; each group is printed when it and those before it have ended."""
    by_group: dict[str, list[Finding]] = {name: [] for name in order}
    ended: set[str] = set()
    waiting = list(order)
    for name, finding in examination:
        if finding is not None:
            by_group[name].append(finding)
            continue
        ended.add(name)
        while waiting and waiting[0] in ended:
            printer.group(waiting[0], by_group[waiting.pop(0)])
    return [finding for name in order for finding in by_group[name]]


@contextmanager
def _closing(examination: Examination, printer: _Printer) -> Iterator[Examination]:
    """Whatever ends it, a signal too, the probe objects are removed."""

    def stop(number: int, frame: Any) -> None:  # noqa: ARG001
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield examination
    finally:
        for name in examination.close():
            printer.talk(f"the {name} did not answer: a probe object below _doctor/ may be left")
        signal.signal(signal.SIGTERM, before)


class _Printer:
    """Text as it comes, or JSON at the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._engine = ""

    def running(self, engine: str) -> None:
        """An engine works with this configuration's state."""
        self._engine = engine
        if engine:
            self.talk(f"a copier runs with this state folder ({engine}); it goes on undisturbed")

    def talk(self, text: str) -> None:
        """What is no finding."""
        click.echo(f"bronze: {_safe(text)}", err=True)

    def group(self, name: str, findings: Sequence[Finding]) -> None:
        """One heading and its findings."""
        if self._as_json or not findings:
            return
        click.echo(click.style(name, bold=True))
        for finding in findings:
            sign = click.style(_SIGNS[finding.state], fg=_COLOURS.get(finding.state))
            row = f"  {sign} {_safe(finding.text)}"
            if finding.detail and finding.state == "ok":
                row += f"  ({_safe(finding.detail)})"
            click.echo(row)
            if finding.detail and finding.state != "ok":
                click.echo(f"{_INDENT}{_safe(finding.detail)}")
            if finding.todo:
                click.echo(f"{_INDENT}-> {_safe(finding.todo)}")

    def end(self, findings: Sequence[Finding], code: int) -> None:
        """The sum."""
        states = [finding.state for finding in findings]
        if self._as_json:
            doc = {
                "ok": code == 0,
                "exit_code": int(code),
                "engine": self._engine,
                "findings": [finding.to_json() for finding in findings],
            }
            click.echo(json.dumps(doc, indent=2))
            return
        words = [f"{states.count('ok')} ok"]
        words += [f"{states.count('warn')} warnings"] if "warn" in states else []
        words += [f"{states.count('fail')} FAILED"] if "fail" in states else []
        words += [f"{states.count('none')} not tried"] if "none" in states else []
        verdict = "nothing stands in the way of a run" if code == 0 else "fix what FAILED first"
        click.echo(f"{', '.join(words)}: {verdict}")


def _safe(text: str) -> str:
    from bronze_tui.headless.plain import plain

    return plain(text, 1000)
