"""Runs the levels below the chain for ``bronze verify`` and puts their figures together."""

from __future__ import annotations

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bronze_tui.audit.report import VerifyReport
from bronze_tui.domain.errors import UsageError

if TYPE_CHECKING:
    from bronze_tui.audit.data import Data
    from bronze_tui.audit.depth import Depth
    from bronze_tui.audit.filecheck import Progress
    from bronze_tui.audit.levels.again import SourceAgain
    from bronze_tui.audit.levels.run import Inventory, Job
    from bronze_tui.audit.levels.select import Choice
    from bronze_tui.audit.levels.trust import Trust
    from bronze_tui.audit.levels.unit import Outcome
    from bronze_tui.commands._target import Target

_RANK = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class Wish:
    """The command's options of the levels below the chain."""

    level: str
    jobs: int
    choice: Choice
    state: Path | None
    anchors: Path | None
    validators: Path | None
    passphrase: str
    quiet: bool


def verify_depth(report: VerifyReport, target: Target, wish: Wish) -> VerifyReport:
    """The report with what the levels below the chain found.

    Raises:
        UsageError, StateError, StoreError, SourceError, SourceDenied.
    """
    from bronze_tui.audit.levels.memory import Memory
    from bronze_tui.audit.levels.run import Job, run_job, take_inventory

    with ExitStack() as stack:
        stack.callback(target.close)
        data = target.open_data()
        keys = target.datasets(data)
        inventory = take_inventory(data, report.chains, keys)
        if not inventory.units:
            raise UsageError("holds no committed partition", where=data.where)
        trust = _trust(target, wish)
        job = Job(
            wish.level,
            data,
            wish.choice.pick(inventory.units),
            inventory.listings,
            target.catalogs(),
            trust,
            jobs=wish.jobs,
        )
        if wish.level == "source":
            job = replace(job, source=_source(target, stack))
        if wish.state is not None:
            context = _context(data, trust)
            job = replace(job, memory=stack.enter_context(Memory(wish.state, context)))
        if job.reaches("row"):
            from bronze_tui.engine.memory import tune_allocator

            tune_allocator(wish.jobs)
        begin = time.monotonic()
        with ExitStack() as line:
            tell = teller(wish.level, line, quiet=wish.quiet)
            outcomes = run_job(job, stop=lambda: False, tell=tell)
        figures = _figures(job, outcomes, inventory, wish)
        seconds = time.monotonic() - begin
    return replace(report, level=wish.level, depth=replace(figures, seconds=seconds))


def _figures(job: Job, outcomes: list[Outcome], inventory: Inventory, wish: Wish) -> Depth:
    from bronze_tui.audit.depth import Depth, limits_of
    from bronze_tui.audit.levels.joints import proven

    assert job.trust is not None
    recalled = sum(out.recalled for out in outcomes)
    signers: Counter[str] = Counter()
    for out in outcomes:
        signers.update(out.signers)
    found = [*inventory.findings, *(f for out in outcomes for f in out.findings)]
    unchecked = sum(out.unchecked for out in outcomes)
    return Depth(
        level=wish.level,
        data=job.data.where,
        partitions=len(inventory.units),
        read=len(outcomes) - recalled,
        recalled=recalled,
        ledgers=sum(out.ledgers for out in outcomes),
        bytes_read=sum(out.bytes_read for out in outcomes),
        seconds=0.0,
        choice=wish.choice.text(),
        findings=tuple(sorted(found, key=lambda f: _RANK[f.severity])),
        signers=dict(signers),
        validators=job.trust.validators,
        unsigned=sum(out.unsigned for out in outcomes),
        unchecked=unchecked,
        anchors=len(job.trust.anchors),
        matched=sum(len(out.anchors) for out in outcomes),
        proven=proven(outcomes),
        limits=tuple(
            limits_of(
                wish.level,
                known_network=not unchecked,
                validators=bool(job.trust.validators),
                anchors=bool(job.trust.anchors),
            )
        ),
    )


def _trust(target: Target, wish: Wish) -> Trust:
    from bronze_tui.audit.levels.trust import Trust
    from bronze_tui.audit.levels.trusted import read_anchors, read_validators

    passphrase = wish.passphrase
    if not passphrase and target.loaded is not None:
        passphrase = target.loaded.settings.source.network_passphrase
    return Trust(
        passphrase,
        read_anchors(wish.anchors) if wish.anchors else {},
        read_validators(wish.validators) if wish.validators else {},
    )


def _source(target: Target, stack: ExitStack) -> SourceAgain:
    from bronze_tui.audit.levels.again import SourceAgain

    source, most = target.open_source()
    stack.callback(source.close)
    return SourceAgain(source, most)


def _context(data: Data, trust: Trust) -> str:
    known = (data.where, trust.passphrase, sorted(trust.anchors.items()), sorted(trust.validators))
    return hashlib.sha256(repr(known).encode()).hexdigest()


def teller(label: str, stack: ExitStack, *, quiet: bool) -> Callable[[Progress], None]:
    """A line that is drawn over on a terminal's standard error; nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        return _untold
    stack.callback(lambda: click.echo("\r\x1b[K", err=True, nl=False))
    return lambda progress: click.echo(
        f"\r\x1b[K{progress_line(label, progress)}", err=True, nl=False
    )


def _untold(_: Progress) -> None: ...


def progress_line(level: str, progress: Progress) -> str:
    """``file  12 of 400 partitions, 310 MB/s, 02:10 left``."""
    text = f"{level}  {progress.files:,} of {progress.files_total:,} partitions"
    if progress.rate:
        text += f", {progress.rate / 1e6:,.0f} MB/s"
    if progress.eta is not None and not progress.done:
        minutes, seconds = divmod(round(progress.eta), 60)
        text += f", {minutes:02}:{seconds:02} left"
    return text
