"""Safe reading of YAML (JSON is YAML here) into nodes whose scalars are all text.

Only parser events are used: nothing is constructed, resolved or followed, so ``1.10``, ``010``,
``no`` and ``12:30:00`` keep their text and no document can grow beyond its own size.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml import events
from yaml.reader import Reader

from bronze_tui.config.problem import Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 12
MAX_NODES = 20_000
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as written; a plain null (``~``, ``null``, nothing) is the empty text."""

    text: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Items:
    """A sequence."""

    items: tuple[Node, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a mapping and its value."""

    key: str
    mark: Mark
    value: Node


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping, in file order, without duplicate keys."""

    fields: tuple[Field, ...]
    mark: Mark


Node = Scalar | Items | Fields


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds and what is wrong with it; ``root`` is None when it cannot be read."""

    root: Fields | None
    problems: tuple[Problem, ...]


class _Unreadable(Exception):
    def __init__(self, mark: Mark | None, what: str, todo: str = "") -> None:
        super().__init__(what)
        self.mark = mark
        self.what = what
        self.todo = todo


def read_file(path: Path) -> Document:
    """Read a configuration file; never raises for what the file is or holds."""
    name = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return _failed(name, "no such file", "check --config or CONFIG_FILE")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        return _failed(name, f"cannot be read ({reason})", "check the path and its permissions")
    return read_bytes(data, name)


def read_bytes(data: bytes, name: str) -> Document:
    """Read YAML bytes; ``name`` stands in the places of problems. Never raises."""
    reader = _Reader(name)
    try:
        root = reader.document(_decode(data))
    except _Unreadable as error:
        reader.report(error.mark, "", error.what, error.todo)
        root = None
    return Document(root, tuple(reader.problems))


def bad_text(text: str) -> str:
    """Why ``text`` cannot be a value: control characters, broken Unicode; empty when it can."""
    for char in text:
        category = unicodedata.category(char)
        if category == "Cc":
            return f"holds the control character U+{ord(char):04X}"
        if category == "Cs":
            return "is not valid Unicode"
    return ""


def _failed(name: str, what: str, todo: str) -> Document:
    return Document(None, (Problem(name, "", what, todo),))


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _Unreadable(None, "larger than 1 MiB", "this is no configuration file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        mark = Mark(before.count(b"\n") + 1, column)
        raise _Unreadable(mark, "not valid UTF-8", "save the file as UTF-8") from error
    text = text.removeprefix("\N{BYTE ORDER MARK}")
    found = Reader.NON_PRINTABLE.search(text)
    if found is not None:
        line_start = text.rfind("\n", 0, found.start()) + 1
        mark = Mark(text.count("\n", 0, found.start()) + 1, found.start() - line_start + 1)
        code = ord(found.group())
        raise _Unreadable(mark, f"control character U+{code:04X}", "remove it")
    return text


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)


class _Reader:
    """Builds nodes from parser events, collecting every finding that reading can survive."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self._nodes = 0

    def report(self, mark: Mark | None, key: str, what: str, todo: str = "") -> None:
        where = f"{self.name}:{mark.line}:{mark.column}" if mark else self.name
        self.problems.append(Problem(where, key, what, todo))

    def document(self, text: str) -> Fields:
        try:
            return self._document(yaml.parse(text, Loader=yaml.SafeLoader))
        except yaml.MarkedYAMLError as error:
            what = ", ".join(part for part in (error.context, error.problem) if part)
            mark = _mark(error.problem_mark or error.context_mark)
            todo = "check indentation, quotes and brackets near here"
            raise _Unreadable(mark, f"not valid YAML: {what}", todo) from error
        except (yaml.YAMLError, ValueError, OverflowError, IndexError) as error:
            todo = "check escapes and directives"
            raise _Unreadable(None, f"not valid YAML: {error}", todo) from error

    def _document(self, stream: Iterator[events.Event]) -> Fields:
        root: Fields | None = None
        documents = 0
        for event in stream:
            if isinstance(event, events.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Unreadable(
                        _mark(event.start_mark), "a second YAML document", "keep only one"
                    )
            elif isinstance(event, events.NodeEvent):
                root = self._root(self._node(event, stream, "", 0))
        return root or Fields((), Mark(1, 1))

    def _root(self, node: Node) -> Fields:
        if isinstance(node, Scalar) and not node.text:
            return Fields((), node.mark)
        if not isinstance(node, Fields):
            todo = "write sections such as 'source:' with their keys below"
            raise _Unreadable(node.mark, "the top level is not a mapping", todo)
        return node

    def _node(
        self, event: events.Event, stream: Iterator[events.Event], key: str, depth: int
    ) -> Node:
        mark = _mark(event.start_mark)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Unreadable(mark, f"more than {MAX_NODES} values", "this is no configuration")
        if depth > MAX_DEPTH:
            raise _Unreadable(mark, f"nested deeper than {MAX_DEPTH}", "this is no configuration")
        self._refuse_extras(event, mark, key)
        if isinstance(event, events.SequenceStartEvent):
            return self._items(stream, mark, key, depth)
        if isinstance(event, events.MappingStartEvent):
            return self._fields(stream, mark, key, depth)
        if isinstance(event, events.ScalarEvent):
            return Scalar(self._text(event, mark, key), mark)
        return Scalar("", mark)

    def _refuse_extras(self, event: events.Event, mark: Mark, key: str) -> None:
        if isinstance(event, events.AliasEvent):
            self.report(mark, key, f"alias *{event.anchor}", "write the value out")
            return
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor:
            self.report(mark, key, f"anchor &{anchor}", "remove it and write values out")
        if tag:
            self.report(mark, key, f"tag {tag}", "remove it: keys know their types")

    def _items(self, stream: Iterator[events.Event], mark: Mark, key: str, depth: int) -> Items:
        items: list[Node] = []
        for event in stream:
            if isinstance(event, events.SequenceEndEvent):
                break
            items.append(self._node(event, stream, f"{key}.{len(items)}", depth + 1))
        return Items(tuple(items), mark)

    def _fields(self, stream: Iterator[events.Event], mark: Mark, key: str, depth: int) -> Fields:
        fields: dict[str, Field] = {}
        for event in stream:
            if isinstance(event, events.MappingEndEvent):
                break
            name = self._node(event, stream, key, depth + 1)
            dotted = f"{key}.{name.text}" if key and isinstance(name, Scalar) else key
            if isinstance(name, Scalar) and not key:
                dotted = name.text
            value = self._node(next(stream), stream, dotted, depth + 1)
            if not isinstance(name, Scalar):
                self.report(name.mark, key, "a key that is not text", "write plain keys")
            elif name.text in fields:
                first = fields[name.text].mark.line
                self.report(
                    name.mark, dotted, f"given twice, first in line {first}", "remove one of them"
                )
            else:
                fields[name.text] = Field(name.text, name.mark, value)
        return Fields(tuple(fields.values()), mark)

    def _text(self, event: events.ScalarEvent, mark: Mark, key: str) -> str:
        text: str = event.value
        if event.style is None and text in _NULLS:
            return ""
        # Escapes such as "\ud83d\ude00", which JSON writers produce, arrive as two halves.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if "\N{REPLACEMENT CHARACTER}" in text and "\N{REPLACEMENT CHARACTER}" not in event.value:
            self.report(mark, key, "is not valid Unicode", "remove the lone surrogate escape")
        elif why := bad_text(text):
            self.report(mark, key, why, "remove it")
        return text
