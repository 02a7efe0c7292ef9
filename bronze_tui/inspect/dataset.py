"""Datasets and their committed partitions on a local store, found by their commit records.

A folder that only the Go copier wrote has no commit records: there manifests count, and say so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bronze_tui.domain.errors import StateError
from bronze_tui.domain.layout import RAW_TABLE
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.names import is_name
from bronze_tui.domain.partition import load

_MOST_RECORD = 1 << 20


@dataclass(frozen=True, slots=True)
class Committed:
    """One committed partition and what its record says of the ledger file."""

    chain_key: str
    partition: LedgerRange
    path: Path
    rows: int
    byte_size: int
    checksum: str
    created_at: str
    proof: str
    """``commit record`` or ``manifest``."""


class Dataset:
    """``network/era/version`` below a store's folder."""

    def __init__(self, root: Path, chain_key: str) -> None:
        self.root = root
        self.chain_key = chain_key
        self.network, self.era_id, self.version_label = chain_key.split("/")
        self._ranges: list[LedgerRange] = []
        self._starts: list[int] = []
        self._by_record = True
        self.refresh()

    @property
    def ranges(self) -> list[LedgerRange]:
        """Committed partitions in ledger order, as last listed."""
        return self._ranges

    def refresh(self) -> None:
        """List again.

        Raises:
            StateError: a folder cannot be read.
        """
        records = self.root / "_commits"
        self._by_record = records.is_dir()
        names: Iterable[str]
        if self._by_record:
            names = (n.removesuffix(".json") for n in _names(records) if n.endswith(".json"))
        else:
            table = self.root / RAW_TABLE
            names = (
                n.removeprefix("range=")
                for n in _names(table)
                if n.startswith("range=") and (table / n / "_manifest.json").is_file()
            )
        self._ranges = sorted(_ranges(names))
        self._starts = [r.start for r in self._ranges]

    def at(self, sequence: int) -> LedgerRange | None:
        """The committed partition that holds ``sequence``."""
        index = bisect_right(self._starts, sequence) - 1
        if index >= 0 and sequence in self._ranges[index]:
            return self._ranges[index]
        return None

    def next_to(self, sequence: int, step: int) -> int | None:
        """The nearest committed ledger above (``step`` 1) or below (-1); None at the end."""
        wanted = sequence + step
        if self.at(wanted) is not None:
            return wanted
        index = bisect_right(self._starts, wanted)
        if step > 0:
            return self._starts[index] if index < len(self._ranges) else None
        return self._ranges[index - 1].end if index > 0 else None

    def committed(self, partition: LedgerRange) -> Committed:
        """Read its commit record, or its manifest.

        Raises:
            StateError: absent, unreadable or malformed.
        """
        folder = self.root / RAW_TABLE / f"range={partition}"
        record = self.root / "_commits" / f"{partition}.json"
        if not self._by_record:
            record = folder / "_manifest.json"
        doc = load(_read(record), str(record))
        try:
            table = doc["tables"][RAW_TABLE]
            name = str(table["file"])
            if "/" in name or name in ("", ".", ".."):
                raise StateError(f"names a file outside its folder ({name!a})", where=str(record))
            return Committed(
                chain_key=self.chain_key,
                partition=partition,
                path=folder / name,
                rows=int(table["row_count"]),
                byte_size=int(table["byte_size"]),
                checksum=str(table["checksum"]),
                created_at=str(doc["created_at"]),
                proof="commit record" if self._by_record else "manifest",
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"is malformed ({error!r})", where=str(record)) from error

    def cut(self) -> tuple[int, int] | None:
        """First ledger and partition size that the dataset was begun with, by its first record."""
        if not self._by_record or not self._ranges:
            return None
        record = self.root / "_commits" / f"{self._ranges[0]}.json"
        doc = load(_read(record), str(record))
        try:
            return int(doc["era"]["ledger_start"]), int(doc["era"]["partition_size"])
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"is malformed ({error!r})", where=str(record)) from error


def find_datasets(data_root: Path, prefix: str, first: Iterable[str] = ()) -> list[Dataset]:
    """All datasets below ``data_root``/``prefix``, those of the chain keys ``first`` in front.

    Raises:
        StateError: a folder cannot be read.
    """
    base = data_root / prefix
    if not base.is_dir():
        return []
    wanted = {key: number for number, key in enumerate(first)}
    keys = sorted(_chain_keys(base), key=lambda key: (wanted.get(key, len(wanted)), key))
    return [Dataset(base / key, key) for key in keys]


def _chain_keys(base: Path) -> Iterator[str]:
    for network in _folders(base):
        for era in _folders(base / network):
            for version in _folders(base / network / era):
                root = base / network / era / version
                if (root / "_commits").is_dir() or (root / RAW_TABLE).is_dir():
                    yield f"{network}/{era}/{version}"


def _folders(path: Path) -> list[str]:
    return [n for n in _names(path) if is_name(n) and not n.startswith("_") and (path / n).is_dir()]


def _names(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    except OSError as error:
        raise StateError(f"cannot be listed ({error.strerror})", where=str(path)) from error


def _ranges(names: Iterable[str]) -> Iterator[LedgerRange]:
    for name in names:
        try:
            yield LedgerRange.parse(name)
        except ValueError:
            continue


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_RECORD + 1)
    except OSError as error:
        raise StateError(f"cannot be read ({error.strerror})", where=str(path)) from error
    if len(data) > _MOST_RECORD:
        raise StateError(f"is larger than {_MOST_RECORD} bytes", where=str(path))
    return data
