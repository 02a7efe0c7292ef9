"""Speed and memory of verification and rebuild against copying and sha256sum, in one run.

    python bench/verify.py [--ledgers 1000] [--events 50000] [--mib 128] [--workers 2]
                           [--turns 3]

It prints JSON. Every level is a process of its own over the same copy, and figures include its
start unless they say otherwise. ``file`` runs by turns with as many sha256sum processes as it has
jobs, over the same files in the page cache; without its start it is what hours of hashing come to.
Signatures, and ``events_per_cpu_second``, count CPU time, so that other programs matter less. Peak
memory is that of the largest process: from level ``row`` on each job has one of its own. Only
ratios of neighbours in one run mean something.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from throughput import make_lake

BRONZE = (sys.executable, "-m", "bronze_tui.cli")


def timed(*command: object) -> tuple[float, float]:
    """Seconds and peak MiB of one command."""
    seconds, peak, _ = measured(*command)
    return seconds, peak


def measured(*command: object) -> tuple[float, float, float]:
    """Seconds, peak MiB and CPU seconds of one command."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen([str(word) for word in command], stdout=said, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begin
        # Of the process and of those that it waited for, the largest.
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if child.returncode not in (0, 3):
            raise SystemExit(said.read().decode())
    return seconds, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


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


def make_events(folder: Path, events: int) -> None:
    """A PAS folder with a whole chain."""
    from bronze_tui.audit.canonical import file_bytes, heads_bytes
    from bronze_tui.audit.names import HEADS_FILE, event_name
    from bronze_tui.testing.emitter_contract import make_chain

    folder.mkdir()
    chain = make_chain(events)
    for event in chain:
        (folder / event_name(event)).write_bytes(file_bytes(event))
    heads = {chain[-1].chain_key: chain[-1].event_hash}
    (folder / HEADS_FILE).write_bytes(heads_bytes(heads))


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
    begin = time.process_time()
    for turn in range(count):
        check.check(out, "", 2, made[turn % len(made)])
    return count / (time.process_time() - begin)


def best(times: int, *command: object) -> tuple[float, float]:
    """Seconds of the fastest of several runs, and the peak MiB of the largest process."""
    runs = [timed(*command) for _ in range(times)]
    return min(seconds for seconds, _ in runs), max(peak for _, peak in runs)


def make_files(root: Path, files: int, mib: int) -> list[Path]:
    """A folder of events that announce files of random bytes: one file under several names, so
    that it stays in the page cache. Manifests are missing, which level ``file`` says and goes on.
    """
    from dataclasses import replace

    from bronze_tui.audit.canonical import event_hash, file_bytes
    from bronze_tui.audit.names import event_name
    from bronze_tui.testing.emitter_contract import make_chain

    (root / "pas-backup").mkdir(parents=True)
    content = os.urandom(mib << 20)
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    made: list[Path] = []
    previous = ""
    for event in make_chain(files):
        (name, table), *_ = event.tables
        folder = root / "data" / table.storage_path
        folder.mkdir(parents=True)
        path = folder / f"part-{event.partition}.parquet"
        if made:
            os.link(made[0], path)
        else:
            path.write_bytes(content)
        made.append(path)
        table = replace(table, checksum=checksum, byte_size=len(content))
        fresh = replace(event, tables=((name, table),), prev_event_hash=previous, event_hash="")
        fresh = replace(fresh, event_hash=event_hash(fresh))
        (root / "pas-backup" / event_name(fresh)).write_bytes(file_bytes(fresh))
        previous = fresh.event_hash
    return made


def hashing(root: Path, files: list[Path], jobs: int, turns: int) -> dict[str, Any]:
    """MB/s of level ``file`` by its own clock, of the whole command, and of sha256sum, by turns."""
    size = sum(path.stat().st_size for path in files) / 1e6
    shares = [" ".join(map(str, files[n::jobs])) for n in range(jobs)]
    reference = ("sh", "-c", " & ".join(f"sha256sum {share}" for share in shares) + " & wait")
    words = (*BRONZE, "verify", root / "pas-backup", "--data", root / "data", "--level", "file")
    command = (*words, "--json", "--no-memory", "--jobs", jobs)
    timed(*reference)
    figures = []
    for _ in range(turns):
        begin = time.perf_counter()
        said = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=False)
        whole = time.perf_counter() - begin
        own = json.loads(said.stdout)["depth"]["seconds"]
        figures.append((size / own, size / whole, size / timed(*reference)[0]))
    return {
        "jobs": jobs,
        "mb_per_second": round(statistics.median(own for own, _, _ in figures)),
        "of_sha256sum": round(statistics.median(own / ref for own, _, ref in figures), 2),
        "of_sha256sum_with_start": round(
            statistics.median(all_ / ref for _, all_, ref in figures), 2
        ),
        "sha256sum_mb_per_second": round(statistics.median(ref for _, _, ref in figures)),
    }


def verified(args: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Figures of the levels against sha256sum and the copy."""
    lake, first = make_lake(root, args.ledgers)
    config = write_config(root, lake, first, args.ledgers, args.workers)
    copied = []
    for _ in range(args.turns):
        # Each copy begins from nothing, in the place of the one before.
        for name in ("data", "pas", "state"):
            shutil.rmtree(root / name, ignore_errors=True)
        copied.append(timed(*BRONZE, "run", "--no-tui", "--config", config)[0])
    copy = min(copied)
    files = sorted((root / "data").rglob("*.parquet"))
    size = sum(path.stat().st_size for path in files)
    verify = (*BRONZE, "verify", config, "--quiet", "--no-memory", "--jobs", args.workers)
    figures: dict[str, Any] = {
        "ledgers": args.ledgers,
        "bytes": size,
        "copy_ledgers_per_second": round(args.ledgers / copy, 1),
    }
    words: dict[str, tuple[object, ...]] = {
        level: (*verify, "--level", level) for level in ("row", "ledger")
    }
    words["rebuild"] = (*BRONZE, "rebuild", "all", config, "--quiet", "--jobs", args.workers)
    for name, command in words.items():
        seconds, peak = best(args.turns, *command)
        figures[name] = {
            "seconds": round(seconds, 3),
            "ledgers_per_second": round(args.ledgers / seconds, 1),
            "of_copy_speed": round(copy / seconds, 2),
            "peak_mib": round(peak),
        }
    return figures


def main() -> None:
    """Parse arguments, copy, verify at each level, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledgers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--mib", type=int, default=128, help="MiB of each of 8 files")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bronze-bench-") as folder:
        root = Path(folder)
        make_events(root / "events", args.events)
        chain = (*BRONZE, "verify", root / "events", "--quiet", "--no-memory")
        runs = [measured(*chain) for _ in range(args.turns)]
        figures["chain"] = {
            "events": args.events,
            "events_per_second": round(args.events / min(seconds for seconds, _, _ in runs)),
            "events_per_cpu_second": round(args.events / min(cpu for _, _, cpu in runs)),
            "peak_mib": round(max(peak for _, peak, _ in runs)),
        }
        files = make_files(root / "files", 8, args.mib)
        figures["file"] = [
            hashing(root / "files", files, jobs, args.turns) for jobs in sorted({1, args.workers})
        ]
        figures |= verified(args, root)
    figures["signed_ledgers_per_second_per_core"] = round(signatures())
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
