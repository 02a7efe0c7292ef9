"""A decoded XDR value as a tree that is asked node by node.

Works on any object of ``stellar_sdk.xdr``: which fields there are, and how they are framed, is
read from the XDR source that each class carries in its docstring. A path is the list of child
numbers from the root.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bronze_tui.domain.errors import UsageError
from bronze_tui.inspect.values import short

Path = Sequence[int]
MOST_CHILDREN = 500
_SOURCE = re.compile(r"XDR Source Code::\s*(typedef|enum|struct|union)\b")
_Fields = tuple[tuple[str, str, str, bool, bool], ...]
"""Attribute, wire name, annotation, whether a string, whether of fixed length."""
_KINDS: dict[type, str] = {}
_FIELDS: dict[type, _Fields] = {}


@dataclass(frozen=True, slots=True)
class Node:
    """One value and how its parent holds it."""

    name: str
    type: str
    value: Any
    text: bool = False
    """An XDR string, not opaque bytes."""
    fixed: bool = False
    """Of fixed length: no length word in front of its bytes or items."""
    absent: bool = False
    """An optional value that is not there."""
    optional: bool = False


def kind_of(cls: type) -> str:
    """``struct``, ``union``, ``typedef`` or ``enum`` of an SDK class; else an empty text."""
    known = _KINDS.get(cls)
    if known is None:
        found = _SOURCE.search(cls.__doc__ or "")
        known = _KINDS[cls] = found[1] if found else ""
    return known


def root(value: Any) -> Node:
    """The tree of a whole value."""
    return Node(type(value).__name__, type(value).__name__, value)


def at(top: Node, path: Path) -> Node:
    """The node at ``path``.

    Raises:
        UsageError: there is no such node.
    """
    node = top
    for number in path:
        below = children(node)
        if not 0 <= number < len(below):
            raise UsageError(f"no node {list(path)} in this ledger")
        node = below[number]
    return node


def children(node: Node) -> Sequence[Node]:
    """Nodes below: fields of a struct, the chosen arm of a union, items of a list."""
    value = bare(node.value)
    if isinstance(value, list):
        return _Items(node, value)
    if value is None or isinstance(value, int | bytes | str | float) or _is_scalar(value):
        return ()
    fields = _fields(type(value))
    found = []
    for name, wire, annotation, text, fixed in fields:
        inner = getattr(value, name)
        if kind_of(type(value)) == "union" and (inner is None or name == fields[0][0]):
            continue
        optional = annotation.endswith("| None") and kind_of(type(value)) == "struct"
        found.append(
            Node(wire, _type_name(annotation), inner, text, fixed, inner is None, optional)
        )
    return found


class _Items(Sequence[Node]):
    """Items of a vector, made as they are asked for: there may be a hundred thousand."""

    def __init__(self, node: Node, items: list[Any]) -> None:
        inner = re.fullmatch(r"list\[(.+)\]", node.type)
        self._type = inner[1] if inner else ""
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        value = self._items[index]
        return Node(f"[{index}]", self._type or type(value).__name__, value)


def page(top: Node, path: Path, offset: int, limit: int) -> dict[str, Any]:
    """Children ``offset`` and on of the node at ``path``, as plain data."""
    below = children(at(top, path))
    wanted = below[offset : offset + min(limit, MOST_CHILDREN)]
    return {"total": len(below), "offset": offset, "children": [describe(n) for n in wanted]}


def describe(node: Node) -> dict[str, Any]:
    """Name, type, one-line value, whether there is more below, bytes of XDR."""
    return {
        "name": node.name,
        "type": node.type,
        "value": "absent" if node.absent else short(node.value, text=node.text),
        "more": bool(children(node)),
        "bytes": len(encode(node)),
    }


def encode(node: Node) -> bytes:
    """The node's XDR as it stands in the ledger, its length or presence word included."""
    if node.absent:
        return bytes(4)
    return (b"\0\0\0\1" if node.optional else b"") + _encode(node.value, fixed=node.fixed)


def _encode(value: Any, *, fixed: bool) -> bytes:
    if isinstance(value, list):
        items = b"".join(_encode(item, fixed=True) for item in value)
        return items if fixed else len(value).to_bytes(4, "big") + items
    if isinstance(value, bytes):
        padded = value + bytes(-len(value) % 4)
        return padded if fixed else len(value).to_bytes(4, "big") + padded
    if isinstance(value, bool) or not isinstance(value, int) or isinstance(value, enum.Enum):
        packed = getattr(value, "to_xdr_bytes", None)
        return bytes(packed()) if packed is not None else int(value).to_bytes(4, "big")
    size = 4 if -(1 << 31) <= value < 1 << 32 else 8
    return value.to_bytes(size, "big", signed=value < 0)


def walk(node: Node, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Node]]:
    """The node and all below it, parents first."""
    yield path, node
    for number, child in enumerate(children(node)):
        yield from walk(child, (*path, number))


def bare(value: Any) -> Any:
    """``value`` without the typedefs around it."""
    while kind_of(type(value)) == "typedef":
        fields = vars(value)
        if len(fields) != 1:
            break
        value = next(iter(fields.values()))
    return value


def _is_scalar(value: Any) -> bool:
    return isinstance(value, enum.Enum) or not _fields(type(value))


def _type_name(annotation: str) -> str:
    return annotation.removesuffix(" | None")


def _fields(cls: type) -> _Fields:
    known = _FIELDS.get(cls)
    if known is None:
        known = _FIELDS[cls] = _read_fields(cls)
    return known


def _read_fields(cls: type) -> _Fields:
    source = cls.__doc__ or ""
    found = []
    annotations = getattr(cls.__dict__.get("__init__"), "__annotations__", {})
    for name, annotation in annotations.items():
        if name == "return":
            continue
        wire = _wire_name(name)
        declared = re.search(rf"\b(\w+)\s+{re.escape(wire)}\s*([<\[])?", source)
        text = declared is not None and declared[1] == "string"
        fixed = declared is not None and declared[2] == "["
        found.append((name, wire, str(annotation), text, fixed))
    return tuple(found)


def _wire_name(name: str) -> str:
    """The XDR name of an SDK attribute: ``ledger_seq`` is ``ledgerSeq``."""
    first, *rest = name.strip("_").split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)
