"""``bronze pas``: deliveries of audit events, what a person decides about them, and a receiver."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bronze_tui.commands._options import Command, config_options
from bronze_tui.domain.errors import Exit, UsageError

if TYPE_CHECKING:
    from bronze_tui.catalog.deliveries import Backlog
    from bronze_tui.config.models import Settings
    from bronze_tui.domain.events import EngineEvent

DEFAULT_PORT = 8701


@click.group()
def pas() -> None:
    """Audit events on their way to pas.endpoint, and a small server that takes them.

    Every command works while a copier runs and without one.
    """


def _chain_option(command: Command) -> Command:
    add: Callable[[Command], Command] = click.option(
        "--chain",
        "chain_key",
        default="",
        metavar="NETWORK/ERA/VERSION",
        help="Only this chain (default: those of the configuration).",
    )
    return add(command)


@pas.command()
@config_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(config: Path | None, sets: tuple[str, ...], as_json: bool) -> int:
    """Say what is delivered, what waits and since when, what is parked and why.

    Exit code 0: nothing is parked; 1: something is.
    """
    from bronze_tui.engine.outbox_desk import report

    found = report(_settings(config, sets))
    if as_json:
        click.echo(json.dumps(found.to_doc(), indent=2))
    else:
        click.echo(f"endpoint     {found.endpoint or 'none: events are filed, not posted'}")
        for chain in found.chains:
            click.echo("\n".join(_lines(chain)))
    return Exit.FAILED if any(chain.parked for chain in found.chains) else Exit.OK


@pas.command()
@config_options
@_chain_option
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Send every event again from the first: for an endpoint that is new or lost events.",
)
def retry(config: Path | None, sets: tuple[str, ...], chain_key: str, everything: bool) -> None:
    """Let parked events be tried again, after their cause was mended.

    A running copier does so within seconds; else the next run, or 'bronze pas deliver'.
    """
    from bronze_tui.engine.outbox_desk import retry as work

    for line in work(_settings(config, sets), chain_key, everything=everything):
        click.echo(_plain(line))


@pas.command()
@click.argument("seq", metavar="SEQ")
@config_options
@_chain_option
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the catalog.")
def skip(seq: str, config: Path | None, sets: tuple[str, ...], chain_key: str, reason: str) -> None:
    """Never deliver event SEQ (a number, or FIRST-LAST), and go on behind it.

    The event stays in its file and in the chain. A receiver that verifies chains will not take
    what follows until it has the event from elsewhere.
    """
    from bronze_tui.engine.outbox_desk import skip as work

    match = re.fullmatch(r"([0-9]{1,15})(?:-([0-9]{1,15}))?", seq)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if first > last:
        raise UsageError(f"{seq!r} is no event number", todo="write 12 or 12-20")
    if not reason.strip():
        raise UsageError("the reason is empty", where="--reason", todo="say why in a few words")
    if any("\ud800" <= letter <= "\udfff" for letter in reason):
        raise UsageError("the reason is no UTF-8", where="--reason", todo="write it again")
    click.echo(_plain(work(_settings(config, sets), chain_key, first, last, reason.strip())))


@pas.command()
@config_options
@_chain_option
@click.option(
    "--patience",
    type=click.FloatRange(0, 86_400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long nothing may be acknowledged before this gives up.",
)
def deliver(config: Path | None, sets: tuple[str, ...], chain_key: str, patience: float) -> int:
    """Deliver what waits, without copying.

    Exit code 0: nothing waits; 1: an event is parked; 6: a copier delivers; 7: not all went out.
    """
    from bronze_tui.engine.outbox_desk import deliver as work
    from bronze_tui.engine.outbox_desk import exit_code

    outbox, done = work(_settings(config, sets), chain_key, _say, patience)
    click.echo(f"{done} events delivered, {outbox.waiting} wait, {outbox.parked} parked")
    if outbox.waiting and outbox.detail:
        click.echo(_plain(outbox.detail), err=True)
    return exit_code(outbox)


@pas.command()
@click.option(
    "--dir",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where events are kept; made when absent.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=DEFAULT_PORT,
    show_default=True,
    help="0: one that is free.",
)
@click.option(
    "--token",
    default="",
    envvar="BRONZE_PAS_TOKEN",
    help="What clients must send; needed for any host but this machine. Better in the"
    " environment (BRONZE_PAS_TOKEN), as others see a command line.",
)
def serve(folder: Path, host: str, port: int, token: str) -> int:
    """Take audit events over HTTP, verify each against its chain, and keep them for good.

    A reference for other implementers, and enough for a small site. It has no TLS: from other
    machines put it behind a server that has.
    """
    from bronze_tui.audit.receiver import Receiver

    receiver = Receiver(
        folder.absolute(),
        host=host,
        port=port,
        token=token,
        log=_log,
    )
    over = threading.Event()
    before = {n: signal.signal(n, lambda *_: over.set()) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        receiver.start()
        held = receiver.archive.events
        click.echo(f"{held} events in {folder}; events are taken at {receiver.url}")
        # A wait without end would not let the handlers run on every system.
        while not over.wait(60.0):
            pass
    finally:
        receiver.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    click.echo("stopped", err=True)
    return Exit.OK


def _log(line: str) -> None:
    click.echo(line, err=True)


def _settings(config: Path | None, sets: tuple[str, ...]) -> Settings:
    from bronze_tui.commands._context import load_config

    return load_config(config, sets).settings


def _say(event: EngineEvent) -> None:
    """Alerts as lines on stderr; what was delivered is counted at the end."""
    from bronze_tui.config.redact import redact
    from bronze_tui.domain.events import Alert

    if isinstance(event, Alert):
        todo = f"; {event.todo}" if event.todo else ""
        click.echo(_plain(redact(f"{event.level}: {event.message}{todo}")), err=True)


def _lines(chain: Backlog) -> list[str]:
    from bronze_tui.engine.backlog import age_of
    from bronze_tui.journal.verdict import clock

    waiting = f"{chain.waiting:,}"
    if chain.oldest:
        waiting += f", the oldest for {clock(age_of(chain.oldest))}"
    if chain.unfiled:
        waiting += f"; {chain.unfiled:,} have no file yet, which the next run writes first"
    rows: list[tuple[str, Any]] = [
        ("chain", chain.chain_key),
        ("  events", f"{chain.events:,}, head {chain.head or 'none'}"),
        ("  delivered", _delivered(chain)),
        ("  waiting", waiting),
    ]
    if chain.parked:
        where = f"event {chain.parked.seq} since {chain.parked.at}: {chain.parked.reason}"
        rows.append(("  parked", where))
    rows += [
        ("  skipped", f"event {each.seq} by {each.decided_by} at {each.at}: {each.reason}")
        for each in chain.skipped
    ]
    return [f"{name:<12} {_plain(str(text))}" for name, text in rows]


def _delivered(chain: Backlog) -> str:
    if chain.next_seq is None:
        return f"{chain.delivered:,}; nothing waits"
    upto = "none" if chain.next_seq == 0 else f"up to event {chain.next_seq - 1}"
    return f"{chain.delivered:,}; {upto}, next is event {chain.next_seq}"


def _plain(text: str) -> str:
    from bronze_tui.headless.plain import plain

    return plain(text, 4000)
