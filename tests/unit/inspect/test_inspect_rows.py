"""Rows of a partition's file: the right ones, and no more of the file than they need."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from copying import Site
from inspecting import rewrite

from bronze_tui.domain.errors import StateError
from bronze_tui.inspect.rows import PartitionFile


@pytest.fixture
def grouped(own: Site) -> Path:
    """A partition of ledgers 18 to 33 in row groups of five."""
    rewrite(own, 18, lambda rows: None)
    return next(p for p in own.parquet() if "18-33" in p.name)


@pytest.mark.parametrize(("offset", "limit"), [(0, 16), (3, 4), (4, 2), (9, 100), (15, 1), (16, 5)])
def test_a_page_is_those_rows_whatever_the_row_groups(
    grouped: Path, offset: int, limit: int
) -> None:
    file = PartitionFile(grouped)
    rows = file.page(offset, limit)
    assert [r["ledger_sequence"] for r in rows] == list(range(18, 34))[offset : offset + limit]
    file.close()


def test_every_ledger_is_found_with_its_own_bytes(grouped: Path) -> None:
    file = PartitionFile(grouped)
    for sequence in range(18, 34):
        row = file.row_of(sequence)
        assert row == sequence - 18
        facts = file.facts(row)
        assert facts["ledger_sequence"] == sequence
        assert sha256(file.xdr(row)).hexdigest() == facts["xdr_sha256"]
    assert file.row_of(17) is None
    assert file.row_of(34) is None
    file.close()


def test_facts_and_pages_do_not_touch_the_xdr(grouped: Path) -> None:
    column = pq.ParquetFile(grouped).metadata.row_group(1).column(10)
    assert column.path_in_schema == "xdr_bytes"
    data = bytearray(grouped.read_bytes())
    begin = column.dictionary_page_offset or column.data_page_offset
    data[begin : begin + column.total_compressed_size] = bytes(column.total_compressed_size)
    grouped.write_bytes(data)
    file = PartitionFile(grouped)
    assert len(file.page(0, 16)) == 16
    assert file.facts(7)["ledger_sequence"] == 25
    assert file.xdr(0)
    with pytest.raises(StateError, match="18-33"):
        file.xdr(7)
    file.close()


def test_a_missing_file_says_what_it_was(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="committed partition is missing"):
        PartitionFile(tmp_path / "part-2-17.parquet")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"x" * 1000, b"PAR1" + bytes(100) + b"PAR1"])
def test_another_file_is_an_error_not_a_crash(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "part-2-17.parquet"
    path.write_bytes(data)
    with pytest.raises(StateError, match="not a readable Parquet file"):
        PartitionFile(path)


def test_a_file_without_the_columns_says_so(tmp_path: Path) -> None:
    import pyarrow as pa

    path = tmp_path / "part-2-17.parquet"
    pq.write_table(pa.table({"ledger_sequence": pa.array([2, 3], pa.uint64())}), path)
    with pytest.raises(StateError, match=r"lacks the columns .*xdr_bytes"):
        PartitionFile(path)
