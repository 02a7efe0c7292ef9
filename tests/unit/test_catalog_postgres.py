"""What only the PostgreSQL catalog does: adoption, migrations, leases, lost sessions and lost
acknowledgements."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gocatalog
import pytest
from catalogs import ERA, Chain
from servers.postgres import Database

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

from servers.proxy import CommitProxy, SilentProxy  # noqa: E402

from bronze_tui.catalog import migrations  # noqa: E402
from bronze_tui.catalog.outage import Patience  # noqa: E402
from bronze_tui.catalog.postgres import PostgresDatabase  # noqa: E402
from bronze_tui.catalog.store import Catalog  # noqa: E402
from bronze_tui.domain.errors import (  # noqa: E402
    BronzeError,
    CatalogUnavailable,
    LockedError,
    StateError,
    StoreRefused,
)
from bronze_tui.domain.events import Alert  # noqa: E402
from bronze_tui.domain.ledger import LedgerRange  # noqa: E402

FIRST, SECOND = LedgerRange(2, 11), LedgerRange(12, 21)


@pytest.fixture
def proxy(postgres: Database) -> Iterator[CommitProxy]:
    made = CommitProxy(postgres.server.port)
    yield made
    made.close()


def through(proxy: CommitProxy, database: Database) -> str:
    return database.tcp_dsn.replace(f":{database.server.port}/", f":{proxy.port}/")


class Alerts(list[Alert]):
    """What was said, and how long to be patient."""

    def patience(self, limit: float | None = 30.0) -> Patience:
        return Patience(limit=lambda: limit, say=self.append, wait=lambda _: time.sleep(0.005))


def test_a_role_without_rights_is_told_what_it_needs(postgres: Database) -> None:
    postgres.sql("create role poor login")
    postgres.sql("revoke create on schema public from public")
    try:
        database = PostgresDatabase(postgres.dsn.replace("user=bronze", "user=poor"))
        with pytest.raises(StoreRefused, match="let the role use and create tables"):
            Catalog(database)
    finally:
        postgres.sql("drop role poor")


# The Go copier's tables


def overlapping() -> dict[str, Any]:
    return {
        "dataset_id": 1,
        "ledger_start": 982183,
        "ledger_end": 982190,
        "row_count": 8,
        "byte_size": 1,
        "checksum": "sha256:x",
        "storage_path": "p",
        "producer_version": "bronze-copier@v0.1.0",
    }


def go_rows(shared: Path) -> Path:
    return shared / "go-copier" / "run-pipeline" / "catalog.json"


@pytest.mark.parametrize("schema", ["public", "mainnet"])
def test_the_go_copiers_tables_are_adopted(postgres: Database, shared: Path, schema: str) -> None:
    gocatalog.make(postgres, go_rows(shared), schema)
    before = postgres.sql(f"select * from {schema}._meta_lineage order by id")
    dsn = f"{postgres.dsn} options='-c search_path={schema}'"
    Catalog(PostgresDatabase(dsn)).close()
    assert len(before) == 6
    assert postgres.sql(f"select * from {schema}._meta_lineage order by id") == before
    assert postgres.sql("select schemaname from pg_tables where tablename = '_bronze_chain'") == [
        (schema,)
    ]
    version = postgres.sql(f"select value from {schema}._bronze_info where key = 'schema_version'")
    assert version == [(str(migrations.LATEST),)]
    with pytest.raises(psycopg.errors.ExclusionViolation):
        gocatalog.insert(postgres, f"{schema}._meta_lineage", overlapping())


def test_columns_that_an_older_go_copier_lacks_are_added(postgres: Database) -> None:
    gocatalog.make(postgres)
    postgres.sql("drop view _meta_coverage")
    postgres.sql("alter table _meta_lineage drop column prev_hash, drop column storage_uri")
    chain = Chain(PostgresDatabase(postgres.dsn))
    chain.commit(chain.row(FIRST))
    assert postgres.sql("select storage_uri from _meta_lineage") == [("file:///x",)]
    chain.catalog.close()


def test_lineage_that_overlaps_is_refused_and_left_alone(postgres: Database, shared: Path) -> None:
    gocatalog.make(postgres, go_rows(shared))
    gocatalog.insert(postgres, "_meta_lineage", overlapping())
    with pytest.raises(StateError, match="982180-982183 and 982183-982190 overlap") as caught:
        Catalog(PostgresDatabase(postgres.dsn))
    assert "testnet/p23_plus/v1" in str(caught.value)
    assert "delete the other's row" in caught.value.todo
    assert postgres.sql("select tablename from pg_tables where tablename like '\\_bronze%'") == []


def test_a_strangers_table_is_refused(postgres: Database) -> None:
    postgres.sql("create table _meta_datasets (id serial primary key, name text)")
    with pytest.raises(StateError, match="it is not the Go copier's"):
        Catalog(PostgresDatabase(postgres.dsn))


# Migrations


def test_two_copiers_that_start_together_migrate_once(postgres: Database) -> None:
    databases = [PostgresDatabase(postgres.dsn) for _ in range(4)]
    taken: list[list[int]] = []
    ready = threading.Barrier(len(databases))

    def start(database: PostgresDatabase) -> None:
        ready.wait(60)
        taken.append([step.version for step in migrations.migrate(database)])

    threads = [threading.Thread(target=start, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(taken) == len(databases)
    assert sorted(version for each in taken for version in each) == [
        step.version for step in migrations.STEPS
    ]
    for database in databases:
        database.close()


def test_a_step_that_fails_leaves_nothing(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(c: Any, database: Any) -> None:
        c.exec_driver_sql("create table half (a int)")
        raise StateError("no")

    steps = (migrations.STEPS[0], migrations.Step(2, "breaks", broken))
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", steps)
        with pytest.raises(StateError, match="no"):
            Catalog(PostgresDatabase(postgres.dsn))
    assert postgres.sql("select value from _bronze_info") == [("1",)]
    assert postgres.sql("select 1 from pg_tables where tablename = 'half'") == []
    Catalog(PostgresDatabase(postgres.dsn)).close()
    assert postgres.sql("select value from _bronze_info") == [(str(migrations.LATEST),)]


def test_a_newer_schema_is_refused(postgres: Database) -> None:
    Catalog(PostgresDatabase(postgres.dsn)).close()
    postgres.sql("update _bronze_info set value = '99'")
    with pytest.raises(StateError, match="schema version 99"):
        Catalog(PostgresDatabase(postgres.dsn))


# Leases


def test_a_living_copier_is_named(postgres: Database) -> None:
    chain = Chain(PostgresDatabase(postgres.dsn))
    other = Catalog(PostgresDatabase(postgres.dsn))
    with pytest.raises(LockedError, match=r"another copier works on chain net/era/v1: me, since 2"):
        other.take_lease(ERA.chain_key, "other")
    chain.catalog.close()
    assert other.take_lease(ERA.chain_key, "other") == chain.epoch + 1
    other.close()


def end_sessions(postgres: Database) -> None:
    killed = postgres.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert killed


@pytest.mark.parametrize("notice", ["beat", "commit"])
def test_a_copier_whose_session_was_ended_is_fenced_by_the_next(
    postgres: Database, notice: str
) -> None:
    chain = Chain(PostgresDatabase(postgres.dsn))
    row = chain.row(FIRST)
    end_sessions(postgres)
    other = Catalog(PostgresDatabase(postgres.dsn))
    assert other.take_lease(ERA.chain_key, "the other") == 2
    with pytest.raises(LockedError, match="the other"):
        chain.catalog.beat() if notice == "beat" else chain.commit(row)
    other.close()
    # The other has gone since: its epoch still fences.
    with pytest.raises(LockedError, match="epoch 2, ours was 1"):
        chain.catalog.beat() if notice == "beat" else chain.commit(row)
    assert postgres.sql("select count(*) from _meta_lineage") == [(0,)]
    chain.catalog.close()


def test_a_session_that_was_ended_is_made_again_with_its_lock(postgres: Database) -> None:
    chain = Chain(PostgresDatabase(postgres.dsn))
    for partition in (FIRST, SECOND):
        end_sessions(postgres)
        chain.commit(chain.row(partition))
    end_sessions(postgres)
    chain.catalog.beat()
    other = Catalog(PostgresDatabase(postgres.dsn))
    with pytest.raises(LockedError, match="another copier works"):
        other.take_lease(ERA.chain_key, "other")
    other.close()
    chain.catalog.close()


def test_the_lock_of_a_session_that_only_we_lost_is_taken_back(
    postgres: Database, proxy: CommitProxy
) -> None:
    """The network is cut; the server has not noticed and holds the lock of the dead session."""
    chain = Chain(PostgresDatabase(through(proxy, postgres), patience=Alerts().patience()))
    holder = postgres.sql("select pid from pg_locks where locktype = 'advisory'")
    database = chain.catalog.database
    assert isinstance(database, PostgresDatabase)
    unheard, database._session = database._session, None
    chain.commit(chain.row(FIRST))
    assert postgres.sql("select pid from pg_locks where locktype = 'advisory'") != holder
    assert unheard is not None
    chain.catalog.close()


# Lost sessions and acknowledgements


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_without_an_answer_is_looked_up(
    postgres: Database, proxy: CommitProxy, when: Any
) -> None:
    alerts = Alerts()
    chain = Chain(PostgresDatabase(through(proxy, postgres), patience=alerts.patience()))
    chain.commit(chain.row(FIRST))
    proxy.cut = when
    chain.commit(chain.row(SECOND))
    assert proxy.cuts == 1
    assert postgres.sql("select seq, ledger_start from _bronze_chain order by 1") == [
        (0, 2),
        (1, 12),
    ]
    assert postgres.sql("select ledger_start from _meta_lineage order by 1") == [(2,), (12,)]
    assert postgres.sql("select count(*) from _meta_quality") == [(2,)]
    assert [alert.level for alert in alerts] == ["error", "info"]
    assert "answers again" in alerts[1].message
    chain.catalog.close()


def test_a_commit_that_is_still_on_its_way_is_waited_for(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a pooler our lost session can be neither ended nor seen by its lock: its transaction
    holds the row of the epoch, and what is looked up before it ended would be out of date."""
    proxy = SilentProxy(postgres.server.port)
    dsn = postgres.tcp_dsn.replace(f":{postgres.server.port}/", f":{proxy.port}/")
    database = PostgresDatabase(dsn, patience=Alerts().patience(), silence=1.0)
    chain = Chain(database)
    chain.commit(chain.row(FIRST))
    monkeypatch.setattr(database, "_end_backend", lambda *_: None)
    database.on_new_session(lambda _: None)

    def release() -> None:
        waits = "select 1 from pg_locks where not granted"
        while not postgres.sql(waits):
            time.sleep(0.01)
        proxy.release()

    late = threading.Thread(target=release)
    try:
        proxy.arm("before", everywhere=False)
        late.start()
        chain.commit(chain.row(SECOND))
        late.join(30)
    finally:
        proxy.close()
    found = postgres.sql("select seq, ledger_start from _bronze_chain order by 1")
    assert found == [(0, 2), (1, 12)]
    chain.catalog.close()


def test_what_is_long_but_answers_is_not_given_up(postgres: Database) -> None:
    database = PostgresDatabase(postgres.dsn, silence=1.0)
    with database.unhurried(), database.reading() as c:
        c.exec_driver_sql("select pg_sleep(2.5)")
    session = database.connection.connection.driver_connection
    assert isinstance(session, psycopg.Connection)
    with database.unhurried():
        assert not database._is_at_work(session.info.backend_pid), "it waits for us"
    rows = "select pg_sleep(0.05), repeat('x', 20000) from generate_series(1, 50)"
    with database.reading() as c:
        assert len(c.exec_driver_sql(rows).all()) == 50
    with pytest.raises(CatalogUnavailable, match="it took the connection and said nothing"):  # noqa: SIM117
        with database.reading() as c:
            c.exec_driver_sql("select pg_sleep(60)")
    with database.reading() as c:
        assert c.exec_driver_sql("select 1").scalar() == 1
    database.close()


def test_a_lock_that_is_held_is_no_silence(postgres: Database) -> None:
    chain = Chain(PostgresDatabase(postgres.dsn, silence=0.5))
    with postgres.server.connect(postgres.name) as other:
        other.execute("begin; lock table _bronze_leases in access exclusive mode")
        with pytest.raises(CatalogUnavailable, match="its tables locked by another session"):
            chain.commit(chain.row(FIRST))
    chain.catalog.close()


def do_intend(chain: Chain) -> None:
    first = chain.catalog.intend(ERA.chain_key, FIRST, "w")
    assert chain.catalog.intend(ERA.chain_key, FIRST, "w") == first


def do_lease(chain: Chain) -> None:
    chain.epoch = chain.catalog.take_lease(ERA.chain_key, "me")
    chain.commit(chain.row(FIRST))


def do_hole(chain: Chain) -> None:
    chain.commit(chain.row(FIRST))
    chain.catalog.declare_hole(chain.dataset, ERA.chain_key, SECOND, "bad", "now")
    assert [hole.partition for hole in chain.catalog.holes(ERA.chain_key)] == [SECOND]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("work", [do_intend, do_lease, do_hole])
def test_other_writes_are_repeated_without_harm(
    postgres: Database, proxy: CommitProxy, when: Any, work: Callable[[Chain], None]
) -> None:
    chain = Chain(PostgresDatabase(through(proxy, postgres), patience=Alerts().patience()))
    proxy.cut = when
    work(chain)
    assert proxy.cuts == 1
    chain.catalog.close()


def test_a_transaction_of_another_module_is_told_that_it_was_lost(
    postgres: Database, proxy: CommitProxy
) -> None:
    chain = Chain(PostgresDatabase(through(proxy, postgres), patience=Alerts().patience()))
    proxy.cut = "before"
    with pytest.raises(CatalogUnavailable) as caught, chain.catalog.transaction() as c:
        c.exec_driver_sql("insert into _bronze_info values ('a', 'b')")
    assert caught.value.retryable
    with chain.catalog.transaction() as c:
        c.exec_driver_sql("insert into _bronze_info values ('a', 'b')")
    assert postgres.sql("select value from _bronze_info where key = 'a'") == [("b",)]
    chain.catalog.close()


def test_patience_has_an_end_that_may_come_later(postgres: Database) -> None:
    """Asked before every wait: a run that is told to end gives up then."""
    waits: list[float] = []
    limit: list[float | None] = [None]

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 6:
            limit[0] = 0.0

    said = Alerts()
    patience = Patience(limit=lambda: limit[0], wait=wait, say=said.append)
    chain = Chain(PostgresDatabase(postgres.dsn, patience=patience))
    shut_out(postgres)
    with pytest.raises(CatalogUnavailable, match="not currently accepting") as caught:
        chain.commit(chain.row(FIRST))
    assert not caught.value.retryable
    assert len(waits) == 6
    for number, seconds in enumerate(waits):
        assert 0.05 * 2**number <= seconds <= 0.1 * 2**number
    assert [alert.level for alert in said] == ["error"]
    chain.catalog.close()
    with postgres.server.connect() as session:
        session.execute(f"alter database {postgres.name} allow_connections true")


def shut_out(postgres: Database) -> None:
    with postgres.server.connect() as session:
        session.execute(f"alter database {postgres.name} allow_connections false")
        session.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
            [postgres.name],
        )


def test_reading_changes_nothing(postgres: Database) -> None:
    database = PostgresDatabase(postgres.dsn, read_only=True)
    with pytest.raises(BronzeError):
        migrations.migrate(database)
    assert postgres.sql("select count(*) from pg_tables where schemaname = 'public'") == [(0,)]
    database.close()


def test_an_acknowledged_commit_is_on_the_servers_disk(postgres: Database) -> None:
    postgres.sql(f"alter database {postgres.name} set synchronous_commit = off")
    database = PostgresDatabase(postgres.dsn)
    setting = database.read(lambda c: c.exec_driver_sql("show synchronous_commit").scalar())
    assert setting == "on"
    database.close()


def test_long_work_of_a_silent_server_is_given_up_too(postgres: Database) -> None:
    proxy = SilentProxy(postgres.server.port)
    dsn = postgres.tcp_dsn.replace(f":{postgres.server.port}/", f":{proxy.port}/")
    database = PostgresDatabase(f"{dsn}?connect_timeout=2", silence=0.3)
    try:
        with database.unhurried(), database.reading() as c:
            proxy.be_silent()
            with pytest.raises(psycopg.OperationalError, match="said nothing"):
                c.connection.driver_connection.execute("select 1")  # type: ignore[union-attr]
    finally:
        proxy.close()
        database.close()
