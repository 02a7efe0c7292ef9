"""Reading YAML: text stays text, places are exact, nothing hostile gets through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.config.document import (
    MAX_BYTES,
    Document,
    Fields,
    Items,
    Scalar,
    bad_text,
    read_bytes,
    read_file,
)

CLEAN = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"))


def read(text: str) -> Document:
    return read_bytes(text.encode(), "c.yaml")


def problems(text: str) -> list[str]:
    return [str(problem) for problem in read(text).problems]


def flat(node: object) -> object:
    if isinstance(node, Fields):
        return {field.key: flat(field.value) for field in node.fields}
    if isinstance(node, Items):
        return [flat(item) for item in node.items]
    assert isinstance(node, Scalar)
    return node.text


@pytest.mark.parametrize(
    "text", ["1.10", "010", "no", "12:30:00", "0x1F", "1_000", "2020-01-01", "true", ".inf", "1e3"]
)
def test_plain_scalars_keep_their_text(text: str) -> None:
    assert flat(read(f"k: {text}").root) == {"k": text}


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_a_plain_null_is_no_text(text: str) -> None:
    assert flat(read(f"k: {text}\n").root) == {"k": ""}


def test_a_quoted_null_is_text() -> None:
    assert flat(read("{a: 'null', b: \"~\"}").root) == {"a": "null", "b": "~"}


@given(CLEAN)
def test_any_text_survives_as_a_json_string(text: str) -> None:
    document = read(json.dumps({"k": text}))
    assert document.problems == ()
    assert flat(document.root) == {"k": text}


@given(CLEAN.filter(bool))
def test_any_text_survives_single_quoted(text: str) -> None:
    if any(char in "\x85\u2028\u2029\ufeff" for char in text):
        return
    document = read("k: '" + text.replace("'", "''") + "'")
    assert document.problems == ()
    assert flat(document.root) == {"k": text}


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    document = read_bytes(data, "c.yaml")
    assert document.root is not None or document.problems


@given(st.text("{}[]:,-&*!|>%@`'\"#~?\\ \n\tab01xuU", max_size=60))
def test_arbitrary_syntax_never_raises(text: str) -> None:
    document = read(text)
    assert document.root is not None or document.problems


def test_empty_and_comment_only_files_hold_nothing() -> None:
    for text in ("", "# nothing\n", "---\n", "~\n", "{}"):
        document = read(text)
        assert document.problems == ()
        assert flat(document.root) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2\n", "c.yaml:2:1: a: given twice, first in line 1; remove one of them"),
        ("s:\n  a: 1\n  a: 2\n", "c.yaml:3:3: s.a: given twice, first in line 2"),
        ("a: &x 1", "c.yaml:1:4: a: anchor &x"),
        ("a: 1\nb: *x", "c.yaml:2:4: b: alias *x"),
        ("a: !!int 3", "c.yaml:1:4: a: tag tag:yaml.org,2002:int"),
        ("a: !python/object:os.system x", "c.yaml:1:4: a: tag !python/object:os.system"),
        ("a: 1\n---\nb: 2\n", "c.yaml:2:1: a second YAML document; keep only one"),
        ("- a\n", "c.yaml:1:1: the top level is not a mapping"),
        ("text", "c.yaml:1:1: the top level is not a mapping"),
        ("? [a]\n: 1\n", "c.yaml:1:3: a key that is not text"),
        ("a: {b: 1\n", "c.yaml:2:1: not valid YAML"),
        ("a:\n\t- b\n", "c.yaml:2:1: not valid YAML"),
        ('a: "\\u0007"', "c.yaml:1:4: a: holds the control character U+0007"),
        ('a: "\\ud800"', "c.yaml:1:4: a: is not valid Unicode"),
        ('a: "\\UFFFFFFFF"', "c.yaml: not valid YAML"),
        ("é: 1\nb: \x1b", "c.yaml:2:4: control character U+001B; remove it"),
    ],
)
def test_findings_say_where_and_what(text: str, problem: str) -> None:
    assert [line for line in problems(text) if line.startswith(problem)], problems(text)


def test_all_findings_of_a_file_come_at_once() -> None:
    text = "a: &x 1\nb: *x\nc: !!str d\na: 2\n"
    assert len(problems(text)) == 4


def test_json_surrogate_pairs_are_one_character() -> None:
    assert flat(read('{"k": "\\ud83d\\ude00"}').root) == {"k": "\N{GRINNING FACE}"}


def test_bytes_that_are_not_utf8_are_located() -> None:
    document = read_bytes("a: 1\nb: é".encode("latin-1"), "c.yaml")
    assert str(document.problems[0]).startswith("c.yaml:2:4: not valid UTF-8")


def test_a_byte_order_mark_is_skipped() -> None:
    assert flat(read("\ufeffa: 1").root) == {"a": "1"}


def test_large_files_are_refused() -> None:
    assert "larger than 1 MiB" in problems("#" * (MAX_BYTES + 1))[0]


@pytest.mark.parametrize("bomb", ["[" * 100_000, "{a: " * 50_000, "- " * 5_000 + "x"])
def test_deep_nesting_is_refused(bomb: str) -> None:
    assert "nested deeper" in problems(f"a: {bomb}" if bomb[0] != "-" else f"a:\n  {bomb}")[0]


def test_many_values_are_refused() -> None:
    assert "more than" in problems("a: [" + "1," * 30_000 + "]")[0]


def test_alias_bombs_stay_small() -> None:
    bomb = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n"
    assert read(bomb).root is not None
    assert any("alias *b" in line for line in problems(bomb))


def test_missing_files_folders_and_devices(tmp_path: Path) -> None:
    assert "no such file" in str(read_file(tmp_path / "none.yaml").problems[0])
    assert "cannot be read" in str(read_file(tmp_path).problems[0])
    assert "cannot be read" in str(read_file(Path("a\0b")).problems[0])
    assert "larger than" in str(read_file(Path("/dev/zero")).problems[0])


@given(st.text())
def test_bad_text_finds_controls_only(text: str) -> None:
    assert bool(bad_text(text)) == any(
        ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in text
    )
