"""Which counter an alert or a failure of the journal moves."""

from __future__ import annotations

from typing import Any

import pytest

from bronze_tui.headless.metrics import RunMetrics


def alert(component: str, level: str) -> dict[str, Any]:
    return {"kind": "alert", "component": component, "level": level}


def failed(error: str) -> dict[str, Any]:
    return {"kind": "partition_failed", "chain_key": "net/era/v1", "error_type": error}


@pytest.mark.parametrize(
    ("record", "counter"),
    [
        (alert("catalog", "error"), "metadata"),
        (alert("checkpoint", "warn"), "metadata"),
        (alert("audit", "error"), "pas"),
        (alert("source", "warn"), "source"),
        (alert("catalog", "info"), None),
        (failed("CatalogUnavailable"), "metadata"),
        (failed("StoreRefused"), "storage"),
        (failed("GapError"), "source"),
    ],
)
def test_errors_are_counted_where_they_belong(record: dict[str, Any], counter: str | None) -> None:
    metrics = RunMetrics()
    metrics(record)
    names = ("source", "storage", "metadata", "pas")
    counts = {
        name: metrics.registry.get_sample_value(f"bronze_copier_{name}_errors_total") or 0
        for name in names
    }
    assert counts == {name: float(name == counter) for name in names}
