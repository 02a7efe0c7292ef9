"""Canned journals: realistic records of runs in each state, made with the engine's own events.

Nothing here reads a clock: all times count from ``T0``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bronze_tui.domain.events import (
    Alert,
    Coverage,
    EngineEvent,
    EventDelivered,
    EventLinked,
    OutboxFigures,
    PartitionBuilt,
    PartitionCommitted,
    PartitionFailed,
    PartitionProgress,
    PartitionQuarantined,
    PartitionRetried,
    PartitionStarted,
    RunFinished,
    RunStarted,
    StageFigures,
    StateChanged,
    Throughput,
    to_record,
)

Record = dict[str, Any]

T0 = 1_767_225_600.0
"""2026-01-01 00:00:00 UTC."""
KEY = "pubnet/pre_p23/v1"
RUN = "7f3a9c0d2b1e4f60"
SIZE = 10_000
HOSTILE = "[/foo] [red]not red[/] \x1b[31m ‮gnp.exe ​" + "A" * 5_000


@dataclass
class Tape:
    """Records of one run in the making; ``at`` is the time of the next."""

    at: float = T0
    run: str = RUN
    key: str = KEY
    size: int = SIZE
    records: list[Record] = field(default_factory=list)
    events: int = 0
    built: int = 0
    committed: int = 0

    def say(self, event: EngineEvent, after: float = 0.0) -> None:
        """Write one event ``after`` seconds later."""
        self.at += after
        self.records.append(
            {
                "seq": len(self.records) + 1,
                "time": round(self.at, 6),
                "run": self.run,
                **to_record(event),
            }
        )

    def partition(self, number: int) -> str:
        """The range text of partition ``number``."""
        start = number * self.size
        return f"{max(2, start)}-{start + self.size - 1}"

    def rows(self, number: int) -> int:
        """Ledgers of partition ``number``."""
        start, _, end = self.partition(number).partition("-")
        return int(end) - int(start) + 1

    def start(self, last: int, done: int = 0, *, tail: bool = False, workers: int = 4) -> None:
        """A run over partitions 0 to ``last``, ``done`` of them committed before."""
        end = (last + 1) * self.size - 1
        self.events = done
        self.say(
            RunStarted(
                run_id=self.run,
                pid=41233,
                version="0.1.0",
                chain_keys=[self.key],
                source="s3://aws-public-blockchain/v1.1/stellar/ledgers/pubnet",
                store="file:///srv/bronze/" + self.key,
                workers=workers,
                ledger_start=2,
                ledger_end=None if tail else end,
                partition_size=self.size,
                partitions_total=None if tail else last + 1,
                partitions_done=done,
                ledgers_total=None if tail else end - 1,
                ledgers_done=done * self.size,
                bytes_expected=(last + 1 - done) * self.size * 21_000,
                source_tip=end,
                config_file="/etc/bronze/pubnet.yaml",
                state_dir="/srv/bronze/state",
                socket="/srv/bronze/state/engine.sock",
                pas_dir="/srv/bronze/pas-backup",
            )
        )
        covered = [f"2-{done * self.size - 1}"] if done else []
        head = digest(f"event {done - 1}") if done else ""
        self.say(Coverage(self.key, covered, [], head, done))

    def begin(self, number: int, worker: int = 0, attempt: int = 1) -> None:
        """A worker takes a partition."""
        self.say(PartitionStarted(self.key, self.partition(number), worker, attempt))

    def progress(self, number: int, fraction: float, worker: int = 0) -> None:
        """How far its build is."""
        ledgers = int(self.rows(number) * fraction)
        self.say(
            PartitionProgress(
                self.key,
                self.partition(number),
                worker,
                ledgers,
                ledgers * 370_000,
                ledgers * 21_000,
            )
        )

    def finish(self, number: int, worker: int = 0) -> None:
        """It is built, and waits."""
        rows = self.rows(number)
        self.built += rows
        self.say(
            PartitionBuilt(
                self.key,
                self.partition(number),
                worker,
                rows,
                rows * 370_000,
                rows * 21_000,
                rows * 50_000 + number * 977,
                11.4,
                False,
            )
        )

    def commit(self, number: int, *, link: bool = True) -> None:
        """It is committed and announced."""
        rows, text = self.rows(number), self.partition(number)
        self.committed += rows
        self.say(
            PartitionCommitted(
                self.key,
                text,
                rows,
                "sha256:" + digest(text),
                rows * 50_000 + number * 977,
                int(text.partition("-")[2]),
                0.21,
                False,
            )
        )
        if link:
            before = digest(f"event {self.events - 1}") if self.events else ""
            self.say(
                EventLinked(
                    self.key, text, self.events, digest(f"event {self.events}"), before, True
                ),
                0.05,
            )
            self.events += 1

    def figures(self, rate: float, *, state: str = "running", limit: str = "source") -> None:
        """One second's throughput and stage figures."""
        share = {"source": 2.6, "decode": 0.5}.get(limit, 0.4)
        moving = rate > 0
        self.say(
            Throughput(
                ledgers=self.built,
                ledgers_committed=self.committed,
                partitions_committed=self.events,
                xdr_bytes=self.built * 370_000,
                source_bytes=self.built * 21_000,
                ledgers_per_second=rate,
                xdr_bytes_per_second=rate * 370_000,
                source_bytes_per_second=rate * 21_000,
                eta_seconds=7_462.0 if moving else None,
                limited_by=limit if moving else "nothing",
                state=state,
                workers=4,
                rss_bytes=412 << 20,
            )
        )
        work = (0.31, 0.36, 0.28, 0.55, 0.17, 0.03) if moving else (0.0,) * 6
        self.say(
            StageFigures(
                share if moving else 3.9,
                *work,
                fetch_waiting=share,
                read_ahead_bytes=88 << 20,
                in_flight=3,
                held=1,
                errors=0,
                retries=0,
            )
        )


def digest(text: str) -> str:
    """A hash that is always the same for the same text."""
    return hashlib.sha256(text.encode()).hexdigest()


def wave(second: int, base: float = 1_180.0) -> float:
    """A rate that breathes, the same each time."""
    return base + (second * 7919 % 311) - 150 + (second % 60) * 3


def running(*, seconds: int = 420, last: int = 5_999, done: int = 5_960) -> list[Record]:
    """A backfill in full swing: four partitions in flight, one of them held."""
    tape = Tape()
    tape.start(last, done)
    tape.say(Alert("info", "source", "lake answers in 41 ms; 64 ledgers a file"), 0.4)
    number = done
    for second in range(1, seconds + 1):
        tape.at = T0 + second
        if second % 12 == 0:
            tape.begin(number)
            tape.finish(number)
            tape.commit(number)
            number += 1
            tape.at = T0 + second
        tape.figures(wave(second))
    tape.begin(number, 0)
    tape.progress(number, 0.93, 0)
    tape.begin(number + 1, 1)
    tape.finish(number + 1, 1)
    for k, fraction in ((2, 0.61), (3, 0.18)):
        tape.begin(number + k, k)
        tape.progress(number + k, fraction, k)
    return tape.records


def retrying() -> list[Record]:
    """As ``running``, with a source that throttles."""
    tape = _resumed(running())
    number = 5_995
    error = "503 SlowDown: reduce your request rate (s3://aws-public-blockchain)"
    tape.say(PartitionRetried(KEY, tape.partition(number), 3, 5, 8.0, error), 0.2)
    tape.say(
        Alert(
            "warn",
            "source",
            "20 requests were throttled in the last minute",
            "lower source.concurrency if this goes on",
        ),
        0.2,
    )
    return tape.records


def stalled() -> list[Record]:
    """As ``retrying``, and then nothing for 461 seconds."""
    tape = _resumed(retrying())
    begin = tape.at
    for second in range(5, 462, 5):
        tape.at = begin + second
        tape.figures(0.0, limit="source")
    return tape.records


def halted(*, detail: str = "", todo: str = "") -> list[Record]:
    """A gap in the lake: one partition failed, two built ones wait behind it."""
    tape = Tape()
    tape.start(5_999, 5_960)
    for number in range(5_960, 5_990):
        tape.at += 11.5
        tape.begin(number)
        tape.finish(number)
        tape.commit(number)
        tape.figures(wave(number))
    tape.begin(5_990, 0)
    tape.progress(5_990, 0.31, 0)
    for number in (5_991, 5_992):
        tape.begin(number, number - 5_990)
        tape.finish(number, number - 5_990)
    tape.say(
        PartitionFailed(
            KEY,
            tape.partition(5_990),
            detail
            or "FC6D0A5F--59900000-59963999/FC6CF9A2--59903117.xdr.zst: ledger 59903117 is"
            " missing although the source holds newer ones",
            "GapError",
            todo or "see whether the lake has ledger 59903117 now, then run again",
            True,
        ),
        2.0,
    )
    tape.say(_finished(tape, 5, "halted", "1 partition failed; 2 built ones are held"), 0.5)
    return tape.records


def done() -> list[Record]:
    """A run that reached its end."""
    tape = Tape(size=64)
    tape.start(19)
    for number in range(20):
        tape.at += 1.5
        tape.begin(number, number % 2)
        tape.finish(number, number % 2)
        tape.commit(number)
        tape.figures(wave(number, 300.0), limit="encode")
    tape.say(_finished(tape, 0, "done", "all partitions are committed"), 0.3)
    return tape.records


def delivering() -> list[Record]:
    """As ``done``, posting events until the endpoint refused one."""
    tape = _resumed(done()[:-1])
    for number in range(12):
        hash_ = digest(f"event {number}")
        tape.say(EventDelivered(tape.key, tape.partition(number), number, hash_, 1, 0.2), 0.1)
    tape.say(OutboxFigures("failing", 8, 0, 12, 12.5, "503 Service Unavailable"), 0.1)
    tape.say(OutboxFigures("parked", 8, 1, 12, 72.0, "422 not this one"), 60)
    tape.say(_finished(tape, 1, "done", "8 audit events not delivered, 1 of them parked"), 0.3)
    return tape.records


def at_tip() -> list[Record]:
    """A follower that has all the source has."""
    tape = Tape()
    tape.start(5_999, 5_990, tail=True)
    for number in range(5_990, 6_000):
        tape.at += 11.0
        tape.begin(number)
        tape.finish(number)
        tape.commit(number)
        tape.figures(wave(number))
    tape.say(StateChanged("at_tip", "engine", "waiting for ledger 60000000"), 1.0)
    tape.figures(0.0, state="at_tip")
    return tape.records


def paused() -> list[Record]:
    """As ``running``, paused on request."""
    tape = _resumed(running())
    tape.say(StateChanged("paused", "control socket"), 1.0)
    tape.figures(0.0, state="paused")
    return tape.records


def holes() -> list[Record]:
    """A run that skips what fails: one declared hole, work goes on."""
    tape = Tape(size=64)
    tape.start(39)
    for number in range(25):
        tape.at += 1.5
        tape.begin(number, number % 2)
        if number == 7:
            error = "ledger 470: previous-ledger hash does not link"
            tape.say(PartitionFailed(KEY, tape.partition(7), error, "LinkError", "mend it", False))
            tape.say(PartitionQuarantined(KEY, tape.partition(7), error))
            continue
        tape.finish(number, number % 2)
        tape.commit(number)
        tape.figures(wave(number, 300.0), limit="decode")
    tape.begin(25, 0)
    tape.progress(25, 0.5, 0)
    return tape.records


def large(partitions: int = 6_000) -> list[Record]:
    """One run of thousands of partitions, three records each."""
    tape = Tape()
    tape.start(partitions - 1)
    for number in range(partitions):
        tape.at += 2.0
        tape.begin(number, number % 4)
        tape.commit(number)
        if number % 100 == 0:
            tape.figures(wave(number))
    return tape.records


def hostile() -> list[Record]:
    """Every text of foreign origin is an attack on the screen."""
    tape = _resumed(halted(detail=HOSTILE, todo=HOSTILE))
    tape.say(Alert("error", HOSTILE, HOSTILE, HOSTILE), 1.0)
    tape.say(Alert(HOSTILE, "source", "[bold]"), 0.1)
    tape.records[0]["source"] = HOSTILE
    return tape.records


def write_journal(path: Path, records: Iterable[Record]) -> Path:
    """Write a journal file; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for record in records:
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
    return path


def end_of(records: list[Record]) -> float:
    """Time of the last record."""
    return float(records[-1]["time"])


def _resumed(records: list[Record]) -> Tape:
    tape = Tape(at=end_of(records), records=list(records))
    tape.events = sum(r["kind"] == "event_linked" for r in records)
    return tape


def _finished(tape: Tape, code: int, outcome: str, message: str) -> RunFinished:
    commits = [r for r in tape.records if r["kind"] == "partition_committed"]
    return RunFinished(
        exit_code=code,
        outcome=outcome,
        message=message,
        partitions_committed=len(commits),
        partitions_failed=sum(r["kind"] == "partition_failed" for r in tape.records),
        ledgers=tape.committed,
        xdr_bytes=tape.built * 370_000,
        source_bytes=tape.built * 21_000,
        parquet_bytes=sum(r["parquet_bytes"] for r in commits),
        seconds=round(tape.at - T0, 3),
        last_committed_ledger=tape.committed + 1,
        head=digest(f"event {tape.events - 1}"),
        retries=0,
    )
