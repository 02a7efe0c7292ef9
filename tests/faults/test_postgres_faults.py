"""The real command while its PostgreSQL is crashed, killed, cut off and started again: nothing is
lost or doubled, lenient runs wait, strict ones give up."""

from __future__ import annotations

import itertools
import json
import os
import random
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import copying
from copying import Site
from invariants import check, partition_digests
from servers.postgres import Database, PostgresServer, fresh_database, running_server
from servers.proxy import CommitProxy, SilentProxy, When

from bronze_tui.audit.folder import resolve, verify_folder
from bronze_tui.testing.tiny_lake import write_tiny_lake

GATED = Path(__file__).with_name("gated.py")
SIZE = 2


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that may be crashed: no other test works with it."""
    with running_server() as made:
        yield made


@pytest.fixture
def database(server: PostgresServer) -> Iterator[Database]:
    with fresh_database(server) as made:
        yield made


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ledgers 2 to 41: twenty partitions."""
    return write_tiny_lake(tmp_path_factory.mktemp("lake"), first=2, count=40).root


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, lake: Path) -> dict[str, str]:
    site = a_site(tmp_path_factory.mktemp("clean"), lake)
    assert site.run().code == 0
    return partition_digests(site)


def a_site(root: Path, lake: Path, **settings: Any) -> Site:
    fixed = {"era.ledger_end": 41, "era.partition_size": SIZE, "perf.workers": 2}
    return Site(root, lake, {**fixed, **{k.replace("__", "."): v for k, v in settings.items()}})


@pytest.fixture
def site(tmp_path: Path, lake: Path, database: Database) -> Site:
    return a_site(tmp_path, lake, catalog__postgres_dsn=database.dsn)


def whole(site: Site, clean: dict[str, str]) -> None:
    assert check(site, after_recovery=True, clean=clean) == []
    report = verify_folder(resolve(site.pas))
    assert report.ok, report


def alerts(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (r["level"], r["message"])
        for r in records
        if r["kind"] == "alert" and r["component"] == "catalog"
    ]


@pytest.mark.parametrize("how", ["crash", "kill"])
def test_a_run_survives_the_servers_end(
    site: Site, server: PostgresServer, clean: dict[str, str], how: str
) -> None:
    seed = int(os.environ.get("BRONZE_SEED") or secrets.randbelow(1 << 32))
    print(f"BRONZE_SEED={seed}")
    rng = random.Random(seed)
    with copying(site) as copy:
        for _ in range(4):
            for _ in range(rng.randint(1, 12)):
                next(copy.lines(), None)
            getattr(server, how)()
            server.start()
        assert copy.end() == 0, copy.records[-1]
    assert copy.records[-1]["outcome"] == "done"
    whole(site, clean)
    assert site.run().finished.partitions_committed == 0


def test_a_lenient_run_waits_says_so_and_builds_no_more_than_its_window(
    site: Site, server: PostgresServer, clean: dict[str, str]
) -> None:
    site.settings["perf.queue_size"] = 2
    with copying(site) as copy:
        copy.read("partition_committed")
        server.crash()
        try:
            away = copy.read("alert", component="catalog")
            assert away["level"] == "error"
            assert "PostgreSQL does not answer" in away["message"]
            assert "waits and tries again" in away["todo"]
            # Its figures go on while it waits, so screens see that it lives.
            copy.read("throughput")
        finally:
            server.start()
        back = copy.read("alert", component="catalog")
        assert back["level"] == "info"
        assert "answers again, after" in back["message"]
        assert copy.end() == 0
    between = copy.records[copy.records.index(away) : copy.records.index(back)]
    assert not [r for r in between if r["kind"] == "partition_committed"]
    before = [r["kind"] for r in copy.records[: copy.records.index(back)]]
    assert before.count("partition_started") - before.count("partition_committed") <= 4
    whole(site, clean)


def test_a_strict_run_gives_up_and_a_rerun_goes_on(
    site: Site, server: PostgresServer, clean: dict[str, str]
) -> None:
    site.settings.update({"catalog.strict": "true", "catalog.max_outage": "1.5"})
    with copying(site) as copy:
        copy.read("partition_committed")
        server.crash()
        try:
            code = copy.end()
        finally:
            server.start()
    assert code == 7
    final = copy.records[-1]
    assert final["kind"] == "run_finished"
    assert "PostgreSQL does not answer" in final["message"]
    assert "given up after" in final["message"]
    assert check(site, after_recovery=False) == []
    assert site.run().code == 0
    whole(site, clean)


def test_a_strict_run_survives_a_short_restart(
    site: Site, server: PostgresServer, clean: dict[str, str]
) -> None:
    site.settings.update({"catalog.strict": "true"})
    with copying(site) as copy:
        copy.read("partition_committed")
        server.crash()
        server.start()
        assert copy.end() == 0
    whole(site, clean)


def test_an_operator_can_end_a_run_that_waits(
    site: Site, server: PostgresServer, clean: dict[str, str]
) -> None:
    """The first signal drains, and a run that drains gives up after ``max_outage``."""
    site.settings["catalog.max_outage"] = "0.2"
    with copying(site) as copy:
        copy.read("partition_committed")
        server.crash()
        try:
            copy.read("alert", component="catalog")
            copy.send(signal.SIGTERM)
            copy.read("state_changed", state="draining")
            assert copy.end() == 7
        finally:
            server.start()
    assert "PostgreSQL" in copy.records[-1]["message"]
    assert check(site, after_recovery=False) == []
    assert site.run().code == 0
    whole(site, clean)


def test_both_killed_at_once(site: Site, server: PostgresServer, clean: dict[str, str]) -> None:
    for _ in range(3):
        with copying(site) as copy:
            copy.read("partition_committed")
            server.kill()
            copy.send(signal.SIGKILL)
            copy.process.wait(timeout=60)
            server.start()
        assert check(site, after_recovery=False) == []
    assert site.run().code == 0
    whole(site, clean)


def test_a_killed_copiers_lock_is_free_for_the_next(site: Site, clean: dict[str, str]) -> None:
    for _ in range(3):
        with copying(site) as copy:
            copy.read("partition_committed")
            copy.send(signal.SIGKILL)
    with copying(site) as copy:
        assert copy.end() == 0, copy.records[-1]
    whole(site, clean)


def test_a_copier_that_lost_its_lock_commits_nothing_more(
    site: Site, database: Database, clean: dict[str, str]
) -> None:
    """Its session is ended while it builds; another copier has had the chain since."""
    with copying(site, str(GATED)) as copy:
        copy.read("partition_started")
        epoch = "update _bronze_leases set epoch = epoch + 1, owner = 'the other'"
        database.sql(epoch)
        database.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        copy.open_gate()
        assert copy.end() == 6
    assert "epoch 2, ours was 1" in copy.records[-1]["message"]
    assert database.sql("select count(*) from _meta_lineage") == [(0,)]
    assert site.run().code == 0
    whole(site, clean)


def test_no_secret_is_told_when_the_server_goes(
    site: Site, server: PostgresServer, database: Database, clean: dict[str, str]
) -> None:
    site.settings["catalog.postgres_dsn"] = database.tcp_dsn
    with copying(site) as copy:
        copy.read("partition_committed")
        server.crash()
        server.start()
        assert copy.end() == 0
        said = copy.complaint()
    assert alerts(copy.records)
    told = json.dumps(copy.records) + (site.state / "bronze.jsonl").read_text() + said
    assert "hush" not in told
    whole(site, clean)


def test_every_commit_may_lose_its_answer(
    site: Site, database: Database, clean: dict[str, str]
) -> None:
    """Sessions are cut around COMMIT, before or after the server did it, all through the run."""
    proxy = CommitProxy(database.server.port)
    turns = itertools.cycle(["after", "before", "after"])

    def listen(record: dict[str, Any]) -> None:
        if record["kind"] in ("partition_built", "partition_committed", "event_linked"):
            proxy.cut = next(turns)

    try:
        port = f":{database.server.port}/"
        through = database.tcp_dsn.replace(port, f":{proxy.port}/")
        run = site.run(listen=listen, catalog__postgres_dsn=through)
    finally:
        proxy.close()
    assert run.code == 0, run.finished.message
    assert proxy.cuts >= 20
    whole(site, clean)


@pytest.fixture
def proxy(server: PostgresServer) -> Iterator[SilentProxy]:
    made = SilentProxy(server.port)
    yield made
    made.close()


@pytest.fixture
def silenced(site: Site, proxy: SilentProxy, database: Database) -> Site:
    """A site whose PostgreSQL may fall silent."""
    through = database.tcp_dsn.replace(f":{database.server.port}/", f":{proxy.port}/")
    # libpq takes no less than 2 seconds.
    site.settings["catalog.postgres_dsn"] = f"{through}?connect_timeout=2"
    site.settings["catalog.timeout"] = 0.5
    return site


def stand_once(database: Database, most: int) -> None:
    """No row of the catalog is there twice, whatever arrived late."""
    for table, keys in (("_bronze_chain", "seq"), ("_meta_lineage", "ledger_start")):
        rows, distinct = database.sql(f"select count(*), count(distinct {keys}) from {table}")[0]
        assert rows == distinct <= most


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lenient_run_outlasts_a_server_that_takes_and_never_answers(
    silenced: Site, proxy: SilentProxy, database: Database, clean: dict[str, str], when: When
) -> None:
    with copying(silenced) as copy:
        copy.read("partition_committed")
        proxy.arm(when)
        away = copy.read("alert", component="catalog")
        assert proxy.fell_silent.is_set()
        assert f"127.0.0.1:{proxy.port}/{database.name}" in away["message"]
        assert "took the connection and said nothing for 0.5 s" in away["message"]
        proxy.release()
        back = copy.read("alert", component="catalog")
        assert "answers again" in back["message"]
        assert copy.end() == 0
    stand_once(database, 20)
    whole(silenced, clean)
    assert silenced.run().finished.partitions_committed == 0


def test_a_commit_that_arrives_late_is_not_done_twice(
    silenced: Site, proxy: SilentProxy, database: Database, clean: dict[str, str]
) -> None:
    """The session that is stuck holds a COMMIT; the run goes on over another one meanwhile."""
    with copying(silenced) as copy:
        copy.read("partition_committed")
        proxy.arm("before", everywhere=False)
        copy.read("alert", component="catalog", level="info")
        proxy.release()
        assert copy.end() == 0
    stand_once(database, 20)
    whole(silenced, clean)


def test_a_strict_run_gives_a_silent_server_up_and_a_rerun_goes_on(
    silenced: Site, proxy: SilentProxy, database: Database, clean: dict[str, str]
) -> None:
    silenced.settings.update({"catalog.strict": "true", "catalog.max_outage": "1"})
    with copying(silenced) as copy:
        copy.read("partition_committed")
        proxy.arm("before")
        assert copy.end() == 7
    final = copy.records[-1]["message"]
    assert f"127.0.0.1:{proxy.port}/{database.name}: PostgreSQL does not answer" in final
    assert "given up after" in final
    # Its COMMIT is still on its way, and its session holds the chain's lock.
    silenced.settings["catalog.postgres_dsn"] = database.dsn
    assert check(silenced, after_recovery=False) == []
    assert silenced.run().code == 6
    proxy.release()
    assert silenced.run().code == 0
    stand_once(database, 20)
    whole(silenced, clean)


def test_a_run_does_not_start_on_a_silent_server(silenced: Site, proxy: SilentProxy) -> None:
    proxy.be_silent()
    with copying(silenced) as copy:
        assert copy.end() == 7
    assert "PostgreSQL does not answer" in copy.records[-1]["message"]
    assert silenced.parquet() == []
