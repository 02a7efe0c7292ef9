"""The part of the Audit page that verifies at a level, and its panel PROOF."""

from __future__ import annotations

from textual import work

from bronze_tui.tui.auditdesk import AuditDesk
from bronze_tui.tui.levelrun import LEVELS, LevelProgress, LevelRun, level_of
from bronze_tui.tui.screens.chain_page import ChainPage
from bronze_tui.tui.widgets.askline import AskLine
from bronze_tui.tui.widgets.proofpanel import ProofPanel

QUESTION = "level"


class LeveledPage(ChainPage):
    """A page with a desk, an AskLine and a ProofPanel, on which ``l`` verifies at a level."""

    desk: AuditDesk
    _runner: LevelRun | None = None

    @property
    def levels(self) -> LevelRun:
        """The one verification at a level of this page."""
        if self._runner is None:
            self._runner = LevelRun(self.bronze.session)
        return self._runner

    def level_ended(self) -> None:
        """Draw what a verification at a level has found."""
        raise NotImplementedError

    def on_unmount(self) -> None:
        """Nothing goes on behind a page that is gone."""
        self.levels.close()

    def action_level(self) -> None:
        """Ask for a level and verify at it, in a process of its own."""
        if self.levels.running:
            self.bronze.say("a level is being verified (esc stops it)", "warning")
        elif self.desk.report is None:
            self.bronze.say("nothing is verified yet", "warning")
        else:
            hint = "0 chain 1 manifest 2 file 3 row 4 ledger 5 source"
            self.query_one(AskLine).ask(QUESTION, hint)

    def start_level(self, text: str) -> None:
        """Verify at the level that was typed."""
        level = level_of(text)
        if not level:
            self.bronze.say(f"no level {text!a}: 0 to 5, or {', '.join(LEVELS)}", "warning")
        elif not self.levels.running:
            self._run_level(level)

    @work(exclusive=True, group="level", exit_on_error=False)
    async def _run_level(self, level: str) -> None:
        self._tell_level(LevelProgress(level))
        end = await self.levels.run(level, self._tell_level)
        self.desk.take_level(end, self.bronze.clock())
        self.draw_proof()
        self.level_ended()

    def _tell_level(self, progress: LevelProgress) -> None:
        self.desk.level_progress = progress
        self.draw_proof()

    def draw_proof(self) -> None:
        """Draw the panel."""
        self.query_one(ProofPanel).show(self.desk.proof_rows(self.bronze.clock()))
