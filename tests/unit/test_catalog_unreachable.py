"""What libpq says of a connection that failed, as what happened and what to do."""

from __future__ import annotations

import pytest
from servers.postgres import Database

pytest.importorskip("psycopg", reason="psycopg is not installed")

from bronze_tui.catalog.postgres import PostgresDatabase
from bronze_tui.catalog.unreachable import BRING_BACK, away
from bronze_tui.domain.errors import CatalogUnavailable

_SERVER = 'connection failed: connection to server at "10.0.0.7", port 5432 failed: '


@pytest.mark.parametrize(
    ("cause", "what", "todo"),
    [
        (
            f'{_SERVER}FATAL: password authentication failed for user "k"',
            'PostgreSQL refuses user and password (password authentication failed for user "k")',
            "correct both",
        ),
        (
            "connection failed: fe_sendauth: no password supplied",
            "PostgreSQL refuses user and password",
            "correct both",
        ),
        (
            f'{_SERVER}FATAL: no pg_hba.conf entry for host "10.0.0.9", user "k", no encryption',
            "PostgreSQL lets nobody in from here",
            "sslmode=require",
        ),
        (f"{_SERVER}Connection refused Is it?", "PostgreSQL does not answer", "start PostgreSQL"),
        (
            "[Errno -2] Name or service not known",
            "PostgreSQL's host name is not known",
            "correct the host",
        ),
        (
            "connection timeout expired",
            "PostgreSQL does not answer (connection timeout expired)",
            BRING_BACK,
        ),
        (f"{_SERVER}FATAL: Datenbank fehlt", "PostgreSQL does not answer (Datenbank", BRING_BACK),
    ],
)
def test_a_cause_is_named(cause: str, what: str, todo: str) -> None:
    error = away(cause, "PostgreSQL h/db")
    assert error.what.startswith(what)
    assert todo in error.todo
    assert int(error.exit_code) == 7


def test_what_the_server_of_today_says(postgres: Database) -> None:
    for old, new, what in (
        (f"dbname={postgres.name}", "dbname=nowhere", "PostgreSQL has no such database"),
        ("user=bronze", "user=nobody_known", "PostgreSQL does not know this user"),
    ):
        with pytest.raises(CatalogUnavailable) as caught:
            PostgresDatabase(postgres.dsn.replace(old, new))
        assert caught.value.what.startswith(what)
