"""One small lake for all engine tests, never changed; damaged ones are copies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from copying import Site, digests

from bronze_tui.testing.tiny_lake import TinyLake, write_tiny_lake

LEDGERS = 64
SMALL = {"era.ledger_end": 17, "era.partition_size": 4}


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """Ledgers 2 to 65."""
    return write_tiny_lake(tmp_path_factory.mktemp("lake"), first=2, count=LEDGERS)


@pytest.fixture
def site(tmp_path: Path, lake: TinyLake) -> Site:
    """An operator's empty folders beside the shared lake."""
    return Site(tmp_path, lake.root)


@pytest.fixture
def own_lake(tmp_path: Path, lake: TinyLake) -> Site:
    """The same with a lake of its own that may be damaged."""
    shutil.copytree(lake.root, tmp_path / "lake")
    return Site(tmp_path, tmp_path / "lake")


@pytest.fixture(scope="session")
def small_lake(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """Ledgers 2 to 17: four partitions of four."""
    return write_tiny_lake(tmp_path_factory.mktemp("small"), first=2, count=16)


@pytest.fixture
def small(tmp_path: Path, small_lake: TinyLake) -> Site:
    """An operator's empty folders beside a copy of the small lake, which may be damaged."""
    shutil.copytree(small_lake.root, tmp_path / "lake")
    return Site(tmp_path, tmp_path / "lake", dict(SMALL))


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory, small_lake: TinyLake) -> dict[str, str]:
    """SHA-256 of the Parquet files that the small lake must give."""
    site = Site(tmp_path_factory.mktemp("clean"), small_lake.root, dict(SMALL))
    run = site.run()
    assert run.code == 0, run.finished.message
    return digests(site.table, "**/*.parquet")


@pytest.fixture
def done(small: Site) -> Site:
    """A finished copy."""
    run = small.run()
    assert run.code == 0, run.finished.message
    return small


@pytest.fixture
def half(small: Site) -> Site:
    """A copy of the first two partitions."""
    run = small.run(era__ledger_end=9)
    assert run.code == 0, run.finished.message
    return small
