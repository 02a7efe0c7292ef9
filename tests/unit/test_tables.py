"""Row groups, the one writer, and reading back: what makes files reproducible and bounded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import StateError, UsageError
from bronze_tui.domain.layout import RAW_FACTS, RAW_XDR
from bronze_tui.domain.ledger import LedgerFacts, LedgerRange
from bronze_tui.tables import rows as rows_module
from bronze_tui.tables.parquet import Compression, ParquetFile, options_digest
from bronze_tui.tables.reread import read_content
from bronze_tui.tables.rows import ROW_GROUP_ROWS, Arena, RowGroup
from bronze_tui.tables.schema import raw_schema

ERA = Era("net", "era", "v1", 2, None, 100)
ZSTD = Compression.parse("zstd")


def digest(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def facts(sequence: int, previous: bytes | None = None) -> LedgerFacts:
    return LedgerFacts(
        version=1,
        sequence=sequence,
        start=0,
        end=0,
        header_start=0,
        header_end=0,
        ledger_hash=digest("ledger", sequence),
        previous_ledger_hash=previous or digest("ledger", sequence - 1),
        close_time=1_700_000_000 + sequence,
        protocol_version=23,
        total_coins=2**62,
        fee_pool=7,
        tx_set_hash=digest("set", sequence),
        tx_count=1,
        tx_set_count=1,
        operation_count=2,
    )


def write(path: Path, sizes: list[int], compression: Compression = ZSTD, first: int = 2) -> Path:
    """Ledgers of these XDR sizes, as the engine writes them."""
    group = RowGroup(ERA, Arena(1), None)
    file = ParquetFile(path, raw_schema(ERA), compression)
    for sequence, size in enumerate(sizes, first):
        xdr = np.random.default_rng(sequence).integers(0, 256, size, dtype=np.uint8)
        if group.is_full(size):
            file.write(group.take())
        group.append(facts(sequence), xdr, hashlib.sha256(xdr).hexdigest())
    if len(group):
        file.write(group.take())
    written = file.finish()
    assert written.checksum == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert written.byte_size == path.stat().st_size
    assert written.row_count == len(sizes)
    return path


def group_rows(path: Path) -> list[int]:
    metadata = pq.read_metadata(path)
    return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def test_a_group_closes_at_its_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [10] * (2 * ROW_GROUP_ROWS + 5))
    assert group_rows(path) == [ROW_GROUP_ROWS, ROW_GROUP_ROWS, 5]


def test_a_group_closes_at_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "ROW_GROUP_BYTES", 1000)
    sizes = [400, 400, 300, 5000, 10, 990, 1, 0]
    path = write(tmp_path / "a.parquet", sizes)
    # The ledger of 5,000 bytes is larger than a group and makes one of its own.
    assert group_rows(path) == [2, 1, 1, 2, 2]
    assert [len(v) for v in pq.read_table(path).column("xdr_bytes").to_pylist()] == sizes


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=30),
    compression=st.sampled_from(["zstd:1", "snappy", "none"]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], compression: str
) -> None:
    path = write(tmp_path_factory.mktemp("t") / "a.parquet", sizes, Compression.parse(compression))
    table = pq.read_table(path)
    assert table.column("ledger_sequence").to_pylist() == list(range(2, 2 + len(sizes)))
    for size, xdr, sha in zip(
        sizes,
        table.column("xdr_bytes").to_pylist(),
        table.column("xdr_sha256").to_pylist(),
        strict=True,
    ):
        assert len(xdr) == size
        assert hashlib.sha256(xdr).hexdigest() == sha


def test_bytes_do_not_depend_on_threads_or_time(tmp_path: Path) -> None:
    before = pa.cpu_count()
    try:
        pa.set_cpu_count(1)
        one = write(tmp_path / "a.parquet", [5000] * 50).read_bytes()
        pa.set_cpu_count(8)
        assert write(tmp_path / "b.parquet", [5000] * 50).read_bytes() == one
    finally:
        pa.set_cpu_count(before)


def page_size(data: bytes, offset: int) -> int:
    """Uncompressed size of the page whose header begins at ``offset``: the second field of the
    Thrift compact struct (parquet.thrift, PageHeader), a zigzag varint behind a one-byte tag."""
    assert data[offset] == data[offset + 2] == 0x15
    value = shift = 0
    for byte in data[offset + 3 :]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value >> 1
    raise AssertionError("no varint")


def test_pages_are_small_whatever_the_ledgers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [300_000] * 40)
    column = pq.read_metadata(path).row_group(0).column(10)
    # One page of all 40 ledgers would be 12 MB, held whole by writer and reader alike.
    assert page_size(path.read_bytes(), column.data_page_offset) <= 8 * 300_100


def test_an_abandoned_file_is_no_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    group = RowGroup(ERA, Arena(), None)
    group.append(facts(2), np.zeros(10, dtype=np.uint8), "00")
    file = ParquetFile(path, raw_schema(ERA), ZSTD)
    file.write(group.take())
    file.abandon()
    del file
    with pytest.raises(pa.ArrowInvalid):
        pq.read_metadata(path)


def test_readers_know_the_columns_by_the_same_names() -> None:
    names = raw_schema(ERA).names
    assert tuple(name for name in names if name != RAW_XDR) == RAW_FACTS
    assert RAW_XDR in names


def test_the_digest_names_the_options() -> None:
    schema = raw_schema(ERA)
    digests = {options_digest(Compression.parse(c), schema) for c in ("zstd", "zstd:4", "snappy")}
    assert len(digests) == 3
    assert options_digest(ZSTD, schema) == options_digest(Compression.parse("zstd:3"), schema)


@pytest.mark.parametrize("text", ["gzip", "zstd:0", "zstd:23", "zstd:x", "snappy:1", "", "ZSTD"])
def test_unknown_compression(text: str) -> None:
    with pytest.raises(UsageError):
        Compression.parse(text)


def test_reading_back_agrees(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [100] * 20)
    content = read_content(path, LedgerRange(2, 21), where="a")
    assert content.row_count == 20
    assert content.links.first_previous_hash == digest("ledger", 1).hex()
    assert content.links.last_hash == digest("ledger", 21).hex()


@pytest.mark.parametrize(
    ("partition", "what"),
    [
        (LedgerRange(3, 21), "row of ledger 2 stands where 3 belongs"),
        (LedgerRange(2, 20), "rows end at ledger 21, not 20"),
        (LedgerRange(2, 22), "rows end at ledger 21, not 22"),
    ],
)
def test_reading_back_finds_wrong_ranges(tmp_path: Path, partition: LedgerRange, what: str) -> None:
    path = write(tmp_path / "a.parquet", [100] * 20)
    with pytest.raises(StateError, match=what):
        read_content(path, partition, where="a")


def test_reading_back_finds_a_broken_link(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    group = RowGroup(ERA, Arena(), None)
    for sequence in (2, 3):
        previous = digest("another") if sequence == 3 else None
        group.append(facts(sequence, previous), np.zeros(1, dtype=np.uint8), "00" * 32)
    file = ParquetFile(path, raw_schema(ERA), ZSTD)
    file.write(group.take())
    file.finish()
    with pytest.raises(StateError, match="ledger 3 does not link"):
        read_content(path, LedgerRange(2, 3), where="a")


@pytest.mark.parametrize("data", [b"", b"junk", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_reading_back_refuses_junk(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    with pytest.raises(StateError, match="not a readable"):
        read_content(path, LedgerRange(2, 3), where="a")
