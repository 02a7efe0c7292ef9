"""Strict parsing: what is refused and by which rule; nothing but the documented error comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bronze_tui.audit.canonical import event_hash, file_bytes
from bronze_tui.audit.event import EventRejected, new_event, parse_event
from bronze_tui.domain.audit import EventTable
from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import VerificationError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.testing.emitter_contract import PRODUCER, make_chain

GOOD = make_chain(2)[1]
DOC = json.loads(file_bytes(GOOD))


def rejected(data: bytes) -> EventRejected:
    with pytest.raises(EventRejected) as caught:
        parse_event(data, where="folder/name.json")
    assert caught.value.where == "folder/name.json"
    assert caught.value.exit_code == 3
    return caught.value


def changed(path: str, value: Any) -> bytes:
    doc = json.loads(json.dumps(DOC))
    *parents, last = path.split(".")
    place = doc
    for key in parents:
        place = place[key]
    place[last] = value
    return json.dumps(doc).encode()


def test_the_good_one_passes() -> None:
    assert parse_event(file_bytes(GOOD), where="x") == GOOD
    assert parse_event(json.dumps(DOC).encode(), where="x") == GOOD, "whitespace is free"
    shuffled = json.dumps(dict(reversed(DOC.items()))).encode()
    assert parse_event(shuffled, where="x") == GOOD, "key order is free"


@pytest.mark.parametrize(
    ("path", "value", "kind", "rule"),
    [
        ("version", "1.2", "malformed", "version"),
        ("version", 1.1, "malformed", "version"),
        ("event_type", "x", "malformed", "event_type"),
        ("event_id", "pas_evt_ABCDEF0123456789", "malformed", "event_id"),
        ("event_id", "pas_evt_0123456789abcde", "malformed", "event_id"),
        ("event_id", "pas_evt_0123456789abcdef\n", "malformed", "event_id"),
        ("timestamp", "2026-11-23 02:16:41Z", "malformed", "timestamp"),
        ("timestamp", "2026-13-23T02:16:41Z", "malformed", "timestamp"),
        ("timestamp", "2026-11-23T02:16:41.1234567890Z", "malformed", "timestamp"),
        ("partition", [], "malformed", "partition"),
        ("partition.network", "", "malformed", "network"),
        ("partition.network", "a/b", "malformed", "network"),
        ("partition.era_id", 7, "malformed", "era_id"),
        ("partition.era_id", "\ud800", "malformed", "surrogate"),
        ("partition.ledger_start", True, "malformed", "ledger_start"),
        ("partition.ledger_start", 1.0, "malformed", "ledger_start"),
        ("partition.ledger_start", "2", "malformed", "ledger_start"),
        ("partition.ledger_start", -1, "malformed", "ledger_start"),
        ("partition.ledger_start", 5000, "malformed", "range"),
        ("partition.ledger_end", 2**32, "malformed", "range"),
        ("partition.more", 1, "unknown_key", "more"),
        ("tables", {}, "malformed", "tables"),
        ("tables", None, "malformed", "tables"),
        ("tables", {"\udfff": DOC["tables"]["ledgers_lcm_raw"]}, "malformed", "surrogate"),
        ("tables.ledgers_lcm_raw", 1, "malformed", "tables"),
        ("tables.ledgers_lcm_raw.row_count", 2**63, "malformed", "row_count"),
        ("tables.ledgers_lcm_raw.byte_size", None, "malformed", "byte_size"),
        ("tables.ledgers_lcm_raw.checksum", "SHA256:" + "0" * 64, "malformed", "checksum"),
        ("tables.ledgers_lcm_raw.checksum", "sha256:" + "A" * 64, "malformed", "checksum"),
        ("tables.ledgers_lcm_raw.extra", 1, "unknown_key", "extra"),
        ("producer.name", None, "malformed", "name"),
        ("producer.host", "h", "unknown_key", "host"),
        ("chain.prev_event_hash", "0" * 64, "malformed", "prev_event_hash"),
        ("chain.event_hash", "", "malformed", "event_hash"),
        ("chain.seq", 1, "unknown_key", "seq"),
        ("signature", "x", "unknown_key", "signature"),
    ],
)
def test_fields(path: str, value: Any, kind: str, rule: str) -> None:
    error = rejected(changed(path, value))
    assert (error.kind, rule in error.what) == (kind, True), error.what


@pytest.mark.parametrize("key", ["version", "partition", "tables", "producer", "chain"])
def test_missing_keys(key: str) -> None:
    doc = {k: v for k, v in DOC.items() if k != key}
    assert f"lacks the key '{key}'" in rejected(json.dumps(doc).encode()).what


def test_the_ingesters_shape_is_named() -> None:
    doc = {"version": "1.1", "previous_hash": "0" * 64, "batch": {}, "producer": {}}
    assert "DuckLake ingester" in rejected(json.dumps(doc).encode()).what


def test_a_key_that_stands_twice() -> None:
    data = file_bytes(GOOD).replace(b'"name"', b'"name": "x", "name"')
    assert rejected(data).kind == "duplicate_key"
    data = file_bytes(GOOD).replace(b'"name"', rb'"n\u0061me": "x", "name"')
    assert rejected(data).kind == "duplicate_key"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "empty"),
        (b"\0" * 500, "not JSON"),
        (file_bytes(GOOD)[:300], "not JSON"),
        (file_bytes(GOOD) + b"{}", "not JSON"),
        (b"\xef\xbb\xbf" + file_bytes(GOOD), "not JSON"),
        (file_bytes(GOOD).replace(b"testnet", b"test\xffnet"), "UTF-8 at byte"),
        (file_bytes(GOOD).decode().encode("utf-16"), "UTF-8"),
        (file_bytes(GOOD) + b" " * 65_536, "larger"),
    ],
)
def test_what_is_no_json_text(data: bytes, rule: str) -> None:
    error = rejected(data)
    assert (error.kind, rule in error.what) == ("unreadable", True), error.what


def test_bombs() -> None:
    assert rejected(b"[" * 60_000).kind == "malformed"
    assert rejected(b'{"a":' * 12_000).kind == "malformed"
    assert rejected(b"9" * 60_000).kind == "malformed"
    assert rejected(b"NaN").kind == "malformed"
    assert rejected(changed("partition.ledger_end", float("inf"))).kind == "malformed"


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_event(data, where="x")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
PATHS = [
    *DOC,
    *(f"{k}.{s}" for k in ("partition", "producer", "chain", "tables") for s in DOC[k]),
    *(f"tables.ledgers_lcm_raw.{s}" for s in DOC["tables"]["ledgers_lcm_raw"]),
]


@settings(deadline=None)
@given(json_values)
def test_any_json(value: Any) -> None:
    with pytest.raises(VerificationError):
        parse_event(json.dumps(value).encode(), where="x")


@settings(deadline=None)
@given(st.sampled_from(PATHS), json_values)
def test_any_json_in_any_field(path: str, value: Any) -> None:
    try:
        event = parse_event(changed(path, value), where="x")
    except VerificationError:
        return
    assert parse_event(file_bytes(event), where="x") == event


@settings(deadline=None)
@given(st.data())
def test_one_changed_byte_is_seen(data: st.DataObject) -> None:
    raw = bytearray(file_bytes(GOOD))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        event = parse_event(bytes(raw), where="x")
    except VerificationError:
        return
    assert event == GOOD or event_hash(event) != event.event_hash


def test_a_new_event() -> None:
    era = Era("testnet", "p23_plus", "v1", 1000, None, 10)
    table = EventTable("sha256:" + "1" * 64, 10, "p", 5)
    made = [
        new_event(
            era,
            LedgerRange(1000, 1009),
            [("b", table), ("a", table)],
            PRODUCER,
            GOOD.event_hash,
            clock_ns=lambda: 1_700_000_000_120_000_000,
        )
        for _ in range(2)
    ]
    event = made[0]
    assert parse_event(file_bytes(event), where="x") == event
    assert event_hash(event) == event.event_hash
    assert event.timestamp == "2023-11-14T22:13:20.12Z"
    assert [name for name, _ in event.tables] == ["a", "b"]
    assert event.prev_event_hash == GOOD.event_hash
    assert event.chain_key == "testnet/p23_plus/v1"
    assert made[0].event_id != made[1].event_id
