"""Links across partitions, and how far a trusted anchor reaches back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from bronze_tui.audit.levels.unit import Outcome
from bronze_tui.domain.ledger import LedgerRange


def joint_findings(outcomes: Iterable[Outcome]) -> None:
    """Compare neighbours' hashes, across eras of one network too; findings go to the later one."""
    for before, after in _neighbours(outcomes):
        assert before.edges is not None
        assert after.edges is not None
        if not before.edges.last_hash or not after.edges.first_previous_hash:
            continue
        if before.edges.last_hash != after.edges.first_previous_hash:
            last = before.unit.partition.end
            after.add(
                "ledger_link",
                f"previous_ledger_hash is not the hash of ledger {last}, the last of partition "
                f"{before.unit.partition}",
                ledger=after.unit.partition.start,
                expected=before.edges.last_hash,
                found=after.edges.first_previous_hash,
                cause="one of the two partitions is not of the history that the network closed",
            )


def proven(outcomes: Sequence[Outcome]) -> tuple[LedgerRange, ...]:
    """Ledgers whose hash an anchor proves: those of the anchor and all that it links back to."""
    linked = {id(after) for _, after in _neighbours(outcomes)}
    found: list[LedgerRange] = []
    top: int | None = None
    bottom = 0
    for out in reversed(_in_order(outcomes)):
        if top is not None and not out.ok:
            found.append(LedgerRange(bottom, top))
            top = None
        if out.ok and top is None and out.anchors:
            top = max(out.anchors)
        if top is not None:
            bottom = _start(out)
            if id(out) not in linked:
                found.append(LedgerRange(bottom, top))
                top = None
    return tuple(sorted(found))


def _neighbours(outcomes: Iterable[Outcome]) -> Iterable[tuple[Outcome, Outcome]]:
    order = _in_order(outcomes)
    for before, after in pairwise(order):
        same = _network(before) == _network(after)
        if same and before.unit.partition.end + 1 == _start(after):
            yield before, after


def _in_order(outcomes: Iterable[Outcome]) -> list[Outcome]:
    whole = [out for out in outcomes if out.edges is not None]
    return sorted(whole, key=lambda out: (_network(out), out.unit.partition))


def _network(out: Outcome) -> str:
    return out.unit.network


def _start(out: Outcome) -> int:
    return out.unit.partition.start
