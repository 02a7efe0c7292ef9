"""Compiles a choice of fields into a program for the walker.

Types on a marked path are cloned, so that a mark costs nothing where the same type stands
elsewhere. Needs no numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum as PyEnum

from bronze_tui.xdr import kernel
from bronze_tui.xdr.program import FieldPath, Label, Program, Writer
from bronze_tui.xdr.sizes import LARGEST, Sizes, called_types
from bronze_tui.xdr.table import (
    Arm,
    Array,
    Enum,
    Opaque,
    Optional,
    Primitive,
    Ref,
    Struct,
    Table,
    Type,
    Union,
    Vector,
)

ELEMENT = "[]"

Close = tuple[int, tuple[Label, ...]]
"""The jump that ends a piece of program: its code and targets."""

_Target = tuple[int, Label | int]
_THROUGH: _Target = (0, kernel.THROUGH)
_REFUSED: _Target = (0, kernel.REFUSED)


class Kind(PyEnum):
    """What a mark asks of the walk."""

    VALUE = "value"
    """A row (mark, first byte, bytes)."""
    VECTOR = "vector"
    """A row (mark, first byte of the first element, elements)."""
    SUM = "sum"
    """No row: the element counts of every visit, added up."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A name and the fields it stands for, often one for each version of a type.

    ``paths`` are field names with dots from the root type, with ``[]`` for each vector entered:
    ``LedgerCloseMeta.v1.txProcessing[].result.result.feeCharged``. Optionals and type names are
    passed through.
    """

    name: str
    kind: Kind
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Projection:
    """A program with the names of its marks and sums, each in the order of their numbers."""

    root: str
    program: Program
    marks: tuple[str, ...]
    sums: tuple[str, ...]


class ProjectionError(ValueError):
    """A path does not exist in the grammar, or cannot bear its mark."""


@dataclass(slots=True)
class _Trie:
    """Marks by what is left of their paths."""

    values: list[int] = field(default_factory=list)
    vectors: list[int] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)
    children: dict[str, _Trie] = field(default_factory=dict)
    used: bool = False
    counted: bool = False

    def child(self, name: str) -> _Trie:
        found = self.children.get(name, _NOTHING)
        found.used = True
        return found

    def unused(self, prefix: str) -> str:
        """The first path below that no type answered to, or nothing."""
        if (self.vectors or self.sums) and not self.counted:
            return f"{prefix} as a vector"
        for name, child in self.children.items():
            path = f"{prefix}{'' if name == ELEMENT else '.'}{name}"
            if not child.used:
                return path
            if deeper := child.unused(path):
                return deeper
        return ""


_NOTHING = _Trie()


def compile_projection(table: Table, root: str, marks: Sequence[Mark] = ()) -> Projection:
    """The program that validates one ``root`` and emits ``marks``.

    Raises:
        ProjectionError: a path that the grammar does not have.
    """
    rows = [mark for mark in marks if mark.kind is not Kind.SUM]
    sums = [mark for mark in marks if mark.kind is Kind.SUM]
    trie = _Trie()
    for number, mark in [*enumerate(rows), *enumerate(sums)]:
        for path in mark.paths:
            _plant(trie, root, path, mark.kind, number)
    emitter = _Emitter(table, root)
    emitter.main(root, trie)
    if lost := trie.unused(root):
        raise ProjectionError(f"no such field: {lost}")
    program = emitter.writer.finish(len(rows), len(sums))
    return Projection(root, program, tuple(m.name for m in rows), tuple(m.name for m in sums))


def _plant(trie: _Trie, root: str, path: str, kind: Kind, number: int) -> None:
    first, *names = path.replace(ELEMENT, f".{ELEMENT}").split(".")
    if first != root:
        raise ProjectionError(f"path {path} does not begin at {root}")
    for name in names:
        trie = trie.children.setdefault(name, _Trie())
    bearer = {Kind.VALUE: trie.values, Kind.VECTOR: trie.vectors, Kind.SUM: trie.sums}[kind]
    bearer.append(number)


class _Emitter:
    """Turns types into instructions.

    A named type becomes a procedure of its own when it holds itself, or when it is large and used
    in several places; all others are written out where they stand, which saves calls.
    """

    def __init__(self, table: Table, root: str) -> None:
        self.writer = Writer()
        self._table = table
        self._sizes = Sizes(table)
        self._procedures: dict[str, Label] = {}
        self._waiting: list[str] = []
        self._called = called_types(table, root)

    def main(self, root: str, trie: _Trie) -> None:
        self._emit(self._table.types[root], (), trie, None)
        self.writer.add(kernel.HALT, ())
        while self._waiting:
            name = self._waiting.pop()
            self.writer.place(self._procedures[name], ())
            self._emit(self._table.types[name], (), _NOTHING, (kernel.RETURN, ()))

    def _finish(self, close: Close | None, path: FieldPath) -> None:
        if close is not None:
            operation, targets = close
            self.writer.add(operation, path, *targets)

    def _emit(self, node: Type, path: FieldPath, trie: _Trie, close: Close | None) -> None:
        """Write the reading of ``node``; after it go on, or with ``close``, go there."""
        marks = trie.values
        words = self._sizes.fixed(node)
        if words is not None:
            for mark in marks:
                self.writer.peek(kernel.MARK, path, mark, words)
        if words is None and marks:
            for mark in marks:
                self.writer.peek(kernel.OPEN, path, mark)
            self._emit_inside(node, path, trie, None)
            for mark in marks:
                self.writer.peek(kernel.CLOSE, path, mark)
            self._finish(close, path)
        elif words is None or trie.children:
            self._emit_inside(node, path, trie, close)
        else:
            self.writer.skip(words, path)
            self._finish(close, path)

    def _emit_inside(self, node: Type, path: FieldPath, trie: _Trie, close: Close | None) -> None:
        match node:
            case Ref(name=name):
                self._reference(name, path, trie, close)
            case Struct(fields=fields):
                for index, (name, item) in enumerate(fields):
                    last = close if index == len(fields) - 1 else None
                    self._emit(item, (*path, name), trie.child(name), last)
            case Optional(item=item):
                self._optional(item, path, trie, close)
            case Vector(maximum=maximum, item=item):
                self._vector(maximum, item, path, trie, close)
            case Array(length=length, item=item):
                for index in range(length):
                    self._emit(item, (*path, f"[{index}]"), trie.child(ELEMENT), None)
                self._finish(close, path)
            case Union():
                self._union(node, path, trie, close)
            case _:
                self._leaf(node, path)
                self._finish(close, path)

    def _leaf(self, node: Type, path: FieldPath) -> None:
        match node:
            case Opaque(length=length, fixed=False):
                self.writer.add(kernel.OPAQUE, path, min(length, LARGEST))
            case Opaque(length=length):
                self.writer.add(kernel.PADDED, path, length)
            case Primitive():
                targets = dict.fromkeys((0, 1), _THROUGH)
                self._switch("bool", path, targets, _REFUSED)
            case Enum(members=members):
                targets = dict.fromkeys((value for _, value in members), _THROUGH)
                self._switch("enum value", path, targets, _REFUSED)
            case _:
                raise ProjectionError(f"cannot read {node}")

    def _reference(self, name: str, path: FieldPath, trie: _Trie, close: Close | None) -> None:
        if name not in self._called or trie.children or trie.vectors or trie.sums:
            self._emit_inside(self._table.types[name], path, trie, close)
            return
        if name not in self._procedures:
            self._procedures[name] = Label()
            self._waiting.append(name)
        self.writer.add(kernel.CALL, path, self._procedures[name])
        self._finish(close, path)

    def _optional(self, item: Type, path: FieldPath, trie: _Trie, close: Close | None) -> None:
        words = self._sizes.fixed(item)
        if words is not None and not trie.children:
            self.writer.add(kernel.OPTIONAL_FIXED, path, words)
        else:
            absent = Label()
            self.writer.add(kernel.OPTIONAL, path, absent)
            self._emit_inside(item, path, trie, close)
            self.writer.place(absent, path)
        self._finish(close, path)

    def _vector(
        self, maximum: int, item: Type, path: FieldPath, trie: _Trie, close: Close | None
    ) -> None:
        trie.counted = True
        for mark in trie.vectors:
            self.writer.peek(kernel.MARK_COUNT, path, mark)
        for mark in trie.sums:
            self.writer.peek(kernel.ADD_COUNT, path, mark)
        inside = trie.child(ELEMENT)
        words = self._sizes.fixed(item)
        least = self._sizes.least(item)
        if least == 0:
            raise ProjectionError(f"elements without bytes in {'.'.join(path)}")
        limit = min(maximum, LARGEST)
        if words is not None and inside is _NOTHING:
            self.writer.add(kernel.VECTOR_FIXED, path, limit, words)
        else:
            body, after = Label(), Label()
            self.writer.add(kernel.VECTOR, path, limit, least, after)
            self.writer.place(body, path)
            self._emit(item, (*path, ELEMENT), inside, (kernel.NEXT, (body, after)))
            self.writer.place(after, path)
        self._finish(close, path)

    def _union(self, node: Union, path: FieldPath, trie: _Trie, close: Close | None) -> None:
        """Arms are written out behind the switch; an arm of fixed size is only a table entry."""
        targets: dict[int, _Target] = {}
        other: _Target = _REFUSED
        bodies: list[tuple[Arm, Label]] = []
        join = Label()
        written = [arm for arm in node.arms if not self._plain(arm, trie)]
        for arm in node.arms:
            words = 0 if arm.item is None else self._sizes.fixed(arm.item) or 0
            target: _Target = (words, join if written else kernel.THROUGH)
            if arm in written:
                body = Label()
                bodies.append((arm, body))
                target = (0, body)
            if arm.labels is None:
                other = target
            else:
                targets.update(dict.fromkeys(arm.labels, target))
        self._discriminant(node.switch, path, targets, other)
        leave = close or (kernel.JUMP, (join,))
        for arm, label in bodies:
            self.writer.place(label, path)
            assert arm.item is not None
            self._emit(arm.item, (*path, arm.name), trie.child(arm.name), leave)
        self.writer.place(join, path)
        self._finish(close, path)

    def _plain(self, arm: Arm, trie: _Trie) -> bool:
        return arm.item is None or (
            self._sizes.fixed(arm.item) is not None and trie.child(arm.name) is _NOTHING
        )

    def _discriminant(
        self,
        switch: Type,
        path: FieldPath,
        targets: dict[int, _Target],
        other: _Target,
    ) -> None:
        resolved = self._table.resolve(switch)
        if isinstance(resolved, Enum):
            members = [value for _, value in resolved.members]
            targets = {value: targets.get(value, other) for value in members}
            other = _REFUSED
        elif resolved == Primitive("bool"):
            targets = {value: targets.get(value, other) for value in (0, 1)}
            other = _REFUSED
        self._switch("union arm", path, targets, other)

    def _switch(
        self,
        what: str,
        path: FieldPath,
        targets: dict[int, _Target],
        other: _Target,
    ) -> None:
        lowest, highest = min(targets), max(targets)
        if highest - lowest > 4096:
            raise ProjectionError(f"values too far apart in {'.'.join(path)}")
        values = range(lowest, highest + 1)
        self.writer.switch(what, path, lowest, [*(targets.get(v, other) for v in values), other])
