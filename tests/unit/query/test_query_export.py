"""Results as files, and the queries that were run."""

from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from copying import Site

from bronze_tui.domain.errors import StoreRefused, UsageError
from bronze_tui.query.client import QueryProcess
from bronze_tui.query.export import Format, form_of, new_file, write
from bronze_tui.query.history import MOST, History

HOSTILE = (
    "select 1 as n, 'a,\"b\"\n' || chr(27) as text, 'ab'::blob as bytes, null as nothing,"
    " 170141183460469231731687303715884105727 as huge, 0.125 as fraction, 'nan'::double as nan,"
    " timestamptz '2024-01-02 03:04:05.5Z' as at, [1, 2] as list, 'infinity'::date as never"
)


def written(process: QueryProcess, sql: str, form: Format) -> bytes:
    stream = io.BytesIO()
    write(process.run(sql, 0, short=form == "table"), form, stream)
    return stream.getvalue()


def test_json(console: QueryProcess) -> None:
    text = written(console, HOSTILE, "json")
    row = json.loads(text, parse_constant=lambda name: pytest.fail(name))[0]
    assert row == {
        "n": 1,
        "text": 'a,"b"\n\x1b',
        "bytes": "6162",
        "nothing": None,
        "huge": 170141183460469231731687303715884105727,
        "fraction": 0.125,
        "nan": None,
        "at": "2024-01-02T03:04:05.500000Z",
        "list": [1, 2],
        "never": row["never"],
    }
    assert json.loads(written(console, "select 1 as a where false", "json")) == []
    assert len(json.loads(written(console, "from range(50000)", "json"))) == 50_000


def test_csv(console: QueryProcess) -> None:
    rows = list(csv.DictReader(io.StringIO(written(console, HOSTILE, "csv").decode(), newline="")))
    assert rows[0]["text"] == 'a,"b"\n\x1b'
    assert rows[0]["bytes"] == "6162"
    assert rows[0]["list"] == "[1, 2]"
    assert rows[0]["nothing"] == ""
    empty = written(console, "select 1 as a, 2 as b where false", "csv")
    assert empty.decode().strip() == '"a","b"'


def test_parquet(console: QueryProcess, kept: Site) -> None:
    data = written(console, "select * from ledgers_lcm_raw order by 1", "parquet")
    table = pq.read_table(io.BytesIO(data)).drop_columns(["range_start", "range_end"])
    assert table.to_pylist() == kept.rows()
    assert (
        pq.read_table(io.BytesIO(written(console, "select 1 a where false", "parquet"))).num_rows
        == 0
    )


def test_table(console: QueryProcess) -> None:
    text = written(
        console,
        "select 5 as n, 'x' || chr(27) || '[31m' as t union all select 10, null order by 1",
        "table",
    ).decode()
    assert text == " n  t\n--  ---------\n 5  x\\x1b[31m\n10\n"
    assert written(console, "select 1 as a where false", "table").decode() == "a\n-\n"
    assert "╭" in written(console, "explain select 1", "table").decode()


def test_a_new_file_stands_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with new_file(path, outside=[]) as stream:
        stream.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    assert not stat.S_IMODE(path.stat().st_mode) & 0o111
    with pytest.raises(OverflowError), new_file(path, outside=[]) as stream:
        stream.write(b"two" * (1 << 80))
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    assert path.read_bytes() == b"one"


def test_nothing_is_written_among_the_data(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data" / "deep")
    for path in (tmp_path / "data" / "a.csv", tmp_path / "link" / "a.csv"):
        with pytest.raises(UsageError), new_file(path, outside=[tmp_path / "data"]):
            pytest.fail("it was opened")
    with pytest.raises(StoreRefused), new_file(tmp_path / "no" / "a.csv", outside=[]):
        pytest.fail("it was opened")


def test_the_form_is_in_the_name() -> None:
    assert [form_of(Path(n)) for n in ("a.CSV", "b.json", "c.parquet")] == [
        "csv",
        "json",
        "parquet",
    ]
    with pytest.raises(UsageError):
        form_of(Path("a.xlsx"))


def test_history_keeps_each_query_once_newest_first(tmp_path: Path) -> None:
    history = History(tmp_path)
    for sql in ("select 1", "select 2", " select 1\n", ""):
        history.add(sql)
    assert History(tmp_path).queries == ["select 1", "select 2"]
    for number in range(MOST + 50):
        history.add(f"select {number}")
    assert len(History(tmp_path).queries) == MOST
    assert History(tmp_path).queries[0] == f"select {MOST + 49}"


@pytest.mark.parametrize("text", ["{", "[1, 2]", '{"a": 1}', "\xff", "[" * 100_000])
def test_a_damaged_history_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "sql-history.json").write_text(text, encoding="latin-1")
    history = History(tmp_path)
    assert history.queries == []
    history.add("select 1")
    assert History(tmp_path).queries == ["select 1"]


def test_history_without_a_folder_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "absent"):
        history = History(folder)
        history.add("select 1")
        assert history.queries == ["select 1"]
    assert list(tmp_path.iterdir()) == []
