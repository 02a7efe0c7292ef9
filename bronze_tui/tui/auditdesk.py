"""What the Audit page knows: the report on the table, the chain in hand, files read, heads pinned.

No drawing and no threads; files are written into the folder that is given and nowhere else.
"""

from __future__ import annotations

import json
from pathlib import Path

from bronze_tui import __version__
from bronze_tui.audit.chain import ChainReport
from bronze_tui.audit.filecheck import FileResult, Progress
from bronze_tui.audit.folder import declared_holes
from bronze_tui.audit.report import VerifyReport, to_json, to_text
from bronze_tui.audit.standing import Row, Standing, alarm_line, standing_rows
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import BronzeError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.tui import pins
from bronze_tui.tui.auditnews import FilesRead, Verified
from bronze_tui.tui.chainrows import (
    ChainRow,
    breaks,
    broken_line,
    damage_line,
    first_break,
    matches,
    rows_of,
)
from bronze_tui.tui.levelreport import file_results, level_rows, progress_row
from bronze_tui.tui.levelrun import LevelEnd, LevelProgress

_NO_CHAIN = ChainReport("", 0, (), "", "", "", ())


class AuditDesk:
    """State of the page; ``checked_at`` in Unix seconds, ``cost`` in seconds."""

    def __init__(self) -> None:
        self.report: VerifyReport | None = None
        self.problem = ""
        self.rows: list[ChainRow] = []
        self.files: dict[str, FileResult] = {}
        self.progress: Progress | None = None
        self.pinned: dict[str, str] = {}
        self.standings: dict[str, Standing] = {}
        self.level: LevelEnd | None = None
        self.level_at = 0.0
        self.level_progress: LevelProgress | None = None
        self.checked_at = 0.0
        self.cost = 0.0
        self.waiting = False
        """The run has announced nothing yet, so an empty folder is as it should be."""
        self.search = ""
        self.index = 0
        """Which of the folder's chains is in hand."""

    @property
    def chain(self) -> ChainReport | None:
        """The chain in hand."""
        if self.report is None or not self.report.chains:
            return None
        return self.report.chains[self.index % len(self.report.chains)]

    @property
    def title(self) -> str:
        """The chain's name, and which one it is of several."""
        if self.chain is None or self.report is None:
            return "CHAIN"
        many = len(self.report.chains)
        place = f"  ({self.index % many + 1} of {many}, c for the next)" if many > 1 else ""
        return f"CHAIN {self.chain.chain_key}{place}"

    def take_report(self, told: Verified, now: float, *, young: bool = False) -> None:
        """What a verification found; ``young``: a run is at work that has linked no event yet."""
        kinds = {f.kind for f in told.report.findings} if told.report is not None else set()
        self.waiting = young and kinds == {"no_events"}
        self.checked_at, self.cost = now, told.cost
        self.report, self.problem, self.pinned = told.report, told.problem, told.pinned
        self.standings = told.standings

    def take_level(self, end: LevelEnd, now: float) -> None:
        """How a verification at a level ended; what it says of files counts for the rows."""
        self.level, self.level_at, self.level_progress = end, now, None
        if end.report is not None and self.report is not None:
            found = file_results(end.report, self.report.chains)
            self.files = {**self.files, **found}
            if found:
                size = sum(result.bytes_read for result in found.values())
                self.progress = Progress(len(found), len(found), size, size, 0.0, done=True)

    def proof_rows(self, now: float) -> list[Row]:
        """The lines of the panel PROOF, the grave ones first."""
        rows: list[Row] = []
        chain = self.chain
        if chain is not None and (standing := self.standings.get(chain.chain_key)) is not None:
            rows += standing_rows(standing, len(chain.line), now)
        if self.level_progress is not None:
            rows.append(progress_row(self.level_progress))
        elif self.level is not None:
            rows += level_rows(self.level, pins.utc(self.level_at)[11:])
        else:
            rows.append(("level", "not verified below the chain yet (l)", ""))
        return sorted(rows, key=lambda row: row[2] != "bad")

    def take_files(self, told: FilesRead) -> None:
        """What the reading of files has found since it last told."""
        self.progress = told.progress
        self.files.update((result.event_hash, result) for result in told.fresh)

    def files_read(self) -> tuple[str, int]:
        """How the reading of files ended, in a line; and how many differ."""
        bad = self.wrong
        word = f"{bad:,} differ (b goes there)" if bad else "all as announced"
        read = self.progress.files if self.progress is not None else 0
        return f"{read:,} partitions read: {word}", bad

    def take_rows(self) -> None:
        """Rows of the chain in hand; what belongs to no chain comes last."""
        if self.report is None or self.waiting:
            self.rows = []
        else:
            self.rows = rows_of(self.chain or _NO_CHAIN, self.report.findings)

    def news(self) -> int:
        """Index of the first break; without one, of the newest event."""
        broken = first_break(self.rows, self.files)
        if broken is not None:
            return broken
        return max((i for i, row in enumerate(self.rows) if row.number is not None), default=0)

    @property
    def wrong(self) -> int:
        """How many partitions' files are not what was announced."""
        return sum(not result.ok for result in self.files.values())

    def next_break(self, cursor: int) -> tuple[int | None, str]:
        """Index of the break behind ``cursor``, or else of the first, and a word about it."""
        found = breaks(self.rows, self.files)
        if not found:
            return None, "no break was found"
        index = next((i for i in found if i > cursor), found[0])
        return index, f"break {found.index(index) + 1:,} of {len(found):,}"

    def broken(self) -> str:
        """Evidence of a broken chain, empty when all is whole."""
        if self.report is None:
            return ""
        return broken_line(self.report) or alarm_line(self.standings)

    def damaged_file(self) -> str:
        """Evidence of a file that is not the one announced, empty when all read are."""
        return next((damage_line(f) for f in self.files.values() if not f.ok), "")

    def events(self) -> list[AuditEvent]:
        """Events of all chains in link order."""
        chains = self.report.chains if self.report is not None else ()
        return [item.event for chain in chains for item in chain.line]

    def chain_of(self, partition: str) -> int | None:
        """Index of the chain that has an event of the partition, the one in hand first."""
        chains = self.report.chains if self.report is not None else ()
        order = sorted(range(len(chains)), key=lambda i: (i - self.index) % len(chains))
        for index in order:
            if any(str(item.event.partition) == partition for item in chains[index].line):
                return index
        return None

    def row_of(self, ledgers: str) -> int | None:
        """Index of the row of these ledgers, an event before what is none."""
        found = [i for i, row in enumerate(self.rows) if row.ledgers == ledgers]
        return min(found, key=lambda i: self.rows[i].item is None, default=None)

    def step(self, start: int, by: int) -> int | None:
        """The next row, or the next match while something is searched for; None without one."""
        if not self.search:
            return max(0, min(start + by, len(self.rows) - 1))
        order = ((start + by * k) % len(self.rows) for k in range(1, len(self.rows) + 1))
        return next((i for i in order if matches(self.rows[i], self.search)), None)

    def save_report(self, folder: Path) -> Path:
        """Write text and JSON of the report; the text's path.

        Raises:
            StoreRefused: they cannot be written.
        """
        assert self.report is not None
        wrong, now = [r for r in self.files.values() if not r.ok], self.checked_at
        text = f"bronze {__version__}  {pins.utc(self.checked_at)}\n{to_text(self.report)}"
        text += "".join(f"\n{name:<12}{value}" for name, value, _ in self.proof_rows(now))
        if self.files:
            text += f"\n\nfiles: {len(self.files):,} partitions read, {len(wrong):,} differ"
            text += "".join(f"\n  {r.kind} {r.ledgers}: {r.message}" for r in wrong)
        doc = json.loads(to_json(self.report)) | {
            "tool": f"bronze {__version__}",
            "checked_at": pins.utc(self.checked_at),
            "level_report": None if self.level is None else self.level.report,
            "proof": [f"{name.strip()}: {text}" for name, text, _ in self.proof_rows(now)],
            "files_read": len(self.files),
            "files_wrong": [
                {"ledgers": r.ledgers, "kind": r.kind, "message": r.message, "found": r.found}
                for r in wrong
            ],
        }
        return pins.write_report(folder, text, doc, self.checked_at)[0]

    def pin(self, folder: Path, now: float) -> Path:
        """Keep the head of the chain in hand; the file.

        Raises:
            StoreRefused: it cannot be written.
        """
        assert self.chain is not None
        path = pins.pin_head(folder, self.chain.chain_key, self.chain.head, self.chain.events, now)
        self.pinned[self.chain.chain_key] = self.chain.head
        return path


def holes_of(root: Path | None, prefix: str) -> dict[str, list[LedgerRange]]:
    """Holes of every dataset of a local store; what cannot be read declares nothing."""
    found: dict[str, list[LedgerRange]] = {}
    if root is None:
        return found
    for folder in (root / prefix).glob("*/*/*/_holes"):
        try:
            found.update(declared_holes(folder))
        except BronzeError:
            continue
    return found
