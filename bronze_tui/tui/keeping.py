"""What the app keeps from one start to the next, in the user's own state folder.

``$XDG_STATE_HOME/bronze/tui.json`` (XDG Base Directory Specification 0.8): the theme, and for each
dataset the last page and how its partitions were sorted and filtered. A file that cannot be read
or written costs the memory, nothing else. Two apps at once keep each other's entries.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bronze_tui.domain.errors import BronzeError
from bronze_tui.tui.pins import write_file
from bronze_tui.tui.session import Session

FILE = "tui.json"
MOST = 50
"""Datasets remembered, the ones used last."""
_MAX_BYTES = 1 << 20
_MAX_TEXT = 1_000


@dataclass
class Kept:
    """What one dataset's screens looked like; ``sort`` empty when nothing is known."""

    page: str = ""
    sort: str = ""
    descending: bool = True
    filter: str = ""


def user_state(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's state folder for this program; it need not exist."""
    named = Path(environ.get("XDG_STATE_HOME") or "")
    base = named if named.is_absolute() else Path.home() / ".local" / "state"
    return base / "bronze"


def own_folder(session: Session) -> Path:
    """Where exports, reports and queries of a session go: the run's state folder, else one of the
    user's for what is looked at. The latter need not exist."""
    if session.state_dir is not None and session.state_dir.is_dir():
        return session.state_dir
    looked_at = session.data_root or session.pas_dir or session.journal or Path()
    name = hashlib.sha256(os.fsencode(looked_at.absolute())).hexdigest()[:12]
    return user_state() / "inspected" / name


class Keeper:
    """Reads at the start and saves when asked to.

    Args:
        path: the file; None keeps nothing.
        dataset: whose entry is ``kept``.
    """

    def __init__(self, path: Path | None, dataset: str) -> None:
        self._path = path
        self._dataset = dataset
        doc = self._read()
        self.theme = _text(doc.get("theme"))
        self.kept = _kept(_entries(doc).get(dataset))

    def save(self, theme: str = "") -> None:
        """Write this dataset's entry, and the theme when one is given."""
        if self._path is None:
            return
        doc = self._read()
        entries = {k: v for k, v in _entries(doc).items() if k != self._dataset}
        entries[self._dataset] = asdict(self.kept)
        doc["datasets"] = dict(list(entries.items())[-MOST:])
        if theme:
            doc["theme"] = theme
        with suppress(OSError, BronzeError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(self._path, json.dumps(doc, indent=1).encode() + b"\n")

    def _read(self) -> dict[str, Any]:
        try:
            if self._path is None or self._path.stat().st_size > _MAX_BYTES:
                return {}
            doc = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return doc if isinstance(doc, dict) else {}


def keeper_of(session: Session, *, kept: bool) -> Keeper:
    """The keeper of a session; ``kept`` false for views that belong to no user."""
    return Keeper(user_state() / FILE if kept else None, str(own_folder(session)))


def _entries(doc: dict[str, Any]) -> dict[str, Any]:
    found = doc.get("datasets")
    return found if isinstance(found, dict) else {}


def _kept(entry: Any) -> Kept:
    """An entry of any origin: what is not of its type is left out."""
    kept = Kept()
    for field in fields(Kept):
        value = entry.get(field.name) if isinstance(entry, dict) else None
        if isinstance(value, bool) and field.name == "descending":
            kept.descending = value
        elif field.name != "descending":
            setattr(kept, field.name, _text(value))
    return kept


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= _MAX_TEXT else ""
