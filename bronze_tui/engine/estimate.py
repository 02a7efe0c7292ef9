"""How many source bytes a run will read, from a few objects spread over what is left."""

from __future__ import annotations

from collections.abc import Sequence

from bronze_tui.domain.errors import SourceError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.engine.plan import EraPlan
from bronze_tui.hooks.contracts import LedgerSource

_SAMPLES = 5


def source_bytes_left(
    source: LedgerSource, plans: Sequence[EraPlan], tip: int | None, ledgers_left: int
) -> int | None:
    """Compressed bytes still to read; None when nothing can be sampled."""
    if tip is None or ledgers_left == 0:
        return 0 if ledgers_left == 0 else None
    size = ledgers = 0
    for sequence in _spread(plans, tip):
        ref = source.batches(LedgerRange(sequence, sequence))[0]
        try:
            size += len(source.read(ref))
        except SourceError:
            continue
        ledgers += ref.last - max(ref.first, 2) + 1
    return ledgers_left * size // ledgers if ledgers else None


def _spread(plans: Sequence[EraPlan], tip: int) -> list[int]:
    """Ledgers evenly spaced over what the plans leave."""
    chosen: list[int] = []
    for plan in plans:
        first = plan.next_ledger
        last = min(plan.era.ledger_end or tip, tip)
        if first <= last:
            chosen += [first + (last - first) * i // (_SAMPLES - 1) for i in range(_SAMPLES)]
    step = max(1, len(chosen) // _SAMPLES)
    return sorted(set(chosen[::step]))
