"""Read-ahead: order, the byte budget, and that nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bronze_tui.domain.errors import GapError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.engine.fetch import ByteBudget, ReadAhead
from bronze_tui.engine.gate import ReadGate
from bronze_tui.hooks.contracts import BatchRef, SourceInfo


class Objects:
    """A source of objects of given sizes, one ledger each."""

    codec = "none"

    def __init__(self, sizes: Sequence[int], missing: int | None = None) -> None:
        self.sizes, self.missing = sizes, missing

    def describe(self) -> SourceInfo:
        return SourceInfo("test", "memory")

    def tip(self) -> int:
        return len(self.sizes) - 1

    def batches(self, ledgers: LedgerRange) -> list[BatchRef]:
        return [BatchRef(str(n), n, n) for n in range(ledgers.start, ledgers.end + 1)]

    def read(self, ref: BatchRef) -> bytes:
        if ref.first == self.missing:
            raise GapError("missing", where=ref.key)
        return bytes([ref.first % 256]) * self.sizes[ref.first]

    def close(self) -> None:
        return


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as executor:
        yield executor


def ahead(source: Objects, pool: ThreadPoolExecutor, budget: ByteBudget, group: int) -> ReadAhead:
    refs = source.batches(LedgerRange(0, len(source.sizes) - 1))
    return ReadAhead(source, refs, pool, budget, ReadGate(2), group, lambda: 4)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 50_000), min_size=1, max_size=40),
    st.integers(1, 5),
    st.integers(1, 100_000),
)
def test_order_content_and_budget(sizes: list[int], group: int, limit: int) -> None:
    budget = ByteBudget(limit)
    source = Objects(sizes)
    with ThreadPoolExecutor(3) as pool:
        got = list(ahead(source, pool, budget, group))
    assert [ref.first for ref, _ in got] == list(range(len(sizes)))
    assert [len(data) for _, data in got] == sizes
    assert budget.used == 0


def test_an_error_comes_in_its_turn_and_leaves_nothing(pool: ThreadPoolExecutor) -> None:
    budget = ByteBudget(1 << 30)
    reading = ahead(Objects([10] * 8, missing=5), pool, budget, 1)
    seen = []
    with pytest.raises(GapError):  # noqa: PT012
        for ref, _ in reading:
            seen.append(ref.first)
    reading.close()
    assert seen == [0, 1, 2, 3, 4]
    assert budget.used == 0


def test_giving_up_gives_back(pool: ThreadPoolExecutor) -> None:
    budget = ByteBudget(1 << 30)
    reading = ahead(Objects([10] * 100), pool, budget, 2)
    objects = iter(reading)
    next(objects)
    objects.close()
    reading.close()
    reading.close()
    assert budget.used == 0


def test_two_partitions_share_one_budget(pool: ThreadPoolExecutor) -> None:
    budget = ByteBudget(1)
    first = iter(ahead(Objects([100] * 10), pool, budget, 1))
    second = iter(ahead(Objects([100] * 10), pool, budget, 1))
    # The budget is far too small, and still both go on: each may always hold one step.
    for _ in range(10):
        assert len(next(first)[1]) == len(next(second)[1]) == 100
