"""The journal's own lines on stdout: data for programs, and nothing else there."""

from __future__ import annotations

import json
from typing import TextIO

from bronze_tui.domain.events import Alert, to_record
from bronze_tui.headless.feed import Record


class JsonLinesSink:
    """Writes each record as one JSON line; when some were dropped, an alert says how many."""

    interval: float | None = None

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, record: Record) -> None:
        """Write the record."""
        self._stream.write(json.dumps(record, separators=(",", ":"), default=str) + "\n")

    def tick(self) -> None:
        """Make what was written visible."""
        self._stream.flush()

    def finish(self, skipped: int) -> None:
        """Say how many lines the reader was too slow for."""
        if skipped:
            message = f"{skipped} lines were left out because the reader was slow"
            self.show(to_record(Alert("warn", "output", message, "the journal has them all")))
        self._stream.flush()
