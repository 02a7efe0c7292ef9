"""Finds the dataset and the audit folder that a person means by naming a folder near them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bronze_tui.audit.folder import resolve
from bronze_tui.domain.errors import BronzeError, UsageError
from bronze_tui.domain.layout import RAW_TABLE

_DEPTH = 6
_FOLDERS = 20_000
"""Most folders to look into before giving up."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """``data_root`` holds ``NETWORK/ERA/VERSION``."""

    data_root: Path
    pas_dir: Path | None


def find_dataset(folder: Path) -> Dataset:
    """The dataset at, below or around ``folder``.

    Raises:
        UsageError: there is none.
    """
    full = folder.absolute()
    if not full.is_dir():
        raise UsageError("not a folder", where=str(folder), todo="name the folder of the data")
    for place in (full, *full.parents):
        if place.name == RAW_TABLE and len(place.parts) > 4:
            return Dataset(place.parents[3], _pas_near(place.parents[3]))
    table = _table_below(full)
    if table is None:
        raise UsageError(
            f"no dataset here: no folder {RAW_TABLE} below it",
            where=str(folder),
            todo="name the folder that storage.local_dir of the configuration names",
        )
    return Dataset(table.parents[3], _pas_near(table.parents[3]))


def _table_below(folder: Path) -> Path | None:
    """The first table folder, shallowest first."""
    level, looked = [folder], 0
    for _ in range(_DEPTH):
        following: list[Path] = []
        for place in level:
            looked += 1
            if looked > _FOLDERS:
                return None
            for child in _folders(place):
                if child.name == RAW_TABLE and len(child.parts) > 4:
                    return child
                following.append(child)
        level = following
    return None


def _folders(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return sorted(
                Path(e.path)
                for e in entries
                if e.is_dir(follow_symlinks=False) and not e.name.startswith("range=")
            )
    except OSError:
        return []


def _pas_near(root: Path) -> Path | None:
    for place in (root, root.parent, root.parent.parent):
        try:
            return resolve(place)
        except BronzeError:
            continue
    return None
