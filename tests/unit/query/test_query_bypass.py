"""Every way round the console that is known: refused with a sentence, and nothing changed.

Each is tried twice: as a user would, and in a console whose courtesy gate is taken out, so that
the walls themselves are tested.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from copying import Site, digests
from queried import Ungated, open_console

from bronze_tui.domain.errors import BronzeError
from bronze_tui.query.client import QueryProcess
from bronze_tui.query.errors import QueryDied, QueryFailed, QueryRefused

SECRET = "top secret, never to be seen"

BYPASSES = {
    "copy to the store": "COPY (select 99 a) TO '{part}' (format parquet)",
    "copy to a new file": "COPY (select 99 a) TO '{new}'",
    "copy from": "COPY commits FROM '{secret}'",
    "cte copy": "WITH x AS (COPY (select 99 a) TO '{part}' (format parquet)) SELECT 1",
    "cte insert": "WITH x AS (INSERT INTO scratch VALUES (1) RETURNING *) FROM x",
    "cte update": "WITH x AS (UPDATE scratch SET a = 2 RETURNING *) FROM x",
    "cte delete": "WITH x AS (DELETE FROM scratch RETURNING *) FROM x",
    "explain analyze copy": "EXPLAIN ANALYZE COPY (select 99 a) TO '{part}' (format parquet)",
    "create": "CREATE TABLE scratch AS SELECT 1 a",
    "replace a table": "CREATE OR REPLACE VIEW commits AS SELECT 1 a",
    "attach": "ATTACH '{new}' AS other",
    "attach sqlite": "ATTACH '{state}' AS other (TYPE sqlite)",
    "install": "INSTALL httpfs",
    "load": "LOAD httpfs",
    "load a file": "LOAD '{new}'",
    "set": "SET enable_external_access = true",
    "set lock": "SET lock_configuration = false",
    "reset": "RESET enable_external_access",
    "pragma": "PRAGMA enable_external_access = true",
    "pragma profiling": "PRAGMA enable_profiling",
    "logging": "SELECT * FROM enable_logging(storage_path = '{new}')",
    "read_text": "SELECT * FROM read_text('{secret}')",
    "read_blob": "SELECT * FROM read_blob('{secret}')",
    "read_csv": "SELECT * FROM read_csv('{secret}')",
    "read_json": "SELECT * FROM read_json('{secret}')",
    "read_parquet": "SELECT * FROM read_parquet('{part}')",
    "uncommitted file": "SELECT * FROM '{part}'",
    "parquet_metadata": "SELECT * FROM parquet_metadata('{part}')",
    "glob": "SELECT * FROM glob('/etc/*')",
    "sniff_csv": "SELECT * FROM sniff_csv('{secret}')",
    "query": "SELECT * FROM query('select * from read_text(''{secret}'')')",
    "query_table": "SELECT * FROM query_table('{secret}')",
    "file as table": "SELECT * FROM '{secret}'",
    "etc": "SELECT * FROM read_text('/etc/passwd')",
    "dots": "SELECT * FROM read_text('{data}/../secret.txt')",
    "symlink out": "SELECT * FROM read_text('{link}')",
    "http": "SELECT * FROM read_parquet('http://127.0.0.1:9/x.parquet')",
    "https": "SELECT * FROM 'https://127.0.0.1:9/x.csv'",
    "s3": "SELECT * FROM 's3://bucket/x.parquet'",
    "secret": "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
    "python variable": "SELECT * FROM datasets",
    "python variable of main": "SELECT * FROM answers",
    "export": "EXPORT DATABASE '{new}'",
    "import": "IMPORT DATABASE '{data}'",
    "environment": "SELECT getenv('HOME')",
}


@pytest.fixture(scope="module")
def places(kept: Site) -> dict[str, str]:
    (kept.root / "secret.txt").write_text(SECRET)
    link = kept.data / "link.txt"
    link.symlink_to(kept.root / "secret.txt")
    return {
        "part": str(kept.parquet()[0]),
        "new": str(kept.data / "bronze" / "new.bin"),
        "data": str(kept.data),
        "secret": str(kept.root / "secret.txt"),
        "link": str(link),
        "state": str(kept.state / "catalog.sqlite"),
    }


@pytest.fixture(scope="module")
def ungated(kept: Site) -> Iterator[QueryProcess]:
    with open_console(kept, Ungated) as process:
        yield process


@pytest.mark.parametrize("name", BYPASSES)
@pytest.mark.parametrize("gate", ["gated", "ungated"])
def test_bypass(
    name: str,
    gate: str,
    kept: Site,
    console: QueryProcess,
    ungated: QueryProcess,
    places: dict[str, str],
) -> None:
    before = digests(kept.root)
    process = console if gate == "gated" else ungated
    sql = BYPASSES[name].format(**places)
    with pytest.raises((QueryRefused, QueryFailed)) as caught:
        process.run(sql).read_all()
    assert not isinstance(caught.value, QueryDied)
    assert len(str(caught.value)) > 10
    assert SECRET not in str(caught.value)
    assert digests(kept.root) == before
    assert process.run("select count(*) as n from commits").read_all().to_pylist() == [{"n": 4}]


def test_what_a_console_is_told_to_forget_it_forgets(ungated: QueryProcess) -> None:
    for sql in ("CREATE TEMP TABLE t AS SELECT 1 a", "DROP VIEW commits", "BEGIN", "COMMIT"):
        with suppress(BronzeError):
            ungated.run(sql).read_all()
    tables = ungated.run("show tables").read_all().column("name").to_pylist()
    assert tables == ["audit_events", "commits", "coverage", "ledgers_lcm_raw", "manifests"]


@pytest.mark.parametrize(
    "sql",
    [
        "with recursive x as (select 1 a union all select a + 1 from x) select count(*) from x",
        "select count(*) from range(10000000) a, range(1000000) b, range(100000) c",
        "select max(length(x)) from (select repeat('x', 500000000) || a x from range(1000) t(a))",
    ],
)
def test_what_never_ends_is_ended(kept: Site, sql: str) -> None:
    with open_console(kept, seconds=1.0) as process:
        begin = time.monotonic()
        with pytest.raises(QueryFailed) as caught:
            process.run(sql).read_all()
        assert time.monotonic() - begin < 60
        assert "the most it may take" in str(caught.value) or "memory" in str(caught.value)
        assert process.run("select 1 as a").read_all().num_rows == 1


def test_the_child_has_no_secret_and_no_way_to_write(
    kept: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with open_console(kept) as process:
        walls = process.schema().walls
        assert "no file may grow" in walls
        environment = Path(f"/proc/{process.pid}/environ")
        if environment.exists():
            assert SECRET.encode() not in environment.read_bytes()
            status = Path(f"/proc/{process.pid}/status").read_text()
            assert "NoNewPrivs:\t1" in status
            limits = Path(f"/proc/{process.pid}/limits").read_text()
            row = next(line for line in limits.splitlines() if line.startswith("Max file size"))
            assert row.split()[3:5] == ["0", "0"]
            assert Path(f"/proc/{process.pid}/cwd").readlink() == Path("/")
