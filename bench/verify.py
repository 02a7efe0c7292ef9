"""Speed and memory of verification and rebuild against copying and sha256sum, in one run.

    python bench/verify.py [--ledgers 1000] [--workers 2]

It prints JSON. Every level is a process of its own over the same copy; figures include its start.
Only ratios of neighbours in one run mean something.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from throughput import make_lake


def timed(*command: object) -> tuple[float, float]:
    """Seconds and peak MiB of one command."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen([str(word) for word in command], stdout=said, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if child.returncode not in (0, 3):
            raise SystemExit(said.read().decode())
    return seconds, usage.ru_maxrss / 1024


def write_config(root: Path, lake: Path, first: int, ledgers: int, workers: int) -> Path:
    """Configuration of the copy."""
    doc: dict[str, Any] = {
        "era": {
            "era_id": "bench",
            "version_label": "v1",
            "network": "bench",
            "ledger_start": first,
            "ledger_end": first + ledgers - 1,
            "partition_size": max(1, ledgers // 8),
        },
        "source": {"mode": "local", "local_path": str(lake)},
        "storage": {"local_dir": str(root / "data")},
        "pas": {"enabled": True, "backup_dir": str(root / "pas")},
        "checkpoint": {"dir": str(root / "state")},
        "perf": {"workers": workers},
    }
    path = root / "config.yaml"
    path.write_text(json.dumps(doc))
    return path


def signatures(count: int = 2000) -> float:
    """Ledgers a second of which one thread reads the header's parts and checks the signature."""
    from bronze_tui.audit.levels.network import NetworkCheck
    from bronze_tui.audit.levels.trust import Trust
    from bronze_tui.audit.levels.unit import Outcome, Unit
    from bronze_tui.domain.ledger import LedgerRange
    from bronze_tui.testing.tiny_ledgers import demo_ledgers

    ledgers = LedgerRange(2, 65)
    made = [memoryview(ledger.data) for ledger in demo_ledgers(ledgers, "bench", 0)]
    check, out = NetworkCheck(Trust("bench"), "bench"), Outcome(Unit("a/b/c", ledgers, ()))
    check.check(out, "", 2, made[0])
    begin = time.perf_counter()
    for turn in range(count):
        check.check(out, "", 2, made[turn % len(made)])
    return count / (time.perf_counter() - begin)


def main() -> None:
    """Parse arguments, copy, verify at each level, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledgers", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    bronze = (sys.executable, "-m", "bronze_tui.cli")
    with tempfile.TemporaryDirectory(prefix="bronze-bench-") as folder:
        root = Path(folder)
        lake, first = make_lake(root, args.ledgers)
        config = write_config(root, lake, first, args.ledgers, args.workers)
        copy, _ = timed(*bronze, "run", "--no-tui", "--config", config)
        files = sorted((root / "data").rglob("*.parquet"))
        size = sum(path.stat().st_size for path in files)
        timed("sha256sum", *files)
        figures: dict[str, Any] = {
            "ledgers": args.ledgers,
            "bytes": size,
            "copy_ledgers_per_second": round(args.ledgers / copy, 1),
            "sha256sum_seconds": round(timed("sha256sum", *files)[0], 3),
        }
        words = {
            name: ("verify", config, "--level", name)
            for name in ("manifest", "file", "row", "ledger")
        }
        words["rebuild"] = ("rebuild", "all", config)
        for name, said in words.items():
            seconds, peak = timed(*bronze, *said, "--jobs", args.workers, "--quiet")
            figures[name] = {
                "seconds": round(seconds, 3),
                "ledgers_per_second": round(args.ledgers / seconds, 1),
                "of_copy_speed": round(copy / seconds, 2),
                "peak_mib": round(peak),
            }
    figures["signed_ledgers_per_second_per_core"] = round(signatures())
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
