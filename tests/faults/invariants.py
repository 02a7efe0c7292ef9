"""Checks a site's folders against the commit protocol's invariants, from the bytes on disk alone.

It shares no code with the engine: hashes are recomputed here and the catalog is read from a copy,
so that looking at a crashed site changes nothing. Delivery over HTTP is not looked at.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from copying import Site

HEADS = "pas-chain-heads.json"
SQLITE_TEMPS = ("-journal", "-wal", "-shm")


def check(
    site: Site, *, after_recovery: bool, clean: dict[str, str] | None = None, first: int = 2
) -> list[str]:
    """Violations, one line each, empty when all is well.

    Args:
        after_recovery: a rerun went to its end since the crash, so everything must be whole.
        clean: SHA-256 by name of each partition file of a crash-free copy.
        first: the era's first ledger.
    """
    return _Check(site, after_recovery, clean, first).run()


def partition_digests(site: Site) -> dict[str, str]:
    """SHA-256 of every partition file by its name."""
    return {path.name: _sha256(path.read_bytes()) for path in site.parquet()}


def schema(site: Site) -> set[str]:
    """Tables, indexes and views of the catalog."""
    with _copied_catalog(site.state) as path:
        if path is None:
            return set()
        with closing(sqlite3.connect(path)) as connection:
            return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


@dataclass(frozen=True)
class Catalog:
    """Rows of the catalog, in chain and ledger order."""

    lineage: list[dict[str, Any]]
    chain: list[dict[str, Any]]
    intents: list[dict[str, Any]]


@dataclass
class _Check:
    site: Site
    after_recovery: bool
    clean: dict[str, str] | None
    first: int
    wrong: list[str] = field(default_factory=list)

    def run(self) -> list[str]:
        self.commits = {p.stem: p.read_bytes() for p in self._records()}
        self.catalog = read_catalog(self.site, self._say)
        self.files = {p.name: p.read_bytes() for p in _event_files(self.site.pas)}
        self._commit_records()
        self._manifests()
        self._temps()
        self._lineage()
        self._events()
        self._chain()
        self._head_file()
        self._ranges()
        self._checkpoint()
        self._partitions()
        return self.wrong

    def _say(self, invariant: int, what: str) -> None:
        self.wrong.append(f"I{invariant}: {what}")

    def _records(self) -> list[Path]:
        return sorted((self.site.dataset / "_commits").glob("*.json"))

    def _commit_records(self) -> None:
        for name, data in self.commits.items():
            record = _json(data)
            if record is None:
                self._say(1, f"commit record {name} is torn")
                continue
            part = record["partition"]
            if f"{part['start']}-{part['end']}" != name:
                self._say(1, f"commit record {name} speaks of {part}")
            for table, facts in record["tables"].items():
                folder = self.site.dataset / table / f"range={name}"
                self._file(1, folder / facts["file"], facts)
                manifest = folder / "_manifest.json"
                if not manifest.exists():
                    self._say(1, f"{name} is committed without its manifest")
                elif _prefixed(manifest.read_bytes()) != record["manifests"][table]:
                    self._say(1, f"manifest of committed {name} is another one")

    def _file(self, invariant: int, path: Path, facts: dict[str, Any]) -> None:
        if not path.exists():
            self._say(invariant, f"{path.name} is missing")
            return
        data = path.read_bytes()
        if len(data) != facts["byte_size"]:
            self._say(invariant, f"{path.name} has {len(data)} of {facts['byte_size']} bytes")
        elif _prefixed(data) != facts["checksum"]:
            self._say(invariant, f"{path.name} has other bytes than were announced")

    def _manifests(self) -> None:
        for path in sorted(self.site.table.glob("range=*/_manifest.json")):
            manifest = _json(path.read_bytes())
            if manifest is None:
                self._say(2, f"{path.parent.name}/_manifest.json is torn")
                continue
            for facts in manifest["tables"].values():
                self._file(2, path.parent / facts["file"], facts)

    def _temps(self) -> None:
        if not self.after_recovery:
            return
        for root in (self.site.data, self.site.pas, self.site.state):
            for path in sorted(root.rglob("*")):
                staged = path.parent.name == ".bronze-staging"
                hidden = path.is_file() and path.name.startswith(".")
                if staged or hidden or path.name.endswith((*SQLITE_TEMPS, ".tmp", ".sock")):
                    self._say(2, f"{path.relative_to(self.site.root)} was left behind")

    def _lineage(self) -> None:
        rows: dict[str, int] = {}
        for row in self.catalog.lineage:
            name = f"{row['ledger_start']}-{row['ledger_end']}"
            rows[name] = rows.get(name, 0) + 1
            record = _json(self.commits.get(name, b"null"))
            if record is None:
                self._say(3, f"lineage row {name} has no commit record")
                continue
            facts = record["tables"]["ledgers_lcm_raw"]
            found = (row["checksum"], row["row_count"], row["byte_size"])
            if found != (facts["checksum"], facts["row_count"], facts["byte_size"]):
                self._say(3, f"lineage row {name} says other things than its commit record")
        for name, count in rows.items():
            if count > 1:
                self._say(3, f"{name} has {count} lineage rows")
        waiting = sorted(set(self.commits) - set(rows))
        if len(waiting) > (0 if self.after_recovery else 1):
            self._say(3, f"commit records without lineage: {', '.join(waiting)}")

    def _events(self) -> None:
        """Lineage and chain are one transaction; files are the chain's bytes, never others."""
        chain = {f"{r['ledger_start']}-{r['ledger_end']}": r for r in self.catalog.chain}
        lineage = {f"{r['ledger_start']}-{r['ledger_end']}" for r in self.catalog.lineage}
        for name in sorted(lineage ^ set(chain)):
            self._say(4, f"{name} stands in only one of lineage and chain")
        for name, row in chain.items():
            data = self.commits.get(name)
            if data is not None and _prefixed(data) != row["commit_sha256"]:
                self._say(4, f"chain row {name} was made from another commit record")
        known = {bytes(row["event"]): name for name, row in chain.items()}
        filed: dict[str, int] = {}
        for file, data in self.files.items():
            owner = known.get(data)
            event = _json(data)
            if event is None:
                self._say(4, f"event file {file} is torn")
            elif _range_of(event) not in self.commits:
                self._say(4, f"event {file} announces what is not committed")
            elif owner is None:
                self._say(4, f"event file {file} is not what the catalog holds")
            else:
                filed[owner] = filed.get(owner, 0) + 1
        for name, row in chain.items():
            due = bool(row["filed"]) or self.after_recovery
            if filed.get(name, 0) != 1 and (due or filed.get(name)):
                self._say(4, f"event {name} has {filed.get(name, 0)} files")
            if self.after_recovery and not row["filed"]:
                self._say(4, f"event {name} is not noted as filed")

    def _chain(self) -> None:
        before = ""
        for seq, row in enumerate(self.catalog.chain):
            event = json.loads(bytes(row["event"]))
            stored = (row["seq"], row["prev_event_hash"])
            if stored != (seq, before):
                self._say(5, f"chain row {seq} has place and link {stored}")
            links = event["chain"]
            if links["prev_event_hash"] != before or links["event_hash"] != row["event_hash"]:
                self._say(5, f"event {seq} and its chain row disagree")
            if event_hash(event) != row["event_hash"]:
                self._say(5, f"hash of event {seq} does not recompute")
            before = row["event_hash"]
        geneses = [f for f, d in self.files.items() if _prev_of(d) == ""]
        if len(geneses) > 1:
            self._say(5, f"{len(geneses)} first events: {geneses}")
        links = [prev for prev in map(_prev_of, self.files.values()) if prev is not None]
        if len(set(links)) != len(links):
            self._say(5, "two event files continue one event")

    def _head_file(self) -> None:
        """The head file follows the last event file; a crash may leave it one event behind."""
        events = sorted(
            (e for e in map(_json, self.files.values()) if e is not None),
            key=lambda e: int(e["partition"]["ledger_start"]),
        )
        hashes = [str(e["chain"]["event_hash"]) for e in events]
        path = self.site.pas / HEADS
        heads = _json(path.read_bytes()) if path.exists() else {}
        if heads is None:
            self._say(5, "the head file is torn")
            return
        head = next(iter(heads.values()), "")
        allowed = ["", *hashes][-1:] if self.after_recovery else ["", *hashes][-2:]
        if head not in allowed:
            self._say(5, f"head file says {head or 'nothing'}, last event is {hashes[-1:]}")

    def _ranges(self) -> None:
        expected = self.first
        for row in self.catalog.chain:
            if row["ledger_start"] != expected:
                self._say(6, f"chain goes on at {row['ledger_start']}, not at {expected}")
            expected = row["ledger_end"] + 1
        for before, after in itertools.pairwise(self.catalog.chain):
            if after["first_previous_hash"] != before["last_ledger_hash"]:
                self._say(6, f"ledgers do not link at {after['ledger_start']}")
        for row in self.catalog.chain:
            event = json.loads(bytes(row["event"]))
            name = f"{row['ledger_start']}-{row['ledger_end']}"
            if _range_of(event) != name:
                self._say(6, f"event of chain row {name} is of {_range_of(event)}")

    def _checkpoint(self) -> None:
        end = max((r["ledger_end"] for r in self.catalog.chain), default=self.first - 1)
        paths = list(self.site.state.glob("checkpoint_*.json"))
        for path in paths:
            doc = _json(path.read_bytes())
            if doc is None:
                self._say(7, "the checkpoint is torn")
            elif doc["last_committed_ledger"] > end:
                self._say(7, f"checkpoint is at {doc['last_committed_ledger']}, chain at {end}")
            elif self.after_recovery and doc["last_committed_ledger"] != end:
                self._say(7, f"checkpoint stays at {doc['last_committed_ledger']}, chain at {end}")
        if self.after_recovery and len(paths) != 1:
            self._say(7, f"{len(paths)} checkpoints")

    def _partitions(self) -> None:
        if self.clean is None:
            return
        found = partition_digests(self.site)
        for name in sorted(found):
            if found[name] != self.clean.get(name):
                self._say(10, f"{name} differs from a crash-free copy")
        if not self.after_recovery:
            return
        for name in sorted(set(self.clean) - set(found)):
            self._say(10, f"{name} is missing")
        committed = {f"part-{name}.parquet" for name in self.commits}
        if committed != set(self.clean):
            self._say(10, f"committed are {sorted(self.commits)}")
        if self.catalog.intents:
            self._say(10, f"{len(self.catalog.intents)} intents were left behind")


def read_catalog(site: Site, say: Any) -> Catalog:
    """The catalog's rows as the next start would find them: read from a copy, rolled back."""
    dsn = site.settings.get("catalog.postgres_dsn")
    if dsn:
        return _read_postgres(dsn)
    with _copied_catalog(site.state) as path:
        if path is None:
            return Catalog([], [], [])
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            healthy = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if healthy != "ok":
                say(3, f"catalog is damaged: {healthy}")
            return Catalog(
                _rows(connection, "_meta_lineage", "ledger_start"),
                _rows(connection, "_bronze_chain", "seq"),
                _rows(connection, "_bronze_intents", "ledger_start"),
            )


def _read_postgres(dsn: str) -> Catalog:
    import psycopg
    from psycopg.rows import dict_row

    with psycopg.connect(dsn, row_factory=dict_row) as session:
        queries = (
            "SELECT * FROM _meta_lineage ORDER BY ledger_start",
            "SELECT * FROM _bronze_chain ORDER BY seq",
            "SELECT * FROM _bronze_intents ORDER BY ledger_start",
        )
        return Catalog(*(session.execute(query).fetchall() for query in queries))


@contextmanager
def _copied_catalog(state: Path) -> Iterator[Path | None]:
    with tempfile.TemporaryDirectory() as folder:
        for path in state.glob("catalog.sqlite*"):
            shutil.copy(path, folder)
        copy = Path(folder) / "catalog.sqlite"
        yield copy if copy.exists() else None


def _rows(connection: sqlite3.Connection, table: str, order: str) -> list[dict[str, Any]]:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    if known is None:
        return []
    return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY {order}")]


def event_hash(event: dict[str, Any]) -> str:
    """The Go copier's rule for events whose strings need no HTML escape."""
    blank = event | {"chain": event["chain"] | {"event_hash": ""}}
    text = json.dumps(blank, separators=(",", ":"), ensure_ascii=False)
    return _prefixed(text.encode())


def _event_files(pas: Path) -> list[Path]:
    return sorted(p for p in pas.glob("*.json") if p.name != HEADS and p.name[0] != ".")


def _range_of(event: dict[str, Any]) -> str:
    return f"{event['partition']['ledger_start']}-{event['partition']['ledger_end']}"


def _prev_of(data: bytes) -> str | None:
    event = _json(data)
    return None if event is None else str(event["chain"]["prev_event_hash"])


def _json(data: bytes) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] | None = json.loads(data)
    except ValueError:
        return None
    return found


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _prefixed(data: bytes) -> str:
    return "sha256:" + _sha256(data)
