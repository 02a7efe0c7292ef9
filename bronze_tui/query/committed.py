"""What a local folder has committed: data files, commit records, holes, audit events.

Only what a commit record names is seen (in a Go copier's dataset, what a manifest names), so a
file that is half written never is. Reads, never writes, and follows no symbolic link.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.names import is_name

MAX_RECORD_BYTES = 1 << 20
_DEPTH = 6
_COMMITS, _HOLES, _MANIFEST = "_commits", "_holes", "_manifest.json"
_HEADS = "pas-chain-heads.json"


@dataclass(frozen=True, slots=True)
class DataFile:
    """One table's committed Parquet file."""

    network: str
    era_id: str
    bronze_version: str
    partition: LedgerRange
    table: str
    path: Path
    checksum: str
    row_count: int
    byte_size: int
    content_hash: str
    state: str
    """``ok``, or in words why it cannot be read: then no table shows its rows."""


@dataclass(frozen=True, slots=True)
class Record:
    """A commit record or a manifest, with the files it names."""

    path: Path
    doc: dict[str, Any]
    files: tuple[DataFile, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """One ``network/era/version`` folder."""

    path: Path
    records: tuple[Record, ...]
    holes: tuple[dict[str, Any], ...]


@dataclass
class Folder:
    """Everything below a store's root that is committed; parsed records are kept for next time."""

    root: Path
    notes: list[str] = field(default_factory=list)
    """What was left out and why, in sentences for the operator."""
    _parsed: dict[Path, tuple[float, dict[str, Any] | None]] = field(default_factory=dict)

    def signature(self) -> tuple[Any, ...]:
        """Changes when something was committed since, at the cost of a few ``stat`` calls."""
        return tuple(
            (str(folder), folder.stat().st_mtime_ns)
            for dataset in self._dataset_folders([])
            for folder in _watched(dataset)
        )

    def read(self) -> list[Dataset]:
        """All datasets; ``notes`` says what could not be read."""
        self.notes.clear()
        return [self._dataset(folder) for folder in self._dataset_folders(self.notes)]

    def manifests(self) -> Iterator[Record]:
        """Every manifest below the root, ours or the Go copier's."""
        for dataset in self._dataset_folders([]):
            yield from self._from_manifests(dataset)

    def _dataset_folders(self, notes: list[str]) -> list[Path]:
        found: list[Path] = []
        layer = [self.root] if self.root.is_dir() else []
        for _ in range(_DEPTH):
            found += [folder for folder in layer if _is_dataset(folder)]
            layer = [c for f in layer if f not in found for c in _folders(f, notes)]
        return sorted(found)

    def _dataset(self, folder: Path) -> Dataset:
        commits = folder / _COMMITS
        records = self._from_commits(folder) if commits.is_dir() else self._from_manifests(folder)
        holes = [doc for _, doc in self._docs(sorted((folder / _HOLES).glob("*.json")))]
        dataset = Dataset(folder, tuple(records), tuple(holes))
        bad = [f for r in dataset.records for f in r.files if f.state != "ok"]
        if bad:
            self.notes.append(
                f"{len(bad)} committed file{'s' if len(bad) > 1 else ''} of {folder.name} cannot be"
                f" read, first {bad[0].path.name}: {bad[0].state} (see commits.file_state)"
            )
        return dataset

    def _from_commits(self, folder: Path) -> Iterator[Record]:
        paths = sorted((folder / _COMMITS).glob("*-*.json"), key=_first_ledger)
        for path, doc in self._docs(paths):
            key = str(doc.get("chain_key", "")).split("/")
            if doc.get("format") != "bronze-commit/1" or len(key) != 3:
                self.notes.append(f"{path.name} is not a commit record: left out")
                continue
            yield from self._record(folder, path, doc, key)

    def _from_manifests(self, folder: Path) -> Iterator[Record]:
        paths = sorted(folder.glob(f"*/range=*/{_MANIFEST}"), key=lambda p: _first_ledger(p.parent))
        for path, doc in self._docs(paths):
            part = doc.get("partition")
            if isinstance(part, dict):
                key = [str(part.get(name, "")) for name in ("network", "era_id", "version")]
                yield from self._record(folder, path, doc, key)

    def _record(
        self, folder: Path, path: Path, doc: dict[str, Any], key: list[str]
    ) -> Iterator[Record]:
        try:
            part = LedgerRange(int(doc["partition"]["start"]), int(doc["partition"]["end"]))
            tables = dict(doc["tables"]).items()
            files = tuple(_data_file(folder, key, part, str(n), t) for n, t in tables)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.notes.append(f"{path.name} is malformed ({error!r}): left out")
            return
        yield Record(path, doc, files)

    def _docs(self, paths: Iterable[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
        """JSON objects of small regular files; what is none gets a note."""
        for path in paths:
            doc = self._doc(path)
            if doc is None:
                self.notes.append(f"{path.name} is not a readable JSON object: left out")
            else:
                yield path, doc

    def _doc(self, path: Path) -> dict[str, Any] | None:
        try:
            changed = path.lstat().st_mtime
            kept = self._parsed.get(path)
            if kept is None or kept[0] != changed:
                kept = self._parsed[path] = (changed, read_doc(path))
        except OSError:
            return None
        return kept[1]


def read_doc(path: Path) -> dict[str, Any] | None:
    """A small JSON object that stands in a regular file; None when it is anything else."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_RECORD_BYTES:
            return None
        doc = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return doc if isinstance(doc, dict) else None


def event_paths(folder: Path | None) -> list[Path]:
    """Audit event files of a PAS folder, in name order."""
    if folder is None or not folder.is_dir():
        return []
    return sorted(p for p in folder.glob("*.json") if p.name != _HEADS)


def _watched(dataset: Path) -> list[Path]:
    commits = dataset / _COMMITS
    folders = [commits] if commits.is_dir() else [dataset, *_folders(dataset, [])]
    holes = dataset / _HOLES
    return [*folders, holes] if holes.is_dir() else folders


def _is_dataset(folder: Path) -> bool:
    if (folder / _COMMITS).is_dir():
        return True
    return next(folder.glob(f"*/range=*/{_MANIFEST}"), None) is not None


def _folders(folder: Path, notes: list[str]) -> list[Path]:
    found = []
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        notes.append(f"{folder} cannot be listed: {error.strerror or error}")
        return []
    for child in children:
        if not child.name.startswith((".", "_", "range=")) and child.is_dir():
            if child.is_symlink():
                notes.append(f"{child.name} is a symbolic link: not followed")
            else:
                found.append(child)
    return found


def _data_file(
    folder: Path, key: list[str], part: LedgerRange, table: str, doc: dict[str, Any]
) -> DataFile:
    path = folder / table / f"range={part}" / str(doc["file"])
    size, rows = int(doc["byte_size"]), int(doc["row_count"])
    if not (0 <= size < 2**63 and 0 <= rows < 2**63):
        raise ValueError("a size out of bounds")
    network, era_id, version = key
    return DataFile(
        network=network,
        era_id=era_id,
        bronze_version=version,
        partition=part,
        table=table,
        path=path,
        checksum=str(doc["checksum"]),
        row_count=rows,
        byte_size=size,
        content_hash=str(doc.get("content_hash", "")),
        state=_state(folder, table, str(doc["file"]), path, size),
    )


def _state(folder: Path, table: str, name: str, path: Path, size: int) -> str:
    if not is_name(table) or Path(name).name != name or name.startswith("."):
        return "its record names a file outside its folder"
    if any(p.is_symlink() for p in (folder / table, path.parent, path)):
        return "a symbolic link"
    try:
        found = path.stat().st_size
    except OSError as error:
        return "missing" if isinstance(error, FileNotFoundError) else str(error.strerror)
    return "ok" if found == size else f"{found} bytes of {size}"


def _first_ledger(path: Path) -> tuple[int, str]:
    digits = path.name.removeprefix("range=").partition("-")[0]
    return (int(digits) if digits.isascii() and digits.isdigit() else 0, path.name)
