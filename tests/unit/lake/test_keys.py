from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.domain.ledger import MAX_LEDGER, LedgerRange
from bronze_tui.lake.keys import (
    LakeLayout,
    infer_layout,
    parse_folder,
    parse_key,
    parse_object,
)

SEQUENCES = st.integers(0, MAX_LEDGER)
LAYOUTS = st.builds(
    LakeLayout,
    st.one_of(st.sampled_from([1, 2, 64, 100]), st.integers(1, 100_000)),
    st.one_of(st.sampled_from([1, 10, 64_000]), st.integers(1, 100_000)),
    st.sampled_from(["zst", "zstd"]),
)


@pytest.mark.parametrize(
    ("per_file", "per_folder", "sequence", "key"),
    [
        (1, 64000, 62026937, "FC4DB5FF--62016000-62079999/FC4D8B46--62026937.xdr.zst"),
        (1, 64000, 2, "FFFFFFFF--0-63999/FFFFFFFD--2.xdr.zst"),
        (1, 64000, 63999, "FFFFFFFF--0-63999/FFFF0600--63999.xdr.zst"),
        (1, 64000, 64000, "FFFF05FF--64000-127999/FFFF05FF--64000.xdr.zst"),
        (64, 10, 2, "FFFFFFFF--0-639/FFFFFFFF--0-63.xdr.zst"),
        (64, 1, 2, "FFFFFFFF--0-63.xdr.zst"),
        (1, 1, 2, "FFFFFFFD--2.xdr.zst"),
        (1, 1, 59957914, "FC6D1D65--59957914.xdr.zst"),
        (1, 64000, MAX_LEDGER, "0000D7FF--4294912000-4294967295/00000000--4294967295.xdr.zst"),
        (10, 1, MAX_LEDGER, "00000005--4294967290-4294967295.xdr.zst"),
    ],
)
def test_known_keys(per_file: int, per_folder: int, sequence: int, key: str) -> None:
    layout = LakeLayout(per_file, per_folder)
    assert layout.key(sequence) == key


def test_old_extension() -> None:
    assert LakeLayout(1, 1, "zstd").key(53312000) == "FCD285FF--53312000.xdr.zstd"


@given(LAYOUTS, SEQUENCES)
def test_a_key_names_its_ledger(layout: LakeLayout, sequence: int) -> None:
    parsed = parse_key(layout.key(sequence))
    assert parsed is not None
    assert parsed.ledgers == layout.file_range(sequence)
    assert sequence in parsed.ledgers
    assert parsed.extension == layout.extension


@given(LAYOUTS, SEQUENCES, SEQUENCES)
def test_lexicographic_order_is_newest_first(layout: LakeLayout, one: int, other: int) -> None:
    older, newer = sorted((one, other))
    assert layout.key(newer) <= layout.key(older)
    assert (layout.key(newer) == layout.key(older)) == (
        layout.file_range(newer) == layout.file_range(older)
    )


@given(LAYOUTS, SEQUENCES)
def test_a_layout_is_inferred_from_one_key(layout: LakeLayout, sequence: int) -> None:
    if layout.file_range(sequence).end == MAX_LEDGER:
        return
    folder_end = layout.folder(sequence).rpartition("-")[2].rstrip("/")
    if folder_end == str(MAX_LEDGER):
        return
    assert infer_layout([".config.json", "x/y", layout.key(sequence)]) == layout


@given(LAYOUTS, SEQUENCES, st.integers(1, 500))
def test_batches_are_the_keys_of_every_ledger(layout: LakeLayout, start: int, length: int) -> None:
    ledgers = LedgerRange(start, min(start + length - 1, MAX_LEDGER))
    refs = layout.batches(ledgers)
    assert [ref.key for ref in refs] == list(
        dict.fromkeys(layout.key(sequence) for sequence in range(ledgers.start, ledgers.end + 1))
    )
    assert refs[0].first <= ledgers.start
    assert refs[-1].last >= ledgers.end
    assert all(a.last + 1 == b.first for a, b in pairwise(refs))


def test_a_partition_of_64000_objects_is_quick() -> None:
    began = time.process_time()
    refs = LakeLayout(1, 64000).batches(LedgerRange(62016000, 62079999))
    assert len(refs) == 64000
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "name",
    [
        ".config.json",
        "FFFFFFFD--3.xdr.zst",
        "fffffffd--2.xdr.zst",
        "FFFFFFFD--02.xdr.zst",
        "FFFFFFFD--2.xdr.zst.tmp",
        "FFFFFFFD--2.xdr.gz",
        "FFFFFFFD--2.xdr",
        "FFFFFFFD--2-1.xdr.zst",
        "FFFFFFFD--2.xdr.zst\n",
        "00000000--4294967296.xdr.zst",
        "FFFFFFFD--٢.xdr.zst",
        "",
    ],
)
def test_foreign_names(name: str) -> None:
    assert parse_object(name) is None


def test_folders() -> None:
    assert parse_folder("FFFFFFFF--0-63999") == LedgerRange(0, 63999)
    assert parse_folder("FFFFFFFE--0-63999") is None
    assert parse_folder("FFFFFFFF--0") is None


def test_a_file_in_the_wrong_folder_is_foreign() -> None:
    assert parse_key("FFFF05FF--64000-127999/FFFFFFFD--2.xdr.zst") is None
    assert parse_key("deep/FFFFFFFF--0-63999/FFFFFFFD--2.xdr.zst") is None


@pytest.mark.parametrize(("per_file", "per_folder"), [(0, 1), (1, 0), (-1, 1), (1 << 32, 1)])
def test_impossible_layouts(per_file: int, per_folder: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        LakeLayout(per_file, per_folder)
    with pytest.raises(ValueError, match="extension"):
        LakeLayout(1, 1, "gz")
