"""The catalog's rules: one child per event, no overlap, no undeclared gap, fencing, damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bronze_tui.catalog.records import ChainRow, Origin
from bronze_tui.catalog.store import Catalog
from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import LockedError, StateError, StoreRefused
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import CommitRecord, Links, Producer, TableFile

ERA = Era("net", "era", "v1", 2, None, 10)
PRODUCER = Producer("bronze-tui", "v0", "unknown")
ORIGIN = Origin("local", "file:///lake", "file:///x", "x", "bronze-tui@v0", "unknown")


class Chain:
    """A catalog with one chain and its writer."""

    def __init__(self, path: Path) -> None:
        self.catalog = Catalog(path)
        self.dataset = self.catalog.register(ERA, "ledgers_lcm_raw", "hash")
        self.epoch = self.catalog.take_lease(ERA.chain_key, "me")

    def row(self, partition: LedgerRange) -> ChainRow:
        head = self.catalog.head(ERA.chain_key)
        seq = 0 if head is None else head.seq + 1
        return ChainRow(
            chain_key=ERA.chain_key,
            seq=seq,
            partition=partition,
            prev_event_hash="" if head is None else head.event_hash,
            event_hash=f"sha256:{seq}",
            event=b"event",
            first_previous_hash="00",
            last_ledger_hash="11",
            content_hash="sha256:c",
            checksum=f"sha256:{partition}",
            commit_sha256="sha256:r",
            filed=False,
        )

    def commit(self, row: ChainRow) -> None:
        table = TableFile("ledgers_lcm_raw", "f", row.checksum, len(row.partition), 1)
        record = CommitRecord(
            ERA, row.partition, (table,), (), Links("00", "11"), PRODUCER, "t", "w", self.epoch
        )
        self.catalog.commit(self.dataset, record, row, ORIGIN, self.epoch)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    made = Chain(tmp_path / "catalog.sqlite")
    yield made
    made.catalog.close()


def test_commit_writes_lineage_quality_and_chain_together(chain: Chain, tmp_path: Path) -> None:
    chain.commit(chain.row(LedgerRange(2, 11)))
    chain.commit(chain.row(LedgerRange(12, 21)))
    rows = chain.catalog.rows(ERA.chain_key)
    assert [str(r.partition) for r in rows] == ["2-11", "12-21"]
    with sqlite3.connect(tmp_path / "catalog.sqlite") as db:
        assert db.execute("select count(*) from _meta_lineage").fetchone() == (2,)
        assert db.execute("select passed from _meta_quality").fetchall() == [(1,), (1,)]
        coverage = db.execute("select partition_count, total_rows from _meta_coverage").fetchall()
        assert coverage == [(2, 20)]


def test_a_refused_row_leaves_nothing(chain: Chain, tmp_path: Path) -> None:
    chain.commit(chain.row(LedgerRange(2, 11)))
    row = replace(chain.row(LedgerRange(12, 21)), event_hash="sha256:0")
    with pytest.raises(StateError):
        chain.commit(row)
    with sqlite3.connect(tmp_path / "catalog.sqlite") as db:
        assert db.execute("select count(*) from _meta_lineage").fetchone() == (1,)
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


def test_a_later_owner_fences_the_earlier(chain: Chain, tmp_path: Path) -> None:
    other = Catalog(tmp_path / "catalog.sqlite")
    assert other.take_lease(ERA.chain_key, "other") == chain.epoch + 1
    other.close()
    with pytest.raises(LockedError, match="epoch 2, ours was 1"):
        chain.commit(chain.row(LedgerRange(2, 11)))


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
