"""SEP-54 object keys: computed from a ledger number, and parsed back from names.

Names are pure text here; which of them exist is the lake source's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bronze_tui.domain.ledger import MAX_LEDGER, LedgerRange
from bronze_tui.hooks.contracts import BatchRef

EXTENSIONS = ("zst", "zstd")
"""Galexie since v23 writes ``.xdr.zst``, before it wrote ``.xdr.zstd``."""

MANIFEST_NAME = ".config.json"

_OBJECT = re.compile(r"([0-9A-F]{8})--([0-9]{1,10})(?:-([0-9]{1,10}))?\.xdr\.([a-z0-9]+)")
_FOLDER = re.compile(r"([0-9A-F]{8})--([0-9]{1,10})-([0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class ObjectName:
    """A parsed object name: the ledgers it is named for and its extension."""

    ledgers: LedgerRange
    extension: str


@dataclass(frozen=True, slots=True)
class LakeLayout:
    """How a lake cuts ledgers into objects and objects into partition folders (SEP-54).

    Args:
        ledgers_per_file: ledgers in one object, at least 1.
        files_per_partition: objects in one folder; 1 means that there are no folders.
        extension: ``zst`` or ``zstd``.

    Raises:
        ValueError: a count is outside 1 to 2**32 - 1, or the extension is another.
    """

    ledgers_per_file: int
    files_per_partition: int
    extension: str = "zst"

    def __post_init__(self) -> None:
        for name in ("ledgers_per_file", "files_per_partition"):
            if not 1 <= getattr(self, name) <= MAX_LEDGER:
                raise ValueError(f"{name} must be 1 to {MAX_LEDGER}, not {getattr(self, name)}")
        if self.extension not in EXTENSIONS:
            raise ValueError(f"extension must be one of {EXTENSIONS}, not {self.extension!r}")

    def file_range(self, sequence: int) -> LedgerRange:
        """The ledgers that the object of ``sequence`` is named for, ended at 2**32 - 1."""
        start = sequence - sequence % self.ledgers_per_file
        return LedgerRange(start, min(start + self.ledgers_per_file - 1, MAX_LEDGER))

    def folder(self, sequence: int) -> str:
        """The partition folder of ``sequence`` with its final slash, empty when there is none."""
        if self.files_per_partition == 1:
            return ""
        size = self.ledgers_per_file * self.files_per_partition
        start = sequence - sequence % size
        end = min(start + size - 1, MAX_LEDGER)
        return f"{MAX_LEDGER - start:08X}--{start}-{end}/"

    def key(self, sequence: int) -> str:
        """The key, below the lake's root, of the object that holds ``sequence``.

        Raises:
            ValueError: not a ledger number (0 to 2**32 - 1).
        """
        return self.folder(sequence) + self._name(self.file_range(sequence))

    def batches(self, ledgers: LedgerRange) -> list[BatchRef]:
        """Every object that holds a ledger of ``ledgers``, in ledger order, without I/O."""
        refs: list[BatchRef] = []
        folder, folder_end = "", -1
        size = self.ledgers_per_file * self.files_per_partition
        start = ledgers.start - ledgers.start % self.ledgers_per_file
        while start <= ledgers.end:
            if start > folder_end:
                folder, folder_end = self.folder(start), start - start % size + size - 1
            span = LedgerRange(start, min(start + self.ledgers_per_file - 1, MAX_LEDGER))
            refs.append(BatchRef(folder + self._name(span), span.start, span.end))
            start += self.ledgers_per_file
        return refs

    def _name(self, span: LedgerRange) -> str:
        end = f"-{span.end}" if self.ledgers_per_file > 1 else ""
        return f"{MAX_LEDGER - span.start:08X}--{span.start}{end}.xdr.{self.extension}"


def parse_object(name: str) -> ObjectName | None:
    """Read an object's base name; None when it is not one of a lake.

    The hexadecimal part must be the complement of the first ledger and numbers must be plain, so
    that one object has exactly one name.
    """
    match = _OBJECT.fullmatch(name)
    if match is None or match[4] not in EXTENSIONS:
        return None
    span = _span(match[1], match[2], match[3])
    return None if span is None else ObjectName(span, match[4])


def parse_folder(name: str) -> LedgerRange | None:
    """Read a partition folder's name without slash; None when it is not one of a lake."""
    match = _FOLDER.fullmatch(name)
    return None if match is None else _span(match[1], match[2], match[3])


def parse_key(key: str) -> ObjectName | None:
    """Read a key below the lake's root, with or without partition folder."""
    folder, slash, name = key.rpartition("/")
    parsed = parse_object(name)
    if parsed is None or not slash:
        return parsed
    partition = parse_folder(folder)
    return parsed if partition and parsed.ledgers.start in partition else None


def infer_layout(keys: Iterable[str]) -> LakeLayout | None:
    """The layout that the first lake key among ``keys`` was made by; None when there is none.

    An object that ends at the last ledger number is passed over: its name is cut short.
    """
    for key in keys:
        parsed = parse_key(key)
        if parsed is None or parsed.ledgers.end == MAX_LEDGER:
            continue
        partition = parse_folder(key.rpartition("/")[0])
        per_file = len(parsed.ledgers)
        per_folder = 1 if partition is None else len(partition) // per_file
        if per_folder >= 1:
            return LakeLayout(per_file, per_folder, parsed.extension)
    return None


def _span(complement: str, first: str, last: str | None) -> LedgerRange | None:
    start = int(first)
    end = start if last is None else int(last)
    plain = str(start) == first and (last is None or str(end) == last)
    if not plain or not start <= end <= MAX_LEDGER or int(complement, 16) != MAX_LEDGER - start:
        return None
    return LedgerRange(start, end)
