"""Everything the fault tests can do, by one command: sweeps over every point on local disks, points
and storms on real servers, broken engines, and the acceptance. Writes the results into
``docs/reliability.md``; the exit code is 1 when anything is wrong or a broken engine passes."""

from __future__ import annotations

import argparse
import json
import re
import secrets
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
DOC = _HERE.parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- results begin -->\n", "<!-- results end -->\n"
SERVERS = "store,catalog,endpoint"
LANES = 3


@dataclass(frozen=True)
class Job:
    """One sweep."""

    where: str
    """For people."""
    words: tuple[str, ...]
    share: float
    """Of the time there is."""


JOBS = (
    Job("S3, PostgreSQL, HTTP", ("--where", SERVERS, "--all", "--storms", "150"), 1.0),
    Job("local disk, SQLite", ("--how", "patch", "--all", "--storms", "40"), 0.6),
    Job("local disk, SQLite (strace)", ("--how", "strace", "--all"), 0.6),
    Job("local, catalog rebuilt", ("--how", "patch", "--all", "--start", "lost-catalog"), 0.4),
    Job("local, partitions adopted", ("--how", "patch", "--all", "--start", "uncommitted"), 0.4),
)
LOCAL, REMOTE = ("--how", "patch", "--kind"), ("--where", SERVERS, "--kind")
MUTANTS = (
    ("skips-what-has-a-file", "I6:", (*LOCAL, "before link", "--at", "2")),
    ("splits-the-transaction", "I4:", (*LOCAL, "before commit")),
    ("commits-before-the-data", "I1:", (*LOCAL, "after link", "--at", "1")),
    ("moves-the-checkpoint-first", "I7:", (*LOCAL, "before link", "--at", "3")),
    ("builds-otherwise-each-time", "I10:", (*LOCAL, "before link", "--at", "3")),
    (
        "skips-what-has-a-file",
        "I6:|I10:|leaves ledgers",
        (*REMOTE, "store after", "--request", "/part-"),
    ),
    ("splits-the-transaction", "I4:", (*REMOTE, "catalog before", "--request", "_quality")),
    ("marks-delivered-first", "I8:", (*REMOTE, "endpoint before")),
    ("makes-events-anew", "I4:", (*REMOTE, "before rename", "--at", "1")),
)
"""Which broken engine must be caught, by what, and where."""


@dataclass
class Group:
    """A row of the table."""

    runs: int = 0
    struck: int = 0
    killed: int = 0
    bad: list[str] = field(default_factory=list)


def sweep(words: tuple[str, ...], seconds: float, seed: int) -> dict[str, Any]:
    """Run one; its document, with what it said when it gave none."""
    command = [sys.executable, str(_HERE / "sweep.py"), "--json", "--seed", str(seed), *words]
    command += ["--seconds", str(round(seconds))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"lines": [], "points": 0, "seed": seed, "failed": done.stderr[-800:]}
    print(f"{' '.join(words)}: ended with {done.returncode} {done.stderr.strip()}", flush=True)
    return found


def kind_of(name: str) -> str:
    """The row that a line of a sweep belongs to."""
    how, _, rest = name.partition(" ")
    if how == "storm":
        return f"storm: {rest}"
    killed = rest.split(" ")[0] in ("before", "after", "torn") and not (
        rest == "torn" and how not in ("patch", "strace")
    )
    if how in ("patch", "strace"):
        return "killed at a system call" if killed else "a system call fails"
    place = {"store": "S3", "catalog": "PostgreSQL", "endpoint": "endpoint"}[how]
    return f"killed at a request to {place}" if killed else f"a request to {place} fails"


def grouped(doc: dict[str, Any]) -> dict[str, Group]:
    """Rows of one sweep."""
    groups: dict[str, Group] = {}
    for line in doc["lines"]:
        group = groups.setdefault(kind_of(line["name"]), Group())
        group.runs += line["runs"]
        group.struck += line["reached"]
        group.killed += line["codes"].get("-9", 0)
        group.bad += [f"{line['name']} {wrong}" for wrong in line["bad"]]
    return groups


def caught(mutant: str, sees: str, words: tuple[str, ...], seed: int) -> str:
    """Why the mutant was not caught as it should; empty when it was."""
    doc = sweep((*words, "--all", "--workers", "1", "--mutant", mutant, "--first"), 300, seed)
    bad = [wrong for line in doc["lines"] for wrong in line["bad"]]
    if any(re.search(sees, wrong) for wrong in bad):
        return ""
    return f"{mutant} ({' '.join(words)}) was not caught: {bad[:2]} {doc.get('failed', '')}"


def acceptance(seed: int, ledgers: int) -> dict[str, Any]:
    """Run it; its report."""
    command = [sys.executable, str(_HERE / "acceptance.py"), "--json", "--seed", str(seed)]
    command += ["--ledgers", str(ledgers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"wrong": [done.stderr[-800:]], "seed": seed}
    return found


@dataclass
class Results:
    """All of it."""

    seed: int
    began: float = field(default_factory=time.monotonic)
    docs: list[tuple[Job, dict[str, Any]]] = field(default_factory=list)
    escaped: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def groups(self) -> list[tuple[str, str, Group, int]]:
        """Where, what, counts, seed."""
        return [
            (job.where, kind, group, doc["seed"])
            for job, doc in self.docs
            for kind, group in sorted(grouped(doc).items())
        ]

    @property
    def wrong(self) -> list[str]:
        """Everything that is."""
        found = [wrong for *_, group, _ in self.groups for wrong in group.bad]
        found += [f"{job.where}: {doc['failed']}" for job, doc in self.docs if "failed" in doc]
        return found + self.escaped + list(self.report.get("wrong", ()))

    def markdown(self) -> str:
        """For the documentation."""
        points = sum(g.struck for _, kind, g, _ in self.groups if kind.startswith("killed"))
        faults = sum(g.struck for _, kind, g, _ in self.groups if not kind.startswith("killed"))
        minutes = (time.monotonic() - self.began) / 60
        bad = sum(len(group.bad) for *_, group, _ in self.groups)
        lines = [
            f"{datetime.now(UTC):%Y-%m-%d}, seed {self.seed}, {minutes:.0f} minutes: "
            f"**{points} crash points, {faults} fault runs, {bad} violations**, drawn from"
            f" {sum(doc['points'] for _, doc in self.docs):,} points.\n",
            "| where | what | runs | struck | violations |",
            "|---|---|---:|---:|---:|",
            *(
                f"| {where} | {kind} | {g.runs} | {g.struck} | {len(g.bad)} |"
                for where, kind, g, _ in self.groups
            ),
            f"\nBroken engines caught: {len(MUTANTS) - len(self.escaped)} of {len(MUTANTS)}.",
        ]
        return "\n".join(lines) + "\n" + self._acceptance()

    def _acceptance(self) -> str:
        report = self.report
        if "runs" not in report:
            return ""
        faults = ", ".join(
            f"{sum(made.values())} at the {part}" for part, made in report["faults"].items()
        )
        return (
            f"Acceptance: {report['ledgers']:,} ledgers from S3 to S3, killed {report['kills']}"
            f" times, {len(report['runs'])} runs in {report['seconds']:.0f} s, faults: {faults};"
            f" {report['events']} events at the receiver, {len(report['wrong'])} violations; one"
            f" run more sent {len(report['idle'])} requests to the store and fetched no ledger"
            f" (seed {report['seed']}).\n"
        )


def write(results: Results) -> None:
    """Put the results between the marks of the page."""
    text = DOC.read_text()
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    DOC.write_text(head + BEGIN + results.markdown() + END + tail)


def main() -> int:
    given = _options()
    results = Results(given.seed)
    with ThreadPoolExecutor(LANES) as pool:
        running = [
            pool.submit(sweep, job.words, job.share * given.minutes * 60, given.seed)
            for job in JOBS
        ]
        results.docs = [(job, each.result()) for job, each in zip(JOBS, running, strict=True)]
        checks = [pool.submit(caught, *mutant, given.seed) for mutant in MUTANTS]
        results.escaped = [why for each in checks if (why := each.result())]
    results.report = acceptance(given.seed, given.ledgers)
    print(results.markdown())
    for wrong in results.wrong:
        print(wrong)
    if not given.dry:
        write(results)
    return 1 if results.wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="for the sweeps")
    parser.add_argument("--ledgers", type=int, default=2000, help="of the acceptance")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    parser.add_argument("--dry", action="store_true", help="do not write the page")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
