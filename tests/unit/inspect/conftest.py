"""One copied dataset for all tests here, never changed; damaged ones are copies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from copying import Site
from inspecting import clone, copy_dataset, setup_of

from bronze_tui.inspect.inspector import Inspector


@pytest.fixture(scope="session")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Ledgers 2 to 65, four partitions of 16."""
    return copy_dataset(tmp_path_factory.mktemp("copied"))


@pytest.fixture
def own(copied: Site, tmp_path: Path) -> Site:
    """A copy that may be damaged."""
    return clone(copied, tmp_path)


@pytest.fixture
def inspector(copied: Site) -> Iterator[Inspector]:
    """Looks into the copied dataset, in this process."""
    made = Inspector(setup_of(copied))
    yield made
    made.close()
