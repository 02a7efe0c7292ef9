"""Runs the levels below the chain for ``bronze verify`` and puts their figures together."""

from __future__ import annotations

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from bronze_tui.audit.report import VerifyReport
from bronze_tui.domain.errors import UsageError

if TYPE_CHECKING:
    from bronze_tui.audit.data import Data
    from bronze_tui.audit.depth import AnchoredBy, Depth
    from bronze_tui.audit.filecheck import Progress
    from bronze_tui.audit.levels.again import SourceAgain
    from bronze_tui.audit.levels.anchoring import Gathered, SourceUse
    from bronze_tui.audit.levels.run import Inventory, Job
    from bronze_tui.audit.levels.select import Choice
    from bronze_tui.audit.levels.trust import Trust
    from bronze_tui.audit.levels.unit import Outcome, Unit
    from bronze_tui.commands._target import Target

_RANK = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class Wish:
    """The command's options of the levels below the chain."""

    level: str
    jobs: int
    choice: Choice
    state: Path | None
    anchors: tuple[str, ...]
    validators: Path | None
    passphrase: str
    quiet: bool
    strict_validators: bool = False
    allow_private: bool = False


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
        units = wish.choice.pick(inventory.units)
        trust, gathered = _trust(target, wish, units)
        job = Job(
            wish.level,
            data,
            units,
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
            tell = _teller(wish, line)
            outcomes = run_job(job, stop=lambda: False, tell=tell)
        figures = _figures(job, outcomes, inventory, wish, gathered)
        seconds = time.monotonic() - begin
    return replace(report, level=wish.level, depth=replace(figures, seconds=seconds))


def _figures(
    job: Job,
    outcomes: list[Outcome],
    inventory: Inventory,
    wish: Wish,
    gathered: Gathered | None,
) -> Depth:
    from bronze_tui.audit.depth import Depth, limits_of
    from bronze_tui.audit.levels.joints import proven
    from bronze_tui.audit.levels.signers import names_of, stranger_findings

    assert job.trust is not None
    recalled = sum(out.recalled for out in outcomes)
    signers: Counter[str] = Counter()
    for out in outcomes:
        signers.update(out.signers)
    found = [*inventory.findings, *(f for out in outcomes for f in out.findings)]
    found += gathered.findings if gathered is not None else ()
    found += stranger_findings(outcomes, job.trust, strict=wish.strict_validators)
    names = names_of(outcomes, job.trust)
    uses = gathered.uses if gathered is not None else ()
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
        validators=names,
        unsigned=sum(out.unsigned for out in outcomes),
        unchecked=unchecked,
        anchors=len(job.trust.anchors) + sum(map(len, job.trust.gathered.values())),
        matched=sum(len(out.anchors) for out in outcomes),
        anchored_by=_anchored_by(wish, job.trust, uses),
        proven=proven(outcomes),
        limits=tuple(
            limits_of(
                wish.level,
                known_network=not unchecked,
                validators=bool(names),
                anchors=bool(job.trust.anchors or any(job.trust.gathered.values())),
                sources=len({_keeper(use.where) for use in uses if use.ledgers}),
            )
        ),
    )


def _anchored_by(wish: Wish, trust: Trust, uses: tuple[SourceUse, ...]) -> tuple[AnchoredBy, ...]:
    from bronze_tui.audit.depth import AnchoredBy
    from bronze_tui.commands._anchors import anchor_files

    files = [
        AnchoredBy("file", str(path), len(trust.anchors)) for path in anchor_files(wish.anchors)[0]
    ]
    asked = [AnchoredBy(use.kind, use.where, len(use.ledgers)) for use in uses]
    return (*files, *asked)


def _trust(target: Target, wish: Wish, units: Sequence[Unit]) -> tuple[Trust, Gathered | None]:
    from bronze_tui.audit.levels.trust import Trust
    from bronze_tui.audit.levels.trusted import read_anchor_files, read_validators
    from bronze_tui.commands._anchors import anchor_files

    passphrase = wish.passphrase
    if not passphrase and target.loaded is not None:
        passphrase = target.loaded.settings.source.network_passphrase
    paths, others = anchor_files(wish.anchors)
    trust = Trust(
        passphrase,
        read_anchor_files(paths),
        read_validators(wish.validators) if wish.validators else {},
    )
    if wish.strict_validators and not all(trust.validators_of(unit.network) for unit in units):
        raise UsageError(
            "no list of validators is known for this network",
            where="--strict-validators",
            todo="give one with --validators FILE",
        )
    if not others:
        return trust, None
    gathered = _gather(others, trust, units, wish)
    kept = {n: text for n, text in trust.anchors.items() if n not in gathered.disputed}
    return replace(trust, anchors=kept, gathered=gathered.anchors), gathered


def _gather(texts: Sequence[str], trust: Trust, units: Sequence[Unit], wish: Wish) -> Gathered:
    from bronze_tui.audit.levels.anchoring import gather
    from bronze_tui.commands._anchors import open_anchors

    passphrases = {unit.network: trust.passphrase_of(unit.network) for unit in units}
    with ExitStack() as stack:
        sources = []
        for text in texts:
            sources.append(open_anchors(text, allow_private=wish.allow_private))
            stack.callback(sources[-1].close)
        return gather(sources, units, passphrases, trust.anchors)


def _keeper(where: str) -> str:
    """The host of an address, or a folder: as far as can be seen, who keeps an archive."""
    return urlsplit(where).netloc or where


def _source(target: Target, stack: ExitStack) -> SourceAgain:
    from bronze_tui.audit.levels.again import SourceAgain

    source, most = target.open_source()
    stack.callback(source.close)
    return SourceAgain(source, most)


def _context(data: Data, trust: Trust) -> str:
    known = (data.where, trust.passphrase, sorted(trust.anchors.items()))
    return hashlib.sha256(repr(known).encode()).hexdigest()


def _teller(wish: Wish, stack: ExitStack) -> Callable[[Progress], None]:
    """A line that is drawn over on a terminal's standard error; nothing elsewhere."""
    if wish.quiet or not sys.stderr.isatty():
        return _untold
    stack.callback(lambda: click.echo("\r\x1b[K", err=True, nl=False))
    return lambda progress: click.echo(
        f"\r\x1b[K{progress_line(wish.level, progress)}", err=True, nl=False
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
