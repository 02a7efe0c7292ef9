"""Whether the catalog can be reached, is the right one, and agrees with what is committed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bronze_tui.catalog.store import Catalog
from bronze_tui.domain.errors import BronzeError, Exit
from bronze_tui.domain.layout import Layout
from bronze_tui.inspect.dataset import find_datasets
from bronze_tui.inspect.doctor.finding import Finding, Notes
from bronze_tui.inspect.doctor.subject import Subject

NOTES = Notes("catalog")


def checks(subject: Subject) -> Iterator[Finding]:
    """Look into it; nothing is made or migrated."""
    if subject.settings.catalog.postgres_dsn.get_secret_value():
        text = "this version keeps its catalog in SQLite"
        todo = "leave catalog.postgres_dsn empty"
        yield NOTES.fail("open", text, todo=todo, code=Exit.USAGE)
        return
    path = subject.settings.catalog_path()
    if not path.exists():
        yield from _absent(path, subject)
        return
    begin = time.perf_counter()
    try:
        catalog = Catalog(path, read_only=True)
    except BronzeError as error:
        yield NOTES.error("open", "catalog NOT usable", error)
        return
    with closing(catalog):
        seconds = time.perf_counter() - begin
        yield NOTES.ok("open", f"SQLite catalog readable ({seconds * 1000:,.0f} ms)", str(path))
        yield from _chains(catalog, subject)
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        todo = "give this user the right to write there"
        yield NOTES.fail("write", "catalog NOT writable", str(path), todo)


def _absent(path: Path, subject: Subject) -> Iterator[Finding]:
    committed = 0
    if subject.data_root is not None:
        wanted = {era.chain_key for era in subject.settings.active()}
        found = find_datasets(subject.data_root, subject.settings.storage.prefix)
        committed = sum(len(d.ranges) for d in found if d.chain_key in wanted)
    if committed:
        text = f"no catalog, although {committed:,} partitions are committed"
        detail = f"{path}: the next run rebuilds it from commit records and audit events"
        todo = "if it was lost by mistake, restore it, or correct catalog.path or checkpoint.dir"
        yield NOTES.warn("open", text, detail, todo)
    else:
        yield NOTES.ok("open", "SQLite catalog not there yet: the first run makes it", str(path))
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        todo = "give this user the right to write there, or choose another checkpoint.dir"
        yield NOTES.fail("write", "folder of the catalog NOT writable", str(folder), todo)


def _chains(catalog: Catalog, subject: Subject) -> Iterator[Finding]:
    known = catalog.chain_keys()
    for era in subject.settings.active():
        rows = catalog.rows(era.chain_key)
        if not rows:
            others = f"it has {', '.join(known[:5])}" if known else "it has no chain yet"
            yield NOTES.ok("rows", f"nothing of {era.chain_key} in it yet", others)
            continue
        last = max(row.partition for row in rows)
        record = Layout(subject.settings.storage.prefix, era).commit_record(last)
        if subject.data_root is not None and not (subject.data_root / record).exists():
            text = f"the catalog knows partition {last} of {era.chain_key}, the store does NOT"
            todo = "catalog and store do not belong together: correct catalog.path or storage"
            yield NOTES.fail("rows", text, record, todo)
            continue
        unfiled = sum(not row.filed for row in rows)
        text = f"{len(rows):,} partitions of {era.chain_key}, the last {last}"
        yield NOTES.ok("rows", text, f"{unfiled:,} events not filed yet" if unfiled else "")
