"""Speed and memory of the copier against the floor, in one run; prints a table and JSON.

    python bench/throughput.py [--ledgers 4000] [--repeat 3] [--json FILE]

The lake is made by ``make_archive.py`` of BRONZE_SHARED from a real pubnet ledger, perturbed; where
that is absent, the demo lake stands in and the figures only compare with each other. These machines
are noisy: only ratios of neighbours in one run mean something.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from copier import run_copier

REPO = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("BRONZE_SHARED", REPO.parent / "shared"))
START = 53_312_000
MIB = 1 << 20


@dataclass(frozen=True)
class Figure:
    """One measured run."""

    name: str
    workers: int
    codec: str
    partition_size: int
    ledgers_per_second: float
    mb_per_second: float
    cpu_ms_per_ledger: float
    peak_rss_mib: float
    of_floor: float


def make_lake(folder: Path, ledgers: int) -> tuple[Path, int]:
    """The lake's folder and first ledger; made once and kept between runs."""
    maker = SHARED / "tools" / "make_archive.py"
    if maker.is_file():
        lake = folder / f"pubnet-{ledgers}"
        if not lake.is_dir():
            command = [sys.executable, maker, "--start", START, "--count", ledgers, "--perturb"]
            _run([*command, "--out", lake.with_suffix(".new")])
            lake.with_suffix(".new").rename(lake)
        return lake, START
    from bronze_tui.testing.tiny_lake import write_tiny_lake

    lake = folder / f"demo-{ledgers}"
    if not lake.is_dir():
        write_tiny_lake(lake, first=2, count=ledgers)
    return lake, 2


def _run(command: list[Any]) -> str:
    done = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)
    return done.stdout


def floor(lake: Path, size: int, codec: str) -> dict[str, float]:
    """One run of bench/floor.py."""
    name, _, level = codec.partition(":")
    command = [sys.executable, REPO / "bench" / "floor.py", lake, "--partition-size", size]
    command += ["--codec", name] + (["--level", level] if level else [])
    figures: dict[str, float] = json.loads(_run(command))
    return figures


def copy(lake: Path, first: int, ledgers: int, workers: int, codec: str, size: int) -> Any:
    """One run of ``bronze run``: its closing record, CPU and peak memory."""
    settings = {
        "source.mode": "local",
        "source.local_path": lake,
        "bronze.compression": codec,
        "perf.workers": workers,
        "perf.max_in_flight_partitions": workers,
    }
    return run_copier(first, ledgers, size, settings)


def measure(
    lake: Path, first: int, ledgers: int, workers: int, codec: str, size: int, repeat: int
) -> tuple[Figure, Figure]:
    """Floor and copy by turns, ``repeat`` times; medians."""
    floors, copies = [], []
    for _ in range(repeat):
        floors.append(floor(lake, size, codec))
        copies.append(copy(lake, first, ledgers, workers, codec, size))
    floor_speed = [f["ledgers"] / f["seconds"] for f in floors]
    speeds = [done["ledgers"] / done["seconds"] for done, _ in copies]
    base = Figure(
        "floor",
        1,
        codec,
        size,
        statistics.median(floor_speed),
        statistics.median(f["xdr_bytes"] / f["seconds"] / 1e6 for f in floors),
        statistics.median(1000 * f["cpu_seconds"] / f["ledgers"] for f in floors),
        max(f["peak_rss_bytes"] / MIB for f in floors),
        1.0,
    )
    cpu = [1000 * (u.ru_utime + u.ru_stime) / done["ledgers"] for done, u in copies]
    ours = Figure(
        "copy",
        workers,
        codec,
        size,
        statistics.median(speeds),
        statistics.median(done["xdr_bytes"] / done["seconds"] / 1e6 for done, _ in copies),
        statistics.median(cpu),
        max(u.ru_maxrss / 1024 for _, u in copies),
        statistics.median(s / f for s, f in zip(speeds, floor_speed, strict=True)),
    )
    return base, ours


def show(figure: Figure) -> None:
    """One table row."""
    print(
        f"{figure.name:<6} {figure.workers:>7} {figure.codec:<8} {figure.partition_size:>9} "
        f"{figure.ledgers_per_second:>10.0f} {figure.mb_per_second:>8.0f} "
        f"{figure.cpu_ms_per_ledger:>10.2f} {figure.peak_rss_mib:>8.0f} {figure.of_floor:>8.2f}",
        flush=True,
    )


def main() -> None:
    """Run the matrix."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ledgers", type=int, default=4000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--codecs", default="zstd,snappy")
    parser.add_argument("--sizes", default="1000", help="partition sizes; memory: 100,1000,4000")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "bronze-bench")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    lake, first = make_lake(args.folder, args.ledgers)
    head = ("what", "workers", "codec", "partition", "ledgers/s", "MB/s", "cpu ms/led", "rss MiB")
    print("{:<6} {:>7} {:<8} {:>9} {:>10} {:>8} {:>10} {:>8} of floor".format(*head))
    figures = []
    for codec in args.codecs.split(","):
        for size in map(int, args.sizes.split(",")):
            for workers in map(int, args.workers.split(",")):
                pair = measure(lake, first, args.ledgers, workers, codec, size, args.repeat)
                figures += pair
                for figure in pair:
                    show(figure)
    report = {"ledgers": args.ledgers, "figures": [asdict(f) for f in figures]}
    if args.json:
        args.json.write_text(json.dumps(report, indent=2))
    else:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
