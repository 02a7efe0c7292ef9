"""A page that finds its way in the partitions: sorted, filtered, gone to by ledger, as the person
left it. What a row looks like and what is done to it is the page's own."""

from __future__ import annotations

from textual import work
from textual.widgets import Input

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.tui.screens.dataset_page import DatasetPage
from bronze_tui.tui.widgets.partition_table import Listing, PartitionTable


class FindingPage(DatasetPage):
    """Order, filter and cursor of a ``PartitionTable``, with an ``Input`` of id ``filter``."""

    def __init__(self) -> None:
        super().__init__()
        self._listing = Listing()
        self._everything = True
        """Whether the next drawing looks at all rows instead of the changed ones."""
        self._wanted: str | None = None
        """The row to move to as soon as it is listed."""

    def on_mount(self) -> None:
        """Sorted and filtered as the person left it; a filter stands in sight."""
        kept = self.bronze.keeper.kept
        if self.bronze.session.kind == "replay":
            return
        self._listing.restore(kept.sort, kept.filter, descending=kept.descending)
        if kept.filter:
            self._set_filter(kept.filter)

    def _keep(self) -> None:
        rows, kept = self._listing, self.bronze.keeper.kept
        kept.sort, kept.descending, kept.filter = rows.sort, rows.descending, rows.filter

    def action_sort(self) -> None:
        self._listing.next_sort()
        self._redraw()

    def action_reverse(self) -> None:
        self._listing.reverse()
        self._redraw()

    def _redraw(self) -> None:
        self._keep()
        self._everything = True
        self.bronze.tick()

    def action_filter(self) -> None:
        self.add_class("-filtering")
        self.query_one("#filter", Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._listing.set_filter(event.value)
        self._redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.set_class(bool(self._listing.filter), "-filtering")
        self.query_one(PartitionTable).focus()

    def action_back(self) -> None:
        """Step out: of the filter, then of the detail."""
        if self.has_class("-filtering"):
            self._set_filter("")
        else:
            self.remove_class("-only-detail")
        self.query_one(PartitionTable).focus()

    def _set_filter(self, text: str) -> None:
        self.query_one("#filter", Input).value = text
        self._listing.set_filter(text)
        self.set_class(bool(text), "-filtering")
        self._redraw()

    @work
    async def action_goto(self) -> None:
        from bronze_tui.tui.screens.notes import AskText

        question = "A ledger's number, or a range as S-E"
        text = await self.app.push_screen_wait(AskText("GO TO", question, "59954321"))
        if text is None:
            return
        wanted = parse_range(text.replace(",", "").replace(" ", ""))
        if wanted is None:
            self.bronze.say(f"neither a ledger nor a range: {text}", "warning")
            return
        key = self._listing.holding(wanted.start)
        if key is None:
            self.bronze.say(f"no listed partition holds ledger {wanted.start}", "warning")
        else:
            self.open_row(key)

    def open_row(self, key: str) -> None:
        """Move the cursor to a partition, as soon as it is listed."""
        if self._listing.filter:
            self._set_filter("")
        self._wanted = key
        self._everything = True
        self.bronze.tick()


def parse_range(text: str) -> LedgerRange | None:
    """``S-E`` or one ledger; None when it is neither."""
    try:
        return LedgerRange.parse(text if "-" in text else f"{text}-{text}")
    except ValueError:
        return None
