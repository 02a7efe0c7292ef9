"""Log lines, plain text and figures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.domain.events import KINDS
from bronze_tui.headless.lines import log_line
from bronze_tui.headless.plain import plain
from bronze_tui.headless.units import count, duration, rate, size

Records = list[dict[str, Any]]


def test_text_line_has_the_go_copiers_shape(half: Records) -> None:
    line = log_line(half[6])
    assert line is not None
    assert line.text() == (
        'time=2023-11-14T22:13:27.000Z level=INFO msg="partition committed" '
        "chain_key=testnet/era/v1 partition=12-21 rows=10 checksum=sha256:1 "
        "parquet_bytes=11534336 last_ledger=21 seconds=1.1 recovered=false"
    )


def test_json_line_is_one_object(half: Records) -> None:
    for record in half:
        line = log_line(record)
        assert line is not None
        doc = json.loads(line.json())
        assert list(doc)[:3] == ["time", "level", "msg"]


def test_hostile_text_stays_on_its_line_and_is_quoted(half: Records) -> None:
    line = log_line(half[9])
    assert line is not None
    assert line.level == "warn"
    assert "\x1b" not in line.text()
    assert 'error="503 SlowDown [/foo] \\\\x1b[31m"' in line.text()
    forged = log_line({"kind": "alert", "level": "info", "message": 'a\ntime=1 level="X'})
    assert forged is not None
    assert "\n" not in forged.text()
    assert 'msg="a\\\\x0atime=1 level=\\"X"' in forged.text()


def test_every_kind_has_a_line() -> None:
    for kind in KINDS:
        assert log_line({"kind": kind, "outcome": "done"}) is not None
    assert log_line({"kind": "of_a_later_version"}) is None


@given(st.text())
def test_plain_is_one_printable_line(text: str) -> None:
    shown = plain(text)
    assert len(shown) <= 1000
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in shown)
    shown.encode()


def test_plain_keeps_ordinary_text_and_cuts_long() -> None:
    assert plain("gs://bucket/[red]é") == "gs://bucket/[red]é"
    assert plain("x" * 5000, 10) == "x" * 9 + "…"
    assert plain("\u202eabc\ufeff") == "\\u202eabc\\ufeff"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (size(0), "0 B"),
        (size(1536), "1.5 KiB"),
        (size(5 << 50), "5.0 PiB"),
        (duration(None), "-"),
        (duration(59.4), "0:59"),
        (duration(3725), "1:02:05"),
        (duration(200_000), "2 d 7:33:20"),
        (count(12345), "12\u00a0345"),
        (rate(0), "0"),
        (rate(3.14159), "3.1"),
        (rate(1310.2), "1\u00a0310"),
    ],
)
def test_figures(shown: str, expected: str) -> None:
    assert shown == expected
