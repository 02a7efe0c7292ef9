"""Whether a journal record's values have the types its kind promises, so that whoever draws them
need not ask again. Missing and unknown fields are allowed: engine and reader may differ in age."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from bronze_tui.domain.events import KINDS, EngineEvent

LATEST = 1e11
"""Unix seconds; a time beyond it (the year 5138) is garbage that no calendar takes."""

_MOST = 1 << 63


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
    "float": _number,
    "bool": _flag,
    "list[str]": _texts,
    "int | None": _or_none(_whole),
    "float | None": _or_none(_number),
}


@dataclass(frozen=True, slots=True)
class _Shape:
    """A kind's fields by type; text and whole numbers, most of all, are tested without a call."""

    texts: tuple[str, ...]
    wholes: tuple[str, ...]
    others: tuple[tuple[str, Callable[[Any], bool]], ...]


def _shape(event: type[EngineEvent]) -> _Shape:
    types = {f.name: str(f.type) for f in fields(event)}
    return _Shape(
        tuple(name for name, kind in types.items() if kind == "str"),
        tuple(name for name, kind in types.items() if kind == "int"),
        tuple((n, _TESTS[kind]) for n, kind in types.items() if kind not in ("str", "int")),
    )


_SHAPES = {kind: _shape(event) for kind, event in KINDS.items()}


def well_formed(record: Mapping[str, Any]) -> bool:
    """Whether each field that the record's kind knows has a value of its type; false for a kind
    this version does not know."""
    kind = record.get("kind")
    shape = _SHAPES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        return False
    get = record.get
    for name in shape.texts:
        if not isinstance(get(name, ""), str):
            return False
    for name in shape.wholes:
        value = get(name, 0)
        if type(value) is not int or not -_MOST < value < _MOST:
            return False
    for name, test in shape.others:  # noqa: SIM110 - a generator costs as much as the tests
        if name in record and not test(record[name]):
            return False
    return True


def is_time(value: Any) -> bool:
    """Whether ``value`` can be a record's time in Unix seconds."""
    return type(value) in (int, float) and 0 <= value < LATEST
