"""Ledger: what is stored of one ledger, proven row by row, its XDR opened node by node.

Everything is read by a child process; the page asks, awaits and draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from bronze_tui.domain.errors import BronzeError
from bronze_tui.inspect.client import InspectClient
from bronze_tui.inspect.setup import Setup
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict
from bronze_tui.tui.ledger_search import search
from bronze_tui.tui.screens.base import Page
from bronze_tui.tui.widgets import ledger_facts
from bronze_tui.tui.widgets.askline import AskLine
from bronze_tui.tui.widgets.figures import line, part, put, stack, title
from bronze_tui.tui.widgets.ledger_about import NOT_COMPARED, LedgerAbout
from bronze_tui.tui.widgets.ledger_rows import ROWS, LedgerRows
from bronze_tui.tui.widgets.linelist import LineList
from bronze_tui.tui.widgets.xdr_panel import Key, XdrPanel

COMPACT_HEIGHT = 36
"""Below it checks share a line, so that the tree has room."""


def _bind(key: str, action: str, name: str, id: str, tooltip: str, **more: Any) -> Binding:
    return Binding(key, action, name, id=f"ledger.{id}", tooltip=tooltip, **more)


class LedgerPage(Page):
    """One ledger: header, checks, decoded XDR."""

    PAGE = "ledger"
    AUTO_FOCUS = "#rows"
    BINDINGS: ClassVar[list[BindingType]] = [
        _bind(
            "g,slash", "goto", "go to", "goto", "ledger number, hash, transaction", key_display="g"
        ),
        _bind("n", "step(1)", "next", "next", "next ledger, over partition borders"),
        _bind("N", "step(-1)", "previous", "previous", "ledger before, over partition borders"),
        _bind("x", "hex", "hex", "hex", "bytes of the selected node"),
        _bind("v", "check", "check", "check", "run the checks again"),
        _bind("c", "compare", "compare", "compare", "compare with the source's object"),
        _bind("y", "copy", "copy", "copy", "value or JSON of the selected node"),
        _bind("Y", "copy_xdr", "copy XDR", "xdr", "XDR in base64", show=False),
        _bind("d", "dataset", "dataset", "dataset", "next dataset of this folder", show=False),
        _bind("r", "reload", "read again", "reload", "read the folder again", show=False),
        _bind("escape", "stop_search", "stop", "stop", "stop a search", show=False),
    ]
    DEFAULT_CSS = """
    LedgerPage #place { height: 1; padding: 0 1; background: $background; }
    LedgerPage #nothing { display: none; height: 1fr; content-align: center middle; padding: 0 4; }
    LedgerPage.-nothing #nothing { display: block; }
    LedgerPage.-nothing #main { display: none; }
    LedgerPage #main { height: 1fr; }
    LedgerPage #ledgers { width: 36; height: 1fr; }
    LedgerPage #ledger { width: 1fr; height: 1fr; }
    LedgerPage #deep { height: 1fr; }
    LedgerPage.-hex #hex-panel { display: block; }
    LedgerPage.-hex.-narrow #tree-panel { display: none; }
    LedgerPage.-hex #deep { layout: vertical; }
    LedgerPage.-wide #hex-panel { display: block; width: 76; }
    LedgerPage.-wide #deep { layout: horizontal; }
    LedgerPage.-wide #ledgers { width: 40; }
    LedgerPage.-narrow #ledgers { width: 22; }
    LedgerPage.-narrow #deep { min-height: 6; }
    """

    class Progress(Message):
        """How far a search is; from the client's thread."""

        def __init__(self, news: dict[str, Any]) -> None:
            super().__init__()
            self.news = news

    def __init__(self) -> None:
        super().__init__()
        self._client: InspectClient | None = None
        self._datasets: list[dict[str, Any]] = []
        self._dataset = 0
        self._partition: dict[str, Any] = {}
        self._shown: Key | None = None
        self._pending: int | None = None
        self._committed = -1
        self._searching = ""

    # Drawing.

    def body(self) -> ComposeResult:
        yield Static(id="place", markup=False)
        yield AskLine("goto")
        yield Static(id="nothing", markup=False)
        with Horizontal(id="main"):
            yield LedgerRows()
            with Vertical(id="ledger"):
                yield LedgerAbout()
                yield XdrPanel()

    def on_mount(self) -> None:
        title(self.query_one(LedgerRows), "LEDGERS")
        session = self.bronze.session
        if session.data_root is None:
            absence = session.why_no_data
            self._say_nothing("No folder to read ledgers from", absence.why, absence.todo)
            return
        setup = Setup.of(session.loaded, session.data_root, session.prefix)
        self._client = InspectClient(setup)
        put(self.query_one("#place", Static), line(("reading the folder ...", "muted")))
        self._load()

    def on_unmount(self) -> None:
        if self._client is not None:
            self._client.close()

    def show(self, view: RunView, verdict: Verdict, now: float) -> None:  # noqa: ARG002
        compact = self.size.height < COMPACT_HEIGHT or self.has_class("-narrow")
        self._about.fit(compact=compact)
        self.query_one(LedgerRows).draw_head()
        if view.partitions_committed != self._committed:
            first = self._committed < 0
            self._committed = view.partitions_committed
            if not first and not self._datasets and self._client is not None:
                self._load()

    @property
    def _about(self) -> LedgerAbout:
        return self.query_one(LedgerAbout)

    def _draw_place(self) -> None:
        if self._partition and not self._searching:
            put(self.query_one("#place", Static), ledger_facts.place(self._partition))

    def _say_nothing(self, what: str, why: str, todo: str) -> None:
        """The empty state: what is not there, why, and what to do."""
        self.add_class("-nothing")
        rows = [line((what, "strong")), line(""), part(why), line(""), part(todo, "muted")]
        put(self.query_one("#nothing", Static), stack(rows))
        put(self.query_one("#place", Static), line(("no ledgers", "muted")))

    # Reading.

    @work(exclusive=True, group="datasets", exit_on_error=False)
    async def _load(self) -> None:
        try:
            found = await self._inspector().ask("datasets")
        except BronzeError as error:
            self._say_nothing("The folder cannot be read", str(error), "r tries again")
            return
        self._datasets = [d for d in found if d["partitions"]]
        if not self._datasets:
            folder = f"{self.bronze.session.data_root}/{self.bronze.session.prefix}"
            self._say_nothing(
                "No committed ledgers yet",
                f"{folder} holds no commit record: a partition shows up once it is committed.",
                "r reads the folder again; 2 Partitions shows what is being built",
            )
            return
        self.remove_class("-nothing")
        self._dataset = min(self._dataset, len(self._datasets) - 1)
        wanted, self._pending = self._pending, None
        shown = self._shown[1] if self._shown is not None else None
        last = int(self._datasets[self._dataset]["last"])
        self._shown = None
        self._partition = {}
        self._open(wanted or shown or last)

    def open_sequence(self, sequence: int) -> None:
        """Show that ledger; other pages call it."""
        if self._datasets:
            self._open(sequence)
        else:
            self._pending = sequence

    @work(exclusive=True, group="ledger", exit_on_error=False)
    async def _open(self, sequence: int, reveal: Sequence[int] | None = None) -> None:
        partition = await self._find_partition(sequence)
        if partition is None:
            return
        if partition != self._partition:
            self._partition = partition
            self.query_one(LedgerRows).take(partition)
        key = (str(partition["chain_key"]), sequence)
        reply = await self._ask("ledger", chain_key=key[0], sequence=sequence)
        if reply is None:
            return
        self._shown = key
        self.refresh_bindings()
        self.query_one(LedgerRows).lines.move_to(int(reply["row"]))
        self._about.show_ledger(*key, reply["columns"])
        self._draw_place()
        await self._read_checks(key)
        await self.query_one(XdrPanel).open(self._inspector(), key, reveal or ())

    async def _find_partition(self, sequence: int) -> dict[str, Any] | None:
        """In the dataset in front, else in another; the first refusal is told."""
        here = self._partition
        if here and here["start"] <= sequence <= here["end"]:
            return here
        order = sorted(range(len(self._datasets)), key=lambda i: i != self._dataset)
        refusal = ""
        for number in order:
            chain_key = self._datasets[number]["chain_key"]
            try:
                found = await self._inspector().ask(
                    "partition", chain_key=chain_key, sequence=sequence
                )
            except BronzeError as error:
                refusal = refusal or str(error)
                continue
            self._dataset = number
            return dict(found)
        self.bronze.say(refusal, "warning")
        return None

    async def _read_checks(self, key: Key) -> None:
        reply = await self._ask("checks", chain_key=key[0], sequence=key[1])
        if reply is None or self._shown != key:
            return
        self._about.show_header(reply["header"])
        self._about.show_checks([*reply["checks"], NOT_COMPARED])

    @on(LedgerRows.Wanted)
    @work(group="rows", exit_on_error=False)
    async def _rows_wanted(self, message: LedgerRows.Wanted) -> None:
        reply = await self._ask(
            "rows",
            chain_key=self._partition["chain_key"],
            start=message.start,
            offset=message.offset,
            limit=ROWS,
        )
        self.query_one(LedgerRows).put_rows(message.start, reply, message.offset)

    @on(LineList.Moved)
    def _row_moved(self, message: LineList.Moved) -> None:
        sequence = self.query_one(LedgerRows).sequence(message.index)
        if message.by_person and (self._shown is None or self._shown[1] != sequence):
            self._open(sequence)

    async def _ask(self, op: str, **args: Any) -> Any:
        """The answer; None after a refusal, which is told."""
        try:
            return await self._inspector().ask(op, **args)
        except BronzeError as error:
            self.bronze.say(str(error), "error")
            return None

    def _inspector(self) -> InspectClient:
        assert self._client is not None
        return self._client

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Keys that need a ledger are off without one."""
        if action in ("hex", "check", "compare", "copy", "copy_xdr", "step"):
            return True if self._shown is not None else None
        return True

    def action_goto(self) -> None:
        if self._datasets:
            hint = "ledger number, hash prefix, transaction hash [in FIRST-LAST]"
            self.query_one("#goto", AskLine).ask("goto", hint)

    @on(AskLine.Answered)
    def _answered(self, message: AskLine.Answered) -> None:
        self.query_one("#rows").focus()
        if not message.text.strip():
            return
        try:
            wanted = ledger_facts.parse_goto(message.text)
        except BronzeError as error:
            self.bronze.say(str(error), "warning")
            return
        if wanted.kind == "sequence":
            self._open(wanted.sequence)
        else:
            self._search(wanted)

    @on(AskLine.GivenUp)
    def _given_up(self) -> None:
        self.query_one("#rows").focus()

    @work(exclusive=True, group="search", exit_on_error=False)
    async def _search(self, wanted: ledger_facts.Goto) -> None:
        self._searching = f"searching {wanted.text[:16]} ..."
        self._draw_search("")
        here = self._partition
        place = (str(here["chain_key"]), int(here["start"]), int(here["end"]))

        def tell(news: dict[str, Any]) -> None:
            self.post_message(self.Progress(news))

        try:
            hit = await search(self._inspector(), wanted, place, tell)
        except BronzeError as error:
            self.bronze.say(str(error), "warning")
        else:
            if hit.note:
                self.bronze.say(hit.note)
            self._open(hit.sequence, hit.path)
        finally:
            self._searching = ""
            self._draw_place()

    def on_ledger_page_progress(self, message: Progress) -> None:
        news = message.news
        if "of" in news:
            share = int(news["done"]) / max(1, int(news["of"]))
            self._draw_search(f"{share:.0%}  {news['where']}")

    def _draw_search(self, how_far: str) -> None:
        if self._searching:
            text = line((self._searching, "calm"), "  ", part(how_far), ("   esc stops", "muted"))
            put(self.query_one("#place", Static), text)

    def action_stop_search(self) -> None:
        self.workers.cancel_group(self, "search")

    @work(exclusive=True, group="step", exit_on_error=False)
    async def action_step(self, step: int) -> None:
        if self._shown is None:
            return
        chain_key, sequence = self._shown
        reply = await self._ask("neighbour", chain_key=chain_key, sequence=sequence, step=step)
        if reply is None:
            return
        if reply["sequence"] is None:
            self.bronze.say("the last ledger" if step > 0 else "the first ledger")
        else:
            self._open(int(reply["sequence"]))

    def action_hex(self) -> None:
        self.toggle_class("-hex")
        self.call_after_refresh(self.query_one(XdrPanel).redraw_bytes)

    @work(exclusive=True, group="checks", exit_on_error=False)
    async def action_check(self) -> None:
        if self._shown is not None:
            await self._read_checks(self._shown)
            self.bronze.say(ledger_facts.check_title(self._about.checks))

    @work(exclusive=True, group="compare", exit_on_error=False)
    async def action_compare(self) -> None:
        key = self._shown
        if key is None:
            return
        reply = await self._ask("compare", chain_key=key[0], sequence=key[1])
        if reply is not None and self._shown == key:
            self._about.show_compared(reply)

    @work(exclusive=True, group="copy", exit_on_error=False)
    async def action_copy(self) -> None:
        found = await self.query_one(XdrPanel).text()
        if found is not None:
            self._copied(*found)

    @work(exclusive=True, group="copy", exit_on_error=False)
    async def action_copy_xdr(self) -> None:
        found = await self.query_one(XdrPanel).base64()
        if found is not None:
            self._copied(*found)

    def _copied(self, text: str, what: str) -> None:
        self.bronze.copy_to_clipboard(text)
        self.bronze.say(f"copied: {what}")

    def action_dataset(self) -> None:
        if len(self._datasets) < 2:
            self.bronze.say("this folder holds one dataset")
            return
        self._dataset = (self._dataset + 1) % len(self._datasets)
        self._partition = {}
        self._open(int(self._datasets[self._dataset]["last"]))

    def action_reload(self) -> None:
        if self._client is not None:
            self._load()
