"""What several panels need of a run, gathered in one pass over its partitions a revision."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from operator import attrgetter

from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.views import IN_FLIGHT, Notice, PartitionView
from bronze_tui.tui.widgets.coverage import Territory, territory
from bronze_tui.tui.widgets.figures import short_hash, size

RECENT = 40


@dataclass(frozen=True)
class Digest:
    """``marked``: what is not committed, in ledger order; ``recent``: newest commits first."""

    marked: tuple[PartitionView, ...]
    recent: tuple[PartitionView, ...]
    unlinked: int
    """Committed in this run and not yet announced."""
    land: Territory | None

    @property
    def in_flight(self) -> list[PartitionView]:
        """What is being built, retried or held."""
        return [v for v in self.marked if v.state in IN_FLIGHT]

    @property
    def failed(self) -> list[PartitionView]:
        """What was given up."""
        return [v for v in self.marked if v.state == "failed"]


class Digester:
    """Makes a Digest when the view has changed."""

    def __init__(self) -> None:
        self._of: tuple[str, int] | None = None
        self._digest = Digest((), (), 0, None)

    def take(self, view: RunView) -> Digest:
        """The digest of the view as it is."""
        state = (view.run_id, view.revision)
        if state != self._of:
            self._of, self._digest = state, digest(view)
        return self._digest


def digest(view: RunView) -> Digest:
    """One pass."""
    marked, done, unlinked = [], [], 0
    for partition in view.partitions.values():
        if partition.state == "committed":
            done.append(partition)
            unlinked += partition.event is None
        else:
            marked.append(partition)
    marked.sort(key=lambda v: (v.chain_key, v.partition))
    # Thousands have the same time after a flood: comparing ranges as well would cost milliseconds.
    recent = heapq.nlargest(RECENT, reversed(done), key=attrgetter("since"))
    recent.sort(key=lambda v: (v.since, v.partition), reverse=True)
    return Digest(tuple(marked), tuple(recent), unlinked, territory(view, marked))


def commit_notice(partition: PartitionView) -> Notice:
    """A commit as a line of good news."""
    event = f"event #{partition.event}" if partition.event is not None else "not yet announced"
    text = f"{event}  {size(partition.parquet_bytes)}  sha256 {short_hash(partition.checksum)}"
    return Notice(partition.since, "info", "commit", text, partition=str(partition.partition))
