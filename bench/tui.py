"""What the screens cost: throughput with the app open against without, keys while copying, a flood.

    python bench/tui.py [--ledgers 4000] [--pairs 5] [--seconds 10] [--nice 5] [--json FILE]

The app runs in a pseudo-terminal of 120x40 that is read as fast as it writes. These machines are
noisy: pairs are run one after the other, in turns, after one pair that does not count, and their
ratios are what counts. CPU seconds of the app's own process hardly depend on the neighbours.

Key to paint is the time from ``f`` on the Logs page to the last byte of the word that answers it:
FOLLOWING and STOPPED take turns, so that no drawing by the clock can pass for the answer. It is
taken as the app starts, and again with the app at a lower priority (``--nice``).
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
CLI = [sys.executable, "-m", "bronze_tui.cli"]
SIZE = (120, 40)
START = 4.0
"""Seconds of a run in which engine and screen start."""
_KEPT = 1 << 20


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
        self.data = bytearray()
        self.total = 0
        """Bytes written so far."""
        self.news = threading.Condition()
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
            with self.news:
                self.data += chunk
                self.total += len(chunk)
                if len(self.data) > _KEPT:
                    del self.data[: len(self.data) - _KEPT // 2]
                self.news.notify_all()
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        self.ended.set()

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def until(self, true: Callable[[], bool], seconds: float = 60.0, every: float = 0.01) -> None:
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise SystemExit(f"waited {seconds} s in vain: {self.data[-2000:]!r}")
            time.sleep(every)

    def key_to_paint(self, key: str, answer: bytes) -> float:
        """Seconds from a key until ``answer`` has been written; at most 5."""
        with self.news:
            mark = self.total
            begin = time.perf_counter()
            self.press(key)
            while answer not in self.data[max(0, len(self.data) - (self.total - mark)) :]:
                left = 5.0 - (time.perf_counter() - begin)
                if left <= 0 or not self.news.wait(left):
                    return 5.0
            return time.perf_counter() - begin

    def keys(self, true: Callable[[], bool], most: int = 400) -> list[float]:
        """Key to paint on the Logs page, again and again while a condition holds."""
        self.press("7")
        self.until(lambda: b"FOLLOWING" in self.data)
        times: list[float] = []
        for turn in range(most):
            if not true():
                break
            times.append(self.key_to_paint("f", (b"STOPPED", b"FOLLOWING")[turn % 2]))
            # A person's pause, and never the same part of the drawing's beat.
            time.sleep(0.02 + 0.0137 * (turn % 7))
        return times

    def cpu(self) -> float:
        """CPU seconds of the process itself, without its children."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def renice(self, nice: int) -> None:
        """Another priority for all of its threads; its children keep theirs."""
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), nice)

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


def steady(out: Path) -> float:
    """Ledgers a second from the first commit after START seconds to the last commit: a backfill
    runs for days, so that what the screen costs as it opens is another question."""
    from bronze_tui.journal.reader import last_run

    records = list(last_run(out / "state" / "bronze.jsonl"))
    began = records[0]["time"] + START
    commits = [r for r in records if r["kind"] == "partition_committed" and r["time"] >= began]
    sizes = [1 - int.__sub__(*map(int, r["partition"].split("-"))) for r in commits[1:]]
    return sum(sizes) / float(commits[-1]["time"] - commits[0]["time"])


def without_app(source: Path, first: int, ledgers: int) -> tuple[float, float]:
    """Rate of the whole run, and after its start."""
    out = Path(tempfile.mkdtemp(prefix="bronze-bench-"))
    try:
        command = [*CLI, "run", "--no-tui", "--plain", *settings(source, first, ledgers, out)]
        subprocess.run(command, check=True, capture_output=True)
        return rate(out), steady(out)
    finally:
        shutil.rmtree(out)


def has_ended(out: Path) -> bool:
    """Whether the run wrote its closing record; cheap enough to be asked while it runs."""
    try:
        with (out / "state" / "bronze.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            return b'"run_finished"' in file.read()
    except FileNotFoundError:
        return False


@dataclass
class Seen:
    """A copy with the app open."""

    rate: float
    steady: float
    cpu_seconds_a_minute: float
    keys: list[float]


def with_app(source: Path, first: int, ledgers: int, *, keys: bool, nice: int = 0) -> Seen:
    """Copy with the app open, and press keys while it copies."""
    out = Path(tempfile.mkdtemp(prefix="bronze-bench-"))
    app = Pty([*CLI, "run", *settings(source, first, ledgers, out)], out)
    try:
        app.until(lambda: b"RUNNING" in app.data or has_ended(out))
        if nice:
            app.renice(nice)
        began, used = time.monotonic(), app.cpu()
        times = app.keys(lambda: not has_ended(out)) if keys else []
        app.until(lambda: has_ended(out), 600, 0.1)
        used, took = app.cpu() - used, time.monotonic() - began
        app.quit()
        return Seen(rate(out), steady(out), used / took * 60, times)
    finally:
        if not app.ended.is_set():
            os.kill(app.pid, signal.SIGKILL)
            app.ended.wait(10)
        shutil.rmtree(out, ignore_errors=True)


def flood(seconds: int, per_second: int) -> dict[str, Any]:
    """A replay of ``per_second`` records a second; totals must be exact at its end."""
    out = Path(tempfile.mkdtemp(prefix="bronze-bench-"))
    try:
        total = _write_flood(out / "bronze.jsonl", seconds, per_second)
        app = Pty([*CLI, "replay", str(out / "bronze.jsonl")], out)
        app.until(lambda: b"RUNNING" in app.data)
        app.press("7")
        app.until(lambda: b"FOLLOWING" in app.data)
        before, used, most = app.rss(), app.cpu(), 0
        end = time.monotonic() + seconds - 2

        def goes_on() -> bool:
            nonlocal most
            most = max(most, app.rss())
            return time.monotonic() < end

        times = app.keys(goes_on)
        app.until(lambda: b"REPLAY END" in app.data, seconds + 60)
        used = app.cpu() - used
        mark = app.total
        app.press("1")
        wanted = f"{total:,} partitions committed".encode()
        app.until(lambda: wanted in app.data[-(app.total - mark) or len(app.data) :])
        most = max(most, app.rss())
        app.quit()
        return {
            "records": seconds * per_second,
            "partitions": total,
            "exact_total_shown": True,
            "keys_pressed": len(times),
            **_spread("key_to_paint", times),
            "rss_growth_mib": (most - before) / (1 << 20),
            "app_cpu_seconds": used,
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


def _spread(name: str, times: list[float]) -> dict[str, float | None]:
    """Median, 95th percentile and maximum in milliseconds."""
    ordered = sorted(times)
    if not ordered:
        return {f"{name}_{part}_ms": None for part in ("median", "p95", "max")}
    return {
        f"{name}_median_ms": statistics.median(ordered) * 1_000,
        f"{name}_p95_ms": ordered[int(len(ordered) * 0.95)] * 1_000,
        f"{name}_max_ms": ordered[-1] * 1_000,
    }


def main() -> None:
    """Run all, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledgers", type=int, default=4_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--per-second", type=int, default=20_000)
    parser.add_argument("--nice", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    folder = Path(tempfile.gettempdir()) / "bronze-bench-lakes"
    folder.mkdir(exist_ok=True)
    source, first = lake(folder, args.ledgers)
    ratios: list[float] = []
    later: list[float] = []
    costs: list[float] = []
    for turn in range(args.pairs + 1):
        shown = with_app(source, first, args.ledgers, keys=False) if turn % 2 else None
        plain = without_app(source, first, args.ledgers)
        shown = shown or with_app(source, first, args.ledgers, keys=False)
        print(f"pair {turn}: {shown.rate:,.0f} ledgers/s with, {plain[0]:,.0f} without", flush=True)
        if turn:
            ratios.append(shown.rate / plain[0])
            later.append(shown.steady / plain[1])
            costs.append(shown.cpu_seconds_a_minute)
    found: dict[str, Any] = {
        "with_over_without_median": statistics.median(ratios) if ratios else None,
        "with_over_without_all": [round(r, 3) for r in ratios],
        "after_the_start_median": statistics.median(later) if later else None,
        "after_the_start_all": [round(r, 3) for r in later],
        "app_cpu_seconds_a_minute": statistics.median(costs) if costs else None,
    }
    for nice in (0, args.nice):
        times = with_app(source, first, args.ledgers, keys=True, nice=nice).keys
        name = f"copying_nice_{nice}"
        found[name] = {"keys_pressed": len(times), **_spread("key_to_paint", times)}
    found["flood"] = flood(args.seconds, args.per_second)
    print(json.dumps(found, indent=2))
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
