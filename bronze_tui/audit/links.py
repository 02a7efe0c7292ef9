"""The order that links give: from one chain's events in any order to its lines and forks.

Nothing here is judged; ``bronze_tui.audit.chain`` turns what was found into findings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bronze_tui.domain.audit import AuditEvent

if TYPE_CHECKING:
    from bronze_tui.audit.ingester import IngesterEvent


@dataclass(frozen=True, slots=True)
class EventFile:
    """An event and the name of the file it was read from."""

    file: str
    event: AuditEvent
    ingester: IngesterEvent | None = None
    """What else it holds, where it is one of the DuckLake ingester's."""


@dataclass(frozen=True, slots=True)
class Fork:
    """Two events that continue the same one; ``kept`` is the one whose line goes on."""

    kept: EventFile
    other: EventFile
    other_continues: bool
    """Whether further events stand on ``other``."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One chain's events by their links."""

    lines: tuple[tuple[EventFile, ...], ...]
    """Unbroken lines in ledger order of their first event; a whole chain is one line."""
    forks: tuple[Fork, ...]
    beside: tuple[EventFile, ...]
    """Events on the lines that forks lost."""
    circular: tuple[EventFile, ...]
    """Events that no start leads to: their links run in a circle."""
    copies: tuple[tuple[EventFile, EventFile], ...]
    """Pairs of an event and a second file with the same event hash."""


def trace(files: Sequence[EventFile], head: str = "") -> Trace:
    """Order one chain's events by links alone; file names and times only break ties.

    At a fork the line that leads to ``head`` is kept, else the longest, else the first ledger's.
    """
    by_hash, copies = _unique(sorted(files, key=_ledger_order))
    children: dict[str, list[EventFile]] = {}
    for item in by_hash.values():
        children.setdefault(item.event.prev_event_hash, []).append(item)
    forked = any(len(c) > 1 for prev, c in children.items() if prev in by_hash)
    rank = _Rank(by_hash, children, head) if forked else None
    forks: list[Fork] = []
    lines = tuple(
        _line(item, children, rank, forks)
        for item in by_hash.values()
        if item.event.prev_event_hash not in by_hash
    )
    reached = {i.event.event_hash for line in lines for i in line}
    beside = _below([fork.other for fork in forks], children, reached)
    rest = tuple(item for h, item in by_hash.items() if h not in reached)
    return Trace(lines, tuple(forks), beside, rest, copies)


def _ledger_order(item: EventFile) -> tuple[int, int, str]:
    return item.event.ledger_start, item.event.ledger_end, item.file


def _unique(
    files: list[EventFile],
) -> tuple[dict[str, EventFile], tuple[tuple[EventFile, EventFile], ...]]:
    by_hash: dict[str, EventFile] = {}
    copies = []
    for item in files:
        first = by_hash.setdefault(item.event.event_hash, item)
        if first is not item:
            copies.append((first, item))
    return by_hash, tuple(copies)


def _line(
    root: EventFile,
    children: Mapping[str, list[EventFile]],
    rank: _Rank | None,
    forks: list[Fork],
) -> tuple[EventFile, ...]:
    line = [root]
    while following := children.get(line[-1].event.event_hash):
        if len(following) == 1 or rank is None:
            line.append(following[0])
            continue
        kept = max(following, key=rank)
        forks.extend(
            Fork(kept, other, other.event.event_hash in children)
            for other in following
            if other is not kept
        )
        line.append(kept)
    return tuple(line)


def _below(
    roots: list[EventFile], children: Mapping[str, list[EventFile]], reached: set[str]
) -> tuple[EventFile, ...]:
    found, todo = [], list(reversed(roots))
    while todo:
        item = todo.pop()
        if item.event.event_hash not in reached:
            reached.add(item.event.event_hash)
            found.append(item)
            todo.extend(reversed(children.get(item.event.event_hash, [])))
    return tuple(found)


class _Rank:
    """Which of several followers a line goes on with."""

    def __init__(
        self,
        by_hash: Mapping[str, EventFile],
        children: Mapping[str, list[EventFile]],
        head: str,
    ) -> None:
        self._to_head: set[str] = set()
        while head in by_hash and head not in self._to_head:
            self._to_head.add(head)
            head = by_hash[head].event.prev_event_hash
        self._height = self._heights(by_hash, children)

    def __call__(self, item: EventFile) -> tuple[bool, int, int]:
        key = item.event.event_hash
        return key in self._to_head, self._height.get(key, 0), -item.event.ledger_start

    @staticmethod
    def _heights(
        by_hash: Mapping[str, EventFile], children: Mapping[str, list[EventFile]]
    ) -> dict[str, int]:
        order = [h for h, i in by_hash.items() if i.event.prev_event_hash not in by_hash]
        for key in order:
            order.extend(child.event.event_hash for child in children.get(key, []))
        height: dict[str, int] = {}
        for key in reversed(order):
            height[key] = 1 + max(
                (height[c.event.event_hash] for c in children.get(key, [])), default=0
            )
        return height
