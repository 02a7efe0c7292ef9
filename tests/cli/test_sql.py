"""``bronze sql``: data on stdout, everything else on stderr, documented exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from copying import Site, digests
from queried import make_site

BRONZE = [sys.executable, "-m", "bronze_tui.cli"]
Ask = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def ask(site: Site) -> Ask:
    def run(
        *args: str, stdin: bytes = b"", data: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        places = ["--data", str(site.data), "--pas", str(site.pas)] if data else []
        return subprocess.run(
            [*BRONZE, "sql", *args, *places],
            input=stdin,
            capture_output=True,
            timeout=120,
            env={**os.environ, "CONFIG_FILE": ""},
        )

    return run


def test_a_table(ask: Ask) -> None:
    done = ask("select ledger_start, row_count from commits order by 1 limit 2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == [
        "ledger_start  row_count",
        "------------  ---------",
        "           2          4",
        "           6          4",
    ]
    assert done.stderr == b""


def test_other_forms_on_stdout(ask: Ask) -> None:
    query = "select ledger_sequence, tx_count from ledgers_lcm_raw order by 1"
    rows = json.loads(ask(query, "--format", "json").stdout)
    assert [row["ledger_sequence"] for row in rows] == list(range(2, 18))
    text = ask(query, "--format", "csv").stdout.decode()
    assert [int(r["tx_count"]) for r in csv.DictReader(io.StringIO(text))] == [
        row["tx_count"] for row in rows
    ]
    table = pq.read_table(io.BytesIO(ask(query, "--format", "parquet").stdout))
    assert table.to_pylist() == rows


def test_the_query_may_come_from_stdin(ask: Ask) -> None:
    done = ask("-", "--format", "json", stdin=b"select count(*) as n from audit_events;\n")
    assert json.loads(done.stdout) == [{"n": 4}]


def test_rows_left_out_are_told_on_stderr(ask: Ask) -> None:
    done = ask("from range(20000)")
    assert len(done.stdout.splitlines()) == 10_002
    assert b"10,000 of more rows" in done.stderr
    done = ask("from range(20000)", "--limit", "0")
    assert len(done.stdout.splitlines()) == 20_002
    assert done.stderr == b""
    done = ask("from range(20000)", "--format", "csv")
    assert len(done.stdout.splitlines()) == 20_001


def test_a_file(ask: Ask, tmp_path: Path, site: Site) -> None:
    path = tmp_path / "rows.parquet"
    done = ask("from ledgers_lcm_raw", "--output", str(path))
    assert (done.returncode, done.stdout) == (0, b"")
    assert pq.read_table(path).num_rows == 16
    before = digests(site.root)
    done = ask("from coverage", "--output", str(site.data / "rows.csv"))
    assert done.returncode == 2
    assert b"inside the data" in done.stderr
    assert digests(site.root) == before


def test_a_configuration_says_where_the_data_is(ask: Ask, site: Site, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "era: {era_id: first, version_label: v1, network: testnet, ledger_start: 2,"
        " ledger_end: 17, partition_size: 4}\n"
        f"source: {{mode: local, local_path: {site.lake}}}\n"
        f"storage: {{backend: local, local_dir: {site.data}}}\n"
        f"pas: {{enabled: true, backup_dir: {site.pas}}}\n"
    )
    query = "select (select count(*) from commits) c, (select count(*) from audit_events) a"
    done = ask(query, "--config", str(config), "--format", "json", data=False)
    assert json.loads(done.stdout) == [{"c": 4, "a": 4}]
    bucket = ["--set", "storage.backend=s3", "--set", "storage.s3_bucket=b"]
    done = ask(query, "--config", str(config), *bucket, data=False)
    assert done.returncode == 2
    assert b"local stores only" in done.stderr


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["selec 1"], 2, "syntax error"),
        (["from nothing"], 2, "SHOW TABLES"),
        (["copy commits to 'x'"], 2, "COPY is refused"),
        (["select 1; select 2"], 2, "2 statements"),
        (["from read_text('/etc/passwd')"], 2, "no files"),
        (
            ["select count(*) from range(10000000) a, range(1000000) b", "--timeout", "0.5"],
            1,
            "stopped",
        ),
        (["from coverage", "--output", "x.xlsx"], 2, "unknown kind of file"),
        (["from coverage", "--config", "c.yaml"], 2, "two answers"),
        (["from coverage", "--limit", "-1"], 2, "-1"),
    ],
)
def test_what_cannot_be_answered(ask: Ask, args: list[str], code: int, said: str) -> None:
    done = ask(*args)
    assert done.returncode == code, done.stderr
    assert said in done.stderr.decode()
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) <= 2
    assert b"Traceback" not in done.stderr


def test_a_folder_that_is_not_there(ask: Ask) -> None:
    done = ask("from coverage", "--data", "/no/such/folder", data=False)
    assert done.returncode == 2
    assert b"no such folder" in done.stderr


def test_hostile_text_does_not_reach_the_terminal(ask: Ask) -> None:
    done = ask("select '[red]' || chr(27) || '[31m' || chr(8238) as \"a\tb\"")
    assert b"\x1b" not in done.stdout
    assert "\u202e" not in done.stdout.decode()
    assert b"[red]\\x1b[31m\\u202e" in done.stdout


def test_a_reader_that_goes_away(site: Site) -> None:
    child = subprocess.Popen(
        [*BRONZE, "sql", "from range(10000000)", "--format", "csv", "--data", str(site.data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b'"range"\n'
    child.stdout.close()
    assert child.wait(60) == 141
    assert child.stderr is not None
    assert child.stderr.read() == b""
    child.stderr.close()


def test_interrupt_ends_the_query_and_its_process(site: Site) -> None:
    endless = "select count(*) from range(9999999) a, range(9999999) b, range(9999999) c"
    child = subprocess.Popen(
        [*BRONZE, "sql", endless, "--data", str(site.data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    inner = wait_for_child_of(child.pid)
    child.send_signal(signal.SIGINT)
    out, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert (out, said) == (b"", b"")
    for _ in range(6_000):
        if not alive(inner):
            return
        time.sleep(0.01)
    raise AssertionError("its process goes on")


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for_child_of(pid: int) -> int:
    """The process id of its child, once there is one."""
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    if not listing.exists():
        pytest.skip("this system does not list children")
    for _ in range(6_000):
        if found := listing.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    raise AssertionError("it started no process")
