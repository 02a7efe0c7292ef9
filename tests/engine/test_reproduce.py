"""Rebuilding as an engine: order, retries, what is in temporary space at a time."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from copying import Site

from bronze_tui.audit.data import Folder
from bronze_tui.audit.folder import verify_folder
from bronze_tui.audit.levels.unit import Unit, units_of
from bronze_tui.domain.errors import SourceUnavailable
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.engine import reproduce as one_partition
from bronze_tui.engine.reproduce import Reproduced
from bronze_tui.engine.reproductions import Limits, Work, reproduce
from bronze_tui.hooks.contracts import BatchRef, SourceInfo, SourceOptions
from bronze_tui.tables.parquet import Compression
from bronze_tui.testing.tiny_lake import write_tiny_lake

ZSTD = Compression.parse("zstd")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("site")
    write_tiny_lake(root / "lake", count=32)
    site = Site(root, root / "lake", {"era.ledger_end": 33, "era.partition_size": 4})
    assert site.run().code == 0
    return site


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setattr(one_partition, "_PAUSE", 0.0)
    return place


@dataclass
class Lake:
    """The real lake, behind a function that is called before every read."""

    lake: Path
    before: Callable[[BatchRef], None]
    source: Any = field(init=False)
    codec: str = "zstd"

    def __post_init__(self) -> None:
        from bronze_source_lake import open_lake

        self.source = open_lake(SourceOptions("lake", self.lake.as_uri()))

    def describe(self) -> SourceInfo:
        return SourceInfo("lake", "lake://here")

    def batches(self, ledgers: LedgerRange) -> Any:
        return self.source.batches(ledgers)

    def read(self, ref: BatchRef) -> bytes:
        self.before(ref)
        return bytes(self.source.read(ref))

    def tip(self) -> int | None:
        return None

    def close(self) -> None: ...


def units(site: Site) -> list[Unit]:
    return units_of(verify_folder(site.pas).chains)


def run(site: Site, before: Callable[[BatchRef], None], jobs: int = 3) -> list[Reproduced]:
    found: list[Reproduced] = []
    work = Work(
        units(site),
        Lake(site.lake, before),  # type: ignore[arg-type]
        Folder(site.data / "bronze"),
        ZSTD,
        Limits(jobs, 1 << 28, 1 << 26),
    )
    reproduce(work, found.append, lambda _: None)
    return found


def test_outcomes_come_in_order_whoever_is_first(site: Site, temporary: Path) -> None:
    """The first partition is given only when the second is done."""
    second = threading.Event()

    def before(ref: BatchRef) -> None:
        if ref.first == 2:
            assert second.wait(60)
        if ref.first == 10:
            second.set()

    found = run(site, before)
    assert [each.unit.partition.start for each in found] == list(range(2, 34, 4))
    assert {each.judgement.verdict for each in found} == {"IDENTICAL"}
    assert list(temporary.iterdir()) == []


def test_no_more_files_than_builders(site: Site, temporary: Path) -> None:
    most = 0

    def before(_: BatchRef) -> None:
        nonlocal most
        most = max(most, len(list(temporary.glob("*/*.parquet"))))

    run(site, before, jobs=2)
    assert 1 <= most <= 2


def test_a_lake_that_hesitates_is_asked_again(site: Site) -> None:
    refusals = {6: 2, 14: 1}

    def before(ref: BatchRef) -> None:
        if refusals.get(ref.first, 0):
            refusals[ref.first] -= 1
            raise SourceUnavailable("busy", where=ref.key)

    found = run(site, before)
    assert {each.judgement.verdict for each in found} == {"IDENTICAL"}
    assert not any(refusals.values())


def test_a_lake_that_is_gone_ends_it(site: Site, temporary: Path) -> None:
    """What was found before stands; nothing is said of the rest, and nothing is left behind."""
    found: list[Reproduced] = []

    def before(ref: BatchRef) -> None:
        if ref.first >= 14:
            raise SourceUnavailable("gone", where=ref.key)

    work = Work(
        units(site),
        Lake(site.lake, before),  # type: ignore[arg-type]
        Folder(site.data / "bronze"),
        ZSTD,
        Limits(1, 1 << 28, 1 << 26),
    )
    with pytest.raises(SourceUnavailable):
        reproduce(work, found.append, lambda _: None)
    assert [each.unit.partition.start for each in found] == [2, 6, 10]
    assert list(temporary.iterdir()) == []


def test_whoever_stops_listening_ends_it(site: Site, temporary: Path) -> None:
    reads: list[int] = []

    def told(_: Reproduced) -> None:
        raise KeyboardInterrupt

    work = Work(
        units(site),
        Lake(site.lake, lambda ref: reads.append(ref.first)),  # type: ignore[arg-type]
        Folder(site.data / "bronze"),
        ZSTD,
        Limits(1, 1 << 28, 1 << 26),
    )
    with pytest.raises(KeyboardInterrupt):
        reproduce(work, told, lambda _: None)
    assert list(temporary.iterdir()) == []
    assert max(reads) < 26, "the last partitions were not begun"
