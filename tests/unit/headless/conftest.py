"""A canned run, as journal records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bronze_tui.domain.events import (
    Alert,
    Coverage,
    EngineEvent,
    EventLinked,
    PartitionBuilt,
    PartitionCommitted,
    PartitionProgress,
    PartitionRetried,
    PartitionStarted,
    RunFinished,
    RunStarted,
    Throughput,
    to_record,
)

KEY = "testnet/era/v1"
MiB = 1 << 20


def run_started() -> RunStarted:
    return RunStarted(
        run_id="7f3a",
        pid=1,
        version="0.1.0",
        chain_keys=[KEY],
        source="file:///lake/[red]x[/foo]",
        store="file:///bronze",
        workers=2,
        ledger_start=2,
        ledger_end=41,
        partition_size=10,
        partitions_total=4,
        partitions_done=1,
        ledgers_total=40,
        ledgers_done=10,
        bytes_expected=30 * MiB,
        source_tip=41,
        config_file="/etc/bronze/config.yaml",
        state_dir="/data/state",
        socket="/data/state/engine.sock",
        pas_dir="/data/pas-backup",
    )


def throughput(**changes: Any) -> Throughput:
    values: dict[str, Any] = {
        "ledgers": 15,
        "ledgers_committed": 10,
        "partitions_committed": 1,
        "xdr_bytes": 150 * MiB,
        "source_bytes": 15 * MiB,
        "ledgers_per_second": 310.5,
        "xdr_bytes_per_second": 115.0 * MiB,
        "source_bytes_per_second": 5.0 * MiB,
        "eta_seconds": 3.0,
        "limited_by": "decode",
        "state": "running",
        "workers": 2,
        "rss_bytes": 300 * MiB,
    }
    return Throughput(**(values | changes))


def finished(**changes: Any) -> RunFinished:
    values: dict[str, Any] = {
        "exit_code": 0,
        "outcome": "done",
        "message": "",
        "partitions_committed": 3,
        "partitions_failed": 0,
        "ledgers": 30,
        "xdr_bytes": 300 * MiB,
        "source_bytes": 30 * MiB,
        "parquet_bytes": 33 * MiB,
        "seconds": 6.0,
        "last_committed_ledger": 41,
        "head": "ab" * 32,
        "retries": 1,
    }
    return RunFinished(**(values | changes))


def half_run() -> list[EngineEvent]:
    return [
        run_started(),
        Coverage(KEY, ["2-11"], [], "00" * 32, 1),
        PartitionStarted(KEY, "12-21", 0, 1),
        PartitionStarted(KEY, "22-31", 1, 1),
        PartitionProgress(KEY, "22-31", 1, 5, 50 * MiB, 5 * MiB),
        PartitionBuilt(KEY, "12-21", 0, 10, 100 * MiB, 10 * MiB, 11 * MiB, 1.0, False),
        PartitionCommitted(KEY, "12-21", 10, "sha256:1", 11 * MiB, 21, 1.1, False),
        EventLinked(KEY, "12-21", 1, "cd" * 32, "00" * 32, True),
        PartitionStarted(KEY, "32-41", 0, 1),
        PartitionRetried(KEY, "32-41", 1, 5, 2.0, "503 SlowDown [/foo] \x1b[31m"),
        PartitionStarted(KEY, "32-41", 0, 2),
        Alert("warn", "source", "slow [bold]disk", "wait"),
        throughput(),
    ]


def as_records(events: list[EngineEvent]) -> list[dict[str, Any]]:
    return [
        {"seq": n, "time": 1_700_000_000.0 + n, "run": "7f3a", **to_record(event)}
        for n, event in enumerate(events, 1)
    ]


@pytest.fixture
def half() -> list[dict[str, Any]]:
    """Records of a run in the middle of its work."""
    return as_records(half_run())


@pytest.fixture
def whole() -> list[dict[str, Any]]:
    """Records of a run that is done."""
    return as_records([*half_run(), finished()])


@pytest.fixture
def make_finished() -> Callable[..., RunFinished]:
    """Makes a closing event."""
    return finished


@pytest.fixture
def make_throughput() -> Callable[..., Throughput]:
    """Makes a throughput event."""
    return throughput


@pytest.fixture
def make_records() -> Callable[[list[EngineEvent]], list[dict[str, Any]]]:
    """Makes records of events."""
    return as_records
