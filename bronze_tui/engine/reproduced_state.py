"""The state file of a rebuild: partitions that were built again before and found sound.

One JSON object a line, appended as partitions are done, so that what was interrupted goes on. A
partition that was not sound is never kept.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from bronze_tui.audit.attestation import SOUND
from bronze_tui.audit.levels.unit import Unit
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.refusal import refusing
from bronze_tui.engine.judge import Judgement
from bronze_tui.engine.reproduce import Reproduced

FORMAT = "bronze-rebuilt/1"
_TEXTS = ("checksum", "content_root", "writer", "ingested_at")
_COUNTS = ("ledgers", "xdr_bytes", "source_bytes")


class ReproducedState:
    """What was found sound, by event hash; safe to call from several threads.

    Args:
        context: what else the verdict depends on (lake, data folder, software): entries of another
            context do not count.

    Raises:
        StateError: the file is something else. StoreError: it cannot be written.
    """

    def __init__(self, path: Path, context: str) -> None:
        self._path, self._context = path, context
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, Any]] = {}
        with refusing(path):
            if path.exists():
                self._take_up(path.read_bytes())
            self._file = path.open("ab")

    def __enter__(self) -> ReproducedState:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._file.close()

    def recall(self, unit: Unit) -> Reproduced | None:
        """See ``Known``."""
        doc = self._known.get(unit.identity)
        if doc is None:
            return None
        judgement = Judgement(doc["verdict"], doc["compared_with"], notes=tuple(doc["notes"]))
        values = {name: doc[name] for name in (*_TEXTS, *_COUNTS)}
        return Reproduced(unit, judgement, **values, recalled=True)

    def keep(self, found: Reproduced) -> None:
        """See ``Known``.

        Raises:
            StoreError: it cannot be written.
        """
        judged = found.judgement
        if judged.verdict not in SOUND:
            return
        doc = {
            "format": FORMAT,
            "context": self._context,
            "unit": found.unit.identity,
            "verdict": judged.verdict,
            "compared_with": judged.compared_with,
            "notes": list(judged.notes),
            **{name: getattr(found, name) for name in (*_TEXTS, *_COUNTS)},
        }
        with self._lock, refusing(self._path):
            self._file.write(json.dumps(doc).encode() + b"\n")
            self._file.flush()

    def _take_up(self, data: bytes) -> None:
        whole, _, cut = data.rpartition(b"\n")
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self._entry(json.loads(line))
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise StateError(
                    f"line {number} is no record of a rebuild ({error})",
                    where=str(self._path),
                    todo="give another --state file, or remove this one to begin anew",
                ) from error
        if cut:
            # A crash cut the last line: what comes next must begin on a line of its own.
            with self._path.open("r+b") as file:
                file.truncate(len(data) - len(cut))

    def _entry(self, doc: dict[str, Any]) -> None:
        known = doc["verdict"] in SOUND and doc["compared_with"] in ("file", "manifest", "event")
        texts = all(isinstance(doc[name], str) for name in (*_TEXTS, "unit"))
        counts = all(isinstance(doc[name], int) for name in _COUNTS)
        if doc["format"] != FORMAT or not (known and texts and counts):
            raise ValueError("another format")
        if doc["context"] == self._context:
            self._known[doc["unit"]] = doc
