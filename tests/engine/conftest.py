"""One small lake for all engine tests, never changed; damaged ones are copies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from copying import Site

from bronze_tui.testing.tiny_lake import TinyLake, write_tiny_lake

LEDGERS = 64


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
