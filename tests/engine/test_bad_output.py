"""Damaged output: committed files, commit records and manifests that are not what they were."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from copying import Site
from damage import (
    BAD_BYTES,
    RANGES,
    check_halted,
    check_whole,
    delete,
    everything,
    flip,
    halve,
    put,
)

Damage = Callable[[Path], None]


def parquet(site: Site, name: str) -> Path:
    return site.table / f"range={name}" / f"part-{name}.parquet"


@pytest.mark.parametrize("damage", [put(b"PAR1"), halve, delete], ids=["junk", "truncated", "gone"])
@pytest.mark.parametrize("name", RANGES[:2])
def test_a_damaged_committed_file_halts(
    half: Site, clean: dict[str, str], damage: Damage, name: str
) -> None:
    path = parquet(half, name)
    good = path.read_bytes()
    damage(path)
    before = everything(half)
    check_halted(half, half.run(), path, name, "new version_label")
    assert everything(half) == before
    put_back(path, good)
    check_whole(half, clean)


def put_back(path: Path, data: bytes) -> None:
    if path.exists():
        path.chmod(0o644)
    path.write_bytes(data)


def test_a_flipped_bit_in_a_committed_file_is_found_when_the_catalog_is_rebuilt(
    done: Site, clean: dict[str, str]
) -> None:
    """With a catalog a start looks at names and sizes only; the digest is ``verify``'s work."""
    path = parquet(done, "6-9")
    good = path.read_bytes()
    put(flip(good, len(good) // 2))(path)
    assert done.run().code == 0
    (done.state / "catalog.sqlite").unlink()
    check_halted(
        done, done.run(), path, "committed file is damaged", clean["range=6-9/part-6-9.parquet"]
    )
    put(good)(path)
    check_whole(done, clean)


def test_a_deleted_commit_record_halts(half: Site, clean: dict[str, str]) -> None:
    path = half.dataset / "_commits" / "6-9.json"
    good = path.read_bytes()
    path.unlink()
    check_halted(half, half.run(), path, "commit record of 6-9 is missing")
    put_back(path, good)
    check_whole(half, clean)


@pytest.mark.parametrize("damage", BAD_BYTES.values(), ids=BAD_BYTES)
def test_a_damaged_commit_record_halts(done: Site, clean: dict[str, str], damage: Damage) -> None:
    """It is read when the catalog must be rebuilt from it."""
    path = done.dataset / "_commits" / "6-9.json"
    good = path.read_bytes()
    damage(path)
    (done.state / "catalog.sqlite").unlink()
    before = everything(done)
    check_halted(done, done.run(), path)
    assert everything(done) == before
    put(good)(path)
    check_whole(done, clean)


@pytest.mark.parametrize("damage", BAD_BYTES.values(), ids=BAD_BYTES)
def test_a_damaged_last_commit_record_halts_before_anything_is_linked_to_it(
    half: Site, clean: dict[str, str], damage: Damage
) -> None:
    path = half.dataset / "_commits" / "6-9.json"
    good = path.read_bytes()
    damage(path)
    check_halted(half, half.run(), path, "catalog and commit record of 6-9 disagree")
    put(good)(path)
    check_whole(half, clean)


def test_a_strange_file_among_the_commit_records_halts(half: Site, clean: dict[str, str]) -> None:
    path = half.dataset / "_commits" / "notes.json"
    path.write_text("{}")
    check_halted(half, half.run(), path, "move it away")
    path.unlink()
    check_whole(half, clean)


@pytest.mark.parametrize("damage", [*BAD_BYTES.values(), delete], ids=[*BAD_BYTES, "deleted"])
def test_the_manifest_of_a_committed_partition_is_never_written_again(
    half: Site, clean: dict[str, str], damage: Damage
) -> None:
    """The commit record decides; the manifest is for other readers, and ``verify`` compares it."""
    path = parquet(half, "6-9").with_name("_manifest.json")
    damage(path)
    spoiled = path.read_bytes() if path.exists() else None
    check_whole(half, clean)
    assert (path.read_bytes() if path.exists() else None) == spoiled


@pytest.mark.parametrize("damage", [*BAD_BYTES.values(), delete], ids=[*BAD_BYTES, "deleted"])
@pytest.mark.parametrize("file", ["_manifest.json", "part-6-9.parquet"])
def test_uncommitted_files_that_are_not_whole_are_built_again(
    done: Site, clean: dict[str, str], damage: Damage, file: str
) -> None:
    forget(done)
    damage(done.table / "range=6-9" / file)
    check_whole(done, clean)
    rebuilt = json.loads((done.table / "range=6-9" / "_manifest.json").read_bytes())
    assert rebuilt["partition"]["start"] == 6


def forget(site: Site) -> None:
    """Leave data files and manifests alone, as a copier that died before its first commit."""
    shutil.rmtree(site.state)
    shutil.rmtree(site.pas)
    shutil.rmtree(site.dataset / "_commits")
