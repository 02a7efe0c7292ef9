"""The text of a partition's detail pane and of its requeue dialog: pure functions of what is
known."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from textual.content import Content

from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict
from bronze_tui.journal.views import PartitionView
from bronze_tui.tui.dataset import Check, Papers
from bronze_tui.tui.theme import STATE_SIGNS
from bronze_tui.tui.widgets.figures import bar, count, line, pairs, part, size, stack, stamp
from bronze_tui.tui.widgets.lists import STATE_TONES
from bronze_tui.tui.widgets.partition_rows import PartitionRow

_LABEL = 10
_BAR = 20


@dataclass(frozen=True)
class Knowledge:
    """All that the pane may draw from; ``papers`` None while they are read."""

    row: PartitionRow
    view: RunView
    verdict: Verdict
    papers: Papers | None
    local: bool
    """Whether the store is a folder of this machine."""
    check: Check | float | None = None
    """A verification's result, or how far it is."""
    may_run_again: bool = False
    width: int = 0
    """Cells of the pane; values fold behind their labels when it is given."""

    @property
    def build(self) -> PartitionView | None:
        """The partition in this run."""
        return self.view.partitions.get(self.row.key)


def detail(known: Knowledge) -> Content:
    """The whole pane."""
    sections = [
        _state(known),
        _check(known),
        _halt(known),
        _files(known),
        _lineage(known),
        _event(known),
    ]
    return stack(Content("\n").join((section, Content(""))) for section in sections if section)


def _head(text: str) -> Content:
    return line((text, "accent"))


def _state(known: Knowledge) -> Content:
    row, build = known.row, known.build
    sign, _ = STATE_SIGNS.get(row.state, ("?", ""))
    tone = STATE_TONES.get(row.state, "")
    rows: list[tuple[str, str | Content]] = [
        ("state", line((f"{sign} {row.state.upper()}", tone))),
        ("chain", part(row.chain_key)),
    ]
    if row.when is not None:
        rows.insert(1, ("since", stamp(row.when)))
    if row.detail:
        rows.append(("reason", part(row.detail, "bad" if row.state == "failed" else "worry")))
    if row.todo:
        rows.append(("next", part(row.todo)))
    if row.attempt is not None:
        of = f" of {row.attempts}" if row.attempts else ""
        rows.append(("try", f"{row.attempt}{of}"))
    whole = len(row.partition)
    if build is not None and row.state != "committed":
        gauge = bar(build.fraction, _BAR)
        rows.append(("ledgers", f"{count(build.ledgers)} of {count(whole)}"))
        rows.append(("", line((gauge, tone), f" {build.fraction:.0%}")))
    elif row.rows is not None:
        rows.append(("rows", f"{count(row.rows)} of {count(whole)}"))
    if build is not None and build.worker is not None:
        rows.append(("worker", str(build.worker)))
    if build is not None and (build.reused or build.recovered):
        how = "found whole from an earlier run" if build.reused else "rolled forward at the start"
        rows.append(("built", how))
    if row.seconds:
        rows.append(("build", f"{row.seconds:,.1f} s"))
    return pairs(rows, _LABEL, known.width)


def _halt(known: Knowledge) -> Content:
    """Why nothing goes on, on whichever row one stands."""
    if known.verdict.word != "HALTED":
        return Content("")
    failed = [v for v in known.view.partitions.values() if v.state == "failed"]
    held = sum(v.state == "held" for v in known.view.partitions.values())
    rows = [_head("WHY THE RUN HALTED")]
    if failed:
        rows.append(line("partition ", part(failed[-1].partition), " failed:"))
        rows.append(part(failed[-1].detail, "bad"))
    else:
        rows.append(part(known.verdict.evidence, "bad"))
    if held:
        many = "one built partition waits" if held == 1 else f"{held} built partitions wait"
        rows.append(line(f"Commits go in ledger order, so {many} behind it; nothing is lost."))
    does = "R runs again" if known.may_run_again else "R shows the command"
    rows.append(line(("NEXT ", "strong"), part(known.verdict.next_step), f", {does}"))
    return stack(rows)


def _files(known: Knowledge) -> Content:
    row, papers = known.row, known.papers
    rows: list[tuple[str, str | Content]] = []
    if papers is not None and papers.problem:
        rows.append(("damaged", part(papers.problem, "bad")))
    for table in papers.tables if papers is not None else ():
        rows += [
            ("table", part(table.table)),
            ("file", part(table.file)),
            ("size", f"{size(table.byte_size)}, {count(table.row_count)} rows"),
            ("checksum", part(table.checksum)),
        ]
        if table.content_hash:
            rows.append(("content", part(table.content_hash)))
    if not rows and row.checksum:
        rows.append(("checksum", part(row.checksum)))
        if row.parquet_bytes is not None:
            rows.append(("size", size(row.parquet_bytes)))
    if not rows:
        return stack([_head("FILES"), line((_no_files(known), "muted"))])
    return stack([_head("FILES"), pairs(rows, _LABEL, known.width)])


def _no_files(known: Knowledge) -> str:
    if known.row.state not in ("committed", "hole"):
        return "none committed yet"
    if not known.local:
        return "the store is not a folder of this machine: its records are not read here"
    if known.papers is None:
        return "reading the commit record ..."
    return "a declared hole: nothing is stored" if known.row.state == "hole" else "no record found"


def _lineage(known: Knowledge) -> Content:
    papers = known.papers
    rows: list[tuple[str, str | Content]] = []
    if known.view.started and known.build is not None:
        rows.append(("source", part(known.view.started.get("source", "-"))))
    if papers is not None and papers.of:
        rows.append(("from", part(f"{papers.of} {papers.key}")))
        if papers.created_at:
            rows.append(("written", part(papers.created_at)))
        if papers.producer:
            rows.append(("producer", part(papers.producer)))
        if papers.writer:
            rows.append(("writer", part(papers.writer)))
        if papers.epoch is not None:
            rows.append(("epoch", str(papers.epoch)))
        if papers.hole_reason:
            rows.append(("declared", part(papers.hole_reason, "worry")))
        if papers.last_hash:
            rows.append(("previous", part(papers.first_previous_hash)))
            rows.append(("last", part(papers.last_hash)))
        rows += [("manifest", part(checksum)) for _, checksum in papers.manifests]
    return stack([_head("LINEAGE"), pairs(rows, _LABEL, known.width)]) if rows else Content("")


def _event(known: Knowledge) -> Content:
    row, build = known.row, known.build
    if row.event is None:
        text = "a  looks for it in the audit folder" if row.state == "committed" else "none yet"
        return stack([_head("EVENT"), line((text, "muted"))])
    rows: list[tuple[str, str | Content]] = [("number", f"#{row.event:,}")]
    if build is not None and build.event_hash:
        rows.append(("hash", part(build.event_hash)))
    return stack([_head("EVENT"), pairs(rows, _LABEL, known.width)])


def _check(known: Knowledge) -> Content:
    check = known.check
    if check is None:
        return Content("")
    head = _head("VERIFICATION")
    if isinstance(check, float):
        return stack([head, line((bar(check, _BAR), "calm"), f" {check:.0%} hashed")])
    if check.problems:
        rows = [line(("✗ DIFFERS", "bad")), *(part(problem, "bad") for problem in check.problems)]
        return stack([head, *rows])
    what = f"{count(check.octets)} bytes in {check.files} files are what the {check.against} says"
    return stack([head, line(("■ VERIFIED  ", "good"), what)])


def requeue(row: PartitionRow, *, running: bool, config: str) -> tuple[Content, str]:
    """What to do about a partition that is not committed, and the command to copy.

    What waits in back-off can be tried at once; for all else the way is a new run, so the text
    says which, and what it will do.
    """
    given = f" --config {shlex.quote(config)}" if config else ""
    command, text = "", ""
    if row.state == "committed":
        text = "It is committed, and a committed partition is never built again."
    elif row.state == "hole":
        command = f"bronze run --repair{given}"
        text = "It is a declared hole. This run works on declared holes only, and commits them."
    elif row.state == "failed":
        command = f"bronze run{given}"
        text = "A new run goes on behind the last commit, so it begins with this partition."
    else:
        text = "The engine is at it."
        if row.state == "retrying":
            command = f"bronze ctl retry {row.partition}{given}"
            text = "It waits for its next attempt; this tries it at once."
        elif row.state == "held":
            text = "It is built, and waits for its turn: commits go in ledger order."
    rows = [line((str(row.partition), "strong"), f"  {row.state}"), line("")]
    if row.detail:
        rows += [part(row.detail, "worry"), line("")]
    rows.append(line(text))
    if command:
        rows += [line(""), line("  ", part(command, "accent"))]
    if command and running and row.state != "retrying":
        rows += [
            line(""),
            line("A run is active: end it first (D drains), two cannot work on one dataset."),
        ]
    return stack(rows), command
