"""Whether the catalog can be reached, is the right one, and agrees with what is committed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bronze_tui.catalog.database import Database
from bronze_tui.catalog.migrations import LATEST, version_of
from bronze_tui.catalog.opening import open_database
from bronze_tui.catalog.store import Catalog
from bronze_tui.domain.errors import BronzeError
from bronze_tui.domain.layout import Layout
from bronze_tui.inspect.dataset import find_datasets
from bronze_tui.inspect.doctor.finding import Finding, Notes
from bronze_tui.inspect.doctor.subject import Subject

NOTES = Notes("catalog")
_ASK = (
    "SELECT pg_is_in_recovery(), has_schema_privilege(current_schema(), 'CREATE'),"
    " extract(epoch FROM clock_timestamp())"
)


def checks(subject: Subject) -> Iterator[Finding]:
    """Look into it; nothing is made or migrated."""
    settings = subject.settings
    server = bool(settings.catalog.postgres_dsn.get_secret_value())
    if not server and not settings.catalog_path().exists():
        yield from _absent(settings.catalog_path(), subject)
        return
    begin = time.perf_counter()
    try:
        database = open_database(settings, read_only=True)
    except BronzeError as error:
        yield NOTES.error("open", "catalog NOT usable", error)
        return
    with closing(database):
        seconds = time.perf_counter() - begin
        kind = "PostgreSQL" if server else "SQLite"
        yield NOTES.ok(
            "open", f"{kind} catalog readable ({seconds * 1000:,.0f} ms)", database.where
        )
        if server:
            yield from _server(database, subject)
        version = database.read(lambda c: version_of(c, database))
        yield _schema(version)
        if version:
            yield from _chains(Catalog(database, read_only=True), subject)
    if not server:
        yield from _file(settings.catalog_path())


def _schema(version: int) -> Finding:
    if version == LATEST:
        return NOTES.ok("schema", f"schema version {version}")
    if version > LATEST:
        text = f"schema version {version} is newer than this software's {LATEST}"
        return NOTES.fail("schema", text, todo="use the version that wrote it or a newer one")
    if version == 0:
        return NOTES.ok("schema", "its tables are not there yet: the first run makes them")
    text = f"schema version {version}, this software's is {LATEST}"
    return NOTES.ok("schema", text, "the next run migrates it; bronze catalog migrate --dry-run")


def _server(database: Database, subject: Subject) -> Iterator[Finding]:
    """Whether the server takes writes, and its clock."""
    asked = time.time()
    standby, create, clock = database.read(lambda c: tuple(c.exec_driver_sql(_ASK).one()))
    subject.server_times.append(("the catalog's server", float(clock) - asked))
    if standby:
        todo = "name the primary server in catalog.postgres_dsn"
        yield NOTES.fail("write", "the server is a standby and takes no writes", todo=todo)
    elif not create:
        todo = "grant CREATE on the schema, or migrate as its owner: bronze catalog migrate"
        yield NOTES.warn("write", "this user may not make tables there", todo=todo)
    else:
        yield NOTES.ok("write", "the server takes writes, and this user may make tables")


def _file(path: Path) -> Iterator[Finding]:
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
