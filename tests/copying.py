"""Helpers of the engine's tests: a configuration, a run in this process, what it left behind."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bronze_tui.config.load import load
from bronze_tui.domain.events import RunFinished
from bronze_tui.engine.main import EngineProcess, PluginSwitches
from bronze_tui.engine.opening import RunFlags


@dataclass
class Site:
    """One operator's folders: lake, output, state, audit events."""

    root: Path
    lake: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def pas(self) -> Path:
        return self.root / "pas"

    @property
    def dataset(self) -> Path:
        return self.data / "bronze" / "testnet" / "first" / "v1"

    @property
    def table(self) -> Path:
        return self.dataset / "ledgers_lcm_raw"

    def sets(self, **changes: Any) -> list[str]:
        """``--set`` arguments: defaults, this site's settings, then ``changes`` (a__b for a.b)."""
        values: dict[str, Any] = {
            "era.network": "testnet",
            "era.era_id": "first",
            "era.version_label": "v1",
            "era.ledger_start": 2,
            "era.ledger_end": 65,
            "era.partition_size": 16,
            "source.mode": "local",
            "source.local_path": self.lake,
            "source.poll_interval": 1,
            "storage.local_dir": self.data,
            "pas.enabled": "true",
            "pas.backup_dir": self.pas,
            "checkpoint.dir": self.state,
            "perf.workers": 2,
            "perf.retry_attempts": 2,
            "perf.retry_backoff_ms": 1,
            **self.settings,
            **{key.replace("__", "."): value for key, value in changes.items()},
        }
        return [f"{key}={value}" for key, value in values.items()]

    def engine(self, flags: RunFlags | None = None, listen: Any = None, **changes: Any) -> Any:
        """An engine that has not run yet, and the records it will tell."""
        records: list[dict[str, Any]] = []

        def listener(record: dict[str, Any]) -> None:
            records.append(record)
            if listen is not None:
                listen(record)

        loaded = load(None, self.sets(**changes), {})
        process = EngineProcess(loaded, flags or RunFlags(), PluginSwitches(), listener)
        return process, records

    def run(self, flags: RunFlags | None = None, listen: Any = None, **changes: Any) -> Run:
        """Run the engine to its end."""
        process, records = self.engine(flags, listen, **changes)
        return Run(process.run(), records)

    def events(self) -> list[dict[str, Any]]:
        """Audit events in ledger order."""
        files = [p for p in self.pas.glob("*.json") if p.name != "pas-chain-heads.json"]
        events = [json.loads(p.read_bytes()) for p in files]
        return sorted(events, key=lambda e: e["partition"]["ledger_start"])

    def parquet(self) -> list[Path]:
        """Partition files in ledger order."""
        files = self.table.glob("range=*/*.parquet")
        return sorted(files, key=lambda p: int(p.name.split("-")[1]))

    def ranges(self) -> list[str]:
        """Committed partitions in ledger order."""
        names = (p.stem for p in (self.dataset / "_commits").glob("*.json"))
        return sorted(names, key=lambda name: int(name.split("-")[0]))

    def rows(self) -> list[dict[str, Any]]:
        """All rows of all files, in order."""
        return [row for path in self.parquet() for row in pq.read_table(path).to_pylist()]


@dataclass
class Run:
    """A finished run and what its journal said."""

    finished: RunFinished
    records: list[dict[str, Any]]

    @property
    def code(self) -> int:
        return int(self.finished.exit_code)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [r for r in self.records if r["kind"] == kind]


def digests(root: Path, pattern: str = "**/*") -> dict[str, str]:
    """SHA-256 of every file below ``root``."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.glob(pattern))
        if path.is_file()
    }


class When:
    """A listener that does something once, when a record of a kind comes."""

    def __init__(self, kind: str, action: Any, after: int = 1) -> None:
        self.kind, self.action, self.left = kind, action, after
        self.lock = threading.Lock()

    def __call__(self, record: dict[str, Any]) -> None:
        with self.lock:
            if record["kind"] != self.kind:
                return
            self.left -= 1
            if self.left:
                return
        self.action()
