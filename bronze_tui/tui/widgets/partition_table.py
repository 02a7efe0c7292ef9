"""The rows of the partitions page as they are listed: gathered, filtered, sorted, and drawn."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.journal import run_figures
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.spans import Spans
from bronze_tui.tui.dataset import Found, Papers
from bronze_tui.tui.widgets.coverage import Territory, origin_of
from bronze_tui.tui.widgets.figures import count, megabytes, short_hash, stamp
from bronze_tui.tui.widgets.lists import shown, state_cell
from bronze_tui.tui.widgets.partition_rows import (
    SORTS,
    PartitionRow,
    from_coverage,
    from_view,
    parse_filter,
    sorted_rows,
    with_papers,
)
from bronze_tui.tui.widgets.rows import Cell, Column, RowTable

FIRST_ROWS = 2_000
"""Rows that come at once; the rest follows as many at a refresh."""

MOST_ROWS = 50_000
"""Partitions listed of one chain's coverage; older ones are in the map alone."""

COLUMNS = (
    Column("range", "range", 19),
    Column("state", "state", 11),
    Column("try", "try", 4, right=True, least=46),
    Column("rows", "rows", 7, right=True, least=80),
    Column("mb", "MiB", 7, right=True, least=50),
    Column("sha256", "sha256", 8, least=62),
    Column("event", "event", 6, right=True, least=60),
    Column("seconds", "s", 7, right=True, least=90),
    Column("when", "when", 20, least=110),
)
_NO_CELLS: tuple[Cell, ...] = (("", ""),) * len(COLUMNS)


class Listing:
    """All rows by key, and which are shown in what order."""

    def __init__(self) -> None:
        self.rows: dict[str, PartitionRow] = {}
        self.order: list[str] = []
        self.sort, self.descending = SORTS[0], True
        self.filter, self.problem = "", ""
        self._test = parse_filter("")[0]
        self._stale = True
        self._waiting: list[PartitionRow] = []
        self._early: dict[str, Papers] = {}
        self._covered = -1
        self._committed = 0

    # Gathering.

    def put(self, row: PartitionRow) -> None:
        """Add or replace a row."""
        before = self.rows.get(row.key)
        self._committed -= _committed(before)
        self._committed += _committed(row)
        self.rows[row.key] = row
        self._stale = True

    def take_run(self, view: RunView, keys: Iterable[str]) -> None:
        """Rows of this run that changed."""
        for key in keys:
            partition = view.partitions.get(key)
            if partition is not None:
                self.put(from_view(partition, self.rows.get(key)))

    def take_coverage(self, view: RunView) -> None:
        """What the run found committed at its start, where the disk does not tell it better."""
        covered = sum(c.committed.ledgers + c.holes.ledgers for c in view.chains.values())
        size, span = view.started.get("partition_size"), run_figures.span(view)
        if covered == self._covered or self._waiting or span is None:
            return
        if not isinstance(size, int) or size < 1 or covered <= self._committed:
            return
        self._covered = covered
        known_rows = (row.partition for row in self.rows.values())
        spans = [chain.committed for chain in view.chains.values()]
        origin = origin_of(span.start, size, known_rows, spans)
        for chain in view.chains.values():
            known = Spans()
            for row in self.rows.values():
                if row.chain_key == chain.chain_key:
                    known.add(row.partition)
            self._waiting += (
                row
                for row in islice(from_coverage(chain, size, origin), MOST_ROWS)
                if not known.covered(row.partition.start, row.partition.end)
            )
        self._newest_last()

    def take_disk(self, found: Iterable[Found]) -> None:
        """What the disk holds; the run's own words about a partition stay."""
        for item in found:
            row = PartitionRow(item.chain_key, item.partition, item.state)
            if row.key not in self.rows:
                self._waiting.append(row)
        self._newest_last()

    def take_papers(self, key: str, papers: Papers) -> None:
        """What a partition's records say."""
        row = self.rows.get(key)
        if row is None:
            self._early[key] = papers
            return
        made = with_papers(row, papers)
        if made != row:
            self.put(made)

    def settle(self) -> bool:
        """Let the next rows in, newest first, and bring all in order; whether that changed."""
        if self._waiting:
            batch = self._waiting[-FIRST_ROWS:]
            del self._waiting[-FIRST_ROWS:]
            for row in batch:
                if row.key not in self.rows:
                    early = self._early.pop(row.key, None)
                    self.put(row if early is None else with_papers(row, early))
        if not self._stale:
            return False
        self._stale = False
        wanted = (row for row in self.rows.values() if self._test(row))
        order = sorted_rows(wanted, self.sort, descending=self.descending)
        changed, self.order = order != self.order, order
        return changed

    @property
    def waiting(self) -> int:
        """Rows still to come."""
        return len(self._waiting)

    def _newest_last(self) -> None:
        self._waiting.sort(key=lambda row: (row.partition, row.chain_key))

    # Choosing.

    def set_filter(self, text: str) -> None:
        """See ``parse_filter``."""
        self.filter = text.strip()
        self._test, self.problem = parse_filter(self.filter)
        self._stale = True

    def restore(self, sort: str, text: str, *, descending: bool) -> None:
        """Sort and filter as it was; a column that is unknown leaves the order as it is."""
        if sort in SORTS:
            self.sort, self.descending = sort, descending
        self.set_filter(text)

    def next_sort(self) -> None:
        """Sort by the next column."""
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        self._stale = True

    def reverse(self) -> None:
        """Turn the order."""
        self.descending = not self.descending
        self._stale = True

    def shown_rows(self) -> list[PartitionRow]:
        """Rows in sight of the filter, in order."""
        return [self.rows[key] for key in self.order]

    def holding(self, sequence: int) -> str | None:
        """Key of the row that holds a ledger."""
        for key, row in self.rows.items():
            if sequence in row.partition:
                return key
        return None

    def land(self) -> Territory | None:
        """The map of what is listed, for a dataset without a run."""
        if not self.rows:
            return None
        committed = Spans()
        sizes: dict[int, int] = {}
        for row in self.rows.values():
            sizes[len(row.partition)] = sizes.get(len(row.partition), 0) + 1
            if row.state == "committed":
                committed.add(row.partition)
        partitions = [row.partition for row in self.rows.values()]
        span = LedgerRange(min(p.start for p in partitions), max(p.end for p in partitions))
        size = max(sizes, key=lambda s: (sizes[s], s))
        holes = tuple(r.partition for r in self.rows.values() if r.state == "hole")
        return Territory(span, size, origin_of(span.start, size, partitions), committed, holes)


def _committed(row: PartitionRow | None) -> int:
    return len(row.partition) if row is not None and row.state in ("committed", "hole") else 0


class PartitionTable(RowTable):
    """The listing, drawn."""

    def __init__(self, listing: Listing) -> None:
        super().__init__(COLUMNS, self._texts, id="partitions", classes="panel")
        self._listing = listing

    def show(self, *, reordered: bool) -> None:
        """Draw what changed."""
        listing = self._listing
        self.head_marks = {listing.sort: " ↓" if listing.descending else " ↑"}
        if reordered:
            self.set_rows(listing.order)
        else:
            self.repaint()

    def _texts(self, key: str) -> tuple[Cell, ...]:
        row = self._listing.rows.get(key)
        if row is None:
            return _NO_CELLS
        tries = "-" if row.attempt is None else str(row.attempt)
        tries = f"{tries}/{row.attempts}" if row.attempts else tries
        return (
            (shown(row.partition), ""),
            state_cell(row.state),
            (tries, "worry" if (row.attempt or 1) > 1 else ""),
            ("-" if row.rows is None else count(row.rows), ""),
            ("-" if row.parquet_bytes is None else megabytes(row.parquet_bytes), ""),
            (shown(short_hash(row.checksum)), "muted"),
            ("-" if row.event is None else count(row.event), ""),
            ("-" if row.seconds is None else f"{row.seconds:,.1f}", ""),
            (stamp(row.when), "muted"),
        )
