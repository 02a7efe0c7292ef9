"""The canonical form against the Go copier's own files and against an independent route."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bronze_tui.audit.canonical import (
    canonical,
    event_hash,
    file_bytes,
    go_string,
    heads_bytes,
    recompute,
    rfc3339_nano,
)
from bronze_tui.audit.event import MAX_EVENT_BYTES, parse_event
from bronze_tui.audit.names import HEADS_FILE
from bronze_tui.domain.audit import AuditEvent, EventTable
from bronze_tui.domain.partition import Producer

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
name = text.map(lambda s: s.replace("/", "").replace("\0", "")).filter(bool)
hashes = st.binary(min_size=32, max_size=32).map(lambda b: "sha256:" + b.hex())
numbers = st.integers(0, 2**63 - 1)
ranges = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(sorted)
times = st.integers(0, 4_000_000_000 * 10**9).map(rfc3339_nano)


@st.composite
def events(draw: st.DrawFn) -> AuditEvent:
    start, end = draw(ranges)
    tables = draw(
        st.dictionaries(
            text, st.builds(EventTable, hashes, numbers, text, numbers), min_size=1, max_size=3
        )
    )
    event = AuditEvent(
        version="1.1",
        event_type="bronze_partition",
        event_id="pas_evt_" + draw(st.binary(min_size=8, max_size=8)).hex(),
        timestamp=draw(times),
        network=draw(name),
        era_id=draw(name),
        version_label=draw(name),
        ledger_start=start,
        ledger_end=end,
        tables=tuple(sorted(tables.items())),
        producer=Producer(draw(text), draw(text), draw(text)),
        prev_event_hash=draw(st.just("") | hashes),
        event_hash="",
    )
    return replace(event, event_hash=event_hash(event))


def without_whitespace(data: bytes) -> bytes:
    """The other route to the hashed bytes: the file minus whitespace, the hash emptied."""
    out, inside, escaped = bytearray(), False, False
    for byte in data:
        if inside:
            out.append(byte)
            if escaped:
                escaped = False
            else:
                escaped, inside = byte == 0x5C, byte != 0x22
        elif byte not in b" \t\r\n":
            out.append(byte)
            inside = byte == 0x22
    cut = out.rindex(b'"event_hash":"')
    return bytes(out[:cut]) + b'"event_hash":""}}'


def go_files(shared: Path) -> list[Path]:
    files = sorted((shared / "go-copier").glob("*/pas-backup*/*.json"))
    return [p for p in files if p.name != HEADS_FILE]


def test_every_event_of_the_go_copier(shared: Path) -> None:
    files = go_files(shared)
    assert len(files) == 45
    for path in files:
        data = path.read_bytes()
        event = parse_event(data, where=path.name)
        assert event_hash(event) == event.event_hash, path
        assert file_bytes(event) == data, path
        assert canonical(event) == without_whitespace(data), path


def test_every_heads_file_of_the_go_copier(shared: Path) -> None:
    files = sorted((shared / "go-copier").glob(f"*/pas-backup*/{HEADS_FILE}"))
    assert len(files) == 8
    for path in files:
        assert heads_bytes(json.loads(path.read_bytes())) == path.read_bytes()
    assert heads_bytes({}) == b"{}"


@settings(deadline=None)
@given(events())
def test_the_hash_is_that_of_the_file_minus_whitespace(event: AuditEvent) -> None:
    data = file_bytes(event)
    assert without_whitespace(data) == canonical(event)
    assert "sha256:" + sha256(without_whitespace(data)).hexdigest() == event.event_hash


@settings(deadline=None)
@given(events())
def test_a_file_reads_back_as_the_same_event(event: AuditEvent) -> None:
    data = file_bytes(event)
    if len(data) <= MAX_EVENT_BYTES:
        assert parse_event(data, where="x") == event
    assert json.loads(data)["partition"]["era_id"] == event.era_id


@settings(deadline=None)
@given(events(), text)
def test_every_field_is_covered(event: AuditEvent, other: str) -> None:
    for field in ("event_id", "timestamp", "network", "version_label", "prev_event_hash"):
        if getattr(event, field) != other:
            assert event_hash(replace(event, **{field: other})) != event.event_hash


@settings(deadline=None)
@given(text)
def test_strings_are_json_and_hold_nothing_that_html_could_take(value: str) -> None:
    written = go_string(value)
    assert json.loads(written) == value
    assert not set(written) & set("<>&\u2028\u2029")
    assert all(ord(c) >= 0x20 for c in written)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("<a>&", r'"\u003ca\u003e\u0026"'),
        ("\u2028\u2029", r'"\u2028\u2029"'),
        ("\b\f\n\r\t", r'"\b\f\n\r\t"'),
        ("\x00\x1f\x1b", r'"\u0000\u001f\u001b"'),
        ("\x7f/'", '"\x7f/\'"'),
        ('"\\', r'"\"\\"'),
        ("é😀\ufffd", '"é😀\ufffd"'),
    ],
)
def test_go_strings(value: str, written: str) -> None:
    assert go_string(value) == written


@pytest.mark.parametrize(
    ("char", "other"), [("\b", r"\u0008"), ("\f", r"\u000c"), ("\ufffd", r"\ufffd")]
)
def test_the_other_escapes_of_go_are_accepted(char: str, other: str) -> None:
    event = _event(f"era{char}<")
    body = canonical(event).decode().replace(go_string(char)[1:-1], other)
    old = "sha256:" + sha256(body.encode()).hexdigest()
    assert old != event.event_hash
    assert recompute(replace(event, event_hash=old)) == old
    wrong = replace(event, event_hash="sha256:" + "0" * 64)
    assert recompute(wrong) == event.event_hash


def _event(era_id: str) -> AuditEvent:
    table = EventTable("sha256:" + "1" * 64, 1, "p", 1)
    made = AuditEvent(
        *("1.1", "bronze_partition", "pas_evt_" + "0" * 16, "2026-01-01T00:00:00Z"),
        *("testnet", era_id, "v1", 2, 2, (("t", table),), Producer("p", "v", "g"), "", ""),
    )
    return replace(made, event_hash=event_hash(made))


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_700_000_000_500_000_000, "2023-11-14T22:13:20.5Z"),
        (1_700_000_000_123_456_780, "2023-11-14T22:13:20.12345678Z"),
        (1_700_000_000_000_000_000, "2023-11-14T22:13:20Z"),
    ],
)
def test_times(ns: int, text: str) -> None:
    assert rfc3339_nano(ns) == text


@settings(deadline=None)
@given(st.integers(0, 4_000_000_000 * 10**9))
def test_times_read_back(ns: int) -> None:
    whole, _, fraction = rfc3339_nano(ns)[:-1].partition(".")
    assert not fraction.endswith("0")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    assert seconds * 10**9 + int(fraction.ljust(9, "0")) == ns
