"""Steps through every point where a copy can be killed or a call can fail; after each it checks
the invariants, runs again without a fault, and checks again. ``python tests/faults/sweep.py
--all`` does every point, without it a random sample; the exit code is 1 when anything is wrong.
``--where store,catalog,endpoint`` puts these parts on real servers behind proxies, whose every
request is a point too; ``--storms N`` adds runs in which many things fail at random."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from copying import Site
from crashing import COUNT, ERRORS, Fault, run, warm_up, why_no_strace
from evidence import gather, schema
from invariants import check, judge, partition_digests
from mutants import MUTANTS
from remote import PARTS, RemoteSite, Servers
from storms import STORMS, Storm, manners, possible, shares_nothing

from bronze_tui.testing.tiny_lake import write_tiny_lake

LEDGERS = 12
DISK_CODES = {0, 1}
"""What a failing disk may end with: the run went on, or it failed; it is no damaged data."""
SERVER_CODES = {0, 1, 7}
"""And a failing server: also that it could not be reached."""
SETTINGS = {"era.ledger_end": 13, "era.partition_size": 4}

STARTS = ("empty", "lost-catalog", "uncommitted")
"""Nothing; commit records and events whose catalog is gone; whole partitions alone."""

PATCHED = ("link", "rename", "unlink", "mkdir", "fsync", "open", "write", "fchmod", "commit")
FAILING = ("link", "rename", "mkdir", "fsync", "open", "write", "commit")
REQUEST_FAULTS = {
    "store": (
        "reset",
        "torn",
        "lost",
        "503",
        "429",
        "late-500",
        "truncated",
        "slow",
        "mute",
        "stuck",
    ),
    "catalog": ("reset", "lost", "truncated", "mute", "stuck"),
    "endpoint": ("reset", "torn", "lost", "503", "429", "late-500", "truncated", "slow"),
}
TRACED = (
    ("link,linkat", ""),
    ("link,linkat", "commits"),
    ("link,linkat", "pas"),
    ("rename,renameat,renameat2", ""),
    ("rename,renameat,renameat2", "pas"),
    ("unlink,unlinkat", ""),
    ("unlink,unlinkat", "catalog"),
    ("mkdir,mkdirat", ""),
    ("fsync", ""),
    ("fsync", "commits"),
    ("fsync", "partitions"),
    ("fsync", "pas"),
    ("fdatasync", ""),
    ("pwrite64", ""),
    ("pwrite64", "catalog"),
    ("ftruncate", ""),
    ("fchmod", ""),
    ("openat", "commits"),
    ("openat", "pas"),
)
TRACED_FAILING = (
    ("link,linkat", ""),
    ("link,linkat", "commits"),
    ("fsync", "pas"),
    ("fsync", ""),
    ("fdatasync", "catalog"),
    ("pwrite64", "catalog"),
    ("rename,renameat,renameat2", ""),
)


@dataclass
class Line:
    """What came of one kind of fault."""

    name: str
    runs: int = 0
    reached: int = 0
    codes: dict[int, int] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)


class Sweep:
    """One lake, one crash-free copy, and any number of crashed ones.

    Args:
        parts: what is on real servers, of ``PARTS``.
        stack: ends the servers.
    """

    def __init__(
        self,
        root: Path,
        stack: ExitStack,
        mutant: str = "",
        workers: int = 2,
        start: str = "empty",
        parts: tuple[str, ...] = (),
    ) -> None:
        self._root = root
        self._start = "empty"
        self._mutate = MUTANTS[mutant] if mutant else None
        lake = write_tiny_lake(root / "lake", first=2, count=LEDGERS)
        self._settings = SETTINGS | {"perf.workers": workers}
        self._lake = lake.root
        self._number = 0
        self.lines: dict[str, Line] = {}
        clean = Site(root / "clean", self._lake, dict(self._settings))
        warm_up(clean)
        ended = run(clean)
        assert ended.code == 0, ended.output
        self._clean = partition_digests(clean)
        self._schema = set() if parts else schema(clean)
        assert not (wrong := check(clean, after_recovery=True, clean=self._clean)), wrong
        self._start = start
        self.servers = Servers(self._lake, parts, stack) if parts else None

    def site(self, name: str) -> Site:
        """Folders, and corners of servers, as the runs find them."""
        if self.servers is not None:
            return RemoteSite(self._root / name, self.servers, self._settings)
        site = Site(self._root / name, self._lake, dict(self._settings))
        if self._start != "empty":
            shutil.copytree(self._root / "clean", site.root)
            shutil.rmtree(site.state)
        if self._start == "uncommitted":
            shutil.rmtree(site.dataset / "_commits")
            shutil.rmtree(site.pas)
        return site

    def _remove(self, site: Site) -> None:
        if isinstance(site, RemoteSite):
            site.remove()
        shutil.rmtree(site.root)

    def reach(self, fault: Fault) -> int:
        """How often a whole run does it."""
        site = self.site("count")
        counting = Fault(fault.how, fault.call, COUNT, 0, fault.near)
        count = run(site, counting, self._mutate).count
        self._remove(site)
        return count

    def points(self, kinds: list[Fault]) -> list[Fault]:
        """Every n of every kind."""
        counts: dict[tuple[str, str, str], int] = {}
        points: list[Fault] = []
        for kind in kinds:
            key = (kind.how, kind.call, kind.near)
            counts[key] = counts[key] if key in counts else self.reach(kind)
            points += [
                Fault(kind.how, kind.call, kind.effect, n, kind.near)
                for n in range(1, counts[key] + 1)
            ]
        return points

    def try_fault(self, fault: Fault, second: Fault | None = None) -> list[str]:
        """Fault, check, rerun, check, rerun, compare; what was wrong.

        Args:
            second: what happens to a first rerun.
        """
        site, line = self._begin(fault.name)
        ended = run(site, fault, self._mutate)
        line.runs += 1
        line.reached += ended.killed or fault.effect in ERRORS or 0 < fault.n <= ended.count
        line.codes[ended.code] = line.codes.get(ended.code, 0) + 1
        allowed = DISK_CODES if fault.how in ("patch", "strace") else SERVER_CODES
        wrong = [] if ended.killed else manners(ended, allowed)
        wrong += self._consistent(site, "after the fault")
        if second is not None:
            self._calm(site)
            run(site, second, self._mutate)
            wrong += self._consistent(site, f"after {second.name} {second.n} too")
        elif ended.code == 0:
            wrong += self._whole(site)
        wrong += self._recover(site)
        line.bad += [f"n={fault.n}: {w}" for w in wrong]
        self._remove(site)
        return wrong

    def try_storm(self, name: str, seed: int) -> list[str]:
        """A run while many things fail, then as after one fault; what was wrong."""
        site, line = self._begin(f"storm {name}")
        storm = Storm(site, random.Random(seed), self._mutate)
        wrong = storm.blow(name)
        line.runs += 1
        line.reached += 1
        for code in storm.codes:
            line.codes[code] = line.codes.get(code, 0) + 1
        parts = self.servers.parts if self.servers is not None else ()
        found = self._consistent(site, "after the storm")
        apart = shares_nothing(name, parts)
        wrong += [w for w in found if not (apart and "records without lineage" in w)]
        wrong += self._recover(site)
        line.bad += [f"seed={seed}: {w}" for w in wrong]
        self._remove(site)
        return wrong

    def _begin(self, name: str) -> tuple[Site, Line]:
        self._number += 1
        return self.site(f"run-{self._number}"), self.lines.setdefault(name, Line(name))

    def _consistent(self, site: Site, when: str) -> list[str]:
        """A lost catalog cannot be right before it is rebuilt."""
        if self._start == "lost-catalog":
            return []
        return [f"{when} {w}" for w in check(site, after_recovery=False)]

    def _whole(self, site: Site) -> list[str]:
        """Exit code 0 is a promise; only what cannot be kept was told: a cache, a temp's name."""
        found = check(site, after_recovery=True, clean=self._clean)
        return [f"at exit 0 {w}" for w in found if not w.startswith(("I7", "I2"))]

    def _calm(self, site: Site) -> None:
        if isinstance(site, RemoteSite):
            site.servers.calm()
            if "endpoint" in site.servers.parts:
                site.open_endpoint()

    def _recover(self, site: Site) -> list[str]:
        self._calm(site)
        ended = run(site, mutate=self._mutate)
        if ended.code:
            return [f"the rerun ended with {ended.code}: {ended.output[-400:]}"]
        found = gather(site)
        wrong = judge(found, after_recovery=True, clean=self._clean)
        wrong += [f"catalog lacks {name}" for name in sorted(self._schema - schema(site))]
        again = run(site, mutate=self._mutate)
        if again.code or gather(site).bytes != found.bytes:
            wrong.append(f"I9: a third run ended with {again.code} or changed bytes")
        if isinstance(site, RemoteSite):
            wrong += [f"I9: a third run did {line}" for line in site.work_done()]
        return [f"after the rerun {w}" for w in wrong]


def kinds(strace: bool, parts: tuple[str, ...] = ()) -> list[Fault]:
    """Every kind of fault there is here."""
    found = [Fault("patch", c, e) for c in PATCHED for e in ("before", "after")]
    found.append(Fault("patch", "write", "torn"))
    found += [Fault("patch", c, e) for c in FAILING for e in ERRORS]
    if strace and not parts:
        found += [Fault("strace", c, "before", near=near) for c, near in TRACED]
        found += [Fault("strace", c, e, near=near) for c, near in TRACED_FAILING for e in ERRORS]
    for part in parts:
        found += [Fault(part, "", e) for e in ("before", "after", *REQUEST_FAULTS[part])]
    return found


def mixed(points: list[Fault], rng: random.Random) -> list[Fault]:
    """In random order, every kind as early as the others: some have thousands of points."""
    by_kind: dict[str, list[Fault]] = {}
    for point in rng.sample(points, len(points)):
        by_kind.setdefault(point.name, []).append(point)
    rounds = itertools.zip_longest(*by_kind.values())
    return [point for each in rounds for point in each if point is not None]


def spread(points: list[Fault], storms: list[tuple[str, int]]) -> list[Fault | tuple[str, int]]:
    """A storm after every second point, since the time may not be enough for all."""
    work: list[Fault | tuple[str, int]] = []
    left = iter(storms)
    for number, point in enumerate(points):
        work.append(point)
        if number % 2:
            work += itertools.islice(left, 1)
    return [*work, *left]


def table(lines: list[Line]) -> str:
    """A line for each kind of fault, what was wrong below."""
    rows = [f"{'fault':<52} {'runs':>5} {'hit':>5} {'bad':>4}  exit codes"]
    for line in sorted(lines, key=lambda each: each.name):
        codes = ", ".join(f"{code}: {count}" for code, count in sorted(line.codes.items()))
        rows.append(f"{line.name:<52} {line.runs:>5} {line.reached:>5} {len(line.bad):>4}  {codes}")
        rows += [f"    {bad}" for bad in line.bad[:5]]
    runs, bad = sum(each.runs for each in lines), sum(len(each.bad) for each in lines)
    rows.append(f"{'all':<52} {runs:>5} {sum(each.reached for each in lines):>5} {bad:>4}")
    return "\n".join(rows)


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folders are removed
    root = Path(tempfile.mkdtemp(prefix="bronze-sweep-"))
    try:
        with ExitStack() as stack:
            return _sweep(options, root, stack)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _sweep(options: argparse.Namespace, root: Path, stack: ExitStack) -> int:
    rng = random.Random(options.seed)
    missing = why_no_strace() if options.how != "patch" else "not asked for"
    parts = tuple(filter(None, options.where.split(",")))
    sweep = Sweep(root, stack, options.mutant, options.workers, options.start, parts)
    chosen = [k for k in kinds(not missing, parts) if options.how in ("", k.how)]
    chosen = [replace(k, call=options.request) if k.how in parts else k for k in chosen]
    chosen = [k for k in chosen if options.kind in k.name]
    if not options.all:
        chosen = rng.sample(chosen, min(len(chosen), options.sample // 2))
    points = [p for p in sweep.points(chosen) if not options.at or p.n in options.at]
    total = len(points)
    points = mixed(points, rng)
    if not options.all:
        points = points[: options.sample]
    names = [name for name in possible(parts) if options.storm in name]
    storms = [(names[n % len(names)], rng.randrange(1 << 32)) for n in range(options.storms)]
    work = spread(points, storms)
    deadline = time.monotonic() + options.seconds  # the machine may have been slow to begin
    for done, each in enumerate(work):
        if time.monotonic() > deadline:
            print(f"time is up after {done} of {len(work)} points", file=sys.stderr)
            break
        if isinstance(each, Fault):
            wrong = sweep.try_fault(each, rng.choice(points) if options.twice else None)
        else:
            wrong = sweep.try_storm(*each)
        if wrong and options.first:
            break
    return _tell(list(sweep.lines.values()), total, missing, options)


def _tell(lines: list[Line], total: int, missing: str, options: argparse.Namespace) -> int:
    bad = sum(len(line.bad) for line in lines)
    if options.json:
        doc = {"seed": options.seed, "points": total, "lines": [asdict(line) for line in lines]}
        print(json.dumps(doc))
    else:
        print(table(lines))
        print(f"seed {options.seed}, {total} points of these kinds; strace: {missing or 'used'}")
    return 1 if bad else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every point, not a sample")
    parser.add_argument("--sample", type=int, default=40, help="points of a sample")
    parser.add_argument("--seconds", type=float, default=600, help="stop after so long")
    parser.add_argument("--how", choices=("", "patch", "strace", *PARTS), default="")
    parser.add_argument("--where", default="", help=f"on real servers: some of {','.join(PARTS)}")
    parser.add_argument("--storms", type=int, default=0, help="runs with random trouble")
    parser.add_argument("--storm", default="", help=f"only these, of {', '.join(STORMS)}")
    parser.add_argument("--kind", default="", help="only faults whose name holds this text")
    parser.add_argument("--request", default="", help="only requests that hold this text")
    parser.add_argument("--at", type=int, nargs="*", help="only these n")
    parser.add_argument("--mutant", choices=("", *MUTANTS), default="", help="break the engine")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--start", choices=STARTS, default="empty", help="what the runs find")
    parser.add_argument("--twice", action="store_true", help="a fault in the rerun too")
    parser.add_argument("--first", action="store_true", help="stop at the first wrong thing")
    parser.add_argument("--json", action="store_true")
    given = os.environ.get("BRONZE_SEED")
    seed = int(given) if given else secrets.randbelow(1 << 32)
    parser.add_argument("--seed", type=int, default=seed)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
