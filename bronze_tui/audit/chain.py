"""Strict verification of audit chains: a pure function from parsed events to reports.

Events are ordered by their links, never by file name or time. What it cannot see from the events
alone is a tail that was cut off and a chain rewritten as a whole: that takes a pinned head.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from bronze_tui.audit.canonical import is_joined_hash, recompute
from bronze_tui.audit.findings import Finding, Kind, Severity
from bronze_tui.audit.hashrules import (
    HashRule,
    expected_name,
    hash_of,
    name_agrees,
    rule_findings,
)
from bronze_tui.audit.heads import head_findings, pin_findings
from bronze_tui.audit.links import EventFile, Fork, Trace, trace
from bronze_tui.audit.names import event_name
from bronze_tui.audit.ranges import Covered, RangeCheck, ledgers_of, row_count_findings
from bronze_tui.domain.layout import RAW_TABLE
from bronze_tui.domain.ledger import FIRST_LEDGER, LedgerRange

_RANK: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class ChainReport:
    """One chain judged."""

    chain_key: str
    events: int
    """Event files of this chain, those off the line included."""
    ledgers: tuple[LedgerRange, ...]
    """What its events announce, neighbours joined."""
    head: str
    """Hash of the last event, empty when there is none."""
    last_event_time: str
    last_ledgers: str
    findings: tuple[Finding, ...]
    """The first wrong event comes first."""
    line: tuple[EventFile, ...] = field(repr=False, default=())
    """The events in link order."""
    rules: tuple[HashRule, ...] = ("v1.1",)
    """Rules by which its events' hashes hold."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that break the chain."""
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def ok(self) -> bool:
        """Whether nothing breaks the chain."""
        return not self.errors

    @property
    def first_wrong(self) -> Finding | None:
        """The error nearest to the chain's beginning."""
        return next(iter(self.errors), None)


def verify_chains(
    files: Iterable[EventFile],
    *,
    heads: Mapping[str, str] | None = None,
    pins: Mapping[str, str] | None = None,
    holes: Mapping[str, Iterable[LedgerRange]] | None = None,
    damaged: Set[str] = frozenset(),
    foreign: bool = False,
) -> tuple[ChainReport, ...]:
    """Judge every chain among ``files``, in order of chain key.

    Args:
        heads: entries of the heads file by chain key; None leaves heads uncompared.
        pins: hashes that must stand in the chain of that key, kept apart from the folder.
        holes: ledgers declared missing, by chain key.
        damaged: names of files that hold no readable event, to explain what is missing.
        foreign: let hashes of other rules count; else they are mismatches.
    """
    by_key: dict[str, list[EventFile]] = {key: [] for key in {**(heads or {}), **(pins or {})}}
    owners: dict[str, EventFile] = {}
    ids: dict[str, EventFile] = {}
    twice: dict[str, list[tuple[EventFile, EventFile]]] = {}
    for item in files:
        key = item.event.chain_key
        by_key.setdefault(key, []).append(item)
        owners.setdefault(item.event.event_hash, item)
        other = ids.setdefault(item.event.event_id, item)
        if other is not item and other.event.event_hash != item.event.event_hash:
            twice.setdefault(key, []).append((item, other))
    reports = []
    for key in sorted(by_key):
        judge = _Judge(key, by_key[key], owners, damaged, Covered(_of(holes, key)), foreign)
        headless = heads is None or any(item.ingester is not None for item in by_key[key])
        head = None if headless else (heads or {}).get(key, "")
        reports.append(judge.report(head, (pins or {}).get(key), twice.get(key, [])))
    return tuple(reports)


def _of(holes: Mapping[str, Iterable[LedgerRange]] | None, key: str) -> Iterable[LedgerRange]:
    return (holes or {}).get(key, ())


class _Judge:
    """Collects the findings of one chain."""

    def __init__(
        self,
        chain_key: str,
        files: list[EventFile],
        owners: Mapping[str, EventFile],
        damaged: Set[str],
        holes: Covered,
        foreign: bool,
    ) -> None:
        self._key = chain_key
        self._files = files
        self._owners = owners
        self._damaged = damaged
        self._holes = holes
        self._foreign = foreign
        self._rules: dict[str, HashRule] = {}
        self._findings: list[Finding] = []
        self._position: dict[str, int] = {}
        self._altered: set[str] = set()

    def report(
        self, head: str | None, pin: str | None, same_id: list[tuple[EventFile, EventFile]]
    ) -> ChainReport:
        """Everything about the chain."""
        traced = trace(self._files, head or "")
        line = tuple(item for part in traced.lines for item in part)
        self._position = {item.file: n for n, item in enumerate(line, 1)}
        for first, copy in traced.copies:
            self._copy(first, copy)
        copies = {copy.file for _, copy in traced.copies}
        for item in self._files:
            self._contents(item, item.file in copies)
        self._links(traced)
        self._findings += rule_findings(self._key, line, self._rules)
        covered = self._ranges(traced)
        self._findings += row_count_findings(self._key, line, FIRST_LEDGER, RAW_TABLE)
        for item, other in same_id:
            self._same_id(item, other)
        hashes = [item.event.event_hash for item in line]
        if head is not None:
            self._findings += head_findings(self._key, head, hashes)
        if pin is not None:
            self._findings += pin_findings(self._key, pin, hashes)
        last = line[-1].event if line else None
        return ChainReport(
            self._key,
            len(self._files),
            covered.ranges(),
            last.event_hash if last else "",
            last.timestamp if last else "",
            str(last.partition) if last else "",
            tuple(sorted(self._findings, key=_first_wrong_first)),
            line,
            tuple(sorted(set(self._rules.values()))) or ("v1.1",),
        )

    def _copy(self, first: EventFile, copy: EventFile) -> None:
        self._add(
            "duplicate_event",
            copy,
            f"has the event hash of {first.file}",
            event=self._position.get(first.file),
            found=copy.event.event_hash,
            cause="an old event file was copied under another name",
        )

    def _same_id(self, item: EventFile, other: EventFile) -> None:
        here = item.event.chain_key == other.event.chain_key
        self._add(
            "duplicate_event_id",
            item,
            f"has the event_id {item.event.event_id} of another event",
            severity="error" if here else "warning",
            found=other.file,
            cause="one of the two was made from the other",
        )

    def _contents(self, item: EventFile, is_copy: bool) -> None:
        event = item.event
        rule: HashRule = "v1.1"
        if self._foreign:
            rule, computed = hash_of(item)
        else:
            computed = recompute(event)
        self._rules[item.file] = rule
        if computed != event.event_hash:
            self._altered.add(item.file)
            cause = "the event was altered after it was written, or its file is damaged"
            if is_joined_hash(event):
                cause = "other software hashed range and checksums only, joined by |: time, "
                cause += "counts and producer of the event prove nothing"
            self._add(
                "hash_mismatch",
                item,
                "the event's content does not give its hash",
                expected=event.event_hash,
                found=computed,
                cause=cause,
            )
        if not is_copy and not name_agrees(item):
            self._add(
                "name_mismatch",
                item,
                "the file's name is not that of the event inside",
                expected=expected_name(item),
                found=item.file,
                cause="the file was renamed, or its network, era, version or ledgers were altered",
            )

    def _links(self, traced: Trace) -> None:
        before: EventFile | None = None
        for part in traced.lines:
            self._start(part[0], before)
            before = part[-1]
        for fork in traced.forks:
            self._fork(fork)
        for item in traced.circular:
            text = "links run in a circle: no start of the chain leads here"
            self._add("circular_links", item, text, cause="hashes were written by hand")

    def _start(self, root: EventFile, before: EventFile | None) -> None:
        prev = root.event.prev_event_hash
        if not prev:
            if before is not None:
                self._second_start(root, before)
        elif prev in self._owners:
            other = self._owners[prev].event.chain_key
            self._add(
                "foreign_event",
                root,
                f"continues an event of chain {other}",
                expected=f"an event of {self._key}",
                found=prev,
                cause="an event was relabelled with, or moved to, another network, era or version",
            )
        elif before is None:
            self._missing(root, f"{root.event.ledger_start - 1} and before", "")
        elif before.event.ledger_end + 1 < root.event.ledger_start:
            left_out = LedgerRange(before.event.ledger_end + 1, root.event.ledger_start - 1)
            self._missing(root, str(left_out), before.event.event_hash)
        else:
            self._broken(root, before)

    def _second_start(self, root: EventFile, before: EventFile) -> None:
        self._add(
            "two_starts",
            root,
            "the chain begins a second time: this event has no predecessor",
            expected=before.event.event_hash,
            cause="pas-chain-heads.json was lost, so the copier began a new chain; or two copiers "
            "wrote into this folder",
        )

    def _missing(self, root: EventFile, ledgers: str, before: str) -> None:
        event = root.event
        prefix = event_name(event).rpartition("_")[0]
        if f"{prefix}_{ledgers}.json" in self._damaged:
            cause = "its file is here but holds no readable event"
        elif before:
            cause = "its file was deleted, moved or never copied here"
        else:
            cause = "the chain's beginning was pruned, or only a part of it was copied here"
        text = f"the event before it, of ledgers {ledgers}, is not here"
        self._add(
            "missing_event",
            root,
            text,
            ledgers=ledgers,
            expected=event.prev_event_hash,
            found=before,
            cause=cause,
        )

    def _broken(self, root: EventFile, before: EventFile) -> None:
        follows = before.event.ledger_end + 1 == root.event.ledger_start
        if follows and root.file not in self._altered:
            self._add(
                "broken_link",
                before,
                f"the next event, of ledgers {root.event.partition}, links to another hash",
                expected=root.event.prev_event_hash,
                found=before.event.event_hash,
                cause="the event was altered and given a new hash, or was replaced by another one",
            )
            return
        self._add(
            "broken_link",
            root,
            "links to an event that is not here",
            expected=before.event.event_hash,
            found=root.event.prev_event_hash,
            cause="the event belongs elsewhere, or the one before it was replaced",
        )

    def _fork(self, fork: Fork) -> None:
        kept, other = fork.kept.event, fork.other.event
        if not fork.other_continues and other.ledger_end + 1 == kept.ledger_start:
            cause = (
                f"the HTTP endpoint refused event {other.partition} ({other.event_id}), or the "
                "copier was killed before it wrote the head; it went on from the old head"
            )
        elif other.partition == kept.partition:
            cause = "the partition was announced twice from one head: two copiers ran at once"
        elif fork.kept.ingester is not None:
            cause = (
                "the ingester sorts file names when it starts, pas_99 behind pas_100: restarted "
                "where numbers get a digit more, it goes on from an older event"
            )
        else:
            cause = "two copiers ran at once, or two histories of this chain were kept"
        self._add(
            "fork",
            fork.other,
            f"events {other.partition} and {kept.partition} both continue the same event",
            event=self._position[fork.kept.file],
            expected="one event",
            found=other.prev_event_hash,
            cause=cause,
        )

    def _ranges(self, traced: Trace) -> Covered:
        check = RangeCheck(self._key, self._holes, ledgers_of(traced.beside))
        index = 0
        for part in traced.lines:
            check.restart()
            for item in part:
                index += 1
                check.step(index, item)
        self._findings += check.finish()
        for item in (*traced.beside, *traced.circular):
            check.covered.include(item.event.partition)
        return check.covered

    def _add(
        self,
        kind: Kind,
        item: EventFile,
        message: str,
        *,
        severity: Severity = "error",
        event: int | None = None,
        ledgers: str = "",
        expected: str = "",
        found: str = "",
        cause: str = "",
    ) -> None:
        self._findings.append(
            Finding(
                kind,
                severity,
                self._key,
                message,
                event if event is not None else self._position.get(item.file),
                ledgers or str(item.event.partition),
                item.file,
                expected,
                found,
                cause,
            )
        )


def _first_wrong_first(finding: Finding) -> tuple[bool, int, int]:
    return finding.event is None, finding.event or 0, _RANK[finding.severity]
