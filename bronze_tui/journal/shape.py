"""Whether a journal record's values have the types its kind promises, so that whoever draws them
need not ask again. Missing and unknown fields are allowed: engine and reader may differ in age."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from bronze_tui.domain.events import KINDS

LATEST = 1e11
"""Unix seconds; a time beyond it (the year 5138) is garbage that no calendar takes."""

_MOST = 1 << 63


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return type(value) is int and -_MOST < value < _MOST


def _number(value: Any) -> bool:
    # Not a number and infinity fail the comparison too.
    return type(value) in (int, float) and -_MOST < value < _MOST


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _or_none(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or test(value)


_TESTS: dict[str, Callable[[Any], bool]] = {
    "str": _text,
    "int": _whole,
    "float": _number,
    "bool": _flag,
    "list[str]": _texts,
    "int | None": _or_none(_whole),
    "float | None": _or_none(_number),
}
_FIELDS = {
    kind: {f.name: _TESTS[str(f.type)] for f in fields(event)} for kind, event in KINDS.items()
}


def well_formed(record: Mapping[str, Any]) -> bool:
    """Whether each field that the record's kind knows has a value of its type; false for a kind
    this version does not know."""
    kind = record.get("kind")
    tests = _FIELDS.get(kind) if isinstance(kind, str) else None
    if tests is None:
        return False
    return all(test(record[name]) for name, test in tests.items() if name in record)


def is_time(value: Any) -> bool:
    """Whether ``value`` can be a record's time in Unix seconds."""
    return type(value) in (int, float) and 0 <= value < LATEST
