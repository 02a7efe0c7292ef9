"""What can be said of XDR types without their bytes: sizes, recursion, weight."""

from __future__ import annotations

from collections import Counter

from bronze_tui.xdr.table import (
    PRIMITIVE_WORDS,
    Array,
    Opaque,
    Optional,
    Primitive,
    Ref,
    Struct,
    Table,
    Type,
    Union,
    Vector,
    walk_nodes,
)

LARGEST = 0x7FFFFFFF
"""Sizes and limits are kept in 31 bits; a longer value would not fit any buffer we accept."""

INLINE_WEIGHT = 40
"""Instructions up to which a type used in several places is written out in each of them."""


class Sizes:
    """Words of types of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._fixed: dict[str, int | None] = {}
        self._least = dict.fromkeys(table.types, LARGEST)
        settled = False
        while not settled:
            settled = True
            for name, node in table.types.items():
                words = min(self.least(node), LARGEST)
                settled = settled and words == self._least[name]
                self._least[name] = words

    def fixed(self, node: Type) -> int | None:
        """Words of a type that every content is valid for, None for all others."""
        match node:
            case Primitive(name=name):
                return None if name == "bool" else PRIMITIVE_WORDS[name]
            case Opaque(length=length, fixed=True) if length % 4 == 0:
                return length // 4
            case Array(length=length, item=item):
                words = self.fixed(item)
                return None if words is None else words * length
            case Struct(fields=fields):
                parts = [self.fixed(item) for _, item in fields]
                return None if None in parts else sum(part or 0 for part in parts)
            case Ref(name=name):
                if name not in self._fixed:
                    self._fixed[name] = None
                    self._fixed[name] = self.fixed(self._table.types[name])
                return self._fixed[name]
            case _:
                return None

    def least(self, node: Type) -> int:
        """Words that the shortest value takes."""
        match node:
            case Primitive(name=name):
                return PRIMITIVE_WORDS[name]
            case Opaque(length=length, fixed=fixed):
                return (length + 3) // 4 if fixed else 1
            case Array(length=length, item=item):
                return length * self.least(item)
            case Struct(fields=fields):
                return sum(self.least(item) for _, item in fields)
            case Union(arms=arms):
                return 1 + min(0 if a.item is None else self.least(a.item) for a in arms)
            case Ref(name=name):
                return self._least[name]
            case _:
                return 1


def called_types(table: Table, root: str) -> frozenset[str]:
    """The types worth a procedure of their own.

    A type that holds itself must be one; a large one used in several places is, for size.
    """
    called = set()
    open_types: set[str] = set()
    weights: dict[str, int] = {}
    uses = Counter(
        node.name
        for definition in table.types.values()
        for node in walk_nodes(definition)
        if isinstance(node, Ref)
    )

    def weigh(name: str) -> int:
        if name in open_types:
            called.add(name)
            return 1
        if name not in weights:
            open_types.add(name)
            weights[name] = _weight(table.types[name])
            open_types.remove(name)
            if uses[name] > 1 and weights[name] > INLINE_WEIGHT:
                called.add(name)
        return 1 if name in called else weights[name]

    def _weight(node: Type) -> int:
        match node:
            case Ref(name=name):
                return weigh(name)
            case Struct(fields=fields):
                return sum(_weight(item) for _, item in fields)
            case Union(arms=arms):
                return 1 + sum(1 + _weight(arm.item) for arm in arms if arm.item is not None)
            case Vector(item=item) | Optional(item=item):
                return 1 + _weight(item)
            case Array(length=length, item=item):
                return length * _weight(item)
            case _:
                return 1

    weigh(root)
    return frozenset(called)
