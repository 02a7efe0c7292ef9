"""The state file: partitions that were found sound before, so that a long verification goes on.

One JSON object a line, appended as partitions pass. It says what this verifier saw, and proves
nothing to anybody else; a partition with findings is never kept.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from bronze_tui.audit.levels.unit import LEVELS, Edges, Outcome, Unit
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.refusal import refusing

FORMAT = "bronze-verified/2"


class Memory:
    """What was verified, by unit and level; safe to call from several threads.

    Args:
        context: what else the verdict depends on (data folder, passphrase, given anchors): entries
            of another context do not count.

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

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._file.close()

    def recall(self, unit: Unit, level: str) -> Outcome | None:
        """The outcome of a unit that passed at this level or a deeper one."""
        doc = self._known.get(unit.identity)
        if doc is None or LEVELS.index(doc["level"]) < LEVELS.index(level):
            return None
        edges = Edges(**doc["edges"]) if doc["edges"] else None
        return Outcome(
            unit,
            edges=edges,
            ledgers=doc["ledgers"],
            signers=Counter(doc["signers"]),
            first_signed=dict(doc["first_signed"]),
            unsigned=doc["unsigned"],
            unchecked=doc["unchecked"],
            anchors={int(ledger): text for ledger, text in doc["anchors"]},
            recalled=True,
        )

    def keep(self, out: Outcome, level: str) -> None:
        """Remember a unit without findings.

        Raises:
            StoreError: it cannot be written.
        """
        if out.findings:
            return
        doc = {
            "format": FORMAT,
            "context": self._context,
            "unit": out.unit.identity,
            "level": level,
            "edges": asdict(out.edges) if out.edges else None,
            "ledgers": out.ledgers,
            "signers": dict(out.signers),
            "first_signed": out.first_signed,
            "unsigned": out.unsigned,
            "unchecked": out.unchecked,
            "anchors": sorted(out.anchors.items()),
        }
        with self._lock, refusing(self._path):
            self._file.write(json.dumps(doc).encode() + b"\n")
            self._file.flush()

    def _take_up(self, data: bytes) -> None:
        whole, _, cut = data.rpartition(b"\n")
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                doc = json.loads(line)
                if doc["format"] != FORMAT or doc["level"] not in LEVELS:
                    raise ValueError("another format")
                if doc["context"] == self._context:
                    self._known[doc["unit"]] = doc
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise StateError(
                    f"line {number} is no record of a verification ({error})",
                    where=str(self._path),
                    todo="give another --state file, or remove this one to begin anew",
                ) from error
        if cut:
            # A crash cut the last line: what comes next must begin on a line of its own.
            with self._path.open("r+b") as file:
                file.truncate(len(data) - len(cut))
