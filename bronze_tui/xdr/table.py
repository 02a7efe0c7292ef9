"""The XDR grammar as data: the node types, their JSON form, and the table shipped with the package.

It knows types and names only; what a walk does with them is decided by `projection`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

TABLE_FILE = "table.json"
FORMAT = 1
NO_LIMIT = 0xFFFFFFFF
"""Length limit of ``<>`` (RFC 4506 section 4.13)."""

PRIMITIVE_WORDS = {
    "int": 1,
    "unsigned int": 1,
    "hyper": 2,
    "unsigned hyper": 2,
    "float": 1,
    "double": 2,
    "bool": 1,
}
"""XDR words (4 bytes each) of the built-in types."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """A built-in type, by its XDR name."""

    name: str


@dataclass(frozen=True, slots=True)
class Ref:
    """A named type."""

    name: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """``opaque x[length]`` when fixed, else ``opaque<length>`` or ``string<length>``."""

    length: int
    fixed: bool
    text: bool = False


@dataclass(frozen=True, slots=True)
class Array:
    """``item x[length]``."""

    length: int
    item: Type


@dataclass(frozen=True, slots=True)
class Vector:
    """``item x<maximum>``."""

    maximum: int
    item: Type


@dataclass(frozen=True, slots=True)
class Optional:
    """``item* x``."""

    item: Type


@dataclass(frozen=True, slots=True)
class Struct:
    """Fields in wire order."""

    fields: tuple[tuple[str, Type], ...]


@dataclass(frozen=True, slots=True)
class Enum:
    """Members and their values."""

    members: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of a union; ``labels`` is None for ``default``, ``item`` is None for ``void``."""

    labels: tuple[int, ...] | None
    name: str
    item: Type | None


@dataclass(frozen=True, slots=True)
class Union:
    """Arms chosen by ``discriminant``, an integer, a bool or an enum."""

    discriminant: str
    switch: Type
    arms: tuple[Arm, ...]


Type = Primitive | Ref | Opaque | Array | Vector | Optional | Struct | Enum | Union


class TableError(ValueError):
    """The shipped table is damaged or was made by another version of this package."""


@dataclass(frozen=True, slots=True)
class Table:
    """Named types by name, with the SDK version they were read from."""

    sdk_version: str
    types: Mapping[str, Type]

    @property
    def digest(self) -> str:
        """Bare hex SHA-256 of the grammar, independent of the SDK version."""
        return hashlib.sha256(_grammar_text(self.types).encode()).hexdigest()

    def resolve(self, node: Type) -> Type:
        """Follow names until a constructor or a built-in type."""
        while isinstance(node, Ref):
            node = self.types[node.name]
        return node

    def nodes(self) -> int:
        """Number of distinct nodes."""
        return len({n for root in self.types.values() for n in walk_nodes(root)})


def walk_nodes(node: Type) -> Iterator[Type]:
    """``node`` and everything written inside it; names are not followed."""
    yield node
    match node:
        case Array(item=item) | Vector(item=item) | Optional(item=item):
            yield from walk_nodes(item)
        case Struct(fields=fields):
            for _, item in fields:
                yield from walk_nodes(item)
        case Union(switch=switch, arms=arms):
            yield from walk_nodes(switch)
            for arm in arms:
                if arm.item is not None:
                    yield from walk_nodes(arm.item)
        case _:
            pass


def dump(table: Table) -> bytes:
    """The table file, one type a line for readable diffs; equal tables give equal bytes."""
    head = {
        "format": FORMAT,
        "grammar_sha256": table.digest,
        "sdk_version": table.sdk_version,
    }
    opening = json.dumps(head, separators=(",", ":"))[:-1]
    return f'{opening},"types":{_grammar_text(table.types)}}}\n'.encode("ascii")


def parse(data: bytes) -> Table:
    """Read a table file.

    Raises:
        TableError: another format, or the grammar does not hash to what the file says.
    """
    try:
        raw = json.loads(data)
        if raw["format"] != FORMAT:
            raise TableError(f"XDR table of format {raw['format']}, wanted {FORMAT}")
        types = {name: _decode(value) for name, value in raw["types"].items()}
        table = Table(raw["sdk_version"], types)
        if table.digest != raw["grammar_sha256"]:
            raise TableError("XDR table does not hash to its grammar_sha256")
    except (KeyError, TypeError, IndexError) as error:
        raise TableError(f"XDR table is damaged: {error!r}") from error
    return table


@cache
def load() -> Table:
    """The table shipped with the package.

    Raises:
        TableError: the installation is damaged.
    """
    return parse(files(__package__).joinpath(TABLE_FILE).read_bytes())


def _grammar_text(types: Mapping[str, Type]) -> str:
    lines = (
        f"{json.dumps(name)}:{json.dumps(_encode(types[name]), separators=(',', ':'))}"
        for name in sorted(types)
    )
    return "{\n" + ",\n".join(lines) + "\n}"


def _encode(node: Type | None) -> Any:
    match node:
        case None:
            return None
        case Primitive(name=name) | Ref(name=name):
            return name
        case Opaque(length=length, fixed=fixed, text=text):
            return ["opaque" if fixed else "string<>" if text else "opaque<>", length]
        case Array(length=length, item=item):
            return ["array", length, _encode(item)]
        case Vector(maximum=maximum, item=item):
            return ["vector", maximum, _encode(item)]
        case Optional(item=item):
            return ["optional", _encode(item)]
        case Struct(fields=fields):
            return ["struct", [[name, _encode(item)] for name, item in fields]]
        case Enum(members=members):
            return ["enum", [list(member) for member in members]]
        case Union(discriminant=name, switch=switch, arms=arms):
            rows = [[arm.labels, arm.name, _encode(arm.item)] for arm in arms]
            return ["union", name, _encode(switch), rows]


def _decode(raw: Any) -> Type:
    if isinstance(raw, str):
        return Primitive(raw) if raw in PRIMITIVE_WORDS else Ref(raw)
    match raw[0]:
        case "opaque":
            return Opaque(raw[1], fixed=True)
        case "opaque<>" | "string<>" as kind:
            return Opaque(raw[1], fixed=False, text=kind == "string<>")
        case "array":
            return Array(raw[1], _decode(raw[2]))
        case "vector":
            return Vector(raw[1], _decode(raw[2]))
        case "optional":
            return Optional(_decode(raw[1]))
        case "struct":
            return Struct(tuple((name, _decode(item)) for name, item in raw[1]))
        case "enum":
            return Enum(tuple((name, value) for name, value in raw[1]))
        case "union":
            return Union(raw[1], _decode(raw[2]), tuple(_decode_arm(row) for row in raw[3]))
        case kind:
            raise TableError(f"XDR table has an unknown node {kind!r}")


def _decode_arm(row: Any) -> Arm:
    labels, name, item = row
    return Arm(
        None if labels is None else tuple(labels), name, None if item is None else _decode(item)
    )
