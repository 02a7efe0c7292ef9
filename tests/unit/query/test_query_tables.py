"""What the tables show: committed rows only, whole, cheaply, and what the records say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from copying import Site
from queried import open_console, rewrite

from bronze_tui.query.client import QueryProcess
from bronze_tui.query.errors import QueryFailed
from bronze_tui.query.saved import SAVED


def rows(process: QueryProcess, sql: str) -> list[dict[str, object]]:
    return process.run(sql, 0).read_all().to_pylist()


def test_all_rows_are_there_as_the_files_have_them(kept: Site, console: QueryProcess) -> None:
    found = rows(console, "select * from ledgers_lcm_raw order by ledger_sequence")
    for row in found:
        assert row.pop("range_start") <= row["ledger_sequence"] <= row.pop("range_end")
    assert found == kept.rows()


def test_a_count_and_a_sum_do_not_read_the_xdr(own: Site) -> None:
    """The pages of xdr_bytes are destroyed, so whatever reads them fails."""
    for path in own.parquet():
        column = pq.ParquetFile(path).metadata.row_group(0).column(10)
        assert column.path_in_schema == "xdr_bytes"
        data = bytearray(path.read_bytes())
        first = column.data_page_offset
        data[first : first + column.total_compressed_size] = b"\0" * column.total_compressed_size
        path.unlink()
        path.write_bytes(data)
    with open_console(own) as process:
        assert rows(process, "select count(*) as n from ledgers_lcm_raw") == [{"n": 16}]
        result = process.run("select sum(tx_count) as n, max(close_time) from ledgers_lcm_raw")
        assert result.read_all().num_rows == 1
        assert result.columns == ("close_time", "tx_count")
        with pytest.raises(QueryFailed):
            process.run("select max(octet_length(xdr_bytes)) from ledgers_lcm_raw").read_all()
        assert rows(process, "select 1 as a") == [{"a": 1}]


def test_a_filter_on_ledgers_opens_only_the_partitions_it_needs(console: QueryProcess) -> None:
    result = console.run("select * from ledgers_lcm_raw where ledger_sequence between 7 and 8")
    assert result.read_all().num_rows == 2
    assert result.files == 1
    result = console.run("select count(*) from ledgers_lcm_raw where range_start = 10")
    assert result.read_all().column(0).to_pylist() == [4]
    assert result.files == 1


def test_a_file_without_a_commit_record_is_not_seen(own: Site) -> None:
    (own.dataset / "_commits" / "6-9.json").unlink()
    half = own.table / "range=18-21"
    half.mkdir()
    (half / "part-18-21.parquet").write_bytes(b"PAR1 half written")
    with open_console(own) as process:
        assert rows(process, "select count(*) as n from ledgers_lcm_raw") == [{"n": 12}]
        assert [
            (r["state"], r["ledger_start"], r["ledger_end"])
            for r in rows(process, "from coverage order by ledger_start")
        ] == [("committed", 2, 5), ("gap", 6, 9), ("committed", 10, 17)]


def test_what_is_committed_later_is_seen_by_the_next_query(own: Site) -> None:
    record = own.dataset / "_commits" / "14-17.json"
    kept = record.read_bytes()
    record.unlink()
    with open_console(own) as process:
        assert rows(process, "select count(*) as n from ledgers_lcm_raw") == [{"n": 12}]
        pid = process.pid
        record.write_bytes(kept)
        assert rows(process, "select count(*) as n from ledgers_lcm_raw") == [{"n": 16}]
        assert process.pid == pid


@pytest.mark.parametrize("damage", ["missing", "short", "link", "other folder"])
def test_a_committed_file_that_cannot_be_read_is_told(own: Site, damage: str) -> None:
    path = own.parquet()[1]
    if damage == "missing":
        path.unlink()
    elif damage == "short":
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:-1])
    elif damage == "link":
        path.rename(own.root / "elsewhere.parquet")
        path.symlink_to(own.root / "elsewhere.parquet")
    else:
        record = own.dataset / "_commits" / "6-9.json"
        tables = json.loads(record.read_bytes())["tables"]
        tables["ledgers_lcm_raw"]["file"] = "../range=2-5/part-2-5.parquet"
        rewrite(record, tables=tables)
    with open_console(own) as process:
        result = process.run("select count(*) as n from ledgers_lcm_raw")
        assert result.read_all().to_pylist() == [{"n": 12}]
        assert "1 committed file" in result.notes[0]
        bad = rows(process, "select ledger_start from commits where file_state <> 'ok'")
        assert bad == [{"ledger_start": 6}]


def test_records_that_are_none_are_left_out_and_told(own: Site) -> None:
    commits = own.dataset / "_commits"
    (commits / "18-21.json").write_text("{")
    (commits / "22-25.json").write_text('{"format": "other/1", "chain_key": "a/b/c"}')
    (commits / "26-29.json").write_text(
        '{"format": "bronze-commit/1", "chain_key": "a/b/c", "partition": {"start": "x"}}'
    )
    deep = '{"format": ' + "[" * 100_000
    (commits / "30-33.json").write_text(deep)
    with open_console(own) as process:
        result = process.run("select count(*) as n from ledgers_lcm_raw")
        assert result.read_all().to_pylist() == [{"n": 16}]
        for name in ("18-21", "22-25", "26-29", "30-33"):
            assert any(name in note for note in result.notes), name


def test_a_go_copiers_dataset_is_seen_through_its_manifests(own: Site) -> None:
    shutil.rmtree(own.dataset / "_commits")
    (own.table / "range=6-9" / "_manifest.json").unlink()
    with open_console(own) as process:
        assert rows(process, "select count(*) as n from ledgers_lcm_raw") == [{"n": 12}]


def test_two_eras_are_one_table(own: Site) -> None:
    other = own.dataset.parent.parent / "second" / "v2"
    shutil.copytree(own.dataset, other)
    for record in (other / "_commits").glob("*.json"):
        rewrite(record, chain_key="testnet/second/v2")
    with open_console(own) as process:
        assert rows(process, "select count(*) as n from ledgers_lcm_raw") == [{"n": 32}]
        eras = rows(process, "select distinct era_id from coverage order by 1")
        assert [row["era_id"] for row in eras] == ["first", "second"]


def test_an_empty_store_has_the_tables_and_no_rows(tmp_path: Path) -> None:
    with QueryProcess(tmp_path) as process:
        assert [t.name for t in process.schema().tables] == [
            "ledgers_lcm_raw",
            "commits",
            "manifests",
            "coverage",
            "audit_events",
        ]
        assert rows(process, "select sum(tx_count) as n from ledgers_lcm_raw") == [{"n": None}]


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with QueryProcess(tmp_path / "none") as process, pytest.raises(QueryFailed) as caught:
        process.schema()
    assert "nothing is committed here yet" in str(caught.value)


def test_commits_manifests_and_events_say_the_same(console: QueryProcess) -> None:
    tables = {
        name: rows(console, f"select ledger_start, checksum from {name} order by 1")
        for name in ("commits", "manifests", "audit_events")
    }
    assert len(tables["commits"]) == 4
    assert tables["commits"] == tables["manifests"] == tables["audit_events"]


@pytest.mark.parametrize("query", SAVED, ids=lambda query: query.name)
def test_saved_queries_run_and_find_nothing_wrong_in_a_sound_copy(
    query: object, console: QueryProcess
) -> None:
    found = rows(console, query.sql)  # type: ignore[attr-defined]
    if "empty is good" in query.summary or "against" in query.name:  # type: ignore[attr-defined]
        assert found == []
    else:
        assert found


def test_saved_queries_find_what_is_wrong(own: Site) -> None:
    saved = {query.name: query.sql for query in SAVED}
    commits = own.dataset / "_commits"
    tables = json.loads((commits / "2-5.json").read_bytes())["tables"]
    tables["ledgers_lcm_raw"]["row_count"] = 5
    rewrite(commits / "2-5.json", tables=tables)
    (own.table / "range=6-9" / "part-6-9.parquet").unlink()
    next(own.pas.glob("*10-13.json")).unlink()
    part = own.table / "range=14-17" / "part-14-17.parquet"
    copy = own.table / "range=18-21"
    copy.mkdir()
    shutil.copy(part, copy / "part-18-21.parquet")
    doc = json.loads((commits / "14-17.json").read_bytes())
    doc["partition"] = {"start": 18, "end": 21}
    doc["tables"]["ledgers_lcm_raw"]["file"] = "part-18-21.parquet"
    (commits / "18-21.json").write_text(json.dumps(doc))
    with open_console(own) as process:
        wrong = rows(process, saved["rows against commit records"])
        assert [row["ledger_start"] for row in wrong] == [2, 6, 18]
        assert len(rows(process, saved["duplicate ledgers"])) == 4
        unaudited = rows(process, saved["audit against commits"])
        assert [(r["ledger_start"], r["finding"]) for r in unaudited] == [
            (10, "no audit event"),
            (18, "no audit event"),
        ]
        other = rows(process, saved["manifests against commits"])
        assert [row["ledger_start"] for row in other] == [2, 18]
