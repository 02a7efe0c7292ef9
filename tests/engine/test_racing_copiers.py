"""Another copier, with a catalog of its own, stores a partition while we build the same one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from copying import Site

from bronze_tui.engine import build
from bronze_tui.testing.tiny_lake import TinyLake

ONE = {"era.ledger_end": 5, "era.partition_size": 4, "perf.workers": 1}
FOLDER = "range=2-5"


@pytest.fixture
def other(tmp_path: Path, small_lake: TinyLake) -> Site:
    """The other copier's folders, when it is done."""
    site = Site(tmp_path / "other", small_lake.root, dict(ONE))
    assert site.run().code == 0
    return site


@pytest.fixture
def ours(tmp_path: Path, small_lake: TinyLake) -> Site:
    return Site(tmp_path / "ours", small_lake.root, dict(ONE))


def meanwhile(patch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Do it when we have just looked and found nothing."""

    def look(*args: object) -> None:
        action()

    patch.setattr(build, "find_existing", look)


def checksum(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_manifest_of_the_same_file_stays(
    ours: Site, other: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer may commit it at any moment, and names these bytes then."""
    meanwhile(monkeypatch, lambda: shutil.copytree(other.table, ours.table))
    assert ours.run().code == 0
    theirs, manifest = (s.table / FOLDER / "_manifest.json" for s in (other, ours))
    assert manifest.read_bytes() == theirs.read_bytes()
    record = json.loads((ours.dataset / "_commits" / "2-5.json").read_bytes())
    assert record["manifests"] == {"ledgers_lcm_raw": checksum(theirs)}
    assert record["created_at"] == json.loads(theirs.read_bytes())["created_at"]


def test_a_partition_that_the_other_committed_is_taken_over(
    ours: Site, other: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: shutil.copytree(other.dataset, ours.dataset, dirs_exist_ok=True))
    assert ours.run().code == 0
    record = ours.dataset / "_commits" / "2-5.json"
    assert record.read_bytes() == (other.dataset / "_commits" / "2-5.json").read_bytes()
    assert [e["partition"]["ledger_start"] for e in ours.events()] == [2]


@pytest.mark.parametrize(
    "damage", [lambda text: text.replace("sha256:", "sha256:0"), lambda _: "{"]
)
def test_a_manifest_of_another_file_is_replaced(
    ours: Site, other: Site, monkeypatch: pytest.MonkeyPatch, damage: Callable[[str], str]
) -> None:
    path = other.table / FOLDER / "_manifest.json"
    path.chmod(0o644)
    path.write_text(damage(path.read_text()))
    meanwhile(monkeypatch, lambda: shutil.copytree(other.table, ours.table))
    assert ours.run().code == 0
    manifest = json.loads((ours.table / FOLDER / "_manifest.json").read_bytes())
    facts = manifest["tables"]["ledgers_lcm_raw"]
    assert facts["checksum"] == checksum(ours.table / FOLDER / facts["file"])
