"""How many source bytes a run will read, from a few objects spread over what is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from bronze_tui.domain.errors import SourceError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.engine.plan import EraPlan
from bronze_tui.hooks.contracts import LedgerSource

_SAMPLES = 5


def source_bytes_left(
    source: LedgerSource,
    plans: Sequence[EraPlan],
    tip: int | None,
    ledgers_left: int,
    fetchers: int,
) -> int | None:
    """Compressed bytes still to read; None when nothing can be sampled.

    Args:
        fetchers: reads that may go on at the same time.
    """
    if tip is None or ledgers_left == 0:
        return 0 if ledgers_left == 0 else None

    def sample(sequence: int) -> tuple[int, int]:
        ref = source.batches(LedgerRange(sequence, sequence))[0]
        try:
            return len(source.read(ref)), ref.last - max(ref.first, 2) + 1
        except SourceError:
            return 0, 0

    found = _at_once(sample, _spread(plans, tip), 1 if source.describe().local else fetchers)
    size, ledgers = (sum(column) for column in zip(*found, strict=True)) if found else (0, 0)
    return ledgers_left * size // ledgers if ledgers else None


def _at_once(
    sample: Callable[[int], tuple[int, int]], sequences: Sequence[int], reads: int
) -> list[tuple[int, int]]:
    """Over a long line the start of a run waits for one read instead of five."""
    if reads == 1:
        return list(map(sample, sequences))
    with ThreadPoolExecutor(min(_SAMPLES, reads), thread_name_prefix="sample") as pool:
        return list(pool.map(sample, sequences))


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
