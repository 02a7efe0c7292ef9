"""Whole copies with the catalog in PostgreSQL: the same rows as in SQLite, the Go copier's tables
taken over, a second copier refused, a server that is not there, a lost catalog made again."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gocatalog
import pytest
from copying import Site, digests
from servers.postgres import Database
from test_go_continuation import NAMES, GoSite, assert_one_chain, go_site, take_over

from bronze_tui.cli import main
from bronze_tui.engine.opening import RunFlags

TABLES = {
    "_meta_datasets": "id",
    "_meta_lineage": "ledger_start",
    "_meta_quality": "ledger_start",
    "_bronze_chain": "seq",
    "_bronze_intents": "ledger_start",
    "_bronze_holes": "ledger_start",
}
_OF_THE_RUN = {"id", "dataset_id", "created_at", "updated_at"}


@pytest.fixture
def kept(small: Site, postgres: Database) -> Site:
    """A site whose catalog is in PostgreSQL."""
    small.settings["catalog.postgres_dsn"] = postgres.dsn
    return small


def rows(database: Database | Path, *but: str) -> dict[str, list[dict[str, Any]]]:
    """Everything the catalog says, without ids and times of the run."""
    found = {}
    for table, order in TABLES.items():
        query = f"select * from {table} order by {order}"
        if isinstance(database, Path):
            with closing(sqlite3.connect(database)) as db:
                db.row_factory = sqlite3.Row
                dicts = [dict(row) for row in db.execute(query)]
        else:
            with database.server.connect(database.name) as session:
                cursor = session.execute(query)  # type: ignore[call-overload]
                names = [column.name for column in cursor.description]
                dicts = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        hidden = _OF_THE_RUN.union(but)
        found[table] = [{k: v for k, v in d.items() if k not in hidden} for d in dicts]
    return found


def bronze(site: Site, *words: str) -> int:
    sets = [part for text in site.sets() for part in ("--set", text)]
    return int(main([*words, *sets]))


def test_a_copy_gives_what_sqlite_gives(
    kept: Site, small_lake: Any, tmp_path: Path, postgres: Database, clean: dict[str, str]
) -> None:
    run = kept.run()
    assert run.code == 0, run.finished.message
    assert digests(kept.table, "**/*.parquet") == clean
    assert not (kept.state / "catalog.sqlite").exists()
    other = Site(tmp_path / "other", kept.lake, {**kept.settings, "catalog.postgres_dsn": ""})
    assert other.run().code == 0
    own = ("event", "event_hash", "prev_event_hash", "commit_sha256", "storage_uri")
    assert rows(postgres, *own) == rows(other.state / "catalog.sqlite", *own)
    assert len(rows(postgres)["_bronze_chain"]) == 4
    everything = digests(kept.data) | digests(kept.pas)
    again = kept.run()
    assert (again.code, again.finished.source_bytes) == (0, 0)
    assert digests(kept.data) | digests(kept.pas) == everything


def test_status_reads_it(
    kept: Site, postgres: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bronze(kept, "status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["chains"][0]["covered"] == []
    assert bronze(kept, "catalog", "status") == 0
    assert "none yet" in capsys.readouterr().out
    assert postgres.sql("select 1 from pg_tables where schemaname = 'public'") == []
    assert kept.run().code == 0
    assert bronze(kept, "status", "--json") == 0
    chain = json.loads(capsys.readouterr().out)["chains"][0]
    assert (chain["covered"], chain["events"], chain["unfiled"]) == (["2-17"], 4, 0)
    assert bronze(kept, "catalog", "status", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["version"] == found["latest"]
    assert found["chains"][0]["partitions"] == 4
    assert "process" in found["chains"][0]["owner"]


def test_deliveries_are_decided_in_it(
    kept: Site, postgres: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bronze(kept, "pas", "status") == 5
    assert "catalog.postgres_dsn: there is no catalog" in capsys.readouterr().err
    assert postgres.sql("select 1 from pg_tables where schemaname = 'public'") == []
    assert kept.run().code == 0
    assert bronze(kept, "pas", "skip", "1-2", "--reason", "known to be lost") == 0
    capsys.readouterr()
    assert bronze(kept, "pas", "status", "--json") == 0
    chain = json.loads(capsys.readouterr().out)["chains"][0]
    assert (chain["events"], chain["waiting"]) == (4, 2)
    assert [skipped["seq"] for skipped in chain["skipped"]] == [1, 2]
    assert not (kept.state / "catalog.sqlite").exists()


def test_migrate_names_its_steps_first(
    kept: Site, postgres: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bronze(kept, "catalog", "migrate", "--dry-run") == 0
    named = capsys.readouterr().out
    assert named.startswith("would take step 1: ")
    assert postgres.sql("select 1 from pg_tables where schemaname = 'public'") == []
    assert bronze(kept, "catalog", "migrate") == 0
    assert capsys.readouterr().out == named.replace("would take", "took")
    assert bronze(kept, "catalog", "migrate") == 0
    assert capsys.readouterr().out.startswith("nothing to do")


@pytest.fixture(params=["public", "mainnet"])
def adopted(
    tmp_path: Path, shared: Path, postgres: Database, request: pytest.FixtureRequest
) -> GoSite:
    """A finished copy of the Go copier with its catalog, in a schema of its own or not."""
    site = go_site(tmp_path, shared / "go-copier/archive-bare")
    take_over(site, shared / "go-copier/run-pipeline")
    gocatalog.make(postgres, shared / "go-copier/run-pipeline/catalog.json", request.param)
    dsn = postgres.dsn
    if request.param != "public":
        dsn = f"postgres://bronze@/{postgres.name}?host={postgres.server.folder}"
        dsn += f"&port={postgres.server.port}&search_path={request.param}&pool_max_conns=4"
    site.settings["catalog.postgres_dsn"] = dsn
    site.settings["catalog.namespace"] = request.param
    return site


def test_the_go_copiers_dataset_and_catalog_are_taken_over(
    adopted: GoSite, postgres: Database
) -> None:
    before = digests(adopted.pas)
    run = adopted.run()
    assert run.code == 0, run.finished.message
    assert run.finished.source_bytes == 0
    assert adopted.ranges() == NAMES
    assert_one_chain(adopted, NAMES)
    assert digests(adopted.pas) == before
    schema = adopted.settings["catalog.namespace"]
    lineage = postgres.sql(
        "select id, ledger_start, prev_hash, checksum, producer_version, source_location,"
        f" storage_uri from {schema}._meta_lineage order by ledger_start"
    )
    assert [row[0] for row in lineage] == [1, 2, 3, 4, 5, 6]
    assert [row[2] for row in lineage] == [None, *[row[3] for row in lineage[:-1]]]
    assert {row[4] for row in lineage} == {"bronze-copier@v0.1.0"}
    assert {row[5] for row in lineage} == {"/srv/fixtures/archive-bare"}
    assert all(Path(row[6].removeprefix("file://")).is_file() for row in lineage)


def test_lineage_of_another_file_stops_before_anything_is_committed(
    adopted: GoSite, postgres: Database
) -> None:
    schema = adopted.settings["catalog.namespace"]
    postgres.sql(f"update {schema}._meta_lineage set checksum = 'sha256:00' where id = 3")
    run = adopted.run()
    assert run.code == 5, run.finished.message
    assert f"lineage of {NAMES[2]} in the catalog is of another file" in run.finished.message
    assert adopted.ranges() == NAMES[:2]


def test_lineage_that_was_cut_otherwise_stops_before_anything_is_built(
    adopted: GoSite, postgres: Database
) -> None:
    schema = adopted.settings["catalog.namespace"]
    postgres.sql(f"update {schema}._meta_lineage set ledger_end = ledger_start where id = 1")
    for folder in (adopted.data, adopted.pas, adopted.state):
        shutil.rmtree(folder)
    run = adopted.run()
    assert run.code == 5, run.finished.message
    assert f"partition {NAMES[0]} overlaps 982180-982180" in run.finished.message
    assert adopted.parquet() == []


def test_a_second_copier_is_refused_and_told_who_works(kept: Site, tmp_path: Path) -> None:
    """Another machine: other state and output folders, the same catalog."""
    other = Site(tmp_path / "other", kept.lake, dict(kept.settings))
    refused = []

    def listen(record: dict[str, Any]) -> None:
        if record["kind"] == "partition_committed" and not refused:
            refused.append(other.run())

    run = kept.run(listen=listen)
    assert run.code == 0, run.finished.message
    assert refused[0].code == 6
    assert "another copier works on chain testnet/first/v1" in refused[0].finished.message
    assert "process" in refused[0].finished.message
    assert other.parquet() == []


@pytest.mark.parametrize("strict", ["true", "false"])
def test_a_server_that_is_away_at_the_start_ends_the_run(
    kept: Site, postgres: Database, strict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dsn = postgres.tcp_dsn.replace(f":{postgres.server.port}/", ":9/")
    kept.settings.update({"catalog.postgres_dsn": dsn, "catalog.strict": strict})
    run = kept.run()
    assert run.code == 7
    assert "PostgreSQL 127.0.0.1:9/" in run.finished.message
    told = json.dumps(run.records) + (kept.state / "bronze.jsonl").read_text()
    assert bronze(kept, "status") == 7
    told += capsys.readouterr().err
    assert "hush" not in told
    assert kept.parquet() == []


@pytest.fixture
def rebuilt(request: pytest.FixtureRequest, small: Site) -> Iterator[tuple[Site, Any, Any]]:
    """A finished copy, its catalog (rows), and how to lose it."""
    small.settings.update({"pas.enabled": "true"})
    assert request.param in ("sqlite", "postgres")
    if request.param == "sqlite":
        path = small.state / "catalog.sqlite"
        yield small, path, path.unlink
        return
    database: Database = request.getfixturevalue("postgres")
    small.settings["catalog.postgres_dsn"] = database.dsn

    def lose() -> None:
        database.sql("drop schema public cascade")
        database.sql("create schema public")

    yield small, database, lose


BOTH = pytest.mark.parametrize("rebuilt", ["sqlite", "postgres"], indirect=True)


@BOTH
def test_a_lost_catalog_is_rebuilt_row_for_row(
    rebuilt: tuple[Site, Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    site, catalog, lose = rebuilt
    # A declared hole, filled late, gives a chain that is not in ledger order.
    spoiled = next(site.lake.rglob("*--8.xdr*"))
    good = spoiled.read_bytes()
    spoiled.write_bytes(b"junk")
    assert site.run(perf__on_failure="skip").code == 1
    spoiled.write_bytes(good)
    assert site.run(RunFlags(repair=True)).code == 0
    before, files = rows(catalog, "repaired_at"), digests(site.data) | digests(site.pas)
    assert [row["ledger_start"] for row in before["_bronze_chain"]] == [2, 10, 14, 6]
    lose()
    shutil.rmtree(site.lake)
    assert bronze(site, "catalog", "rebuild") == 0
    assert "4 partitions, 4 events taken from files, 1 declared holes" in capsys.readouterr().out
    assert rows(catalog, "repaired_at") == before
    assert digests(site.data) | digests(site.pas) == files


@BOTH
def test_a_catalog_with_rows_is_left_alone_unless_told(
    rebuilt: tuple[Site, Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    site, catalog, _ = rebuilt
    assert site.run().code == 0
    before = rows(catalog)
    assert bronze(site, "catalog", "rebuild") == 2
    assert "the catalog has 4 partitions of testnet/first/v1" in capsys.readouterr().err
    assert rows(catalog) == before
    assert bronze(site, "catalog", "rebuild", "--replace") == 0
    assert rows(catalog) == before


@BOTH
def test_events_are_never_given_up_unless_told(
    rebuilt: tuple[Site, Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    site, catalog, lose = rebuilt
    assert site.run().code == 0
    before, events = rows(catalog), digests(site.pas)
    shutil.rmtree(site.pas)
    assert bronze(site, "catalog", "rebuild", "--replace") == 2
    assert "no audit event is there" in capsys.readouterr().err
    assert rows(catalog) == before
    # The outbox has every byte of them: a run writes the folder again.
    assert site.run().code == 0
    assert digests(site.pas) == events
    last = next(site.pas.glob("*_14-17.json"))
    last.unlink()
    (site.pas / "pas-chain-heads.json").unlink()
    assert bronze(site, "catalog", "rebuild", "--replace") == 2
    assert "1 events of testnet/first/v1 stand in the catalog alone" in capsys.readouterr().err
    assert rows(catalog) == before
    lose()
    shutil.rmtree(site.pas)
    assert bronze(site, "catalog", "rebuild", "--new-chain") == 0
    assert "0 events taken from files" in capsys.readouterr().out
    assert len(rows(catalog)["_bronze_chain"]) == 4


@BOTH
def test_a_damaged_file_stops_a_rebuild(
    rebuilt: tuple[Site, Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    site, _, lose = rebuilt
    assert site.run().code == 0
    lose()
    victim = site.parquet()[1]
    victim.chmod(0o644)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    assert bronze(site, "catalog", "rebuild") == 5
    assert "committed file is damaged" in capsys.readouterr().err
