"""Whether audit events can be filed, and those filed are one chain that ends at the catalog's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bronze_tui.audit.folder import verify_folder
from bronze_tui.audit.report import VerifyReport
from bronze_tui.catalog.opening import read_catalog
from bronze_tui.domain.errors import BronzeError, Exit
from bronze_tui.domain.writers import temp_name
from bronze_tui.inspect.doctor.finding import Finding, Notes
from bronze_tui.inspect.doctor.subject import Subject

NOTES = Notes("audit")


def checks(subject: Subject) -> Iterator[Finding]:
    """Writing, then the chain at level ``chain``."""
    if not subject.settings.pas.enabled:
        yield NOTES.none("audit", "audit head not compared: pas is off")
        return
    folder = subject.pas_dir
    yield writable(folder, write=subject.write)
    yield chain(folder)
    try:
        yield from _against_catalog(subject)
    except BronzeError as error:
        yield NOTES.none("head", "audit head not compared with the catalog", str(error))


def writable(folder: Path, *, write: bool) -> Finding:
    """Make and remove a temp file, or look at permissions."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    todo = "give this user the right to write there, or choose another pas.backup_dir"
    if not os.access(place, os.W_OK | os.X_OK):
        return NOTES.fail("write", "audit folder NOT writable", str(place), todo)
    if write and folder.is_dir():
        probe = folder / temp_name("doctor")
        try:
            probe.write_bytes(b"bronze doctor\n")
        except OSError as error:
            return NOTES.fail(
                "write", "audit folder NOT writable", f"{folder}: {error.strerror}", todo
            )
        finally:
            probe.unlink(missing_ok=True)
    return NOTES.ok("write", "audit folder writable", str(place))


def chain(folder: Path) -> Finding:
    """Events, links and order; the recorded head of each chain against its last event."""
    if not folder.is_dir():
        return NOTES.ok("audit", "no audit event yet", str(folder))
    try:
        report = verify_folder(folder)
        if not report.ok:
            # A copier that files an event just now is no break.
            report = verify_folder(folder)
    except BronzeError as error:
        return NOTES.error("audit", "audit events NOT readable", error)
    return _judged(report, folder)


def _judged(report: VerifyReport, folder: Path) -> Finding:
    events = sum(chain.events for chain in report.chains)
    todo = f"bronze verify {folder} says more; restore the folder from a copy before a run"
    wrong = next((f for f in report.all_findings() if f.kind.startswith("head_")), None)
    if wrong is not None:
        text = "audit head IS NOT the last event"
        return NOTES.fail("audit", text, wrong.message, todo, Exit.FAILED)
    broken = next((c for c in report.chains if not c.ok), None)
    if broken is not None and broken.first_wrong is not None:
        text = f"audit chain {broken.chain_key} is BROKEN"
        return NOTES.fail("audit", text, broken.first_wrong.message, todo)
    foreign = next((f for f in report.findings if f.severity == "error"), None)
    if foreign is not None:
        text = f"audit folder is NOT sound: {foreign.file or foreign.kind}"
        return NOTES.fail("audit", text, foreign.message, todo)
    return NOTES.ok("audit", f"audit head is the last of {events:,} events", str(folder))


def _against_catalog(subject: Subject) -> Iterator[Finding]:
    settings = subject.settings
    for era in settings.active():
        for attempt in range(2):
            catalog = read_catalog(settings)
            if catalog is None:
                return
            with closing(catalog):
                rows = catalog.rows(era.chain_key)
            filed = [row for row in rows if row.filed]
            report = verify_folder(subject.pas_dir) if subject.pas_dir.is_dir() else None
            chains = report.chains if report is not None else ()
            head = next((c.head for c in chains if c.chain_key == era.chain_key), "")
            expected = filed[-1].event_hash if filed else ""
            if head == expected or attempt:
                break
        if head == expected:
            text = f"audit head of {era.chain_key} is the catalog's"
            yield NOTES.ok("head", text if head else f"no event of {era.chain_key} yet", head)
            continue
        yield NOTES.warn(
            "head",
            f"audit head of {era.chain_key} is NOT the catalog's last filed event",
            f"folder {head or 'has none'}, catalog {expected or 'has none'}",
            "the next run files what lacks; if the folder is the wrong one, correct pas.backup_dir",
        )
