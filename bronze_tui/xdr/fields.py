"""Every field of a ledger's header as text, for people; the copier itself reads `header`."""

from __future__ import annotations

from functools import cache

from bronze_tui.xdr.buffer import Buffer, view
from bronze_tui.xdr.header import ROOT, VERSIONS
from bronze_tui.xdr.projection import Kind, Mark, Projection, compile_projection
from bronze_tui.xdr.table import Array, Opaque, Primitive, Struct, Type, load

_HEADER = "LedgerHeader"


def header_fields(buffer: Buffer, start: int = 0) -> list[tuple[str, str]]:
    """Name and text of each field of fixed size, in wire order: decimal numbers, bare hex hashes.

    Args:
        start: first byte of a LedgerCloseMeta of any version.

    Raises:
        XdrError: the bytes are no LedgerCloseMeta.
    """
    from bronze_tui.xdr.walker import Walker

    projection, types = _projection()
    walker = Walker(projection)
    walker.walk(buffer, start)
    data = view(buffer)
    return [
        (projection.marks[mark], _text(types[mark], bytes(data[offset : offset + size])))
        for mark, offset, size in walker.rows.tolist()
    ]


@cache
def _projection() -> tuple[Projection, tuple[Type, ...]]:
    leaves = list(_leaves(load().types[_HEADER], ""))
    marks = [
        Mark(name, Kind.VALUE, tuple(f"{ROOT}.{v}.ledgerHeader.header.{name}" for v in VERSIONS))
        for name, _ in leaves
    ]
    return compile_projection(load(), ROOT, marks), tuple(node for _, node in leaves)


def _leaves(node: Type, name: str) -> list[tuple[str, Type]]:
    """The numbers, hashes and arrays of them inside; what has a variable size is left out."""
    resolved = load().resolve(node)
    match resolved:
        case Struct(fields=fields):
            parts = [_leaves(item, f"{name}.{part}".lstrip(".")) for part, item in fields]
            return [leaf for part in parts for leaf in part]
        case Primitive() | Opaque(fixed=True) | Array():
            return [(name, resolved)]
        case _:
            return []


def _text(node: Type, value: bytes) -> str:
    match node:
        case Primitive(name=name):
            return str(int.from_bytes(value, "big", signed=not name.startswith("unsigned")))
        case Array(length=length):
            size = len(value) // length
            return " ".join(value[i : i + size].hex() for i in range(0, len(value), size))
        case _:
            return value.hex()
