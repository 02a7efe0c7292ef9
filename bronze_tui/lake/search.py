"""Finding the newest object of a lake that cannot be listed, by asking for single ones."""

from __future__ import annotations

from collections.abc import Callable

from bronze_tui.domain.ledger import MAX_LEDGER


def newest_held(holds: Callable[[int], bool], start: int, step: int) -> int | None:
    """The newest ledger of the run of objects that begins at ``start``; None when that is absent.

    Asks about twice the logarithm of the run's length. A lake with a gap seems to end before it.

    Args:
        holds: whether the object of a ledger is there.
        start: the first ledger of an object.
        step: ledgers in one object.
    """
    if not holds(start):
        return None
    held, stride = start, step
    while held + stride <= MAX_LEDGER and holds(held + stride):
        held += stride
        stride *= 2
    while stride > step:
        stride //= 2
        if held + stride <= MAX_LEDGER and holds(held + stride):
            held += stride
    return min(held + step - 1, MAX_LEDGER)
