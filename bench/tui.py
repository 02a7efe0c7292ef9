"""What the screens cost: throughput with the app open against without, keys while copying, a flood.

    python bench/tui.py [--ledgers 4000] [--pairs 5] [--seconds 10] [--json FILE]

The app runs in a pseudo-terminal of 120x40 that is read as fast as it writes. These machines are
noisy: pairs are run one after the other, in turns, and their ratios are what counts.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
CLI = [sys.executable, "-m", "bronze_tui.cli"]
SIZE = (120, 40)


class Pty:
    """A program in a pseudo-terminal; what it writes is kept with the time it came."""

    def __init__(self, command: list[str], cwd: Path) -> None:
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(cwd)
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            os.execv(command[0], command)
        self.pid = pid
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        self.data = b""
        self.at = 0.0
        self.ended = threading.Event()
        self.code = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self.fd, 1 << 16)
            except OSError:
                break
            if not chunk:
                break
            self.data += chunk
            self.at = time.perf_counter()
            del_to = len(self.data) - (1 << 20)
            if del_to > 0:
                self.data = self.data[del_to:]
        _, status, usage = os.wait4(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime
        self.ended.set()

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def until(self, true: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise SystemExit(f"waited {seconds} s in vain: {self.data[-2000:]!r}")
            time.sleep(0.01)

    def key_to_paint(self, key: str) -> float:
        """Seconds from a key to the first byte that answers it, on a quiet line."""
        self._quiet()
        begin = time.perf_counter()
        self.press(key)
        while self.at <= begin:
            if time.perf_counter() - begin > 5:
                return 5.0
            select.select([], [], [], 0.0005)
        return self.at - begin

    def _quiet(self) -> None:
        """Wait for a gap in the drawing, so that a tick's bytes are not taken for the answer."""
        end = time.perf_counter() + 1.0
        while time.perf_counter() - self.at < 0.03 and time.perf_counter() < end:
            time.sleep(0.002)

    def rss(self) -> int:
        """Resident bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )

    def quit(self) -> None:
        self.press("q")
        if not self.ended.wait(10):
            os.kill(self.pid, signal.SIGTERM)
            self.ended.wait(10)


def lake(folder: Path, ledgers: int) -> tuple[Path, int]:
    """The lake of bench/throughput.py."""
    sys.path.insert(0, str(REPO / "bench"))
    from throughput import make_lake

    return make_lake(folder, ledgers)


def settings(source: Path, first: int, ledgers: int, out: Path) -> list[str]:
    values = {
        "era.network": "pubnet",
        "era.era_id": "bench",
        "era.ledger_start": first,
        "era.ledger_end": first + ledgers - 1,
        "era.partition_size": 250,
        "source.mode": "local",
        "source.local_path": source,
        "storage.local_dir": out / "data",
        "pas.enabled": "true",
        "pas.backup_dir": out / "pas",
        "checkpoint.dir": out / "state",
    }
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def finished(out: Path) -> dict[str, Any] | None:
    """The closing record of the run in ``out``."""
    from bronze_tui.domain.errors import BronzeError
    from bronze_tui.journal.reader import last_run

    try:
        records = list(last_run(out / "state" / "bronze.jsonl"))
    except BronzeError:
        return None
    return next((r for r in reversed(records) if r.get("kind") == "run_finished"), None)


def rate(out: Path) -> float:
    closing = finished(out)
    assert closing is not None, out
    assert closing["exit_code"] == 0, closing
    return float(closing["ledgers"] / closing["seconds"])


def without_app(source: Path, first: int, ledgers: int) -> float:
    out = Path(tempfile.mkdtemp(prefix="bronze-bench-"))
    try:
        command = [*CLI, "run", "--no-tui", "--plain", *settings(source, first, ledgers, out)]
        subprocess.run(command, check=True, capture_output=True)
        return rate(out)
    finally:
        shutil.rmtree(out)


def with_app(source: Path, first: int, ledgers: int, *, keys: bool) -> tuple[float, list[float]]:
    """Ledgers a second, and seconds from key to paint while it copies."""
    out = Path(tempfile.mkdtemp(prefix="bronze-bench-"))
    app = Pty([*CLI, "run", *settings(source, first, ledgers, out)], out)
    times: list[float] = []
    try:
        app.until(lambda: b"RUNNING" in app.data or finished(out) is not None)
        if keys:
            # On the list of log lines each arrow moves the cursor: one key, one visible answer.
            app.press("7")
            time.sleep(0.5)
            while finished(out) is None and len(times) < 200:
                times.append(app.key_to_paint("\x1b[A" if len(times) % 2 else "\x1b[B\x1b[A\x1b[A"))
        app.until(lambda: finished(out) is not None, 600)
        app.quit()
        return rate(out), times
    finally:
        if not app.ended.is_set():
            os.kill(app.pid, signal.SIGKILL)
        shutil.rmtree(out, ignore_errors=True)


def flood(seconds: int, per_second: int) -> dict[str, Any]:
    """A replay of ``per_second`` records a second; totals must be exact at its end."""
    out = Path(tempfile.mkdtemp(prefix="bronze-bench-"))
    try:
        total = _write_flood(out / "bronze.jsonl", seconds, per_second)
        app = Pty([*CLI, "replay", str(out / "bronze.jsonl")], out)
        app.until(lambda: b"RUNNING" in app.data)
        app.press("7")
        time.sleep(1.0)
        before, most, times = app.rss(), 0, []
        end = time.monotonic() + seconds - 2
        while time.monotonic() < end:
            times.append(app.key_to_paint("\x1b[A"))
            most = max(most, app.rss())
            time.sleep(0.02)
        app.press("1")
        wanted = f"{total:,} partitions committed".encode()
        app.until(lambda: wanted in app.data, 60)
        most = max(most, app.rss())
        app.quit()
        return {
            "records": seconds * per_second,
            "partitions": total,
            "exact_total_shown": True,
            "key_to_paint_p95_ms": _p95(times),
            "rss_growth_mib": (most - before) / (1 << 20),
            "app_cpu_seconds": app.cpu,
        }
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _write_flood(path: Path, seconds: int, per_second: int) -> int:
    """6,000 partitions known before, then progress at full speed; partitions committed in all."""
    sys.path.insert(0, str(REPO / "tests" / "tui"))
    import journals

    records = journals.large(6_000)
    began = 1_700_000_000.0
    run = records[0]["run"]
    shift = [{**r, "time": began} for r in records if r["kind"] != "run_finished"]
    key = records[0]["chain_keys"][0]
    with path.open("w") as file:
        for record in shift:
            file.write(json.dumps(record) + "\n")
        for n in range(seconds * per_second):
            start = (n % 6_000) * 10_000
            record = {
                "kind": "partition_progress",
                "time": began + n / per_second,
                "run": run,
                "chain_key": key,
                "partition": f"{start}-{start + 9_999}",
                "worker": n % 4,
                "ledgers": n % 10_000,
                "xdr_bytes": n,
                "source_bytes": n,
            }
            if n % 2:
                record |= {"kind": "alert", "level": "info", "component": "b", "message": f"m {n}"}
            file.write(json.dumps(record) + "\n")
        done = {"kind": "run_finished", "time": began + seconds, "run": run, "exit_code": 0}
        done |= {"outcome": "done", "message": "", "seconds": float(seconds), "ledgers": 0}
        file.write(json.dumps(done) + "\n")
    return sum(r["kind"] == "partition_committed" for r in records)


def _p95(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)] * 1_000 if times else 0.0


def main() -> None:
    """Run all, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledgers", type=int, default=4_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--per-second", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    folder = Path(tempfile.gettempdir()) / "bronze-bench-lakes"
    folder.mkdir(exist_ok=True)
    source, first = lake(folder, args.ledgers)
    ratios = []
    for turn in range(args.pairs):
        if turn % 2:
            plain = without_app(source, first, args.ledgers)
            shown, _ = with_app(source, first, args.ledgers, keys=False)
        else:
            shown, _ = with_app(source, first, args.ledgers, keys=False)
            plain = without_app(source, first, args.ledgers)
        ratios.append(shown / plain)
        print(f"pair {turn + 1}: {shown:,.0f} ledgers/s with, {plain:,.0f} without", flush=True)
    _, times = with_app(source, first, args.ledgers, keys=True)
    found = {
        "with_over_without_median": statistics.median(ratios),
        "with_over_without_all": [round(r, 3) for r in ratios],
        "keys_pressed": len(times),
        "key_to_paint_median_ms": statistics.median(times) * 1_000 if times else None,
        "key_to_paint_p95_ms": _p95(times),
        "flood": flood(args.seconds, args.per_second),
    }
    print(json.dumps(found, indent=2))
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
