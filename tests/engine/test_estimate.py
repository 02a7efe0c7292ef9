"""How many source bytes are left, from a few objects: at once over a long line, else in turn."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from copying import Site

from bronze_source_lake.local import LocalObjects
from bronze_tui.testing.tiny_lake import write_tiny_lake

FAR = 5


@pytest.fixture
def site(tmp_path: Path) -> Site:
    lake = write_tiny_lake(tmp_path / "lake", first=2, count=64)
    return Site(tmp_path, lake.root)


def expected(site: Site) -> int:
    return int(site.run().of("run_started")[0]["bytes_expected"])


def test_a_far_source_is_sampled_at_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = expected(site)
    together = threading.Barrier(FAR)
    real = LocalObjects.read

    def read(objects: LocalObjects, key: str) -> bytes:
        if threading.current_thread().name.startswith("sample"):
            together.wait(20)  # breaks when they come one by one
        return real(objects, key)

    monkeypatch.setattr(LocalObjects, "is_local", False)
    monkeypatch.setattr(LocalObjects, "read", read)
    other = Site(tmp_path / "other", site.lake)
    assert expected(other) == near
    assert not together.broken
