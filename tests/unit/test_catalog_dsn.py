"""PostgreSQL connection strings: what is understood, and that no secret is ever shown."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from servers.postgres import PASSWORD, Database

pytest.importorskip("psycopg", reason="psycopg is not installed")

from bronze_tui.catalog.dsn import parse
from bronze_tui.catalog.postgres import PostgresDatabase
from bronze_tui.domain.errors import CatalogUnavailable, ConfigError


@pytest.mark.parametrize(
    "dsn",
    [
        "postgres://user:hu@sh/x@host/db",
        "postgres://user:hush@host:port/db",
        "postgres://user:hush%zz@host/db",
        "host=h password='hush",
        "host=h password=hush nonsense=1",
        "postgres://user:hush@[::1/db",
        "postgres://user:1/hush@host/db",
        "postgres://user:hu/sh@host/db",
    ],
)
def test_a_malformed_string_is_refused_without_being_shown(dsn: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(dsn)
    assert str(caught.value).startswith("catalog.postgres_dsn: ")
    told = "".join(traceback.format_exception(caught.value))
    assert "hu" not in told.replace(str(Path(__file__).parents[2]), "")


def test_the_go_copiers_connection_settings_are_understood() -> None:
    address = parse(
        "postgres://u:p@h:5433/db?sslmode=disable&pool_max_conns=5&search_path=a,b%20c"
        "&statement_timeout=5000"
    )
    assert address.options["sslmode"] == "disable"
    assert address.options["options"] == r"-c search_path=a,b\ c -c statement_timeout=5000"
    assert "pool_max_conns" not in address.options
    assert address.where == "PostgreSQL h:5433/db"
    assert address.clean("u:p said p") == "u:*** said ***"


def test_a_wrong_password_is_unreachable_and_not_told(postgres: Database) -> None:
    from urllib.parse import quote

    encoded = quote(PASSWORD, safe="")
    with pytest.raises(CatalogUnavailable, match="refuses user and password") as caught:
        PostgresDatabase(postgres.tcp_dsn.replace(encoded, encoded + "x"))
    assert int(caught.value.exit_code) == 7
    assert PASSWORD not in str(caught.value)
    assert encoded not in str(caught.value)
    PostgresDatabase(postgres.tcp_dsn).close()
