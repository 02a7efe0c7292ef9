"""What the Audit page's threads tell it; posting a message is the one thing they may do to it."""

from __future__ import annotations

from collections.abc import Mapping

from textual.message import Message

from bronze_tui.audit.filecheck import FileResult, Progress
from bronze_tui.audit.report import VerifyReport
from bronze_tui.audit.standing import Standing


class Verified(Message):
    """A verification ended; ``cost`` in seconds, ``problem`` where there is no report."""

    def __init__(
        self,
        report: VerifyReport | None,
        problem: str,
        pinned: dict[str, str],
        cost: float,
        standings: Mapping[str, Standing] | None = None,
    ) -> None:
        super().__init__()
        self.standings = dict(standings or {})
        self.report, self.problem = report, problem
        self.pinned, self.cost = pinned, cost


class FilesRead(Message):
    """More partition files were read."""

    def __init__(self, fresh: list[FileResult], progress: Progress) -> None:
        super().__init__()
        self.fresh, self.progress = fresh, progress
