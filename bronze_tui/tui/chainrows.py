"""A verified chain as the Audit page lists it: rows in link order, states, words, next steps.

Pure functions of an audit report; what is foreign text stays text and is made safe by the widgets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bronze_tui.audit.chain import ChainReport
from bronze_tui.audit.filecheck import FileResult
from bronze_tui.audit.findings import Finding
from bronze_tui.audit.links import EventFile
from bronze_tui.audit.report import VerifyReport

OK, AFTER, BAD, NOTE, UNREAD, NONE = "ok", "ok*", "BAD", "note", "?", "-"

_HASH = ("hash_mismatch", "weaker_hash", "hash_rule_changed")
_ORDER = (
    "duplicate_range",
    "overlap",
    "gap",
    "declared_gap",
    "hole_filled",
    "out_of_order",
    "row_count",
    "name_mismatch",
)

NEXT = {
    "unreadable": "restore this file from a backup of the folder, then verify again (f5)",
    "unknown_key": "compare with the copy where the event was published; do not edit it",
    "duplicate_key": "compare with the copy where the event was published; do not edit it",
    "malformed": "find out which software wrote it; move it out of the folder if it is foreign",
    "name_mismatch": "compare with a backup; give the file its name back if only that changed",
    "hash_mismatch": "compare with a backup or with who received the event, save the report (w)",
    "weaker_hash": "nothing to do; keep heads apart (h), and read the files (F)",
    "hash_rule_changed": "compare with the copy where the event was published, save the report (w)",
    "mixed_shapes": "give each program a folder of its own",
    "missing_event": "restore the event file from a backup; pruned backups are the usual reason",
    "broken_link": "compare both events with a backup, save the report (w)",
    "circular_links": "save the report (w) and keep the folder as it is: this was made by hand",
    "fork": "stop all copiers of this chain but one, save the report (w)",
    "two_starts": "find the lost head and the second copier; save the report (w)",
    "foreign_event": "move the event to the folder it belongs to",
    "duplicate_event": "remove the copy; the event itself is there",
    "duplicate_event_id": "compare both events with a backup, save the report (w)",
    "duplicate_range": "find the second copier; save the report (w)",
    "overlap": "find the second copier or the changed partition size; save the report (w)",
    "gap": "copy the ledgers that are left out, or declare them a hole",
    "declared_gap": "nothing to do: the ledgers are declared missing",
    "hole_filled": "nothing to do: a declared hole was filled later",
    "out_of_order": "save the report (w); ask who wrote events in this order",
    "row_count": "check the partition file (F)",
    "head_missing": "'bronze run' makes the heads file anew from the events",
    "head_stale": "nothing to do while a copier works; else 'bronze run' mends it",
    "head_mismatch": "restore the last events from a backup; save the report (w)",
    "head_unreadable": "'bronze run' makes the heads file anew from the events",
    "pinned_head_passed": "nothing to do; pin the new head (h)",
    "pinned_head_missing": "the tail was cut or the chain rewritten: restore it, save the report",
    "chain_shrank": "restore the last events; keep both heads, save the report (w)",
    "chain_changed": "keep both heads as evidence, save the report (w), ask who wrote the folder",
    "chain_gone": "restore the chain's events from a backup; save the report (w)",
    "remembered_head_pruned": "if old events were pruned: 'bronze verify --forget'",
    "seen_elsewhere": "compare the two places: 'bronze verify' on both",
    "memory_damaged": "compare the head with one you kept, then 'bronze verify --forget'",
    "memory_unusable": "check the folder and its permissions",
    "signed_head_missing": "sign one: 'bronze head'; or ask who took it away",
    "signed_head_malformed": "restore the head from where it was published, save the report (w)",
    "signed_head_unknown_key": "ask the operator by another way whether the key was replaced",
    "signed_head_bad_signature": "keep the head as evidence, get it again from its publisher",
    "signed_head_other_origin": "put the head of this chain in its place",
    "signed_head_ahead": "restore the last events; keep the head as evidence, save the report (w)",
    "signed_head_mismatch": "keep the head as evidence, save the report (w), ask who signed it",
    "no_events": "check pas.enabled and pas.backup_dir of the configuration",
    "leftover_file": "nothing to do",
    "file_mismatch": "keep the file, save the report (w), copy the partition anew elsewhere",
    "file_missing": "restore the partition file from a backup of the store",
    "file_unreadable": "check the path and its permissions, then F again",
}
"""The next safe step by kind of finding."""

OTHERWISE = "keep the file, save the report (w), and run 'bronze verify' on this dataset"
"""The next safe step after a finding about a partition's records or rows."""


@dataclass(frozen=True, slots=True)
class ChainRow:
    """One row: an event, or what is missing or wrong where no event is."""

    number: int | None
    """Position in link order from 1; None for a row that is no event of the line."""
    ledgers: str
    item: EventFile | None
    findings: tuple[Finding, ...]
    after_break: bool

    @property
    def title(self) -> str:
        """What the row is."""
        return f"EVENT {self.number:,}" if self.number is not None else "FINDING"

    @property
    def link(self) -> str:
        """State of the link to the event before."""
        if self.item is None:
            return BAD if self.severity == "error" else NOTE
        states = [f for f in self.findings if f.kind not in _HASH and f.kind not in _ORDER]
        return _state(states, AFTER if self.after_break else OK)

    @property
    def hash(self) -> str:
        """State of the event's own hash."""
        if self.item is None:
            return NONE
        return _state([f for f in self.findings if f.kind in _HASH], OK)

    @property
    def order(self) -> str:
        """State of ledgers, counts and name."""
        if self.item is None:
            return NONE
        return _state([f for f in self.findings if f.kind in _ORDER], OK)

    @property
    def severity(self) -> str:
        """The worst of its findings, empty without any."""
        return min((f.severity for f in self.findings), key=_rank, default="")

    @property
    def remark(self) -> str:
        """Kinds of its findings."""
        return ", ".join(dict.fromkeys(f.kind for f in self.findings))


def rows_of(chain: ChainReport, loose: Sequence[Finding] = ()) -> list[ChainRow]:
    """Rows in link order; what is missing stands before the event that misses it.

    Args:
        loose: findings of the folder that belong to no chain's event.
    """
    by_event: dict[int, list[Finding]] = {}
    rest: list[Finding] = []
    for finding in chain.findings:
        if finding.event is None:
            rest.append(finding)
        else:
            by_event.setdefault(finding.event, []).append(finding)
    first = chain.first_wrong
    limit = first.event if first is not None and first.event is not None else len(chain.line) + 1
    rows: list[ChainRow] = []
    for number, item in enumerate(chain.line, 1):
        found = by_event.get(number, [])
        rows += [
            ChainRow(None, missing.ledgers, None, (missing,), number >= limit)
            for missing in found
            if missing.kind == "missing_event"
        ]
        ledgers = f"{item.event.ledger_start}-{item.event.ledger_end}"
        rows.append(ChainRow(number, ledgers, item, tuple(found), number > limit))
    return rows + [
        ChainRow(None, finding.ledgers or finding.file, None, (finding,), False)
        for finding in [*rest, *loose]
    ]


def first_break(
    rows: Sequence[ChainRow], files: Mapping[str, FileResult] | None = None
) -> int | None:
    """Index of the first row with an error, or whose partition file is wrong."""
    return next(iter(breaks(rows, files or {})), None)


def breaks(rows: Sequence[ChainRow], files: Mapping[str, FileResult]) -> list[int]:
    """Indexes of all such rows."""
    return [
        index
        for index, row in enumerate(rows)
        if row.severity == "error" or file_state(row, files) == BAD
    ]


def file_state(row: ChainRow, files: Mapping[str, FileResult]) -> str:
    """State of the partition files that the row's event announces."""
    if row.item is None:
        return NONE
    result = files.get(row.item.event.event_hash)
    if result is None:
        return UNREAD
    return OK if result.ok else BAD


def damage_line(result: FileResult) -> str:
    """What is wrong with a partition file."""
    return f"{result.kind} in partition {result.ledgers}: {result.message}"


def broken_line(report: VerifyReport) -> str:
    """The evidence of the verdict CHAIN BROKEN; empty when all is whole, or nothing is there."""
    for chain in report.chains:
        first = chain.first_wrong
        if first is not None:
            place = f" at event {first.event:,}" if first.event is not None else ""
            ledgers = f", ledgers {first.ledgers}" if first.ledgers else ""
            return f"{chain.chain_key}: {first.kind}{place}{ledgers}"
    for finding in report.findings:
        if finding.severity == "error" and finding.kind != "no_events":
            return f"{finding.kind}: {finding.file or finding.message}"
    return ""


def matches(row: ChainRow, text: str) -> bool:
    """Whether a search for an event number, a ledger, a hash or a file name means this row."""
    wanted = text.strip().lower().replace(",", "").lstrip("#")
    if not wanted:
        return False
    if wanted in row.ledgers or wanted in row.remark.lower():
        return True
    if row.item is None:
        return False
    event = row.item.event
    if wanted.isdigit():
        number = int(wanted)
        return number == row.number or event.ledger_start <= number <= event.ledger_end
    wanted = wanted.removeprefix("sha256:")
    texts = (event.event_hash, event.prev_event_hash, event.event_id, row.item.file.lower())
    return any(wanted in text for text in texts)


def short_hash(text: str) -> str:
    """``ab12c4d0..9f0e`` of ``sha256:ab12c4d0...``."""
    digits = text.removeprefix("sha256:")
    return f"{digits[:8]}..{digits[-4:]}" if len(digits) > 18 else digits or "none"


def _state(findings: Sequence[Finding], otherwise: str) -> str:
    if any(f.severity == "error" for f in findings):
        return BAD
    return NOTE if findings else otherwise


def _rank(severity: str) -> int:
    return ("error", "warning", "note").index(severity)
