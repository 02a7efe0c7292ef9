"""A backfill from S3 to S3 with PostgreSQL and a receiver of audit events, all behind proxies that
make trouble, killed with SIGKILL again and again: it must end whole, and one run more must do
nothing. ``python tests/faults/acceptance.py`` does 2,000 ledgers and five kills; ``--seed`` repeats
one; the exit code is 1 when anything is wrong."""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaos import troubles
from copying import Site
from crashing import arguments
from evidence import HEADS, gather
from invariants import event_hash, judge, partition_digests
from remote import PARTS, RemoteSite, Servers

from bronze_tui.journal.reader import last_run
from bronze_tui.testing.tiny_lake import write_tiny_lake

TROUBLE = {"store": 0.1, "catalog": 0.01, "endpoint": 0.2}
"""Share of requests that meet a fault."""
ENDINGS = {0, 1, 7}
"""Done; or what a run may end with while servers fail, and the operator runs it again."""
MOST_RUNS = 40


@dataclass
class Report:
    """What happened."""

    ledgers: int
    seed: int
    kills: int = 0
    runs: list[int] = field(default_factory=list)
    """Exit codes in order."""
    seconds: float = 0.0
    faults: dict[str, dict[str, int]] = field(default_factory=dict)
    events: int = 0
    idle: list[str] = field(default_factory=list)
    """Requests of the last run, which had nothing to do."""
    wrong: list[str] = field(default_factory=list)


class Backfill:
    """One backfill through trouble.

    Args:
        kills: how often it is killed before it may end.
        size: ledgers in one partition.
    """

    def __init__(self, root: Path, stack: ExitStack, report: Report, kills: int, size: int) -> None:
        self._report, self._kills = report, kills
        self._rng = random.Random(report.seed)
        lake = write_tiny_lake(root / "lake", first=2, count=report.ledgers)
        settings = {"era.ledger_end": lake.ledgers.end, "era.partition_size": size}
        settings |= {"perf.retry_attempts": 5, "perf.retry_backoff_ms": 50}
        self.clean = Site(root / "clean", lake.root, dict(settings))
        self.servers = Servers(lake.root, PARTS, stack)
        self.site = RemoteSite(root / "site", self.servers, settings)
        stack.callback(self.site.remove)

    def run(self) -> None:
        """The whole of it."""
        report = self._report
        code = self._start(self.clean).wait()
        assert code == 0, "the copy without trouble failed"
        began = time.monotonic()
        self._trouble()
        self._kill_and_restart()
        self._to_the_end()
        report.seconds = round(time.monotonic() - began, 1)
        report.faults = {part: chaos.faults() for part, chaos in self.site.chaos.items()}
        self.servers.calm()
        self._judge()
        self._again()

    def _start(self, site: Site) -> subprocess.Popen[bytes]:
        site.root.mkdir(parents=True, exist_ok=True)
        with (site.root / "output").open("ab") as sink:
            return subprocess.Popen(
                [sys.executable, "-m", "bronze_tui.cli", *arguments(site)],
                stdout=sink,
                stderr=sink,
                stdin=subprocess.DEVNULL,
                env=os.environ | self.servers.environment,
            )

    def _trouble(self) -> None:
        for part, share in TROUBLE.items():
            kinds = troubles(part)
            rates = {kind: share / len(kinds) for kind in kinds}
            self.site.chaos[part].trouble(rates, self._rng.randrange(1 << 32))

    def _kill_and_restart(self) -> None:
        """Each kill comes after some share of the work that is left."""
        whole = self._report.ledgers
        while self._report.kills < self._kills and len(self._report.runs) < MOST_RUNS:
            target = self.site.chaos["store"].number() + self._rng.randint(
                max(1, whole // 25), max(2, whole // 7)
            )
            process = self._start(self.site)
            while process.poll() is None and self.site.chaos["store"].number() < target:
                time.sleep(0.005)
            if process.poll() is None:
                process.kill()
                self._report.kills += 1
            if self._ended(process.wait()) == 0:
                self._report.wrong.append(f"done before {self._kills} kills")
                return

    def _to_the_end(self) -> None:
        for _ in range(MOST_RUNS):
            if self._ended(self._start(self.site).wait()) == 0 and not self._undelivered():
                return
        self._report.wrong.append(f"it never ended well: {self._report.runs}")

    def _undelivered(self) -> int:
        """Events left in the outbox: a lenient run ends well when its endpoint takes none for a
        while, as it may on a busy machine; the next run delivers them."""
        records = list(last_run(self.site.state / "bronze.jsonl"))
        return int(records[-1]["undelivered"])

    def _ended(self, code: int) -> int:
        self._report.runs.append(code)
        if code not in ENDINGS and code >= 0:
            said = (self.site.root / "output").read_text(errors="replace")
            self._report.wrong.append(f"a run ended with {code}: {said[-800:]}")
        return code

    def _judge(self) -> None:
        report, found = self._report, gather(self.site)
        clean = partition_digests(self.clean)
        report.wrong += judge(found, after_recovery=True, clean=clean)
        report.events = len(found.catalog.chain)
        for folder in (self.site.pas, self.site.inbox):
            report.wrong += self._verify(folder)
        report.wrong += _in_order(self.site.inbox, report.events)

    def _verify(self, folder: Path) -> list[str]:
        command = [sys.executable, "-m", "bronze_tui.cli", "verify", "--no-memory", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return [f"verify {folder.name}: {done.stdout[-400:]}{done.stderr[-400:]}"] * bool(
            done.returncode
        )

    def _again(self) -> None:
        """The same configuration once more changes nothing and downloads nothing."""
        report, before = self._report, gather(self.site).bytes
        for chaos in self.site.chaos.values():
            chaos.log(forget=True)
        self.site.look()
        code = self._start(self.site).wait()
        report.wrong += [f"the run without work ended with {code}"] * bool(code)
        report.wrong += [f"the run without work did {line}" for line in self.site.work_done()]
        posts = [e for e in self.site.chaos["endpoint"].log() if e["line"].startswith("POST")]
        report.wrong += [f"the run without work posted {len(posts)} events"] * bool(posts)
        report.idle = [entry["line"] for entry in self.site.chaos["store"].log()]
        if gather(self.site).bytes != before:
            report.wrong.append("the run without work changed bytes")


def _in_order(inbox: Path, events: int) -> list[str]:
    """The receiver's files are one chain without a break, each event once."""
    found = [
        json.loads(path.read_bytes())
        for path in inbox.glob("*.json")
        if path.name != HEADS and path.name[0] != "."
    ]
    found.sort(key=lambda event: int(event["partition"]["ledger_start"]))
    links = [(e["chain"]["prev_event_hash"], event_hash(e)) for e in found]
    befores = ["", *(own for _, own in links)][: len(links)]
    wrong = [] if len(links) == events else [f"the receiver has {len(links)} of {events} events"]
    if [before for before, _ in links] != befores:
        wrong.append("the receiver's events are not in order")
    return wrong


def accept(ledgers: int, kills: int, size: int, seed: int) -> Report:
    """Do it; what happened."""
    report = Report(ledgers, seed)
    root = Path(tempfile.mkdtemp(prefix="bronze-accept-"))
    try:
        with ExitStack() as stack:
            Backfill(root, stack, report, kills, size).run()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return report


def told(report: Report) -> str:
    """For people."""
    ends = ", ".join(map(str, report.runs))
    lines = [
        f"{report.ledgers:,} ledgers, S3 to S3, PostgreSQL, HTTP: {report.seconds:.0f} s",
        f"killed {report.kills} times; runs ended with {ends}",
        *(f"faults at the {part}: {_count(made)}" for part, made in report.faults.items()),
        f"{report.events} events, each once and in order" if not report.wrong else "",
        f"one run more: {len(report.idle)} requests to the store, no ledger, no write but the lock",
        f"{len(report.wrong)} wrong; seed {report.seed}",
        *report.wrong,
    ]
    return "\n".join(filter(None, lines))


def _count(made: dict[str, int]) -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(made.items()))
    return f"{sum(made.values())} ({kinds})"


def main() -> int:
    given = _options()
    report = accept(given.ledgers, given.kills, given.size, given.seed)
    print(json.dumps(report.__dict__) if given.json else told(report))
    return 1 if report.wrong else 0


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledgers", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--size", type=int, default=50, help="ledgers in one partition")
    seed = os.environ.get("BRONZE_SEED") or secrets.randbelow(1 << 32)
    parser.add_argument("--seed", type=int, default=int(seed))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
