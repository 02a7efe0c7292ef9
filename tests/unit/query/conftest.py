"""One committed dataset for all; what changes it works on a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from copying import Site
from queried import make_site, open_console

from bronze_tui.query.client import QueryProcess


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Never changed."""
    return make_site(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def own(tmp_path: Path, kept: Site) -> Site:
    """A copy that may be damaged."""
    shutil.copytree(kept.root, tmp_path / "own")
    return Site(tmp_path / "own", kept.lake, dict(kept.settings))


@pytest.fixture(scope="session")
def console(kept: Site) -> Iterator[QueryProcess]:
    """One console for the tests that leave it as it was."""
    with open_console(kept) as process:
        yield process
