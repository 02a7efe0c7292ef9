"""The catalog's rules in both databases: one child per event, no overlap, no undeclared gap,
fencing; and damage of the file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from catalogs import ERA, Chain

from bronze_tui.catalog.database import Database
from bronze_tui.catalog.store import Catalog
from bronze_tui.domain.errors import LockedError, StateError, StoreRefused
from bronze_tui.domain.ledger import LedgerRange

Sql = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Path | Database]:
    """Opens the place of one catalog, again and again."""
    if request.param == "sqlite":
        return lambda: tmp_path / "catalog.sqlite"
    database = request.getfixturevalue("postgres")
    from bronze_tui.catalog.postgres import PostgresDatabase

    return lambda: PostgresDatabase(database.dsn)


@pytest.fixture
def chain(place: Callable[[], Path | Database]) -> Iterator[Chain]:
    made = Chain(place())
    yield made
    made.catalog.close()


@pytest.fixture
def sql(place: Callable[[], Path | Database], request: pytest.FixtureRequest) -> Sql:
    """Runs one statement past our code."""
    found = place()
    if not isinstance(found, Path):
        found.close()
        return request.getfixturevalue("postgres").sql  # type: ignore[no-any-return]

    def run(text: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(found)) as db, db:
            return db.execute(text).fetchall()

    return run


def test_commit_writes_lineage_quality_and_chain_together(chain: Chain, sql: Sql) -> None:
    chain.commit(chain.row(LedgerRange(2, 11)))
    chain.commit(chain.row(LedgerRange(12, 21)))
    rows = chain.catalog.rows(ERA.chain_key)
    assert [str(r.partition) for r in rows] == ["2-11", "12-21"]
    assert sql("select count(*) from _meta_lineage") == [(2,)]
    assert sql("select passed from _meta_quality") == [(1,), (1,)]
    assert sql("select partition_count, total_rows from _meta_coverage") == [(2, 20)]


def test_a_refused_row_leaves_nothing(chain: Chain, sql: Sql) -> None:
    chain.commit(chain.row(LedgerRange(2, 11)))
    row = replace(chain.row(LedgerRange(12, 21)), event_hash="sha256:0")
    with pytest.raises(StateError):
        chain.commit(row)
    assert sql("select count(*) from _meta_lineage") == [(1,)]
    chain.commit(chain.row(LedgerRange(12, 21)))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"prev_event_hash": ""}, "not next"),
        ({"seq": 5}, "not next"),
        ({"partition": LedgerRange(11, 20)}, "overlaps"),
        ({"partition": LedgerRange(2, 11)}, "overlaps"),
        ({"partition": LedgerRange(22, 31)}, "leaves ledgers 12 to 21 out"),
    ],
)
def test_chain_rules(chain: Chain, change: dict[str, object], what: str) -> None:
    chain.commit(chain.row(LedgerRange(2, 11)))
    with pytest.raises(StateError, match=what):
        chain.commit(replace(chain.row(LedgerRange(12, 21)), **change))


def test_behind_and_into_a_declared_hole(chain: Chain) -> None:
    hole = LedgerRange(12, 21)
    chain.commit(chain.row(LedgerRange(2, 11)))
    chain.catalog.declare_hole(chain.dataset, ERA.chain_key, hole, "bad ledger", "now")
    chain.commit(chain.row(LedgerRange(22, 31)))
    chain.commit(chain.row(hole))
    assert [h.repaired_at is not None for h in chain.catalog.holes(ERA.chain_key)] == [True]
    with pytest.raises(StateError, match="leaves ledgers 32 to 41 out"):
        chain.commit(chain.row(LedgerRange(42, 51)))


def test_a_later_owner_fences_the_earlier(chain: Chain, sql: Sql) -> None:
    sql("update _bronze_leases set epoch = epoch + 1, owner = 'other'")
    with pytest.raises(LockedError, match="epoch 2, ours was 1"):
        chain.commit(chain.row(LedgerRange(2, 11)))


def test_every_owner_has_an_epoch_of_its_own(place: Callable[[], Path | Database]) -> None:
    for epoch in (1, 2, 3):
        owner = Chain(place())
        assert owner.epoch == epoch
        found = owner.catalog.owner_of(ERA.chain_key)
        assert found is not None
        assert found[:2] == (epoch, "me")
        owner.catalog.close()


_COLUMNS = (
    "chain_key, seq, ledger_start, ledger_end, prev_event_hash, event_hash, event,"
    " first_previous_hash, last_ledger_hash, content_hash, checksum, commit_sha256, filed,"
    " delivered, created_at"
)


@pytest.mark.parametrize(
    "changed",
    [
        {"seq": "seq"},
        {"prev_event_hash": "prev_event_hash"},
        {"event_hash": "event_hash"},
        {"ledger_start": "ledger_start"},
        {"ledger_end": "ledger_end"},
    ],
    ids=lambda changed: f"same_{next(iter(changed))}",
)
def test_the_database_itself_forbids_a_fork(
    chain: Chain, sql: Sql, changed: dict[str, str]
) -> None:
    """A writer that knows nothing of our rules runs into them."""
    chain.commit(chain.row(LedgerRange(2, 11)))
    chain.commit(chain.row(LedgerRange(12, 21)))
    other = {
        "seq": "seq + 7",
        "prev_event_hash": "'x'",
        "event_hash": "'y'",
        "ledger_start": "ledger_start + 50",
        "ledger_end": "ledger_end + 50",
        **changed,
    }
    values = ", ".join(other.get(name, name) for name in _COLUMNS.split(", "))
    with pytest.raises(Exception, match=r"(?i)unique"):
        sql(
            f"insert into _bronze_chain ({_COLUMNS}) select {values} from _bronze_chain"
            " where seq = 1"
        )
    assert sql("select count(*) from _bronze_chain") == [(2,)]


@pytest.mark.parametrize(("start", "end"), [(2, 3), (11, 30), (1, 40), (5, 6), (2, 12)])
def test_the_database_itself_forbids_overlapping_lineage(
    chain: Chain, sql: Sql, start: int, end: int
) -> None:
    chain.commit(chain.row(LedgerRange(2, 11)))
    copy = (
        "insert into _meta_lineage (dataset_id, ledger_start, ledger_end, row_count, byte_size,"
        " checksum, storage_path, producer_version) select {}, {}, {}, row_count, byte_size,"
        " checksum, storage_path, producer_version from _meta_lineage where ledger_start = 2"
    )
    with pytest.raises(Exception, match="overlap"):
        sql(copy.format("dataset_id", start, end))
    sql(copy.format("dataset_id", 100, 110))
    with pytest.raises(Exception, match="overlap"):
        sql(f"update _meta_lineage set ledger_start = {start} where ledger_start = 100")
    other = chain.catalog.register(replace(ERA, era_id="other"), "ledgers_lcm_raw", "hash")
    sql(copy.format(other, start, end))


def test_an_intent_is_kept_until_its_writer_changes(chain: Chain) -> None:
    partition = LedgerRange(2, 11)
    first = chain.catalog.intend(ERA.chain_key, partition, "w1")
    assert chain.catalog.intend(ERA.chain_key, partition, "w1") == first
    assert chain.catalog.intend(ERA.chain_key, partition, "w2").writer == "w2"


@pytest.mark.parametrize("damage", ["garbage", "header", "page"])
def test_damage_is_told_with_the_way_out(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "catalog.sqlite"
    made = Chain(path)
    for start in range(2, 200, 10):
        made.commit(made.row(LedgerRange(start, start + 9)))
    made.catalog.close()
    data = bytearray(path.read_bytes())
    if damage == "garbage":
        data = bytearray(b"not a database" * 100)
    elif damage == "header":
        data[:16] = b"\0" * 16
    else:
        data[4096:] = bytes(255 - b for b in data[4096:])
    path.write_bytes(data)
    with pytest.raises(StateError, match="move the file aside"):
        Catalog(path).rows(ERA.chain_key)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    Catalog(path).close()
    with sqlite3.connect(path) as db:
        db.execute("update _bronze_info set value = '99' where key = 'schema_version'")
    with pytest.raises(StateError, match="schema version 99"):
        Catalog(path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="cannot be written"):
        Catalog(tmp_path / "missing" / "catalog.sqlite")


@pytest.mark.parametrize("name", ["a b?c#d%e.sqlite", "é.sqlite"])
def test_odd_paths(tmp_path: Path, name: str) -> None:
    Catalog(tmp_path / name).close()
    assert (tmp_path / name).is_file()


KILLED = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size=1")
db.execute("BEGIN IMMEDIATE")
for number in range(400):
    db.execute("INSERT INTO _bronze_info VALUES (?, ?)", (f"k{number}", "x" * 2000))
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def half_done(tmp_path: Path) -> Path:
    """A catalog whose writer was killed when a part of its transaction was in the file."""
    file = tmp_path / "state" / "catalog.sqlite"
    file.parent.mkdir()
    Catalog(file).close()
    subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False, timeout=60)
    assert file.with_name("catalog.sqlite-journal").exists()
    return file


def test_a_reader_undoes_what_a_killed_writer_left(half_done: Path) -> None:
    catalog = Catalog(half_done, read_only=True)
    assert catalog.chain_keys() == []
    with pytest.raises(StoreRefused), catalog.transaction() as c:
        c.exec_driver_sql("INSERT INTO _bronze_info VALUES ('a', 'b')")
    catalog.close()
    with closing(sqlite3.connect(half_done)) as db:
        assert db.execute("SELECT count(*) FROM _bronze_info").fetchone() == (1,)


def test_a_reader_who_may_not_write_is_told_why(
    half_done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda at, **more: real(at.replace("mode=rw", "mode=ro"), **more)
    )
    with pytest.raises(StoreRefused, match="a killed process left a transaction half done"):
        Catalog(half_done, read_only=True)
