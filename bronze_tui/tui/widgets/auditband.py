"""How a chain looks: the two lines over it (whole or broken, how far it is trusted, what was read)
and the cells of its rows."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text
from textual.content import Content

from bronze_tui.audit.chain import ChainReport
from bronze_tui.audit.filecheck import FileResult, Progress
from bronze_tui.audit.report import VerifyReport
from bronze_tui.headless.units import size
from bronze_tui.journal.verdict import clock
from bronze_tui.tui.chainrows import (
    AFTER,
    BAD,
    NOTE,
    OK,
    ChainRow,
    file_state,
    matches,
    short_hash,
)
from bronze_tui.tui.pins import utc
from bronze_tui.tui.places import Absence
from bronze_tui.tui.plain import plain
from bronze_tui.tui.widgets.figures import line, part, stack
from bronze_tui.tui.widgets.linelist import Cell

_ROLES = {OK: "good", AFTER: "muted", BAD: "bad", NOTE: "worry"}
_WIDE = 112
"""Characters from which a row has counts and time too."""


def band(
    chain: ChainReport | None,
    report: VerifyReport | None,
    pinned: Mapping[str, str],
    variables: Mapping[str, str],
) -> Text:
    """``BROKEN at event 4,211 hash_mismatch   verified 1-4,210   not trusted 4,211-5,996 ...``."""
    text = Text(no_wrap=True, overflow="ellipsis")
    good, bad = (f"bold {variables.get(name, '')}".strip() for name in ("success", "error"))
    if report is None or chain is None:
        problem = report is not None and not report.ok
        text.append("BROKEN" if problem else "NOT VERIFIED", bad if problem else "bold")
        return text
    first = chain.first_wrong
    total = len(chain.line)
    if first is None and report.ok:
        text.append("WHOLE", good)
        text.append(f"   verified 1-{total:,}" if total else "   no events")
    elif first is None:
        text.append("WHOLE, but files in the folder are wrong", bad)
    else:
        place = f" at event {first.event:,}" if first.event is not None else ""
        text.append(f"BROKEN{place}", bad)
        text.append_text(plain(f" {first.kind}", bad))
        if first.event is not None:
            trusted = f"1-{first.event - 1:,}" if first.event > 1 else "none"
            text.append(f"   verified {trusted}   not trusted {first.event:,}-{total:,}")
    text.append_text(plain(_pin(chain, pinned)))
    return text


def nothing(absence: Absence | None, problem: str, *, verified: bool) -> Content:
    """What stands where events would: what is not there, why, and what to do.

    Args:
        absence: why there is no audit folder; None with one.
        problem: why the last verification failed.
        verified: it ended.
    """
    if absence is not None:
        what, why, todo = "No audit events to look at", absence.why, absence.todo
    elif problem:
        what, why, todo = "The audit folder cannot be verified", problem, "f5 tries again"
    elif not verified:
        return line(("verifying the chain ...", "muted"))
    else:
        what, why = "No event yet", "An event is written as soon as its partition is committed."
        todo = "2 Partitions shows what is being built"
    return stack([line((what, "strong")), line(""), part(why), line(""), part(todo, "muted")])


def _pin(chain: ChainReport, pinned: Mapping[str, str]) -> str:
    pin = pinned.get(chain.chain_key, "")
    if not pin:
        return "   head pinned: no (h)"
    if pin == chain.head:
        return "   head pinned: yes"
    known = any(item.event.event_hash == pin for item in chain.line)
    return "   head pinned: earlier (h)" if known else "   head pinned: NOT FOUND"


def bar(
    chain: ChainReport | None,
    report: VerifyReport | None,
    progress: Progress | None,
    checked: tuple[float, float, bool],
    width: int,
    wrong: int,
    variables: Mapping[str, str],
) -> Text:
    """Events, head, when and how long; while files are read, how far that is.

    Args:
        checked: when (Unix seconds), how long (seconds), whether it runs now.
        wrong: how many partitions' files are not what is announced.
    """
    text = Text(no_wrap=True, overflow="ellipsis")
    if progress is not None and not progress.done:
        share = progress.bytes_read / progress.bytes_total if progress.bytes_total else 0.0
        cells = max(8, min(40, width - 70))
        full = round(min(1.0, share) * cells)
        text.append("█" * full + "░" * (cells - full))
        text.append(f" {share:4.0%}  {progress.files:,} of {progress.files_total:,} files")
        text.append(f"  {size(progress.rate)}/s  ETA {clock(progress.eta)}  esc stops")
        return text
    at, cost, running = checked
    if report is None:
        text.append("verifying ..." if running else "press f5 to verify")
        return text
    events = chain.events if chain is not None else 0
    text.append(f"{events:,} events in {cost:.1f} s, checked {utc(at)[11:]}")
    if progress is not None:
        word = "stopped after" if progress.stopped else "read"
        text.append(f"   files: {word} {progress.files:,} of {progress.files_total:,}")
        if wrong:
            style = f"bold {variables.get('error', '')}".strip()
            text.append(f", {wrong:,} WRONG (b)", style)
    elif chain is not None:
        text.append("   files: not read (F)")
    if chain is not None:
        text.append_text(plain(f"   head {short_hash(chain.head)}"))
    if running:
        text.append("   verifying ...")
    return text


def columns(width: int) -> str:
    """The heading over ``cells``."""
    span = _span(width)
    text = f"{'event':>8}  {'ledgers':<{span}} {'link':<5} {'hash':<5} {'order':<5} {'file':<5}"
    if width >= _WIDE:
        text += f" {'':<18}{'rows':>9} {'bytes':>14}  {'written':<20}"
    return text


def cells(row: ChainRow, files: Mapping[str, FileResult], width: int, search: str) -> list[Cell]:
    """One row of the chain."""
    number = f"{row.number:,}" if row.number is not None else "·"
    found = bool(search) and matches(row, search)
    states = (row.link, row.hash, row.order, file_state(row, files))
    ledgers = plain(row.ledgers, limit=40).plain
    role = {"error": "bad", "warning": "worry"}.get(row.severity, "muted")
    kinds = row.remark
    if file_state(row, files) == BAD and row.item is not None:
        kind = files[row.item.event.event_hash].kind
        role, kinds = "bad", f"{kind}, {kinds}" if kinds else kind
    remark = plain(kinds, limit=60).plain
    shown: list[Cell] = [
        (f"{number:>8}  ", "" if row.number else "worry"),
        (f"{ledgers:<{_span(width)}}", "found" if found else ""),
        *((f" {state:<5}", _ROLES.get(state, "muted")) for state in states),
        (f" {remark:<17.17}" if width >= _WIDE else f" {remark}", role),
    ]
    if row.item is not None and width >= _WIDE:
        event = row.item.event
        rows = sum(table.row_count for _, table in event.tables)
        bytes_ = sum(table.byte_size for _, table in event.tables)
        shown.append((f"{rows:>9,} {bytes_:>14,}", ""))
        shown.append((f"  {event.timestamp[:19]}Z", "muted"))
    return shown


def _span(width: int) -> int:
    """Characters of the column of ledgers."""
    return 18 if width < 80 else 21
