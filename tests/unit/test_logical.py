"""The hash of a table's values, and the digest of a file without its writer's name."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bronze_tui.tables.body import FooterError, read_body
from bronze_tui.tables.difference import first_difference
from bronze_tui.tables.logical import ColumnHash, logical_hashes

SCHEMA = pa.schema(
    [
        pa.field("ledger_sequence", pa.uint64(), nullable=False),
        pa.field("coins", pa.int64()),
        pa.field("small", pa.int32()),
        pa.field("name", pa.string()),
        pa.field("xdr", pa.binary()),
        pa.field("at", pa.timestamp("ms", tz="UTC")),
    ]
)
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
ROW = st.fixed_dictionaries(
    {
        "coins": st.none() | st.integers(-(2**63), 2**63 - 1),
        "small": st.none() | st.integers(-(2**31), 2**31 - 1),
        "name": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        "xdr": st.none() | st.binary(max_size=40),
        "at": st.none() | st.just(MOMENT),
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=80)
LAYOUT = st.fixed_dictionaries(
    {
        "row_group_size": st.integers(1, 100),
        "compression": st.sampled_from(["none", "snappy", "gzip", "zstd"]),
        "use_dictionary": st.booleans(),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "write_batch_size": st.integers(1, 50),
        "write_statistics": st.booleans(),
    }
)


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    numbered = [{"ledger_sequence": n, **row} for n, row in enumerate(rows, 2**40)]
    return pa.Table.from_pylist(numbered, schema=SCHEMA)


def chunked(table: pa.Table, size: int) -> pa.Table:
    """The same rows in pieces of an odd size."""
    return pa.concat_tables([table.slice(at, size) for at in range(0, len(table), size)])


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, one=LAYOUT, two=LAYOUT, pieces=st.integers(1, 30), wide=st.booleans())
def test_the_layout_does_not_change_it(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    one: dict[str, Any],
    two: dict[str, Any],
    pieces: int,
    wide: bool,
) -> None:
    place = tmp_path_factory.mktemp("t")
    table = table_of(rows)
    pq.write_table(table, place / "a", **one)
    other = chunked(table, pieces)
    if wide:
        names = {"name": pa.large_string(), "xdr": pa.large_binary()}
        for name, kind in names.items():
            at = other.schema.get_field_index(name)
            other = other.set_column(at, name, other.column(name).cast(kind))
    pq.write_table(other, place / "b", **two)
    hashes = logical_hashes(place / "a")
    assert hashes == logical_hashes(place / "b")
    assert set(hashes) == set(SCHEMA.names)
    assert first_difference(place / "a", place / "b") is None


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, data=st.data())
def test_a_value_changes_its_column_alone(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    place = tmp_path_factory.mktemp("t")
    at = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(["coins", "small", "name", "xdr", "at"]))
    value = data.draw(ROW)[name]
    changed = [dict(row) for row in rows]
    changed[at][name] = value
    pq.write_table(table_of(rows), place / "a")
    pq.write_table(table_of(changed), place / "b", row_group_size=7)
    one, two = logical_hashes(place / "a"), logical_hashes(place / "b")
    differ = {column for column in one if one[column] != two[column]}
    difference = first_difference(place / "a", place / "b")
    if value == rows[at][name]:
        assert (differ, difference) == (set(), None)
        return
    assert differ == {name}
    assert difference is not None
    assert (difference.ledger, difference.column) == (2**40 + at, name)


def test_rows_that_change_places_are_seen(tmp_path: Path) -> None:
    table = table_of([dict.fromkeys(SCHEMA.names[1:]), {"name": "x"}])
    pq.write_table(table, tmp_path / "a")
    pq.write_table(table.take([1, 0]), tmp_path / "b")
    one, two = logical_hashes(tmp_path / "a"), logical_hashes(tmp_path / "b")
    assert {name for name in one if one[name] != two[name]} == {"ledger_sequence", "name"}


def test_texts_do_not_run_into_each_other() -> None:
    one, two = ColumnHash(pa.string()), ColumnHash(pa.string())
    one.add(pa.array(["ab", "c"]))
    two.add(pa.array(["a", "bc"]))
    assert one.digest() != two.digest()
    empty, null = ColumnHash(pa.string()), ColumnHash(pa.string())
    empty.add(pa.array([""]))
    null.add(pa.array([None], pa.string()))
    assert empty.digest() != null.digest()
    number, other = ColumnHash(pa.int32()), ColumnHash(pa.uint32())
    number.add(pa.array([1], pa.int32()))
    other.add(pa.array([1], pa.uint32()))
    assert number.digest() != other.digest(), "the type is part of it"


def test_the_hash_is_the_one_described() -> None:
    """By hand, as another implementer would."""
    column = ColumnHash(pa.string())
    column.add(pa.array(["é", None, ""]))
    lengths = b"".join(n.to_bytes(8, "little") for n in (2, 0, 0))
    parts = [b"\x01\x00\x01", lengths, "é".encode()]
    whole = b"string\x00" + (3).to_bytes(8, "little")
    whole += b"".join(hashlib.sha256(part).digest() for part in parts)
    assert column.digest() == hashlib.sha256(whole).hexdigest()
    numbers = ColumnHash(pa.timestamp("ms", tz="UTC"))
    numbers.add(pa.array([MOMENT], pa.timestamp("ms", tz="UTC")))
    value = int(MOMENT.timestamp() * 1000).to_bytes(8, "little", signed=True)
    whole = b"timestamp[ms, tz=UTC]\x00" + (1).to_bytes(8, "little")
    whole += b"".join(hashlib.sha256(part).digest() for part in (b"\x01", b"", value))
    assert numbers.digest() == hashlib.sha256(whole).hexdigest()


def test_a_column_without_a_hash_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.5]}), tmp_path / "a")
    with pytest.raises(TypeError, match="double"):
        logical_hashes(tmp_path / "a")


# The body of a file.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.parquet"
    pq.write_table(table_of([{"name": "a"}, {"xdr": b"b"}]), path)
    return path


def renamed(data: bytes, name: bytes) -> bytes:
    match = re.search(rb"parquet-cpp-arrow version [0-9.]+", data)
    assert match is not None
    first, last = match.start() - 1, match.end()
    assert data[first] == len(match[0])
    length = int.from_bytes(data[-8:-4], "little") + len(name) - len(match[0])
    coded = (
        bytes([len(name)]) if len(name) < 128 else bytes([len(name) & 127 | 128, len(name) >> 7])
    )
    length += len(coded) - 1
    return data[:first] + coded + name + data[last:-8] + length.to_bytes(4, "little") + b"PAR1"


@pytest.mark.parametrize("name", [b"", b"x", b"n" * 127, b"n" * 300, "né".encode(), b"\xff"])
def test_the_name_of_the_writer_is_no_part_of_the_body(file: Path, name: bytes) -> None:
    data = file.read_bytes()
    before = read_body(file)
    assert before.created_by.startswith("parquet-cpp-arrow version ")
    file.write_bytes(renamed(data, name))
    after = read_body(file)
    assert after.digest == before.digest
    assert after.created_by == name.decode("utf-8", "replace")
    plain = renamed(data, b"")
    assert before.digest == "sha256:" + hashlib.sha256(plain).hexdigest()


def test_every_other_byte_is_part_of_the_body(file: Path) -> None:
    data = file.read_bytes()
    digest, name = read_body(file).digest, file.read_bytes().index(b"parquet-cpp")
    end = name + data[name - 1]
    for at in range(len(data)):
        if name <= at < end:
            continue
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            assert read_body(file).digest != digest, at
        except FooterError:
            continue


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), footer=st.booleans())
def test_foreign_bytes_are_refused_tidily(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, footer: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "foreign.parquet"
    if footer:
        data = b"PAR1" + data + len(data).to_bytes(4, "little") + b"PAR1"
    path.write_bytes(data)
    with pytest.raises(FooterError):
        read_body(path)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_footer_is_refused_tidily(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    if not path.with_suffix(".whole").exists():
        pq.write_table(table_of([{"name": "a"}] * 9), path.with_suffix(".whole"), row_group_size=2)
    whole = path.with_suffix(".whole").read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    at = data.draw(st.integers(len(whole) - 8 - length, len(whole) - 9))
    damaged = bytearray(whole)
    damaged[at] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(damaged))
    with suppress(FooterError):
        read_body(path)


@pytest.mark.parametrize(
    "footer",
    [
        b"\x1c" * 5000,  # structs inside of structs
        b"\x19\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a list longer than the file
        b"\x1b\xff\xff\xff\xff\x0f\x88",  # a map longer than the file
        b"\x18\xff\xff\xff\xff\x7f",  # a text longer than the file
        b"\x15" + b"\xff" * 20,  # a number without an end
        b"\x1d\x00",  # a type that there is none of
        b"\x00",  # nothing
        b"",
    ],
)
def test_footers_that_would_take_for_ever(tmp_path: Path, footer: bytes) -> None:
    path = tmp_path / "file.parquet"
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(FooterError):
        read_body(path)
