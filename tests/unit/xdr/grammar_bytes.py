"""Random bytes of any type of the table, and a slow, plain reading of them to compare with."""

from __future__ import annotations

import random
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import zstandard

from bronze_tui.xdr.sizes import Sizes
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

Label = tuple[str, int]


def word(value: int) -> bytes:
    return struct.pack(">I", value & 0xFFFFFFFF)


def unpacked(path: Path) -> bytes:
    """Content of a lake object that is trusted."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())


def union_labels(node: Union) -> list[int]:
    """Discriminants that an arm answers to."""
    return [label for arm in node.arms for label in arm.labels or ()]


class Maker:
    """Makes values; prefers union arms with most that it has not used yet, stops growing when deep.

    Every value is right by construction: enum members, lengths, flags and padding.
    """

    def __init__(self, table: Table, seed: int, *, deep: int = 14, longest: int = 3) -> None:
        self.table = table
        self.used: Counter[Label] = Counter()
        self._random = random.Random(seed)
        self._deep = deep
        self._longest = longest
        self._sizes = Sizes(table)
        self._below: dict[Label, set[Label]] = {}

    def reseed(self, seed: int) -> None:
        self._random = random.Random(seed)

    def make(self, name: str) -> bytes:
        return self._make(Ref(name), name, 0)

    def _make(self, node: Type, where: str, depth: int) -> bytes:
        pick = self._random
        grow = depth < self._deep
        match node:
            case Ref(name=name):
                return self._make(self.table.types[name], name, depth)
            case Primitive(name="bool"):
                return word(pick.randrange(2))
            case Primitive(name="hyper" | "unsigned hyper" | "double"):
                return pick.randbytes(8)
            case Primitive():
                return pick.randbytes(4)
            case Opaque(length=length, fixed=True):
                return pick.randbytes(length)
            case Opaque(length=length):
                data = pick.randbytes(pick.randint(0, min(length, 9)))
                return word(len(data)) + data + bytes(-len(data) % 4)
            case Enum(members=members):
                return word(pick.choice(members)[1])
            case Array(length=length, item=item):
                return b"".join(self._make(item, where, depth) for _ in range(length))
            case Optional(item=item):
                present = grow and pick.random() < 0.5
                return word(present) + (self._make(item, where, depth + 1) if present else b"")
            case Vector(maximum=maximum, item=item):
                count = pick.randint(0, min(maximum, self._longest)) if grow else 0
                parts = [self._make(item, where, depth + 1) for _ in range(count)]
                return word(count) + b"".join(parts)
            case Struct(fields=fields):
                return b"".join(self._make(i, f"{where}.{n}", depth) for n, i in fields)
            case Union():
                return self._union(node, where, depth)

    def _union(self, node: Union, where: str, depth: int) -> bytes:
        labels = union_labels(node)
        arms = {label: arm for arm in node.arms for label in arm.labels or ()}
        if depth >= self._deep:
            label = min(labels, key=lambda x: self._height(arms[x].item))
        elif self._random.random() < 0.85:
            label = max(labels, key=lambda x: self._unused(where, x, arms[x]))
        else:
            label = self._random.choice(labels)
        self.used[where, label] += 1
        arm = arms[label]
        if arm.item is None:
            return word(label)
        return word(label) + self._make(arm.item, f"{where}.{arm.name}", depth + 1)

    def _unused(self, where: str, label: int, arm: Arm) -> tuple[int, float]:
        place = (where, label)
        if place not in self._below:
            self._below[place] = {place, *labels_below(self.table, arm.item, f"{where}.{arm.name}")}
        return len(self._below[place] - self.used.keys()), self._random.random()

    def _height(self, item: Type | None) -> int:
        return 0 if item is None else self._sizes.least(item)


def labels_below(table: Table, start: Type | None, where: str) -> set[Label]:
    """Every (union, discriminant) that ``start`` can hold, named as `Maker` names them."""
    found: set[Label] = set()
    seen: set[str] = set()
    waiting = [(start, where)]
    while waiting:
        node, where = waiting.pop()
        match node:
            case Ref(name=name) if name not in seen:
                seen.add(name)
                waiting.append((table.types[name], name))
            case Array(item=item) | Optional(item=item) | Vector(item=item):
                waiting.append((item, where))
            case Struct(fields=fields):
                waiting += [(item, f"{where}.{name}") for name, item in fields]
            case Union(arms=arms):
                found.update((where, label) for label in union_labels(node))
                waiting += [(arm.item, f"{where}.{arm.name}") for arm in arms]
            case _:
                pass
    return found


@dataclass
class Refusal(Exception):
    """Where and why the plain reading stopped."""

    rule: str
    offset: int
    path: str


class PlainReader:
    """Reads by recursion over the types, field by field; slow, and without a depth limit."""

    def __init__(self, table: Table, data: bytes) -> None:
        self._table = table
        self._data = data
        self._sizes = Sizes(table)
        self.position = 0

    def read(self, name: str) -> int:
        self._read(Ref(name), name)
        return self.position

    def _refuse(self, rule: str, path: str) -> None:
        raise Refusal(rule, self.position - 4, path)

    def _take(self, count: int, path: str) -> bytes:
        whole = len(self._data) // 4 * 4
        if self.position + count > whole:
            raise Refusal("bytes end", self.position, path)
        self.position += count
        return self._data[self.position - count : self.position]

    def _word(self, path: str) -> int:
        return int.from_bytes(self._take(4, path), "big")

    def _chosen(self, allowed: set[int], rule: str, path: str) -> int:
        value = self._word(path)
        value -= (value >> 31) << 32
        if value not in allowed:
            self._refuse(rule, path)
        return value

    def _length(self, maximum: int, least: int, path: str) -> int:
        count = self._word(path)
        if count > maximum or 4 * count * least > len(self._data) // 4 * 4 - self.position:
            self._refuse("length", path)
        return count

    def _read(self, node: Type, path: str) -> None:
        match node:
            case Ref(name=name):
                self._read(self._table.types[name], path)
            case Primitive(name="bool"):
                self._chosen({0, 1}, "unknown bool", path)
            case Enum(members=members):
                self._chosen({value for _, value in members}, "unknown enum value", path)
            case Primitive() | Opaque(fixed=True):
                self._take(4 * self._sizes.least(node), path)
            case Opaque(length=maximum):
                self._opaque(maximum, path)
            case Array(length=length, item=item):
                for index in range(length):
                    self._read(item, f"{path}[{index}]")
            case Optional(item=item):
                if self._chosen({0, 1}, "unknown flag of an optional", path):
                    self._read(item, path)
            case Vector(maximum=maximum, item=item):
                for index in range(self._length(maximum, self._sizes.least(item), path)):
                    self._read(item, f"{path}[{index}]")
            case Struct(fields=fields):
                for name, item in fields:
                    self._read(item, f"{path}.{name}")
            case Union(arms=arms):
                labels = set(union_labels(node))
                label = self._chosen(labels, "unknown union arm", path)
                arm = next(arm for arm in arms if label in (arm.labels or ()))
                if arm.item is not None:
                    self._read(arm.item, f"{path}.{arm.name}")

    def _opaque(self, maximum: int, path: str) -> None:
        count = self._word(path)
        padded = (count + 3) // 4 * 4
        if count > maximum or self.position + padded > len(self._data) // 4 * 4:
            self._refuse("length", path)
        if any(self._take(padded, path)[count:]):
            self._refuse("padding", path)
