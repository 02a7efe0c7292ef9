"""Text that came from elsewhere cannot steer a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bronze_tui.domain.text import safe_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 😀 [b]", "plain é 😀 [b]"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("a\nb\tc\x7f\x9b", r"a\x0ab\x09c\x7f\x9b"),
        ("\u202egnp.exe\u2066\u2069", r"\u202egnp.exe\u2066\u2069"),
        ("zero\u200bwidth\ufeff\u2060\u200d", r"zero\u200bwidth\ufeff\u2060\u200d"),
        ("\u2028\udcff", r"\u2028\udcff"),
    ],
)
def test_shown(text: str, shown: str) -> None:
    assert safe_text(text) == shown


@settings(deadline=None)
@given(st.text(st.characters()))
def test_no_control_and_no_direction_mark_is_left(text: str) -> None:
    shown = safe_text(text)
    shown.encode()
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [c for c in shown if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLI", "PDF")]
