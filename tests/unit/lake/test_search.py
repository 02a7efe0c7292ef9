"""The newest object found by asking for single ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bronze_tui.lake.search import newest_held


@given(
    step=st.integers(1, 64),
    first=st.integers(0, 1_000_000),
    objects=st.integers(0, 100_000),
    later=st.integers(2, 50),
)
def test_the_end_of_the_run_in_few_questions(
    step: int, first: int, objects: int, later: int
) -> None:
    start = first * step
    asked = []

    def holds(sequence: int) -> bool:
        assert sequence % step == 0
        asked.append(sequence)
        index = (sequence - start) // step
        return 0 <= index < objects

    newest = newest_held(holds, start, step)
    assert newest == (None if objects == 0 else start + objects * step - 1)
    assert len(asked) <= 2 * max(1, objects).bit_length() + 2
    if newest is not None:
        objects += later
        assert newest_held(holds, newest - step + 1, step) == start + objects * step - 1


def test_the_last_ledger_there_can_be() -> None:
    start = 2**32 - 64
    assert newest_held(lambda sequence: sequence < 2**32, start, 64) == 2**32 - 1
