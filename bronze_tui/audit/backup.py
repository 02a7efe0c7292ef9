"""Taking up a chain that stands in a PAS folder: its events in link order, or a refusal.

Files that hold no JSON text (a crashed Go copier leaves them) are no part of a chain; anything
else that breaks the chain stops a run here, before a new event could hide it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bronze_tui.audit.chain import ChainReport, verify_chains
from bronze_tui.audit.event import MAX_EVENT_BYTES
from bronze_tui.audit.findings import Finding
from bronze_tui.audit.folder import PasFolder, collector_paused, read_capped, read_folder
from bronze_tui.audit.names import chain_prefix
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.text import safe_text

_CONTINUABLE = {"declared_gap"}


def read_backup(
    folder: Path, chain_key: str, *, holes: Iterable[LedgerRange] = ()
) -> list[tuple[str, bytes, AuditEvent]]:
    """One chain's events as (file name, file bytes, event), in link order; empty when none.

    Args:
        holes: ledgers declared missing; a chain with such gaps may be continued.

    Raises:
        StateError: the chain is broken, or a file of its names holds something else.
        SourceDenied: something cannot be read.
    """
    if not folder.exists():
        return []
    with collector_paused():
        report = _sound(folder, chain_key, holes)
    return [
        (item.file, read_capped(folder / item.file, MAX_EVENT_BYTES), item.event)
        for item in report.line
    ]


def head_of(folder: Path, chain_key: str, *, holes: Iterable[LedgerRange] = ()) -> str:
    """Hash of the chain's last event by its links; empty when it has none.

    Raises:
        StateError, SourceDenied: as ``read_backup``.
    """
    return _sound(folder, chain_key, holes).head if folder.exists() else ""


def heads_from_events(folder: Path) -> dict[str, str]:
    """The heads of all chains in a folder, as their events' links give them.

    Raises:
        SourceDenied: something cannot be read.
    """
    reports = verify_chains(read_folder(folder).files)
    return {report.chain_key: report.head for report in reports if report.head}


def _sound(folder: Path, chain_key: str, holes: Iterable[LedgerRange]) -> ChainReport:
    read = read_folder(folder)
    reports = verify_chains(
        read.files,
        heads={chain_key: (read.heads or {}).get(chain_key, "")},
        holes={chain_key: list(holes)},
        damaged=read.damaged,
    )
    report = next(r for r in reports if r.chain_key == chain_key)
    wrong = [f for f in report.errors if f.kind not in _CONTINUABLE]
    wrong += _strangers(read, chain_key)
    if wrong:
        first = wrong[0]
        place = f" at event {first.event}" if first.event is not None else ""
        raise StateError(
            f"the audit chain {safe_text(chain_key)} is broken{place}: "
            f"{first.kind}, {safe_text(first.message)}",
            where=str(folder / first.file),
            todo=f"run bronze verify {folder}",
        )
    return report


def _strangers(read: PasFolder, chain_key: str) -> list[Finding]:
    prefix = chain_prefix(chain_key)
    return [
        finding
        for finding in read.findings
        if finding.severity == "error"
        and finding.file.startswith(prefix)
        and finding.file not in read.damaged
    ]
