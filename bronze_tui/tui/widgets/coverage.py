"""The coverage map: every partition of the era a cell when it fits, else a bucket of partitions
whose worst state wins, so that a hole cannot hide in a crowd. Counting is apart from drawing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from textual.content import Content
from textual.geometry import Size

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.journal import run_figures
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.spans import Spans
from bronze_tui.journal.views import PartitionView
from bronze_tui.tui.theme import STATE_SIGNS
from bronze_tui.tui.widgets.figures import TONES, count, line, put, stack
from bronze_tui.tui.widgets.lines import Lines

TODO = "todo"
_TILE = "▇"
_RANK = {
    "committed": 0,
    TODO: 1,
    "building": 2,
    "held": 3,
    "retrying": 4,
    "missing": 5,
    "hole": 6,
    "failed": 7,
}
"""Worst last; ``missing`` is a gap behind committed ledgers, ``todo`` what comes after them: both
carry the sign of missing."""
_STATES = tuple(_RANK)
_LEGEND = ("committed", "building", "retrying", "held", "failed", "hole", "missing")


@dataclass(frozen=True)
class Territory:
    """What a map shows; ``marks`` are partitions that are not committed, with their state."""

    span: LedgerRange
    partition_size: int
    origin: int
    """A ledger at which a block of ``partition_size`` begins, at or before the span's start."""
    committed: Spans
    holes: tuple[LedgerRange, ...] = ()
    marks: tuple[tuple[LedgerRange, str], ...] = field(default=())

    @property
    def total(self) -> int:
        """Partitions of the span."""
        return self.index(self.span.end) + 1

    def index(self, sequence: int) -> int:
        """Which partition of the span holds the ledger."""
        first = (self.span.start - self.origin) // self.partition_size
        return (sequence - self.origin) // self.partition_size - first

    def ledgers(self, first: int, last: int) -> tuple[int, int]:
        """First and last ledger of the partitions ``first`` to ``last``."""
        base = self.origin + (self.span.start - self.origin) // self.partition_size * (
            self.partition_size
        )
        start = base + first * self.partition_size
        end = base + (last + 1) * self.partition_size - 1
        return max(self.span.start, start), min(self.span.end, end)

    def done(self) -> int:
        """Partitions of the span that are wholly committed."""
        whole = 0
        for span in self.committed:
            start, end = max(span.start, self.span.start), min(span.end, self.span.end)
            if start > end:
                continue
            first, last = self.index(start), self.index(end)
            whole += last - first + 1
            whole -= self.ledgers(first, first)[0] < start
            whole -= self.ledgers(last, last)[1] > end and (last > first or self._begins(start))
        return whole

    def _begins(self, sequence: int) -> bool:
        place = self.index(sequence)
        return self.ledgers(place, place)[0] == sequence


def origin_of(
    start: int, partition_size: int, known: Iterable[LedgerRange], committed: Iterable[Spans] = ()
) -> int:
    """Where blocks begin: an era that starts at 1 has its first ledger at 2, so ask a whole
    partition, or else where committed ledgers end."""
    for partition in known:
        if len(partition) == partition_size:
            return start - (start - partition.start) % partition_size
    for spans in committed:
        if spans.last_end >= start:
            return start - (start - spans.last_end - 1) % partition_size
    return start


def territory(view: RunView, marked: Sequence[PartitionView]) -> Territory | None:
    """The map of a run; ``marked`` are its partitions that are not committed. None before the
    run's plan is known."""
    span, size = run_figures.span(view), view.started.get("partition_size")
    if span is None or not isinstance(size, int) or size < 1:
        return None
    chains = list(view.chains.values())
    committed = chains[0].committed if len(chains) == 1 else merged(c.committed for c in chains)
    known = (v.partition for v in view.partitions.values())
    return Territory(
        span=span,
        partition_size=size,
        origin=origin_of(span.start, size, known, [c.committed for c in chains]),
        committed=committed,
        holes=tuple(hole for chain in chains for hole in chain.holes),
        marks=tuple((v.partition, v.state) for v in marked),
    )


def merged(many: Iterable[Spans]) -> Spans:
    """All spans as one."""
    whole = Spans()
    for spans in many:
        for span in spans:
            whole.add(span)
    return whole


def cells(land: Territory, most: int) -> list[str]:
    """One state for each of at most ``most`` equal pieces of the span."""
    total = land.total
    number = max(1, min(total, most))
    ranks = [_base_rank(land, *_piece(land, c, number)) for c in range(number)]
    for hole in land.holes:
        for start, end in _uncovered(land.committed, hole):
            _paint(land, ranks, start, end, "hole")
    for partition, state in land.marks:
        _paint(land, ranks, partition.start, partition.end, state)
    return [_STATES[rank] for rank in ranks]


def _piece(land: Territory, cell: int, number: int) -> tuple[int, int]:
    total = land.total
    first = cell * total // number
    return land.ledgers(first, max(first, (cell + 1) * total // number - 1))


def _base_rank(land: Territory, start: int, end: int) -> int:
    covered = land.committed.covered(start, end)
    if covered == end - start + 1:
        return _RANK["committed"]
    reach = min(end, land.committed.last_end)
    if reach >= start and covered < reach - start + 1:
        return _RANK["missing"]
    return _RANK[TODO]


def _uncovered(committed: Spans, hole: LedgerRange) -> list[tuple[int, int]]:
    if not committed.covered(hole.start, hole.end):
        return [(hole.start, hole.end)]
    return [(gap.start, gap.end) for gap in committed.gaps(hole.start, hole.end)]


def _paint(land: Territory, ranks: list[int], start: int, end: int, state: str) -> None:
    rank = _RANK.get(state, 0)
    start, end = max(start, land.span.start), min(end, land.span.end)
    if start > end:
        return
    total, number = land.total, len(ranks)
    # Inverse of the piece's bounds: the cell c holds partitions from c * total // number on.
    first = ((land.index(start) + 1) * number - 1) // total
    last = ((land.index(end) + 1) * number - 1) // total
    for cell in range(first, min(last, number - 1) + 1):
        # A partition with a cell of its own shows what it is now, a hole under repair too.
        ranks[cell] = rank if number == total else max(ranks[cell], rank)


def tally(land: Territory) -> dict[str, int]:
    """Partitions by state, for the legend; committed ones from the coverage."""
    counts = {"committed": land.done()}
    for _, state in land.marks:
        counts[state] = counts.get(state, 0) + 1
    marked = {partition for partition, _ in land.marks}
    for hole in land.holes:
        if hole not in marked and land.committed.covered(hole.start, hole.end) < len(hole):
            counts["hole"] = counts.get("hole", 0) + (
                land.index(min(hole.end, land.span.end)) - land.index(hole.start) + 1
            )
    counts["missing"] = max(0, land.total - sum(counts.values()))
    return counts


def legend(counts: dict[str, int], width: int) -> Content:
    """Sign, number and, where there is room, name of each state that occurs."""
    shown = [s for s in _LEGEND if counts.get(s) or s == "committed"]
    names = {s: "to come" if s == "missing" else s for s in shown}
    for with_names in (True, False):
        parts = []
        for state in shown:
            sign, style = _sign(state)
            text = f" {count(counts.get(state, 0))}" + (f" {names[state]}" if with_names else "")
            parts.append(Content.assemble((sign, style), (text, TONES["muted"])))
        made = Content("   " if with_names else "  ").join(parts)
        if made.cell_length <= width or not with_names:
            return made
    return made


@lru_cache(maxsize=8)
def _sign(state: str) -> tuple[str, str]:
    sign, style = STATE_SIGNS["missing" if state == TODO else state]
    return sign, TONES["muted"] if style == "$text-muted" else style


def _run(states: Sequence[str], gap: str, fat: int = 1) -> Content:
    """Signs of neighbours with the same look are one piece of text."""
    parts: list[tuple[str, str]] = []
    for state in states:
        sign, style = _sign(state)
        # A broad cell of several squares would read as several partitions: it is one tile.
        sign = (_TILE if state == "committed" and fat > 1 else sign) * fat
        if parts and parts[-1][1] == style:
            parts[-1] = (parts[-1][0] + sign + gap, style)
        else:
            parts.append((sign + gap, style))
    return Content.assemble(*parts)


def draw_map(land: Territory, width: int, height: int) -> Content:
    """Rows of cells, the first ledger of each row before it."""
    if height < 2 or width < 24:
        return draw_strip(land, width, height)
    label = len(count(land.span.end)) + 1
    room = width - label
    fat, gap = _fatness(land.total, room, height)
    per_row = room // (fat + len(gap))
    tidy = per_row - per_row % 5 if per_row >= 10 else per_row
    per_row = tidy if land.total <= tidy * height else per_row
    states = cells(land, per_row * height)
    rows = []
    for at in range(0, len(states), per_row):
        first = _piece(land, at, len(states))[0]
        head = (f"{count(first):>{label - 1}} ", "muted")
        rows.append(line(head, _run(states[at : at + per_row], gap, fat)))
    return stack(rows)


def _fatness(total: int, room: int, height: int) -> tuple[int, str]:
    """Signs for one partition and the gap behind them: few partitions get broad cells."""
    for fat in (6, 5, 4, 3, 2, 1):
        if total <= room // (fat + 1) * height:
            return fat, " "
    return 1, ""


def draw_strip(land: Territory, width: int, height: int) -> Content:
    """One row of cells, and below it, where there is room, an axis of ledgers."""
    states = cells(land, max(1, width))
    # A few partitions fill the width all the same: each then has a piece of it.
    wide = [states[i * len(states) // width] for i in range(width)]
    row = _run(wide if len(states) < width else states, "")
    if height < 2:
        return row
    return stack([row, line((_axis(land.span, width), "muted"))])


def _axis(span: LedgerRange, width: int) -> str:
    """First ledger, quarters, last ledger."""
    text = [" "] * width
    ticks = 4 if width >= 80 else 2 if width >= 40 else 1
    for tick in range(ticks + 1):
        label = count(span.start + (len(span) - 1) * tick // ticks)
        at = min(width - len(label), max(0, (width - 1) * tick // ticks - len(label) // 2))
        text[at : at + len(label)] = label
    return "".join(text)[:width]


class CoverageMap(Lines):
    """Draws a Territory; ``strip`` for one row with an axis."""

    DEFAULT_CSS = "CoverageMap { height: 1fr; min-height: 1; }"

    def __init__(self, *, strip: bool = False, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._strip_form = strip
        self._land: Territory | None = None

    def show(self, land: Territory | None) -> None:
        """Draw what looks different."""
        self._land = land
        put(self, self._make(self.size))

    def _make(self, size: Size) -> Content:
        if self._land is None:
            return line(("no ledgers are known yet", "muted"))
        if size.width < 1 or size.height < 1:
            return Content("")
        draw = draw_strip if self._strip_form else draw_map
        return draw(self._land, size.width, size.height)

    def on_resize(self) -> None:
        put(self, self._make(self.size))
