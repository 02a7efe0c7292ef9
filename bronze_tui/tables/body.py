"""Digest of a Parquet file without the one thing that differs between versions of a library.

The footer names the software that wrote the file (``created_by``), and its length depends on that
name. Everything else of two files that the same options gave is the same in all pyarrow versions
looked at so far. Source: parquet-format, ``FileMetaData``; Thrift compact protocol.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_FOOTER_BYTES = 64 << 20
_MAGIC = b"PAR1"
_CREATED_BY = 6
"""Field id in ``FileMetaData``."""
_CHUNK = 1 << 20
_DEEPEST = 32
_BOOLS = (1, 2)
_BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 3, 7, 8, 9, 10, 11, 12
_INTS = (4, 5, 6)


class FooterError(ValueError):
    """The bytes are no Parquet file with a plain footer."""


@dataclass(frozen=True, slots=True)
class Body:
    """A file's digest without its writer's name, and that name."""

    digest: str
    """``sha256:`` over all bytes, with ``created_by`` empty and the footer's length to match."""
    created_by: str


def read_body(path: Path) -> Body:
    """Read a whole file once.

    Raises:
        FooterError: it is no Parquet file. OSError: it cannot be read.
    """
    pages, footer = _read(path)
    first, last, name = _created_by(footer)
    return Body(_finished(pages, footer[:first] + b"\x00" + footer[last:]), name)


def named_by(path: Path, checksum: str, names: Iterable[str]) -> str:
    """Which of ``names`` as ``created_by`` would give the file this checksum; empty: none.

    Raises:
        FooterError: it is no Parquet file. OSError: it cannot be read.
    """
    pages, footer = _read(path)
    first, last, _ = _created_by(footer)
    for name in names:
        text = name.encode()
        if _finished(pages, footer[:first] + _varint(len(text)) + text + footer[last:]) == checksum:
            return name
    return ""


def _read(path: Path) -> tuple[hashlib._Hash, bytes]:
    """The hash of everything before the footer, and the footer."""
    with path.open("rb") as file:
        size, footer = _footer(file)
        digest = hashlib.sha256()
        for chunk in _chunks(file, size - len(footer) - 8):
            digest.update(chunk)
    return digest, footer


def _finished(pages: hashlib._Hash, footer: bytes) -> str:
    digest = pages.copy()
    digest.update(footer + len(footer).to_bytes(4, "little") + _MAGIC)
    return "sha256:" + digest.hexdigest()


def _varint(value: int) -> bytes:
    coded = bytearray()
    while value > 0x7F:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*coded, value])


def _footer(file: BinaryIO) -> tuple[int, bytes]:
    """The file's size and the Thrift bytes of its footer."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    tail = file.read(8)
    if size < 12 or tail[4:] != _MAGIC:
        raise FooterError("it does not end as a Parquet file")
    length = int.from_bytes(tail[:4], "little")
    if not 0 < length <= min(size - 12, MAX_FOOTER_BYTES):
        raise FooterError(f"its footer of {length} bytes cannot be")
    file.seek(size - 8 - length)
    return size, file.read(length)


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    file.seek(0)
    while size > 0:
        chunk = file.read(min(_CHUNK, size))
        if not chunk:
            raise FooterError("it became shorter while it was read")
        size -= len(chunk)
        yield chunk


def _created_by(footer: bytes) -> tuple[int, int, str]:
    """Where the length and text of ``created_by`` begin and end, and the text."""
    reader = _Compact(footer)
    field = 0
    while True:
        field, kind = reader.field(field)
        if kind == 0:
            raise FooterError("its footer does not name the software that wrote it")
        if field == _CREATED_BY and kind == _BINARY:
            first = reader.place
            text = reader.binary()
            return first, reader.place, text.decode("utf-8", "replace")
        reader.skip(kind, _DEEPEST)


class _Compact:
    """Steps over values of the Thrift compact protocol."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def field(self, before: int) -> tuple[int, int]:
        """Id and type of the next field; type 0 ends the struct."""
        head = self._byte()
        kind, delta = head & 0x0F, head >> 4
        if kind == 0:
            return before, 0
        if delta:
            return before + delta, kind
        coded = self._varint()
        return (coded >> 1) ^ -(coded & 1), kind

    def binary(self) -> bytes:
        """A length and as many bytes."""
        length = self._varint()
        start = self.place
        self._move(length)
        return self._data[start : self.place]

    def skip(self, kind: int, depth: int) -> None:
        """Step over a field's value."""
        if depth == 0:
            raise FooterError("its footer is nested too deeply")
        if kind in _BOOLS:
            return
        if kind == _BYTE:
            self._move(1)
        elif kind in _INTS:
            self._varint()
        elif kind == _DOUBLE:
            self._move(8)
        elif kind == _BINARY:
            self.binary()
        elif kind in (_LIST, _SET):
            self._list(depth)
        elif kind == _MAP:
            self._map(depth)
        elif kind == _STRUCT:
            field, inner = self.field(0)
            while inner:
                self.skip(inner, depth - 1)
                field, inner = self.field(field)
        else:
            raise FooterError(f"its footer has a value of unknown type {kind}")

    def _list(self, depth: int) -> None:
        head = self._byte()
        count, kind = head >> 4, head & 0x0F
        if count == 15:
            count = self._varint()
        self._elements(kind, count, depth)

    def _map(self, depth: int) -> None:
        count = self._varint()
        kinds = self._byte() if count else 0
        self._fits(count)
        for _ in range(count):
            self._elements(kinds >> 4, 1, depth)
            self._elements(kinds & 0x0F, 1, depth)

    def _elements(self, kind: int, count: int, depth: int) -> None:
        self._fits(count)
        for _ in range(count):
            # Unlike a field, a boolean in a list has a byte of its own.
            self.skip(_BYTE if kind in _BOOLS else kind, depth - 1)

    def _fits(self, count: int) -> None:
        """An element has a byte at least."""
        if count > len(self._data) - self.place:
            raise FooterError("its footer ends too early")

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise FooterError("its footer has a number that is too long")

    def _byte(self) -> int:
        self._move(1)
        return self._data[self.place - 1]

    def _move(self, count: int) -> None:
        if count > len(self._data) - self.place:
            raise FooterError("its footer ends too early")
        self.place += count
