"""Rows of partitions without a screen: filter, sort, listing, and what the disk says."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any

import datasets
import journals
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.journal.run_view import view_of
from bronze_tui.tui.dataset import Place, chain_keys, listing, papers, verify
from bronze_tui.tui.widgets.partition_rows import (
    SORTS,
    PartitionRow,
    as_csv,
    as_text,
    blocks,
    parse_filter,
    sorted_rows,
)
from bronze_tui.tui.widgets.partition_table import FIRST_ROWS, Listing

MIB = 1 << 20


def row(number: int = 0, state: str = "committed", **changes: Any) -> PartitionRow:
    return PartitionRow("net/era/v1", LedgerRange(number * 10, number * 10 + 9), state, **changes)


# Filter, sort, cut: without a screen.


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [0, 1, 2, 3]),
        ("state:failed", [2]),
        ("state:FAILED", [2]),
        ("!state:failed", [0, 1, 3]),
        ("try:>1", [1]),
        ("try:>=1", [0, 1]),
        ("try:1", [0]),
        ("mb:<400", [0]),
        ("mb:>=400 !state:failed", [1]),
        ("mb:>400", []),
        ("ledger:25", [2]),
        ("gap", [2]),
        ("20-29", [2]),
        ("ab12", [1]),
        ("!ab12 !gap", [0, 3]),
        ("event:7", [1]),
        ("mb:many", [0, 1, 2, 3]),
    ],
)
def test_filter(text: str, found: list[int]) -> None:
    rows = [
        row(0, attempt=1, parquet_bytes=399 * MIB),
        row(1, attempt=3, parquet_bytes=400 * MIB, checksum="sha256:ab12", event=7),
        row(2, "failed", detail="LedgerGap"),
        row(3, "building"),
    ]
    test, problem = parse_filter(text)
    assert [i for i, r in enumerate(rows) if test(r)] == found
    assert bool(problem) == (text == "mb:many")


@given(st.text(max_size=40))
def test_no_filter_raises(text: str) -> None:
    test, problem = parse_filter(text)
    assert test(row(1, detail="[red]", checksum="sha256:00")) in (True, False)
    assert isinstance(problem, str)


@pytest.mark.parametrize("column", SORTS)
@given(st.lists(st.tuples(st.integers(0, 40), st.none() | st.integers(0, 9)), max_size=15))
def test_sort_is_total_and_unknown_comes_last(
    column: str, made: list[tuple[int, int | None]]
) -> None:
    fields = {"try": "attempt", "mb": "parquet_bytes", "range": "", "state": ""}
    field = fields.get(column, column)
    rows = {r.key: r for r in (row(n, **({field: value} if field else {})) for n, value in made)}
    for descending in (True, False):
        order = sorted_rows(rows.values(), column, descending=descending)
        assert sorted(order) == sorted(rows)
        if field:
            values = [getattr(rows[key], field) for key in order]
            known = [v for v in values if v is not None]
            assert known == sorted(known, reverse=descending)
            assert values[: len(known)] == known
        else:
            starts = [rows[key].partition.start for key in order]
            assert starts == sorted(starts, reverse=descending)


@given(st.integers(0, 500), st.integers(0, 300), st.integers(1, 70), st.integers(0, 69))
def test_blocks_tile_the_span(start: int, extra: int, size: int, origin: int) -> None:
    span = LedgerRange(start, start + extra)
    cut = list(blocks(span, size, origin))[::-1]
    assert [n for b in cut for n in range(b.start, b.end + 1)] == list(
        range(span.start, span.end + 1)
    )
    assert all((b.start - origin) % size == 0 for b in cut[1:])


def test_a_spreadsheet_runs_nothing() -> None:
    made = list(csv.DictReader(as_csv([row(0, "failed", detail="=1+1\x1b")]).splitlines()))
    assert made[0]["detail"] == "'=1+1\\x1b"
    assert made[0]["partition"] == "0-9"
    assert "state=failed" in as_text(row(0, "failed"))


# The listing.


def test_the_newest_come_first_and_the_rest_later() -> None:
    made, view = Listing(), view_of(journals.running(seconds=24))
    made.take_coverage(view)
    made.take_run(view, view.partitions)
    made.settle()
    assert FIRST_ROWS <= len(made.rows) < 2 * FIRST_ROWS
    assert made.waiting
    assert made.order[0] == f"{journals.KEY}/59650000-59659999"
    for _ in range(5):
        made.settle()
    assert not made.waiting
    assert len(made.rows) == 5_966
    assert made.order[-1] == f"{journals.KEY}/2-9999"
    assert made.holding(9_999) == made.order[-1]
    assert made.holding(10**9) is None


def test_coverage_adds_no_row_twice() -> None:
    made, view = Listing(), view_of(journals.running(seconds=60))
    made.take_run(view, view.partitions)
    for _ in range(6):
        made.take_coverage(view)
        made.settle()
    covered = sorted(r.partition for r in made.rows.values())
    assert all(a.end < b.start for a, b in itertools.pairwise(covered))


def test_a_journal_may_claim_what_it_likes() -> None:
    tape = journals.Tape(size=1)
    tape.start(5)
    tape.records[1]["committed"] = ["2-4294967295"]
    made = Listing()
    made.take_coverage(view_of(tape.records))
    made.settle()
    assert len(made.rows) == FIRST_ROWS


# The disk.


def place(root: Path) -> Place:
    return Place(root, "bronze/", datasets.KEY)


def test_the_disk_is_listed(data: Path) -> None:
    (data / "bronze/testnet/first/v1/_commits/.tmp-1").write_text("")
    (data / "bronze/testnet/first/v1/_commits/9-1.json").write_text("")
    assert chain_keys(data, "bronze/") == [datasets.KEY]
    assert chain_keys(data / "none", "") == []
    found = [(f.partition, f.state) for f in listing(place(data))]
    assert found == [(datasets.partition(n), "hole" if n == 2 else "committed") for n in range(5)]


def test_a_go_copiers_dataset_is_listed_by_manifests(tmp_path: Path) -> None:
    datasets.commit(tmp_path, 0, record=False)
    datasets.commit(tmp_path, 1, record=False)
    assert [f.partition for f in listing(place(tmp_path))] == [
        datasets.partition(0),
        datasets.partition(1),
    ]
    found = papers(place(tmp_path), datasets.partition(0))
    assert found.of == "manifest"
    assert verify(place(tmp_path), datasets.partition(0), _quiet, _never).problems == ()


def test_files_beside_commit_records_are_no_partitions(data: Path) -> None:
    datasets.commit(data, 7, record=False)
    assert datasets.partition(7) not in [f.partition for f in listing(place(data))]


def test_papers_say_what_is_written(data: Path) -> None:
    found = papers(place(data), datasets.partition(0))
    assert found.raw is not None
    assert (found.of, found.epoch, found.producer) == (
        "commit record",
        3,
        "bronze-tui 0.1.0 git 1f2e3d4",
    )
    assert papers(place(data), datasets.partition(2)).hole_reason == "[red] ledger 23 is missing"
    assert papers(place(data), datasets.partition(9)).of == ""


def test_a_damaged_record_is_a_problem_not_an_error(data: Path) -> None:
    path = data / datasets.LAYOUT.commit_record(datasets.partition(0))
    for bad in (b"{", b"[]", b'{"format": "bronze-commit/1"}', b"\xff", b"x" * (5 << 20)):
        path.write_bytes(bad)
        assert papers(place(data), datasets.partition(0)).problem
        assert verify(place(data), datasets.partition(0), _quiet, _never).problems


@pytest.mark.parametrize("key", ["../../etc/x", "a/b", "a/b/c/d", "a/../c", "A/b/c", ""])
def test_a_chain_key_cannot_leave_the_folder(data: Path, key: str) -> None:
    with pytest.raises(Exception, match="not a dataset's name"):
        listing(Place(data, "bronze/", key))


def test_verification_names_what_differs(data: Path) -> None:
    told: list[float] = []
    good = verify(place(data), datasets.partition(0), told.append, _never)
    assert good.problems == ()
    assert good.against == "commit record"
    assert told[-1] == 1.0
    path = datasets.commit(data, 0)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert "sha256" in verify(place(data), datasets.partition(0), _quiet, _never).problems[0]
    path.write_bytes(b"")
    assert "bytes" in verify(place(data), datasets.partition(0), _quiet, _never).problems[0]
    path.unlink()
    assert (
        "cannot be read" in verify(place(data), datasets.partition(0), _quiet, _never).problems[0]
    )
    manifest = data / datasets.LAYOUT.manifest("ledgers_lcm_raw", datasets.partition(1))
    manifest.write_bytes(manifest.read_bytes() + b" ")
    problems = verify(place(data), datasets.partition(1), _quiet, _never).problems
    assert problems == ("manifest of ledgers_lcm_raw is not the one that was committed",)


def test_a_verification_can_be_cancelled(data: Path) -> None:
    check = verify(place(data), datasets.partition(0), _quiet, lambda: True)
    assert check.problems == ("not finished: it was cancelled",)


def _quiet(fraction: float) -> None:
    return None


def _never() -> bool:
    return False
