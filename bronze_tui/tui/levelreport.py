"""A report of ``bronze verify --json`` as the Audit page shows it: states of files by event, words.

The report comes from our own process, its texts from files of anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bronze_tui.audit.chain import ChainReport
from bronze_tui.audit.filecheck import FileResult
from bronze_tui.audit.standing import Row
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.text import safe_text, size
from bronze_tui.journal.verdict import clock
from bronze_tui.tui.levelrun import LEVELS, LevelEnd, LevelProgress

_CELLS = 24


def file_results(
    report: Mapping[str, Any], chains: tuple[ChainReport, ...]
) -> dict[str, FileResult]:
    """Each event's partition as the report has it, by event hash; the chain's own findings are no
    part of it. Nothing where the level reads no file or not all of them."""
    depth = report.get("depth") or {}
    if LEVELS.index(str(report.get("level", "chain"))) < LEVELS.index("file"):
        return {}
    if depth.get("choice") or depth.get("partitions_recalled"):
        return {}
    wrong: dict[tuple[str, int], Mapping[str, Any]] = {}
    for finding in depth.get("findings", ()):
        if finding["severity"] == "error" and finding["event"] is not None:
            wrong.setdefault((finding["chain_key"], finding["event"]), finding)
    return {
        item.event.event_hash: _result(item.event, wrong.get((chain.chain_key, number)))
        for chain in chains
        for number, item in enumerate(chain.line, 1)
        if item.ingester is None
    }


def level_rows(end: LevelEnd, at: str) -> Iterator[Row]:
    """The lines about a verification that ended.

    Args:
        at: when, ``10:29:44Z``.
    """
    if end.stopped:
        yield "level", f"{end.level}: stopped, nothing is said about what was read", "worry"
        return
    if end.report is None:
        yield "level", f"{end.level}: {end.problem}", "bad"
        return
    depth = end.report.get("depth") or {}
    words = f"{end.level}: {str(end.report['verdict']).upper()}"
    if depth:
        words += f", {depth['partitions_read']:,} of {depth['partitions']:,} partitions"
        words += f", {depth['ledgers']:,} ledgers" if depth["ledgers"] else ""
    yield "level", f"{words}, {at}", "good" if end.report["verdict"] == "ok" else "bad"
    if depth.get("proven"):
        spans = ", ".join(f"{r['start']}-{r['end']}" for r in depth["proven"][:4])
        yield "anchored", f"{spans}: hashes proven by a trusted one", "good"
    worst = first_wrong(end.report)
    if worst is not None:
        yield "first", _finding_words(worst), "bad"


def progress_row(progress: LevelProgress) -> Row:
    """The line about one that runs."""
    share = progress.bytes_done / progress.bytes_total if progress.bytes_total else 0.0
    full = round(min(1.0, share) * _CELLS)
    bar = "█" * full + "░" * (_CELLS - full)
    text = f"{progress.level} {bar} {share:4.0%}  {progress.done:,} of {progress.total:,}"
    if progress.rate:
        text += f"  {size(progress.rate)}/s"
    return "level", f"{text}  ETA {clock(progress.eta)}  esc stops", ""


def first_wrong(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The first error of the data, or else of the events; what memory and signed heads say has
    lines of its own."""
    found = [*(report.get("depth") or {}).get("findings", ())]
    found += [f for chain in report.get("chains", ()) for f in chain["findings"]]
    found += report.get("findings", ())
    own = ("chain_", "signed_head")
    wrong = (f for f in found if f["severity"] == "error" and not f["kind"].startswith(own))
    return next(wrong, None)


def _finding_words(finding: Mapping[str, Any]) -> str:
    place = f" event {finding['event']}" if finding["event"] is not None else ""
    place += f" ledgers {finding['ledgers']}" if finding["ledgers"] else ""
    return safe_text(f"{finding['kind']}{place}: {finding['message']}")


def _result(event: AuditEvent, finding: Mapping[str, Any] | None) -> FileResult:
    checksum = event.tables[0][1].checksum if event.tables else ""
    kind = "ok" if finding is None else str(finding["kind"])
    changed = kind.startswith("file_")
    return FileResult(
        event.event_hash,
        str(event.partition),
        kind,
        "" if finding is None else str(finding["message"]),
        str(finding["found"]) if finding is not None and changed else checksum,
        "" if kind.startswith("manifest_") else checksum,
        sum(table.byte_size for _, table in event.tables),
    )
