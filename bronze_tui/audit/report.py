"""The verdict on a PAS folder as plain data, and its two forms: text for people, JSON for programs.

Texts from events and file names are third-party text: the text form makes their control characters
visible, the JSON form is ASCII.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bronze_tui.audit.chain import ChainReport
from bronze_tui.audit.depth import UNREAD, Depth, depth_doc, depth_rows
from bronze_tui.audit.findings import Finding
from bronze_tui.audit.hashrules import NOT_COVERED, RULE_WORDS
from bronze_tui.domain.text import safe_text

SCHEMA = "bronze-verify/1"
SHOWN = 20
"""Findings of one chain that the text form lists; the JSON form has all."""


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A chain's published signed head against its events."""

    state: str
    """``current`` (of all events), ``behind`` (the chain went on, its beginning is the signed one),
    ``ahead``, ``mismatch``, ``bad_signature``, ``unknown_key``, ``other_origin``, ``malformed``,
    ``missing``, ``unreadable``."""
    size: int = 0
    """Events under it."""
    root: str = ""
    """Hex."""
    signers: str = ""
    """Names of the keys that signed it."""
    signed_at: float = 0.0
    """Unix seconds, the time of its file."""
    words: str = ""
    """Why it cannot be read."""

    @property
    def good(self) -> bool:
        """Whether the chain holds what was signed."""
        return self.state in ("current", "behind")


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was verified, and the verdict."""

    folder: str
    level: str
    chains: tuple[ChainReport, ...]
    findings: tuple[Finding, ...]
    """Findings about files that belong to no chain's events."""
    pinned: bool
    """Whether a head that was kept apart was given."""
    depth: Depth | None = None
    """What the levels below the chain found, None at level ``chain``."""
    last_seen: str = ""
    """When all chains were verified here last, if that was remembered and compared."""
    signed_heads: Mapping[str, SignedHead] = field(default_factory=dict)
    """By chain key, where they were compared."""

    @property
    def unread(self) -> bool:
        """Whether all that is wrong is that something could not be read."""
        wrong = [f for f in self.all_findings() if f.severity == "error"]
        return bool(wrong) and all(f.kind in UNREAD for f in wrong)

    @property
    def verdict(self) -> str:
        """``OK``, ``BROKEN``, or ``UNREAD`` when nothing is proven wrong and not all was read."""
        return "OK" if self.ok else "UNREAD" if self.unread else "BROKEN"

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return not self.errors

    @property
    def errors(self) -> int:
        """Number of findings that are errors."""
        return self._count("error")

    @property
    def warnings(self) -> int:
        """Number of findings that are warnings."""
        return self._count("warning")

    def all_findings(self) -> Iterator[Finding]:
        """Chains' findings first, each chain's first wrong event first."""
        for chain in self.chains:
            yield from chain.findings
        yield from self.findings
        if self.depth is not None:
            yield from self.depth.findings

    def _count(self, severity: str) -> int:
        return sum(f.severity == severity for f in self.all_findings())


def to_json(report: VerifyReport) -> str:
    """One JSON object; ``schema`` names its version, keys are only ever added to it."""
    doc = {
        "schema": SCHEMA,
        "verdict": report.verdict.lower(),
        "folder": report.folder,
        "level": report.level,
        "head_pinned": report.pinned,
        "last_seen": report.last_seen,
        "errors": report.errors,
        "warnings": report.warnings,
        "chains": [
            _chain_doc(chain, report.signed_heads.get(chain.chain_key)) for chain in report.chains
        ],
        "findings": [asdict(f) for f in report.findings],
    }
    if report.depth is not None:
        doc["depth"] = depth_doc(report.depth)
    return json.dumps(doc, indent=2)


def _chain_doc(chain: ChainReport, signed: SignedHead | None) -> dict[str, Any]:
    first = chain.first_wrong
    return {
        "hash_rules": list(chain.rules),
        "not_covered": [NOT_COVERED[rule] for rule in chain.rules if rule in NOT_COVERED],
        "signed_head": asdict(signed) if signed is not None else None,
        "chain_key": chain.chain_key,
        "verdict": "ok" if chain.ok else "broken",
        "events": chain.events,
        "ledgers": [{"start": r.start, "end": r.end} for r in chain.ledgers],
        "ledger_count": sum(len(r) for r in chain.ledgers),
        "head": chain.head,
        "last_event_time": chain.last_event_time,
        "last_ledgers": chain.last_ledgers,
        "first_wrong": asdict(first) if first else None,
        "findings": [asdict(f) for f in chain.findings],
    }


def verdict_line(report: VerifyReport) -> str:
    """The verdict in one line."""
    chains = report.chains
    head = f"{report.verdict}  {safe_text(report.folder)}: "
    counts = [_plural(len(chains), "chain"), _plural(sum(c.events for c in chains), "event")]
    if report.depth is not None:
        counts.append(f"{_plural(report.depth.read, 'partition')} at level {report.level}")
    if report.errors:
        counts.append(_plural(report.errors, "error"))
    if report.warnings:
        counts.append(_plural(report.warnings, "warning"))
    return head + ", ".join(counts)


def to_text(report: VerifyReport) -> str:
    """Verdict, chains, findings, and what this level cannot see; no newline at the end."""
    lines = [verdict_line(report)]
    for chain in report.chains:
        lines += ["", *_chain_lines(chain, report.signed_heads.get(chain.chain_key))]
    if report.findings:
        lines += ["", "files", *_finding_lines(report.findings)]
    if report.depth is not None:
        lines += ["", f"level {report.level}"]
        lines += [f"  {name:<11} {value}" for name, value in depth_rows(report.depth)]
        lines += _finding_lines(report.depth.findings)
    return "\n".join([*lines, "", *limit_lines(report)])


def signed_head_words(signed: SignedHead, events: int, about: str = "") -> str:
    """``5 events, signed by example.com/b: the chain only grew since, by 2 events``; one line.

    Args:
        about: more about the head, in front of the colon.
    """
    if signed.state in ("missing", "unreadable", "malformed"):
        return f"{signed.state}{': ' * bool(signed.words)}{safe_text(signed.words)}"
    more = events - signed.size
    said = {
        "current": "the chain's last event",
        "behind": f"the chain only grew since, by {_plural(more, 'event')}",
        "ahead": f"{_plural(-more, 'EVENT')} OF THE CHAIN MISSING",
        "mismatch": "THE CHAIN WAS REWRITTEN",
        "bad_signature": "THE SIGNATURE IS WRONG",
        "unknown_key": "by no key that is trusted",
        "other_origin": "of another log",
    }
    by = safe_text(signed.signers)
    return f"{_plural(signed.size, 'event')}, signed by {by}{about}: {said[signed.state]}"


def _chain_lines(chain: ChainReport, signed: SignedHead | None) -> Iterator[str]:
    yield f"{'OK' if chain.ok else 'BROKEN'}  chain {safe_text(chain.chain_key)}"
    yield f"  events      {chain.events}"
    covered = ", ".join(str(r) for r in chain.ledgers[:8]) or "none"
    more = f" and {len(chain.ledgers) - 8} more ranges" if len(chain.ledgers) > 8 else ""
    yield f"  ledgers     {covered}{more} ({sum(len(r) for r in chain.ledgers)})"
    yield f"  head        {chain.head or 'none'}"
    if chain.rules != ("v1.1",):
        yield f"  hashed by   {', '.join(RULE_WORDS[rule] for rule in chain.rules)}"
    if signed is not None:
        yield f"  signed head {signed_head_words(signed, len(chain.line))}"
    if chain.last_event_time:
        yield f"  last event  {safe_text(chain.last_event_time)}, ledgers {chain.last_ledgers}"
    first = chain.first_wrong
    if first is not None and first.event is not None:
        trusted = f"events 1 to {first.event - 1}" if first.event > 1 else "no event"
        yield f"  unbroken    {trusted}, then {first.kind} at event {first.event}"
    yield from _finding_lines(chain.findings)


def _finding_lines(findings: tuple[Finding, ...]) -> Iterator[str]:
    for finding in findings[:SHOWN]:
        yield from _one_finding(finding)
    if len(findings) > SHOWN:
        yield f"  ... and {len(findings) - SHOWN} more findings (--json lists all)"


def _one_finding(finding: Finding) -> Iterator[str]:
    event = f" event {finding.event}" if finding.event is not None else ""
    ledgers = f" ledgers {finding.ledgers}" if finding.ledgers else ""
    place = f"{event}{ledgers}".lstrip()
    text = ": ".join(filter(None, (place, finding.message)))
    yield f"  {finding.severity} {finding.kind}: {safe_text(text)}"
    for name in ("file", "expected", "found", "cause"):
        value = getattr(finding, name)
        if value:
            yield f"      {name:<8}  {safe_text(value)}"


def limit_lines(report: VerifyReport) -> Iterator[str]:
    """What this verification cannot see."""
    if report.depth is None:
        yield "Level chain: hashes, links, order and ledgers of the events; no data file was read."
    else:
        yield from report.depth.limits
    for rule in sorted({rule for chain in report.chains for rule in chain.rules}):
        if rule in NOT_COVERED:
            yield (
                f"Hashes by {RULE_WORDS[rule]} do not cover {NOT_COVERED[rule]}: a change of these "
                "leaves no trace."
            )
    if any("ingester" in chain.rules for chain in report.chains):
        yield (
            "Events of the DuckLake ingester are verified at level chain only: its tables lie in "
            "DuckLake, and its manifests and row checksums were not looked at."
        )
    if report.chains and _signed(report):
        yield (
            "Signed heads compared: what was announced after they were signed, and whether others "
            "are shown other heads, they do not say."
        )
    if report.last_seen:
        yield (
            f"Heads compared with those last seen here, at {report.last_seen}: what was removed "
            "before they were first seen here does not show."
        )
    elif not report.pinned and report.chains and not _signed(report):
        yield (
            "Head not pinned: a chain whose last events were all removed looks whole from its "
            "folder alone; compare the head with one you kept, or give it with --head."
        )


def _signed(report: VerifyReport) -> bool:
    """Whether a good signed head says how long every chain is at least."""
    heads = (report.signed_heads.get(chain.chain_key) for chain in report.chains)
    return all(head is not None and head.good for head in heads)


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
