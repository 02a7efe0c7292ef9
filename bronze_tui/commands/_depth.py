"""Runs the levels below the chain for ``bronze verify`` and puts their figures together."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bronze_tui.audit.report import VerifyReport
from bronze_tui.domain.errors import UsageError

if TYPE_CHECKING:
    from bronze_tui.audit.data import Data
    from bronze_tui.audit.depth import AnchoredBy, Depth
    from bronze_tui.audit.filecheck import Progress
    from bronze_tui.audit.findings import Finding
    from bronze_tui.audit.levels.again import SourceAgain
    from bronze_tui.audit.levels.anchoring import Gathered
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
    progress: bool = False
    """JSON lines on stderr."""


@dataclass(frozen=True, slots=True)
class _Trusted:
    """What is known from elsewhere, and how asking for it went."""

    trust: Trust
    findings: tuple[Finding, ...]
    anchored_by: tuple[AnchoredBy, ...]

    @property
    def hashes(self) -> int:
        """Trusted hashes, of all networks."""
        return len(self.trust.anchors) + sum(map(len, self.trust.gathered.values()))


def verify_depth(report: VerifyReport, target: Target, wish: Wish) -> VerifyReport:
    """The report with what the levels below the chain found.

    Raises:
        UsageError, StateError, StoreError, SourceError, SourceDenied.
    """
    from bronze_tui.audit.levels.memory import Memory
    from bronze_tui.audit.levels.run import Job, take_inventory

    with ExitStack() as stack:
        stack.callback(target.close)
        chains = [chain for chain in report.chains if "ingester" not in chain.rules]
        if report.chains and not chains:
            raise UsageError(
                "events of the DuckLake ingester announce no files that could be read here",
                where=target.shown,
                todo="give --level chain",
            )
        data = target.open_data()
        keys = target.datasets(data)
        inventory = take_inventory(data, chains, keys)
        if not inventory.units:
            raise UsageError("holds no committed partition", where=data.where)
        units = wish.choice.pick(inventory.units)
        trusted = _trust(target, wish, units)
        job = Job(
            wish.level,
            data,
            units,
            inventory.listings,
            target.catalogs(),
            trusted.trust,
            jobs=wish.jobs,
        )
        if wish.level == "source":
            job = replace(job, source=_source(target, stack))
        if wish.state is not None:
            context = _context(data, trusted.trust)
            job = replace(job, memory=stack.enter_context(Memory(wish.state, context)))
        begin = time.monotonic()
        outcomes = _run(job, wish)
        figures = _figures(job, outcomes, inventory, wish, trusted)
        seconds = time.monotonic() - begin
    return replace(report, level=wish.level, depth=replace(figures, seconds=seconds))


def _run(job: Job, wish: Wish) -> list[Outcome]:
    from bronze_tui.audit.levels.run import run_job

    with ExitStack() as line:
        return run_job(job, stop=lambda: False, tell=_teller(wish, line))


def _figures(
    job: Job,
    outcomes: list[Outcome],
    inventory: Inventory,
    wish: Wish,
    trusted: _Trusted,
) -> Depth:
    from bronze_tui.audit.depth import Depth
    from bronze_tui.audit.levels.joints import proven
    from bronze_tui.audit.levels.signers import count_signers, names_of, stranger_findings

    trust = trusted.trust
    recalled = sum(out.recalled for out in outcomes)
    found = [*inventory.findings, *(f for out in outcomes for f in out.findings)]
    found += trusted.findings
    found += stranger_findings(outcomes, trust, strict=wish.strict_validators)
    names = names_of(outcomes, trust)
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
        signers=count_signers(outcomes),
        validators=names,
        unsigned=sum(out.unsigned for out in outcomes),
        unchecked=unchecked,
        anchors=trusted.hashes,
        matched=sum(len(out.anchors) for out in outcomes),
        anchored_by=trusted.anchored_by,
        proven=proven(outcomes),
        limits=_limits(wish, trusted, known_network=not unchecked, validators=bool(names)),
    )


def _limits(
    wish: Wish, trusted: _Trusted, *, known_network: bool, validators: bool
) -> tuple[str, ...]:
    from bronze_tui.audit.depth import limits_of

    return tuple(
        limits_of(
            wish.level,
            known_network=known_network,
            validators=validators,
            anchors=bool(trusted.hashes),
            anchored_by=trusted.anchored_by,
        )
    )


def _trust(target: Target, wish: Wish, units: Sequence[Unit]) -> _Trusted:
    from bronze_tui.audit.depth import FILE, AnchoredBy
    from bronze_tui.audit.levels.anchoring import Gathered
    from bronze_tui.audit.levels.trust import Trust
    from bronze_tui.audit.levels.trusted import merged_anchors, read_anchors, read_validators
    from bronze_tui.commands._anchors import anchor_files

    passphrase = wish.passphrase
    if not passphrase and target.loaded is not None:
        passphrase = target.loaded.settings.source.network_passphrase
    paths, others = anchor_files(wish.anchors)
    files = {path: read_anchors(path) for path in paths}
    given = merged_anchors(files)
    validators = read_validators(wish.validators) if wish.validators else {}
    trust = Trust(passphrase, given, validators)
    _require_lists(trust, wish, units)
    gathered = Gathered({}, (), ())
    if others and units:
        gathered = _gather(others, trust, units, wish)
    kept = {n: text for n, text in given.items() if n not in gathered.disputed}
    origins = [AnchoredBy(FILE, str(path), len(found)) for path, found in files.items()]
    origins += [AnchoredBy(use.kind, use.where, len(use.ledgers)) for use in gathered.uses]
    trust = replace(trust, anchors=kept, gathered=gathered.anchors)
    return _Trusted(trust, gathered.findings, tuple(origins))


def _require_lists(trust: Trust, wish: Wish, units: Sequence[Unit]) -> None:
    if wish.strict_validators and not all(trust.validators_of(unit.network) for unit in units):
        raise UsageError(
            "no list of validators is known for this network",
            where="--strict-validators",
            todo="give one with --validators FILE",
        )


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


def _source(target: Target, stack: ExitStack) -> SourceAgain:
    from bronze_tui.audit.levels.again import SourceAgain

    source, most = target.open_source()
    stack.callback(source.close)
    return SourceAgain(source, most)


def _context(data: Data, trust: Trust) -> str:
    known = (data.where, trust.passphrase, sorted(trust.anchors.items()))
    return hashlib.sha256(repr(known).encode()).hexdigest()


def teller(
    label: str, stack: ExitStack, *, quiet: bool, as_json: bool = False
) -> Callable[[Progress], None]:
    """A line that is drawn over on a terminal's standard error, or JSON lines; else nothing."""
    if as_json:
        return lambda progress: click.echo(progress_doc(label, progress), err=True)
    if quiet or not sys.stderr.isatty():
        return _untold
    stack.callback(lambda: click.echo("\r\x1b[K", err=True, nl=False))
    return lambda progress: click.echo(
        f"\r\x1b[K{progress_line(label, progress)}", err=True, nl=False
    )


def _teller(wish: Wish, stack: ExitStack) -> Callable[[Progress], None]:
    return teller(wish.level, stack, quiet=wish.quiet, as_json=wish.progress)


def _untold(_: Progress) -> None: ...


def progress_doc(level: str, progress: Progress) -> str:
    """One JSON object; ``eta_seconds`` is null while unknown."""
    return json.dumps(
        {
            "level": level,
            "partitions_done": progress.files,
            "partitions": progress.files_total,
            "bytes_done": progress.bytes_read,
            "bytes": progress.bytes_total,
            "bytes_per_second": round(progress.rate),
            "eta_seconds": None if progress.eta is None else round(progress.eta, 1),
        }
    )


def progress_line(level: str, progress: Progress) -> str:
    """``file  12 of 400 partitions, 310 MB/s, 02:10 left``."""
    text = f"{level}  {progress.files:,} of {progress.files_total:,} partitions"
    if progress.rate:
        text += f", {progress.rate / 1e6:,.0f} MB/s"
    if progress.eta is not None and not progress.done:
        minutes, seconds = divmod(round(progress.eta), 60)
        text += f", {minutes:02}:{seconds:02} left"
    return text
