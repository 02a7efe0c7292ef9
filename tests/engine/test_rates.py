"""Rates, ETA and whether the sequencer is behind, as tables."""

from __future__ import annotations

import pytest

from bronze_tui.engine.rates import Rate, Rates, Sample, eta, saturated


def test_rate_looks_back_over_a_window() -> None:
    rates = Rates()
    assert rates.add(Sample(0, 0, 0, 0)) == Rate(0, 0, 0)
    assert rates.add(Sample(1, 100, 1000, 10)) == Rate(100, 1000, 10)
    for second in range(2, 60):
        rate = rates.add(Sample(second, 100 + second, 1000, 10))
    assert rate.ledgers == pytest.approx(1.0)
    assert rate.xdr_bytes == 0


def test_eta_is_by_bytes_and_never_stale() -> None:
    sample = Sample(10, 100, 0, 5000)
    assert eta(200, sample, Rate(10, 0, 500)) == pytest.approx(20.0)
    assert eta(None, sample, Rate(10, 0, 500)) is None
    assert eta(200, sample, Rate(0, 0, 0)) is None
    assert eta(200, Sample(10, 0, 0, 0), Rate(10, 0, 500)) is None


@pytest.mark.parametrize(
    ("held", "committing", "expected"),
    [(5, 0.95, True), (5, 0.5, False), (0, 0.95, False)],
)
def test_a_sequencer_without_a_pause_is_the_limit_while_work_waits(
    held: int, committing: float, expected: bool
) -> None:
    assert saturated(held, committing, 1.0) is expected
