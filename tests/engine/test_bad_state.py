"""Damaged state: what a start finds wrong in checkpoint, catalog and audit events."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from copying import Site, digests
from damage import (
    BAD_BYTES,
    RANGES,
    check_committed,
    check_halted,
    check_whole,
    delete,
    everything,
    flip,
    halve,
    put,
)

from bronze_tui.audit.folder import resolve, verify_folder

Damage = Callable[[Path], None]
HEADS = "pas-chain-heads.json"


def spoil_pages(path: Path) -> None:
    """Turn a bit in every 64 bytes of the file's second half."""
    data = bytearray(path.read_bytes())
    for offset in range(len(data) // 2, len(data), 64):
        data[offset] ^= 0x55
    put(bytes(data))(path)


def checkpoint(site: Site) -> Path:
    return site.state / "checkpoint_testnet_first_v1.json"


# Checkpoint


@pytest.mark.parametrize("damage", BAD_BYTES.values(), ids=BAD_BYTES)
def test_a_damaged_checkpoint_is_kept_aside_and_made_anew(
    half: Site, clean: dict[str, str], damage: Damage
) -> None:
    path = checkpoint(half)
    damage(path)
    spoiled = path.read_bytes()
    run = half.run()
    assert run.code == 0, run.finished.message
    [alert] = [r for r in run.of("alert") if r["component"] == "checkpoint"]
    assert str(path) in alert["message"]
    assert path.with_name(f"{path.name}.damaged").read_bytes() == spoiled
    assert json.loads(path.read_bytes())["last_committed_ledger"] == 17
    check_whole(half, clean)


def test_another_datasets_checkpoint_in_the_folder_is_left_alone(
    half: Site, clean: dict[str, str]
) -> None:
    other = half.state / "checkpoint_pubnet_first_v1.json"
    shutil.copy(checkpoint(half), other)
    before = other.read_bytes()
    check_whole(half, clean)
    assert other.read_bytes() == before


def test_another_datasets_checkpoint_under_our_name_halts(
    half: Site, clean: dict[str, str]
) -> None:
    path = checkpoint(half)
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"testnet"', b'"pubnet"'))
    before = everything(half)
    run = half.run()
    check_halted(half, run, path, "pubnet/first/v1", "testnet/first/v1")
    assert everything(half) == before
    path.write_bytes(good)
    check_whole(half, clean)


def test_a_checkpoint_ahead_of_the_output_halts(done: Site, clean: dict[str, str]) -> None:
    """The output folder is another one, or lost what it had."""
    run = done.run(
        storage__local_dir=done.root / "elsewhere",
        catalog__path=done.root / "c.db",
        pas__backup_dir=done.root / "pas2",
    )
    check_halted(done, run, checkpoint(done), "ledger 17")
    check_whole(done, clean)


# Catalog


@pytest.mark.parametrize(
    "damage", [put(b"garbage " * 1000), halve, spoil_pages], ids=["garbage", "truncated", "flipped"]
)
def test_a_damaged_catalog_halts_and_is_rebuilt_once_moved_aside(
    half: Site, clean: dict[str, str], damage: Damage
) -> None:
    before = everything(half)
    catalog = half.state / "catalog.sqlite"
    damage(catalog)
    check_halted(half, half.run(), catalog, "catalog is damaged", "move the file aside")
    assert everything(half) == before
    catalog.rename(catalog.with_suffix(".aside"))
    again = half.run(era__ledger_end=9)
    assert again.code == 0, again.finished.message
    assert everything(half) == before
    check_whole(half, clean)


def test_no_flipped_byte_of_the_catalog_does_harm(half: Site, clean: dict[str, str]) -> None:
    """Each is either found and named, or stands where it changes no event and no file."""
    catalog = half.state / "catalog.sqlite"
    good = catalog.read_bytes()
    before = everything(half)
    dice = random.Random(7)
    used = [i for i, byte in enumerate(good) if byte]
    for offset in dice.sample(used, 40):
        catalog.write_bytes(flip(good, offset, dice.randrange(8)))
        run = half.run(era__ledger_end=9)
        assert run.code in (0, 5), (offset, run.finished.message)
        if run.code:
            assert "defect" not in run.finished.message
            assert "catalog" in run.finished.message, (offset, run.finished.message)
        assert everything(half) == before, offset
    catalog.write_bytes(good)
    check_whole(half, clean)


@pytest.mark.parametrize("column", ["last_ledger_hash", "checksum", "commit_sha256"])
def test_a_catalog_that_disagrees_with_the_commit_record_halts(
    half: Site, clean: dict[str, str], column: str
) -> None:
    path = half.state / "catalog.sqlite"
    with sqlite3.connect(path) as catalog:
        catalog.execute(f"update _bronze_chain set {column} = 'sha256:00' where seq = 1")
    catalog.close()
    record = half.dataset / "_commits" / "6-9.json"
    check_halted(half, half.run(), record, "disagree", "move the catalog aside")
    path.rename(path.with_suffix(".aside"))
    check_whole(half, clean)


def test_a_catalog_of_another_schema_is_left_alone(half: Site, clean: dict[str, str]) -> None:
    path = half.state / "catalog.sqlite"
    set_version(path, "99")
    before = path.read_bytes()
    check_halted(half, half.run(), path, "schema version 99")
    assert path.read_bytes() == before
    set_version(path, "1")
    check_whole(half, clean)


def set_version(path: Path, version: str) -> None:
    catalog = sqlite3.connect(path)
    catalog.execute("update _bronze_info set value = ? where key = 'schema_version'", (version,))
    catalog.commit()
    catalog.close()


def test_an_empty_catalog_is_a_lost_one(half: Site, clean: dict[str, str]) -> None:
    before = everything(half)
    put(b"")(half.state / "catalog.sqlite")
    run = half.run(era__ledger_end=9)
    assert run.code == 0, run.finished.message
    assert [r["recovered"] for r in run.of("partition_committed")] == [True, True]
    assert everything(half) == before
    check_whole(half, clean)


def test_a_lost_catalog_is_rebuilt_with_the_same_events(done: Site, clean: dict[str, str]) -> None:
    before = everything(done)
    rows = catalog_rows(done)
    (done.state / "catalog.sqlite").unlink()
    run = done.run()
    assert run.code == 0, run.finished.message
    assert run.of("partition_started") == []
    assert everything(done) == before
    assert catalog_rows(done) == rows
    check_whole(done, clean)


def catalog_rows(site: Site) -> list[tuple[object, ...]]:
    """Chain and outbox as they must be after any recovery."""
    query = (
        "select chain_key, seq, ledger_start, ledger_end, prev_event_hash, event_hash, event,"
        " first_previous_hash, last_ledger_hash, content_hash, checksum, commit_sha256, filed"
        " from _bronze_chain order by seq"
    )
    with sqlite3.connect(site.state / "catalog.sqlite") as catalog:
        return list(catalog.execute(query))


def test_a_lost_state_folder_is_rebuilt(done: Site, clean: dict[str, str]) -> None:
    before = everything(done)
    shutil.rmtree(done.state)
    check_whole(done, clean)
    assert everything(done) == before


# Audit events


@pytest.mark.parametrize("damage", BAD_BYTES.values(), ids=BAD_BYTES)
def test_a_damaged_heads_file_is_made_anew(
    half: Site, clean: dict[str, str], damage: Damage
) -> None:
    damage(half.pas / HEADS)
    spoiled = (half.pas / HEADS).read_bytes()
    run = half.run()
    assert run.code == 0, run.finished.message
    heads = json.loads((half.pas / HEADS).read_bytes())
    assert heads == {"testnet/first/v1": half.events()[-1]["chain"]["event_hash"]}
    assert (half.pas / f"{HEADS}.damaged-1").read_bytes() == spoiled
    (half.pas / f"{HEADS}.damaged-1").unlink()
    check_whole(half, clean)


def test_a_lost_heads_file_is_made_anew(half: Site, clean: dict[str, str]) -> None:
    (half.pas / HEADS).unlink()
    check_whole(half, clean)
    assert (half.pas / HEADS).exists()


def test_a_head_of_no_event_halts(half: Site, clean: dict[str, str]) -> None:
    """The chain's tail was cut off, or the heads file is another folder's."""
    path = half.pas / HEADS
    good = path.read_bytes()
    path.write_bytes(json.dumps({"testnet/first/v1": "sha256:" + "0" * 64}).encode())
    check_halted(half, half.run(), path, "head_mismatch")
    check_committed(half, clean, RANGES[:2])
    path.write_bytes(good)
    check_whole(half, clean)


@pytest.mark.parametrize("damage", [*BAD_BYTES.values(), delete], ids=[*BAD_BYTES, "deleted"])
@pytest.mark.parametrize("name", RANGES)
def test_a_damaged_event_is_filed_again_from_the_catalog(
    done: Site, clean: dict[str, str], damage: Damage, name: str
) -> None:
    before = digests(done.pas)
    path = done.pas / f"testnet_first_v1_{name}.json"
    damage(path)
    spoiled = path.read_bytes() if path.exists() else None
    run = done.run()
    assert run.code == 0, run.finished.message
    if spoiled is not None:
        aside = path.with_name(f"{path.name}.damaged-1")
        assert aside.read_bytes() == spoiled
        aside.unlink()
    assert digests(done.pas) == before
    check_whole(done, clean)


def test_all_events_lost_are_filed_again_from_the_catalog(done: Site) -> None:
    before = digests(done.pas)
    shutil.rmtree(done.pas)
    assert done.run().code == 0
    assert digests(done.pas) == before


def test_an_edited_event_halts(half: Site, clean: dict[str, str]) -> None:
    path = half.pas / "testnet_first_v1_6-9.json"
    good = path.read_bytes()
    put(good.replace(b'"row_count": 4', b'"row_count": 5'))(path)
    assert path.read_bytes() != good
    check_halted(half, half.run(), path, "run bronze verify")
    assert not verify_folder(resolve(half.pas)).ok
    put(good)(path)
    check_whole(half, clean)


def test_a_damaged_event_whose_outbox_is_lost_too_halts(done: Site, clean: dict[str, str]) -> None:
    path = done.pas / "testnet_first_v1_6-9.json"
    good = path.read_bytes()
    put(b"")(path)
    (done.state / "catalog.sqlite").unlink()
    before = everything(done)
    run = done.run()
    assert run.code == 5, run.finished.message
    assert "the event before it, of ledgers 6-9, is not here" in run.finished.message
    assert everything(done) == before
    put(good)(path)
    check_whole(done, clean)


def test_events_of_another_chain_halt(half: Site, small: Site, clean: dict[str, str]) -> None:
    """A second copy of the same ledgers filed its events where ours are."""
    other = Site(half.root / "other", half.lake, half.settings)
    assert other.run().code == 0
    mine = half.root / "mine"
    shutil.copytree(half.pas, mine)
    shutil.rmtree(half.pas)
    shutil.copytree(other.pas, half.pas)
    run = half.run()
    assert run.code == 5, run.finished.message
    assert "is not of the catalog's chain" in run.finished.message
    shutil.rmtree(half.pas)
    shutil.copytree(mine, half.pas)
    check_whole(half, clean)
