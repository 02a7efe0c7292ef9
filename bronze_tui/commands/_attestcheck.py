"""``bronze verify --attestation``: who built which partitions again, and what they found."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bronze_tui.audit.attestation import (
    SOUND,
    VERDICTS,
    Attestation,
    Attested,
    contradictions,
    open_attestation,
)
from bronze_tui.audit.folder import read_capped
from bronze_tui.audit.note import MAX_NOTE_BYTES
from bronze_tui.audit.report import VerifyReport
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.commands._signing import verify_keys
from bronze_tui.domain.errors import Exit
from bronze_tui.domain.text import safe_text

SCHEMA = "bronze-attestations/1"
_SHOWN = 50


@dataclass(frozen=True, slots=True)
class _Opened:
    """One attestation whose signature is good."""

    file: Path
    said: Attestation
    against: tuple[tuple[Attested, str], ...]
    """Lines that the chain contradicts."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """All attestations together."""

    opened: tuple[_Opened, ...]
    report: VerifyReport | None

    @property
    def different(self) -> list[tuple[_Opened, Attested]]:
        """What signers found to be different."""
        return [(o, p) for o in self.opened for p in o.said.partitions if p.verdict not in SOUND]

    @property
    def ok(self) -> bool:
        """Whether all is sound, the chain too."""
        chain = self.report is None or self.report.ok
        return chain and not self.different and not any(o.against for o in self.opened)

    def signers(self) -> dict[tuple[str, str], set[str]]:
        """Who found each partition sound; chain key and ledgers to names."""
        found: dict[tuple[str, str], set[str]] = {}
        for opened in self.opened:
            for partition in opened.said.partitions:
                names = found.setdefault((partition.chain_key, str(partition.partition)), set())
                if partition.verdict in SOUND:
                    names.add(opened.said.signer)
        return found


def check_attestations(
    files: Sequence[Path],
    vkeys: Iterable[str],
    report: VerifyReport | None,
    *,
    as_json: bool,
    quiet: bool,
) -> Exit:
    """Verify attestations and print the verdict.

    Args:
        report: of the chains that they speak of; None looks at signatures alone.

    Raises:
        ProofRejected: a signature fails, or a file is none. UsageError, SourceDenied.
    """
    keys = verify_keys(vkeys)
    events = {}
    for chain in report.chains if report is not None else ():
        events.update({item.event.event_hash: item.event for item in chain.line})
    opened = []
    for file in files:
        try:
            said = open_attestation(read_capped(file, MAX_NOTE_BYTES), keys)
        except ProofRejected as error:
            if as_json:
                failed = {"schema": SCHEMA, "verdict": "broken", "why": error.what}
                click.echo(json.dumps({**failed, "where": str(file)}, indent=2))
            raise ProofRejected(error.what, where=str(file), todo=error.todo) from None
        against = contradictions(said, events) if report is not None else []
        opened.append(_Opened(file, said, tuple(against)))
    verdict = _Verdict(tuple(opened), report)
    if as_json:
        click.echo(json.dumps(_doc(verdict), indent=2))
    else:
        lines = list(_lines(verdict))
        click.echo(lines[0] if quiet else "\n".join(lines))
    return Exit.OK if verdict.ok else Exit.VERIFICATION


def _lines(verdict: _Verdict) -> Iterator[str]:
    signers = verdict.signers()
    names = {opened.said.signer for opened in verdict.opened}
    yield (
        f"{'OK' if verdict.ok else 'BROKEN'}  {len(verdict.opened)} attestation(s) by "
        f"{len(names)} signer(s) about {len(signers):,} partition(s)"
    )
    for opened in verdict.opened:
        yield from _one(opened)
    by = Counter(len(found) for found in signers.values())
    for number in sorted(by, reverse=True):
        yield f"  rebuilt     {by[number]:,} partition(s) found sound by {number} signer(s)"
    if verdict.report is None:
        yield "  chain       not compared: give the PAS folder too"
    else:
        state = "whole" if verdict.report.ok else f"BROKEN: {verdict.report.errors:,} errors"
        yield f"  chain       {safe_text(verdict.report.folder)}: {state}"


def _one(opened: _Opened) -> Iterator[str]:
    said = opened.said
    counts = Counter(partition.verdict for partition in said.partitions)
    found = ", ".join(f"{counts[v]:,} {v}" for v in VERDICTS if counts[v])
    yield f"  signer      {safe_text(said.signer)}, {said.time}: {found}"
    yield f"    made with {safe_text(said.software)}, {safe_text(said.library)}"
    yield f"    lake      {safe_text(said.lake)}"
    yield f"    dataset   {safe_text(said.dataset)}, range {safe_text(said.range)}"
    wrong = [p for p in said.partitions if p.verdict not in SOUND]
    for partition in wrong[:_SHOWN]:
        yield f"    {partition.verdict} {safe_text(partition.chain_key)} {partition.partition}"
    for partition, why in opened.against[:_SHOWN]:
        name = f"{safe_text(partition.chain_key)} {partition.partition}"
        yield f"    AGAINST THE CHAIN {name}: {safe_text(why)}"
    more = max(0, len(wrong) - _SHOWN) + max(0, len(opened.against) - _SHOWN)
    if more:
        yield f"    ... and {more:,} more (--json lists all)"


def _doc(verdict: _Verdict) -> dict[str, Any]:
    report = verdict.report
    return {
        "schema": SCHEMA,
        "verdict": "ok" if verdict.ok else "broken",
        "chain": None if report is None else report.verdict.lower(),
        "attestations": [_attestation_doc(opened) for opened in verdict.opened],
        "rebuilt_by": [
            {"chain_key": key, "ledgers": ledgers, "signers": sorted(names)}
            for (key, ledgers), names in verdict.signers().items()
        ],
    }


def _attestation_doc(opened: _Opened) -> dict[str, Any]:
    said = opened.said
    why = {(p.chain_key, p.partition): text for p, text in opened.against}
    return {
        "file": str(opened.file),
        "signer": said.signer,
        "time": said.time,
        "software": said.software,
        "library": said.library,
        "lake": said.lake,
        "dataset": said.dataset,
        "range": said.range,
        "writers": list(said.writers),
        "partitions": [
            {
                "chain_key": p.chain_key,
                "ledgers": str(p.partition),
                "verdict": p.verdict,
                "event_hash": p.event_hash,
                "rebuilt": p.checksum,
                "content_root": p.content_root,
                "against": why.get((p.chain_key, p.partition), ""),
            }
            for p in said.partitions
        ],
    }
