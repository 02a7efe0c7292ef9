"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scratch import give_back, prefer_memory
from servers.fixtures import (  # noqa: F401
    azure_container,
    azurite,
    fake_gcs,
    gcs_bucket,
    own_seaweed,
    s3_bucket,
    s3_folder,
    seaweed,
    web,
)

if TYPE_CHECKING:
    from servers.postgres import Database, PostgresServer

REPO = Path(__file__).resolve().parent.parent

# Before pytest makes its own folder and before any worker starts.
prefer_memory()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Memory is given back, disks keep the last sessions as pytest does; so do failures."""
    if exitstatus == 0 and not hasattr(session.config, "workerinput"):
        give_back(session.config._tmp_path_factory.getbasetemp())  # type: ignore[attr-defined]


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The verifier's memory of the tests is not that of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state-home")
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real ledgers and real output of the Go copier, where the machine has them."""
    path = Path(os.environ.get("BRONZE_SHARED", REPO.parent / "shared"))
    if not (path / "lake" / "pubnet").is_dir():
        pytest.skip(f"no sample ledgers at {path}: set BRONZE_SHARED to a folder that has them")
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of this process that leave it running."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    from servers.postgres import running_server

    with running_server() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[Database]:
    """An empty database."""
    from servers.postgres import fresh_database

    with fresh_database(postgres_server) as database:
        yield database
