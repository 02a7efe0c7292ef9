"""Runs the levels below the chain over all partitions, several at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from bronze_tui.audit.chain import ChainReport
from bronze_tui.audit.data import Data, Fetched, Folder
from bronze_tui.audit.filecheck import Progress, Stopped, file_key, read_files
from bronze_tui.audit.findings import Finding
from bronze_tui.audit.levels.joints import joint_findings
from bronze_tui.audit.levels.manifests import (
    CatalogEntry,
    Listing,
    check_manifests,
    list_dataset,
    unannounced,
    unit_of_records,
)
from bronze_tui.audit.levels.memory import Memory
from bronze_tui.audit.levels.rowreader import RowReaders
from bronze_tui.audit.levels.unit import LEVELS, Outcome, Unit, units_of
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.layout import RAW_TABLE
from bronze_tui.domain.ledger import LedgerRange

if TYPE_CHECKING:
    from bronze_tui.audit.levels.trust import Trust

_TELL_EVERY = 0.2
_CAUSES = {
    "file_mismatch": "the file was altered, damaged or replaced after it was announced",
    "file_missing": "the file was deleted, moved or never copied here",
    "file_unreadable": "a permission, a failing disk, or something else in its place",
}

Catalogs = Mapping[str, Mapping[LedgerRange, CatalogEntry]]


class SourceCheck(Protocol):
    """Level ``source``: compares one partition's rows with where they came from."""

    def check(self, out: Outcome, rows: Mapping[int, str], stop: Callable[[], None]) -> None:
        """``rows`` has the hex SHA-256 of the XDR by ledger."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """What to verify and with what."""

    level: str
    data: Data
    units: Sequence[Unit]
    listings: Mapping[str, Listing]
    catalogs: Catalogs = field(default_factory=dict)
    trust: Trust | None = None
    source: SourceCheck | None = None
    jobs: int = 2
    memory: Memory | None = None

    def reaches(self, level: str) -> bool:
        """Whether ``level`` is among those to check."""
        return LEVELS.index(self.level) >= LEVELS.index(level)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Datasets of the data folder and their partitions."""

    units: tuple[Unit, ...]
    listings: Mapping[str, Listing]
    findings: tuple[Finding, ...]


def take_inventory(
    data: Data, chains: Sequence[ChainReport], chain_keys: Iterable[str]
) -> Inventory:
    """List the datasets of ``chain_keys``; those without any event give units by their records.

    Raises:
        SourceDenied, StoreError: they cannot be listed.
    """
    units = units_of(chains)
    all_units = list(units)
    covered = {chain.chain_key: chain.ledgers for chain in chains}
    listings: dict[str, Listing] = {}
    findings: list[Finding] = []
    announced = {unit.chain_key for unit in units}
    for key in sorted({*chain_keys, *announced}):
        listings[key] = listing = list_dataset(data, key)
        findings += unannounced(key, listing, units, covered.get(key, ()))
        for partition in () if key in announced else listing.ranges:
            try:
                all_units.append(unit_of_records(data, key, partition, listing.by_record))
            except StateError as error:
                kind: Any = "record_malformed" if listing.by_record else "manifest_malformed"
                text = error.what
                findings.append(
                    Finding(kind, "error", key, text, None, str(partition), error.where)
                )
    return Inventory(tuple(all_units), listings, tuple(findings))


def run_job(
    job: Job, *, stop: Callable[[], bool], tell: Callable[[Progress], None]
) -> list[Outcome]:
    """Verify every unit; outcomes in the order of the units.

    Raises:
        Stopped: ``stop`` said so. StoreError, SourceError: something does not answer.
    """
    runner = _Runner(job, stop, tell)
    try:
        outcomes = runner.run()
    finally:
        runner.close()
    if job.reaches("row"):
        joint_findings(outcomes)
    return outcomes


class _Runner:
    def __init__(
        self, job: Job, stop: Callable[[], bool], tell: Callable[[Progress], None]
    ) -> None:
        self._job, self._ask, self._tell = job, stop, tell
        self._halted = False
        self._readers = None
        if job.reaches("row"):
            self._readers = RowReaders(job.trust if job.reaches("ledger") else None)
        self._total = sum(unit.byte_size for unit in job.units)
        self._begin = self._told = time.monotonic()
        self._done = self._read = 0

    def run(self) -> list[Outcome]:
        found: dict[int, Outcome] = {}
        waiting = iter(list(enumerate(self._job.units)))
        running: dict[Future[Outcome], int] = {}
        with ThreadPoolExecutor(self._job.jobs, thread_name_prefix="verify") as pool:
            try:
                while True:
                    while len(running) < 2 * self._job.jobs and (item := next(waiting, None)):
                        running[pool.submit(self._unit, item[1])] = item[0]
                    if not running:
                        break
                    done, _ = wait(running, timeout=_TELL_EVERY, return_when=FIRST_COMPLETED)
                    for future in done:
                        out = found[running.pop(future)] = future.result()
                        self._count(out)
                    self._say()
            except BaseException:
                self._halted = True
                for future in running:
                    future.cancel()
                raise
        self._say(done=True)
        return [found[place] for place in sorted(found)]

    def close(self) -> None:
        if self._readers is not None:
            self._readers.close()

    def _unit(self, unit: Unit) -> Outcome:
        known = self._recalled(unit)
        if known is not None:
            return known
        out = Outcome(unit)
        data: Data = self._job.data
        fetched = self._job.reaches("row") and not isinstance(data, Folder)
        held = Fetched(data) if fetched else None
        try:
            self._levels(out, held or data)
        finally:
            if held is not None:
                held.close()
        out.close()
        if self._job.memory is not None:
            self._job.memory.keep(out, self._job.level)
        return out

    def _recalled(self, unit: Unit) -> Outcome | None:
        """What an earlier run found, unless a trusted hash is to be met that it did not know."""
        known = self._job.memory.recall(unit, self._job.level) if self._job.memory else None
        if known is None or self._job.trust is None:
            return known
        first, end = unit.partition.start, unit.partition.end
        anchors = self._job.trust.anchors_of(unit.network)
        wanted = {n: anchors[n] for n in range(first, end + 1) if n in anchors}
        met = dict(known.anchors)
        if known.edges is not None and known.edges.last_hash:
            met[end] = known.edges.last_hash
        if self._job.reaches("ledger") and not wanted.items() <= met.items():
            return None
        known.anchors = wanted
        return known

    def _levels(self, out: Outcome, data: Data) -> None:
        job, unit = self._job, out.unit
        manifests = check_manifests(
            out, data, job.listings[unit.chain_key], job.catalogs.get(unit.chain_key)
        )
        if not job.reaches("file"):
            return
        read = read_files(unit.tables, unit.partition, data, self._stopping)
        out.bytes_read = read.bytes_read
        for problem in read.problems:
            out.add(
                problem.kind,
                f"{problem.table}: {problem.message}",
                file=problem.key,
                expected=problem.expected,
                found=problem.found,
                cause=_CAUSES[problem.kind],
            )
        raw = dict(unit.tables).get(RAW_TABLE)
        if job.reaches("row") and raw is not None:
            key = file_key(raw, unit.partition)
            wrong = next((p for p in read.problems if p.key == key and not p.announced), None)
            if wrong is None:
                self._rows(out, data, key, manifests.get(RAW_TABLE))
            elif wrong.kind == "file_mismatch":
                text = "rows were not read: the file is not the one that was announced"
                out.add("rows_not_read", text, file=key, severity="note")

    def _rows(self, out: Outcome, data: Data, key: str, manifest: dict[str, Any] | None) -> None:
        assert isinstance(data, Folder | Fetched)
        assert self._readers is not None
        rows = self._readers.check(
            out,
            key,
            data.path(key),
            manifest,
            rows=self._job.source is not None,
            halt=self._halt,
        )
        if self._job.source is not None:
            self._job.source.check(out, rows, self._halt)

    def _stopping(self) -> bool:
        return self._halted or self._ask()

    def _halt(self) -> None:
        if self._stopping():
            raise Stopped

    def _count(self, out: Outcome) -> None:
        self._done += 1
        self._read += out.unit.byte_size

    def _say(self, *, done: bool = False) -> None:
        now = time.monotonic()
        if done or now - self._told >= _TELL_EVERY:
            self._told = now
            self._tell(
                Progress(
                    self._done,
                    len(self._job.units),
                    self._read,
                    self._total,
                    now - self._begin,
                    done,
                )
            )
