"""The reading process: answers, refusals, death, cancellation, and what a plugin prints."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from copying import Site
from inspecting import KEY, rewrite, setup_of

from bronze_tui.domain.errors import BronzeError
from bronze_tui.inspect.client import InspectClient
from bronze_tui.inspect.setup import Setup

WAIT = 60.0
Make = Callable[..., InspectClient]


@pytest.fixture
def make(copied: Site) -> Iterator[Make]:
    made: list[InspectClient] = []

    def build(setup: Setup | None = None, **more: Any) -> InspectClient:
        made.append(InspectClient(setup or setup_of(copied), **more))
        return made[-1]

    yield build
    for client in made:
        client.close()
        assert client.pid is None


def test_answers_and_refusals(make: Make) -> None:
    client = make()
    assert client.submit("datasets").result(WAIT)[0]["partitions"] == 4
    rows = client.submit("rows", chain_key=KEY, start=18, offset=3, limit=2).result(WAIT)
    assert [row[0] for row in rows["rows"]] == [21, 22]
    with pytest.raises(BronzeError, match="4 partitions hold 2 to 65"):
        client.submit("ledger", chain_key=KEY, sequence=99).result(WAIT)
    with pytest.raises(BronzeError, match="unknown operation"):
        client.submit("close").result(WAIT)
    with pytest.raises(BronzeError):
        client.submit("ledger", nonsense=1).result(WAIT)
    assert client.deaths == 0


def test_killed_it_says_so_and_starts_again(make: Make) -> None:
    client = make()
    client.submit("datasets").result(WAIT)
    child = client.pid
    assert child is not None
    os.kill(child, signal.SIGSTOP)
    waiting = client.submit("ledger", chain_key=KEY, sequence=9)
    os.kill(child, signal.SIGKILL)
    with pytest.raises(BronzeError, match="ended by SIGKILL"):
        waiting.result(WAIT)
    assert client.deaths == 1
    assert client.submit("ledger", chain_key=KEY, sequence=9).result(WAIT)["row"] == 7
    assert client.pid != child


def test_a_cancelled_search_leaves_the_process_usable(make: Make, own: Site) -> None:
    client = make(setup_of(own))
    client.submit("datasets").result(WAIT)
    assert client.pid is not None
    os.kill(client.pid, signal.SIGSTOP)
    search = client.submit("find_transaction", chain_key=KEY, wanted="ab" * 32, first=2, last=65)
    assert search.cancel()
    os.kill(client.pid, signal.SIGCONT)
    assert client.submit("plugins").result(WAIT)
    assert client.deaths == 0


def test_progress_is_told(make: Make) -> None:
    told: list[dict[str, Any]] = []
    client = make()
    reply = client.submit("find_ledger", progress=told.append, prefix="ffffffff").result(WAIT)
    assert reply["found"] is None
    assert [news["done"] for news in told] == [0, 1, 2, 3]


def test_a_hung_process_is_ended(make: Make) -> None:
    client = make(command=(sys.executable, "-c", "import sys; [None for _ in sys.stdin]"))

    async def ask() -> None:
        with pytest.raises(BronzeError, match=r"no answer for 0\.2 s"):
            await client.ask("datasets", patience=0.2)

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('hello')", "ended by SIGKILL|ended with code 0"),
        ("import sys; sys.exit('out of luck')", "code 1: out of luck"),
        ("print('[1, 2]')", "ended by SIGKILL|ended with code 0"),
    ],
)
def test_a_process_that_is_not_ours(make: Make, code: str, message: str) -> None:
    client = make(command=(sys.executable, "-c", f"input(); {code}"))
    with pytest.raises(BronzeError, match=message):
        client.submit("datasets").result(WAIT)


def test_a_command_that_does_not_exist(make: Make) -> None:
    with pytest.raises(BronzeError, match="cannot be started"):
        make(command=("/nonexistent/python",)).submit("datasets").result(WAIT)


def test_closed_it_refuses_and_its_process_is_gone(copied: Site) -> None:
    client = InspectClient(setup_of(copied))
    client.submit("datasets").result(WAIT)
    child = client.pid
    client.close()
    client.close()
    assert child is not None
    assert not Path(f"/proc/{child}").exists()
    with pytest.raises(BronzeError, match="closed"):
        client.submit("datasets").result(WAIT)
    assert client.deaths == 0
    assert not [t for t in threading.enumerate() if t.name.startswith("inspect") and t.is_alive()]


def test_what_a_plugin_prints_is_not_an_answer(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "print('{}')\nbronze_hook_api = 1\nraise RuntimeError('[/boom] \\x1b[31m')\n"
    (tmp_path / "loud.py").write_text(code)
    info = tmp_path / "acme_loud-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-loud\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bronze_tui.plugins]\nloud = loud\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    client = make(Setup(allow=("loud",)))
    records = {r["name"]: r for r in client.submit("plugins").result(WAIT)}
    assert records["loud"]["status"] == "failed"
    assert records["loud"]["error"] == "RuntimeError: [/boom] \x1b[31m"


def test_it_does_not_import_from_the_folder_it_is_started_in(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    assert make().submit("datasets").result(WAIT)


def test_a_malformed_row_is_a_refusal_not_a_death(make: Make, own: Site) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = own.parquet()[0]
    table = pq.read_table(path)
    texts = pa.array(["x"] * 16)
    table = table.set_column(table.schema.get_field_index("close_time"), "close_time", texts)
    path.chmod(0o644)
    pq.write_table(table, path)
    client = make(setup_of(own))
    with pytest.raises(BronzeError, match="cannot be read"):
        client.submit("checks", chain_key=KEY, sequence=9).result(WAIT)
    assert client.submit("ledger", chain_key=KEY, sequence=20).result(WAIT)
    assert client.deaths == 0


def test_an_undecodable_ledger_is_a_refusal(make: Make, own: Site) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[6]["xdr_bytes"] = b"\0\0\0\1" + b"\x7f" * 400

    rewrite(own, 18, change)
    client = make(setup_of(own))
    with pytest.raises(BronzeError, match="refuses the XDR of ledger 24"):
        client.submit("node", chain_key=KEY, sequence=24, path=[]).result(WAIT)
    assert client.submit("node", chain_key=KEY, sequence=25, path=[]).result(WAIT)["total"] == 1
