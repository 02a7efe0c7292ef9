"""Metrics of a run: fed by its journal, the numbers those of the run view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bronze_tui.domain.events import Coverage, PartitionCommitted
from bronze_tui.headless.metrics import RunMetrics

Records = list[dict[str, Any]]
KEY = "testnet/era/v1"
LABELS = {"network": "testnet", "era_id": "era", "version": "v1"}


@pytest.fixture
def metrics() -> RunMetrics:
    return RunMetrics()


def value(metrics: RunMetrics, name: str, labels: dict[str, str] | None = None) -> float | None:
    return metrics.registry.get_sample_value(f"bronze_copier_{name}", labels or {})


def test_half_a_run_in_numbers(metrics: RunMetrics, half: Records) -> None:
    for record in half:
        metrics(record)
    assert value(metrics, "partitions_processed_total", LABELS) == 1
    assert value(metrics, "partitions_skipped_total", LABELS) == 1
    assert value(metrics, "ledgers_processed_total", LABELS) == 10
    assert value(metrics, "last_ledger_sequence", LABELS) == 21
    assert value(metrics, "ledgers_per_second") == 310.5
    assert value(metrics, "workers") == 2
    assert value(metrics, "resident_bytes") == 300 << 20
    assert value(metrics, "retry_attempts_total") == 1
    assert value(metrics, "source_errors_total") == 1


def test_a_filled_hole_does_not_turn_the_last_ledger_back(
    metrics: RunMetrics, half: Records, make_records: Callable[[list[Any]], Records]
) -> None:
    repair: list[Any] = [
        Coverage(KEY, ["2-11", "22-41"], ["12-21"], "aa", 3),
        PartitionCommitted(KEY, "12-21", 10, "sha256:1", 5, 21, 0.1, False),
    ]
    for record in [half[0], *make_records(repair)]:
        metrics(record)
    assert value(metrics, "last_ledger_sequence", LABELS) == 41
    assert value(metrics, "partitions_processed_total", LABELS) == 1
