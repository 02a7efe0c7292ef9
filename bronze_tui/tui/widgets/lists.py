"""The dashboard's two lists: what is in flight, and what wants attention, newest first."""

from __future__ import annotations

from collections.abc import Iterable

from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.views import Notice, PartitionView
from bronze_tui.tui.plain import plain
from bronze_tui.tui.theme import STATE_SIGNS
from bronze_tui.tui.widgets.digest import Digest, commit_notice
from bronze_tui.tui.widgets.figures import age, bar, count, hms, title
from bronze_tui.tui.widgets.rows import Cell, Column, RowTable

STATE_TONES = {
    "committed": "good",
    "building": "calm",
    "retrying": "worry",
    "held": "accent",
    "failed": "bad",
    "hole": "worry",
    "missing": "muted",
}
LEVEL_TONES = {"error": "bad", "warn": "worry", "info": "muted"}
_GAUGE = 6


def state_cell(state: str) -> Cell:
    """Sign and word."""
    sign, _ = STATE_SIGNS.get(state, ("?", ""))
    return f"{sign} {state}", STATE_TONES.get(state, "")


def shown(text: object, limit: int = 400) -> str:
    """Foreign text for a cell."""
    return plain(text, limit=limit).plain


class InFlightTable(RowTable):
    """Partitions being built, retried or held; failed ones first."""

    def __init__(self) -> None:
        columns = (
            Column("range", "range", 19),
            Column("state", "state", 10),
            Column("worker", "wkr", 3, right=True, least=66),
            Column("try", "try", 3, right=True, least=58),
            Column("ledgers", "ledgers", 11, least=46),
            Column("age", "age", 7, right=True, least=40),
            Column("error", "last error", 8, grow=True, least=90),
        )
        super().__init__(columns, self._texts, id="in-flight", classes="panel")
        self._views: dict[str, PartitionView] = {}
        self._now = 0.0

    def show(self, digest: Digest, view: RunView, now: float) -> None:
        """Rows of what is at work."""
        active = [*digest.failed, *digest.in_flight]
        self._now = now
        self._views = {v.key: v for v in active}
        held = sum(v.state == "held" for v in active)
        subtitle = f"{held} held: commits go in order" if held else ""
        title(self, f"IN FLIGHT {len(digest.in_flight)}", subtitle)
        if view.started_at is None:
            self.set_empty("nothing yet")
        elif view.finished is not None:
            self.set_empty(after(str(view.finished.get("outcome", ""))))
        else:
            self.set_empty("no partition is at work")
        if list(self._views) != self.keys:
            self.set_rows(list(self._views))
        else:
            self.repaint()

    def _texts(self, key: str) -> tuple[Cell, ...]:
        view = self._views.get(key)
        if view is None:
            return (("", ""),) * 7
        tries = f"{view.attempt}/{view.attempts}" if view.attempts else str(view.attempt)
        done = f"{view.fraction:>4.0%}"
        return (
            (str(view.partition), ""),
            state_cell(view.state),
            ("-" if view.worker is None else str(view.worker), ""),
            (tries, "worry" if view.attempt > 1 else ""),
            (f"{bar(view.fraction, _GAUGE)} {done}", STATE_TONES.get(view.state, "")),
            (age(self._now, view.since), ""),
            (shown(view.detail), "bad" if view.state == "failed" else "worry"),
        )


def after(outcome: str) -> str:
    """What a person may do when a run has ended."""
    if outcome != "done":
        return "the run has ended; run it again to go on behind the last commit"
    return (
        "the run has ended, everything is committed\n\n"
        "5 then F   prove it: the chain, and every file's hash\n"
        "2          partitions, their lineage and checksums\n"
        "3          a ledger, decoded\n"
        "4          SQL over what was copied"
    )


class AttentionTable(RowTable):
    """Notices and the newest commits."""

    def __init__(self, *, id: str = "attention") -> None:
        columns = (
            Column("time", "time", 9, least=1),
            Column("level", "level", 5, least=2),
            Column("component", "where", 9, least=70),
            Column("message", "message", 20, grow=True),
        )
        super().__init__(columns, self._texts, id=id, classes="panel")
        self._notices: dict[str, Notice] = {}

    def show(self, digest: Digest, view: RunView, *, faults_only: bool) -> None:
        """Newest first."""
        notices = attention(digest, view, faults_only=faults_only)
        self._notices = {f"{n.time:.6f}/{i}": n for n, i in _numbered(notices)}
        what = "FAULTS" if faults_only else "ATTENTION"
        counts = f"errors {count(view.errors)}, warnings {count(view.warnings)}"
        title(self, f"{what}, newest first", counts)
        self.set_empty("no faults" if faults_only else "quiet: nothing needs you")
        if list(self._notices) != self.keys:
            self.set_rows(list(self._notices))
        else:
            self.repaint()

    def notice(self, key: str | None) -> Notice | None:
        """The notice of a row."""
        return self._notices.get(key or "")

    def _texts(self, key: str) -> tuple[Cell, ...]:
        notice = self._notices.get(key)
        if notice is None:
            return (("", ""),) * 4
        tone = LEVEL_TONES.get(notice.level, "")
        text = f"{notice.partition}  {notice.message}" if notice.partition else notice.message
        text = f"{text}; {notice.todo}" if notice.todo else text
        return (
            (hms(notice.time), "muted"),
            (shown(notice.level.upper(), 5), tone),
            (shown(notice.component, 40), ""),
            (shown(text), "" if notice.level == "info" else tone),
        )


def attention(digest: Digest, view: RunView, *, faults_only: bool) -> list[Notice]:
    """Notices and, unless only faults are wanted, the newest commits, newest first."""
    notices = [n for n in view.notices if not faults_only or n.level != "info"]
    if not faults_only:
        notices += [commit_notice(partition) for partition in digest.recent]
    return sorted(notices, key=lambda n: n.time, reverse=True)


def _numbered(notices: Iterable[Notice]) -> list[tuple[Notice, int]]:
    """Each with its number among those of the same moment, counted from the oldest: a key that
    stays while newer ones come."""
    seen: dict[float, int] = {}
    made = []
    for notice in reversed(list(notices)):
        number = seen.get(notice.time, 0)
        seen[notice.time] = number + 1
        made.append((notice, number))
    return made[::-1]
