"""Whole runs whose source counts as remote: any number of reads gives the same bytes, and the
journal says how many there were and what limited the run."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from copying import Site, digests

from bronze_source_lake.local import LocalObjects
from bronze_tui.domain.errors import SourceUnavailable
from bronze_tui.engine.limits import WORDS
from bronze_tui.testing.tiny_lake import write_tiny_lake


class Remote:
    """Makes a local lake count as remote; knows how many were reading at once, and refuses each
    ``refuse``-th object once."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.refuse = self.most = self._inside = self._asked = 0
        self._refused: set[str] = set()
        self._lock = threading.Lock()
        real = LocalObjects.read

        def read(objects: LocalObjects, key: str) -> bytes:
            self._enter(key)
            try:
                return real(objects, key)
            finally:
                with self._lock:
                    self._inside -= 1

        patch.setattr(LocalObjects, "is_local", False)
        patch.setattr(LocalObjects, "read", read)

    def _enter(self, key: str) -> None:
        with self._lock:
            self._asked += 1
            wanted = self.refuse and self._asked % self.refuse == 0 and key not in self._refused
            if wanted and key.endswith(".zst"):
                self._refused.add(key)
                raise SourceUnavailable("slow down", where=key)
            self._inside += 1
            self.most = max(self.most, self._inside)


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Remote:
    return Remote(monkeypatch)


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A copy with the lake taken as local."""
    root = tmp_path_factory.mktemp("near")
    write_tiny_lake(root / "lake", first=2, count=64)
    site = Site(root, root / "lake")
    assert site.run().code == 0
    return site


@pytest.mark.parametrize(("fetchers", "most"), [(1, 128), (3, 128), (0, 8), (0, 1)])
def test_any_number_of_reads_gives_the_same_bytes(
    near: Site, remote: Remote, tmp_path: Path, fetchers: int, most: int
) -> None:
    site = Site(tmp_path, near.lake)
    run = site.run(perf__fetchers=fetchers, perf__fetchers_max=most)
    assert run.code == 0, run.finished.message
    assert digests(site.table, "**/*.parquet") == digests(near.table, "**/*.parquet")
    told = run.of("throughput")[-1]
    assert 1 <= told["fetchers"] <= (fetchers or most)
    assert told["limited_by"] in WORDS
    assert 1 <= remote.most <= (fetchers or most)


def test_a_source_that_refuses_now_and_then_is_copied(
    near: Site, remote: Remote, tmp_path: Path
) -> None:
    remote.refuse = 30
    site = Site(tmp_path, near.lake)
    run = site.run(perf__retry_attempts=6)
    assert run.code == 0, run.finished.message
    assert run.of("partition_retried")
    assert digests(site.table, "**/*.parquet") == digests(near.table, "**/*.parquet")
