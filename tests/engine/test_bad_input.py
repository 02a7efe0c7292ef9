"""Bad ledgers: each is refused in words one can act on, and harms nothing but its partition."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from copying import Site, digests
from damage import (
    BATCH_HEAD,
    RANGES,
    bomb,
    check_committed,
    check_refused,
    check_whole,
    content,
    deep,
    five_terabytes,
    flip,
    header_offset,
    lying_frame,
    mend,
    object_bytes,
    reforge,
    reframe,
    reword,
    set_word,
    spoil,
    without_a_result,
)

from bronze_tui.testing.tiny_lake import (
    TinyLake,
    find_object,
    make_frame,
    remove,
    replace_object,
    rewrite,
    write_tiny_lake,
)

KEY = "FFFFFFF8--7.xdr.zst"
EIGHT = "FFFFFFF7--8.xdr.zst"

Damage = Callable[[Path], None]


def other_ledger(lake: Path) -> None:
    replace_object(lake, 7, object_bytes(lake, 8))


def other_ledger_in_the_right_batch(lake: Path) -> None:
    head = content(lake, 7)[:BATCH_HEAD]
    replace_object(lake, 7, make_frame(head + content(lake, 8)[BATCH_HEAD:]))


def missing(lake: Path) -> None:
    remove(lake, 7)


def folder_instead(lake: Path) -> None:
    path = remove(lake, 7)
    path.mkdir()


def pipe_instead(lake: Path) -> None:
    os.mkfifo(remove(lake, 7))


def link_out_of_the_lake(lake: Path) -> None:
    path = find_object(lake, 7)
    target = lake.parent / "elsewhere.zst"
    path.rename(target)
    path.symlink_to(target)


FRAMES = {
    "empty": (spoil(7, lambda _: b""), "FrameError", ["empty"]),
    "truncated": (spoil(7, lambda d: d[:-20]), "FrameError", ["truncated", "at byte"]),
    "magic only": (spoil(7, lambda d: d[:4]), "FrameError", ["truncated", "byte 4"]),
    "not zstd": (spoil(7, lambda _: b"<html>503</html>"), "FrameError", ["not a zstd frame"]),
    "bit flip": (spoil(7, lambda d: flip(d, len(d) // 2)), "FrameError", ["zstd frame of"]),
    "flipped checksum": (spoil(7, lambda d: flip(d, -1)), "FrameError", ["checksum"]),
    "trailing bytes": (spoil(7, lambda d: d + b"junk!"), "FrameError", ["5 trailing bytes after"]),
    "second frame": (spoil(7, lambda d: d + d), "FrameError", ["second zstd frame begins at byte"]),
    "bomb": (spoil(7, lambda _: bomb(4096)), "FrameError", ["would give", "more than 268435456"]),
    "declared too small": (
        reframe(7, lambda d: lying_frame(d, len(d) - 1)),
        "FrameError",
        ["zstd frame"],
    ),
    "declared too large": (
        reframe(7, lambda d: lying_frame(d, 60_000)),
        "FrameError",
        ["corrupt zstd frame"],
    ),
    "declares terabytes": (
        spoil(7, lambda _: five_terabytes()),
        "FrameError",
        ["5497558138880 (declared) bytes, more than 268435456"],
    ),
}

LEDGERS = {
    "flipped header": (
        reframe(7, lambda d: make_frame(flip(d, header_offset(d) + 100), checksum=False)),
        "LedgerMismatch",
        ["ledger 7", "header hash", "is not SHA-256"],
    ),
    "flipped header hash": (
        reword(7, lambda d: flip(d, header_offset(d) - 1)),
        "LedgerMismatch",
        ["ledger 7", "header hash"],
    ),
    "flipped ledger version": (
        reframe(7, lambda d: make_frame(flip(d, BATCH_HEAD), checksum=False)),
        "XdrError",
        ["unknown union arm", "at byte 12", "LedgerCloseMeta"],
    ),
    "unknown ledger version": (
        reword(7, lambda d: set_word(d, BATCH_HEAD, 3)),
        "XdrError",
        ["unknown union arm 3", "at byte 12"],
    ),
    "cut ledger": (reword(7, lambda d: d[:-8]), "XdrError", ["bytes end", "at byte"]),
    "bytes after the ledger": (
        reword(7, lambda d: d + bytes(4)),
        "XdrError",
        ["4 bytes follow the last ledger", "at byte"],
    ),
    "deep": (reword(7, deep), "XdrError", ["nested deeper than", "at byte"]),
    "long vector": (
        reword(7, lambda d: set_word(d, -4, 0xFFFFFFFF)),
        "XdrError",
        ["length 4294967295 cannot fit", "at byte"],
    ),
    "neither batch nor ledger": (
        reword(7, lambda d: b"\xff" * len(d)),
        "XdrError",
        ["neither a LedgerCloseMeta nor a batch", "at byte 0"],
    ),
    "another ledger": (other_ledger, "LedgerMismatch", ["ledgers 8-8, its name says 7-7"]),
    "another ledger in this batch": (
        other_ledger_in_the_right_batch,
        "LedgerMismatch",
        ["holds ledger 8 where 7 belongs"],
    ),
    "batch of other bounds": (
        reword(7, lambda d: set_word(set_word(d, 4, 8), 8, 2)),
        "LedgerMismatch",
        ["ledgers 7-8, its name says 7-7"],
    ),
    "results missing": (
        reword(8, without_a_result),
        "LedgerMismatch",
        ["ledger 8", "7 transactions in its set but 6 results"],
    ),
    "gap": (missing, "GapError", ["no object for ledgers 7-7"]),
}

FILES = {
    "a folder": (folder_instead, "SourceDenied"),
    "a pipe": (pipe_instead, "SourceDenied"),
    "a link out of the lake": (link_out_of_the_lake, "SourceDenied"),
}


@pytest.mark.parametrize(("damage", "error", "words"), FRAMES.values(), ids=FRAMES)
def test_bad_frames(
    small: Site,
    small_lake: TinyLake,
    clean: dict[str, str],
    damage: Damage,
    error: str,
    words: list[str],
) -> None:
    damage(small.lake)
    check_refused(small, small.run(), clean, error, KEY, *words)
    mend(small, small_lake.root)
    check_whole(small, clean)


@pytest.mark.parametrize(("damage", "error", "words"), LEDGERS.values(), ids=LEDGERS)
def test_bad_ledgers(
    small: Site,
    small_lake: TinyLake,
    clean: dict[str, str],
    damage: Damage,
    error: str,
    words: list[str],
) -> None:
    damage(small.lake)
    key = EIGHT if "ledger 8" in words else KEY
    check_refused(small, small.run(), clean, error, key, *words)
    mend(small, small_lake.root)
    check_whole(small, clean)


@pytest.mark.parametrize(("damage", "error"), FILES.values(), ids=FILES)
def test_what_is_no_plain_file(
    small: Site, small_lake: TinyLake, clean: dict[str, str], damage: Damage, error: str
) -> None:
    damage(small.lake)
    check_refused(small, small.run(), clean, error, KEY, code=7)
    mend(small, small_lake.root)
    check_whole(small, clean)


def test_the_cap_is_the_configured_one(
    small: Site, small_lake: TinyLake, clean: dict[str, str]
) -> None:
    replace_object(small.lake, 7, make_frame(bytes(1 << 22)))
    run = small.run(source__max_ledger_bytes=65536)
    check_refused(small, run, clean, "FrameError", KEY, "more than 65536")
    assert "source.max_ledger_bytes" in run.finished.message
    mend(small, small_lake.root)
    check_whole(small, clean)


def test_a_flip_that_no_hash_of_the_network_covers_shows_in_our_digests_only(
    small: Site, small_lake: TinyLake, clean: dict[str, str]
) -> None:
    """Headers cover neither meta nor state sizes: without a frame checksum only a second source
    (another lake, a rebuild) can tell, by ``xdr_sha256`` and ``content_hash``."""
    reframe(7, lambda d: make_frame(flip(d, -9), checksum=False))(small.lake)
    assert small.run().code == 0
    row = next(row for row in small.rows() if row["ledger_sequence"] == 7)
    changed = content(small.lake, 7)[BATCH_HEAD:]
    assert row["ledger_hash"] == small_lake.fact(7).ledger_hash
    assert row["xdr_sha256"] == hashlib.sha256(changed).hexdigest()
    assert row["xdr_sha256"] != small_lake.fact(7).xdr[1]
    found = digests(small.table, "**/*.parquet")
    assert [key for key in clean if found[key] != clean[key]] == ["range=6-9/part-6-9.parquet"]


@pytest.fixture(scope="session")
def fork(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """Another chain of the same ledgers."""
    return write_tiny_lake(tmp_path_factory.mktemp("fork"), first=2, count=16, seed=1)


def splice(site: Site, fork: TinyLake, first: int) -> None:
    for sequence in range(first, 18):
        replace_object(site.lake, sequence, object_bytes(fork.root, sequence))


def test_a_broken_link_inside_a_partition(
    small: Site, small_lake: TinyLake, fork: TinyLake, clean: dict[str, str]
) -> None:
    splice(small, fork, 8)
    words = [EIGHT, "ledger 8", fork.fact(7).ledger_hash, small_lake.fact(7).ledger_hash]
    check_refused(small, small.run(), clean, "LinkError", *words, "of ledger 7")
    mend(small, small_lake.root)
    check_whole(small, clean)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_broken_link_between_partitions(
    small: Site, small_lake: TinyLake, fork: TinyLake, clean: dict[str, str], workers: int
) -> None:
    splice(small, fork, 6)
    run = small.run(perf__workers=workers)
    words = ["6-9", "ledger 6", fork.fact(5).ledger_hash, small_lake.fact(5).ledger_hash]
    check_refused(small, run, clean, "LinkError", *words)
    again = small.run()
    assert again.code == 5, again.finished.message
    assert small_lake.fact(5).ledger_hash in again.finished.message
    check_committed(small, clean, RANGES[:1])
    mend(small, small_lake.root)
    check_whole(small, clean)


def test_a_broken_link_between_runs(
    small: Site, small_lake: TinyLake, fork: TinyLake, clean: dict[str, str]
) -> None:
    assert small.run(era__ledger_end=9).code == 0
    splice(small, fork, 10)
    run = small.run()
    check_refused(small, run, clean, "LinkError", "ledger 10", partition="10-13")
    mend(small, small_lake.root)
    check_whole(small, clean)


def test_a_forged_ledger_is_found_by_the_one_after_it(
    small: Site, small_lake: TinyLake, clean: dict[str, str]
) -> None:
    """Its own header hash is right and it follows its parent: only its child tells."""
    rewrite(small.lake, 7, reforge)
    run = small.run()
    check_refused(small, run, clean, "LinkError", EIGHT, small_lake.fact(7).ledger_hash)
    mend(small, small_lake.root)
    check_whole(small, clean)


@pytest.mark.parametrize("name", RANGES)
def test_what_was_built_from_a_wrong_source_and_not_committed_is_built_again(
    small: Site, fork: TinyLake, clean: dict[str, str], name: str
) -> None:
    other = Site(small.root / "other", fork.root, small.settings)
    assert other.run().code == 0
    left = small.table / f"range={name}"
    shutil.copytree(other.table / f"range={name}", left)
    check_whole(small, clean)


@pytest.mark.parametrize("name", RANGES)
def test_what_was_built_and_not_committed_is_used_although_the_source_lost_it(
    small: Site, small_lake: TinyLake, clean: dict[str, str], name: str
) -> None:
    other = Site(small.root / "other", small_lake.root, small.settings)
    assert other.run().code == 0
    shutil.copytree(other.table / f"range={name}", small.table / f"range={name}")
    first, _, last = name.partition("-")
    for sequence in range(int(first), min(int(last), 16) + 1):
        remove(small.lake, sequence)
    check_whole(small, clean)


def test_two_bad_ledgers_halt_at_the_first(
    small: Site, small_lake: TinyLake, clean: dict[str, str]
) -> None:
    remove(small.lake, 3)
    replace_object(small.lake, 16, b"")
    run = small.run(perf__workers=4)
    check_refused(small, run, clean, "GapError", "no object for ledgers 3-3", partition="2-5")
    mend(small, small_lake.root)
    check_whole(small, clean)


def test_a_retry_is_not_wasted_on_bad_bytes(small: Site) -> None:
    replace_object(small.lake, 7, b"")
    run = small.run(perf__retry_attempts=5)
    assert run.of("partition_retried") == []
