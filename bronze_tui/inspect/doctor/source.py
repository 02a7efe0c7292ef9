"""Whether the source can be read: layout, oldest and newest ledger, one batch checked, speed."""

from __future__ import annotations

import hashlib
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import BronzeError, GapError, LedgerMismatch, SourceError, UsageError
from bronze_tui.domain.ledger import FIRST_LEDGER, LedgerRange
from bronze_tui.domain.networks import PASSPHRASES
from bronze_tui.domain.text import size
from bronze_tui.hooks.contracts import BatchRef, LedgerSource
from bronze_tui.inspect.doctor.finding import Finding, Notes
from bronze_tui.inspect.doctor.subject import Subject

NOTES = Notes("source")
_ALONE, _TOGETHER, _THREADS = 4, 16, 8
"""Objects read one by one, then beside each other, by so many threads."""
_MAX_SAMPLE = 64 << 20
"""Source bytes read for the measurement, about."""


def checks(subject: Subject) -> Iterator[Finding]:
    """Open it as a run does, then read a few objects."""
    settings = subject.settings
    if subject.host is None:
        yield NOTES.none("open", "source not opened: no plugin is loaded")
        return
    try:
        factory = subject.host.source(settings.source.mode)
    except UsageError:
        yield NOTES.none("open", "source not opened: its plugin is not there")
        return
    except BronzeError:
        yield NOTES.none("open", "source not opened: its plugin failed")
        return
    begin = time.perf_counter()
    try:
        with subject.first_imports():
            source: LedgerSource = factory(settings.source_options())
    except BronzeError as error:
        yield NOTES.error("open", "source NOT reachable", error)
        return
    with closing(source):
        yield from _opened(source, subject, time.perf_counter() - begin)


def _opened(source: LedgerSource, subject: Subject, seconds: float) -> Iterator[Finding]:
    about = source.describe()
    yield NOTES.ok("open", f"source reachable ({seconds * 1000:,.0f} ms)", about.location)
    if about.ledgers_per_batch:
        layout = f"{about.ledgers_per_batch:,} ledgers an object"
        if about.batches_per_partition:
            layout += f", {about.batches_per_partition:,} objects a folder"
        yield NOTES.ok("layout", f"layout found: {layout}")
    else:
        yield NOTES.warn("layout", "layout not known yet", "the lake is empty and says none")
    for note in about.notes:
        yield NOTES.warn("note", note)
    yield from _passphrase(about.network_passphrase, subject)
    newest, found = _newest(source, subject)
    yield from found
    if newest is None:
        return
    subject.newest = newest
    yield from _batch(source, newest, subject)
    yield from _eras(source, newest, subject)
    yield from _speed(source, newest, subject)


def _passphrase(declared: str | None, subject: Subject) -> Iterator[Finding]:
    for era in subject.settings.active()[:1]:
        expected = PASSPHRASES.get(era.network, "")
        if declared is None:
            text = "the lake names no network"
            yield NOTES.none("network", text, "set source.network_passphrase to have it compared")
        elif expected and declared != expected:
            text = f"the lake is NOT of {era.network}"
            detail = f"its passphrase is {declared!a}"
            yield NOTES.warn("network", text, detail, "correct source.url or the era's network")
        else:
            yield NOTES.ok("network", "network passphrase", declared)


def _newest(source: LedgerSource, subject: Subject) -> tuple[int | None, list[Finding]]:
    """Where it cannot be found, what can be read is looked at up to the configured end."""
    end = subject.settings.active()[-1].ledger_end
    try:
        tip = source.tip()
    except SourceError as error:
        # What can be read is still looked at, but a run needs the newest ledger.
        known = None if error.retryable else end
        return known, [NOTES.error("newest", "newest ledger NOT found", error)]
    if tip is None:
        todo = "wait for its first object, or correct source.url"
        return None, [NOTES.fail("newest", "source reachable, but EMPTY", todo=todo)]
    return tip, [NOTES.ok("newest", f"newest ledger {tip:,}")]


def _batch(source: LedgerSource, newest: int, subject: Subject) -> Iterator[Finding]:
    """Decompress, walk and check the newest object as a build does."""
    ref = source.batches(LedgerRange(newest, newest))[0]
    try:
        ledgers, octets, close_time = read_batch(
            source, ref, subject.settings.source.max_ledger_bytes
        )
    except BronzeError as error:
        yield NOTES.error("batch", f"object of ledger {newest:,} NOT readable", error)
        return
    subject.closed = float(close_time)
    text = f"one object read and checked: {ledgers:,} ledgers, {size(octets)} of XDR"
    yield NOTES.ok("batch", text, ref.key)


def read_batch(source: LedgerSource, ref: BatchRef, max_bytes: int) -> tuple[int, int, int]:
    """Ledgers in an object, bytes of XDR, and when its last ledger closed (Unix seconds).

    Raises:
        SourceError: it cannot be read, or a frame, ledger, sequence or header hash is wrong.
    """
    from bronze_tui.lake.frames import decompress_frame
    from bronze_tui.xdr.header import LedgerReader, iter_ledgers

    data = source.read(ref)
    raw = data if source.codec == "none" else decompress_frame(data, max_bytes)
    expected, close_time, count = max(ref.first, FIRST_LEDGER), 0, 0
    for facts in iter_ledgers(raw, LedgerReader()):
        header = memoryview(raw)[facts.header_start : facts.header_end]
        if facts.sequence != expected:
            what = f"holds ledger {facts.sequence} where {expected} belongs"
            raise LedgerMismatch(what, where=ref.key)
        if hashlib.sha256(header).digest() != facts.ledger_hash:
            what = f"header hash of ledger {facts.sequence} is not SHA-256 of its header"
            raise LedgerMismatch(what, where=ref.key)
        expected, close_time, count = expected + 1, facts.close_time, count + 1
    return count, len(raw), close_time


def _eras(source: LedgerSource, newest: int, subject: Subject) -> Iterator[Finding]:
    eras = subject.settings.active()
    first = eras[0].first_ledger
    if first > newest:
        text = f"the era begins at {first:,}, above the newest ledger"
        yield NOTES.warn("first", text, "the run waits for it", "correct ledger_start, or wait")
        return
    if _held(source, first):
        yield NOTES.ok("first", f"ledger {first:,}, the era's first, is there")
    else:
        since = oldest(source, first, newest, subject)
        text = f"ledger {first:,}, the era's first, is NOT there"
        begins = f"the lake's oldest ledger is {since:,}" if since is not None else ""
        todo = "set era.ledger_start to a ledger it holds, or use a lake that goes back further"
        yield NOTES.fail("first", text, begins, todo)
    if first > FIRST_LEDGER and not subject.stop.is_set():
        since = oldest(source, FIRST_LEDGER, min(first, newest), subject)
        if since is not None and since <= first:
            yield NOTES.ok("oldest", f"oldest ledger {since:,}")
    yield from _end(eras[-1], newest)


def _end(era: Era, newest: int) -> Iterator[Finding]:
    if era.ledger_end is not None and era.ledger_end > newest:
        text = f"the era ends at {era.ledger_end:,}, above the newest ledger {newest:,}"
        yield NOTES.warn("end", text, "a run ends at the newest whole partition, or follows")


def oldest(source: LedgerSource, low: int, high: int, subject: Subject) -> int | None:
    """The first ledger held from ``low`` to ``high``, by bisection: right where a lake has no gap.

    None when ``high`` is not held.
    """
    if _held(source, low):
        return low
    if high <= low or not _held(source, high):
        return None
    while high - low > 1 and not subject.stop.is_set():
        middle = (low + high) // 2
        ref = source.batches(LedgerRange(middle, middle))[0]
        if _held(source, middle):
            high = max(low + 1, ref.first)
        else:
            low = min(high - 1, ref.last)
    return high


def _held(source: LedgerSource, sequence: int) -> bool:
    try:
        source.read(source.batches(LedgerRange(sequence, sequence))[0])
    except GapError:
        return False
    return True


def _speed(source: LedgerSource, newest: int, subject: Subject) -> Iterator[Finding]:
    """Latency of single reads, then bytes a second of several threads."""
    era = subject.settings.active()[0]
    last = min(newest, era.ledger_end or newest)
    first = min(era.first_ledger, last)
    refs = spread(source, first, last, _ALONE + _TOGETHER)
    try:
        alone = [_timed(source, ref) for ref in refs[:_ALONE]]
        read = sum(octets for octets, _ in alone)
        latency = statistics.median(seconds for _, seconds in alone)
        ledgers = sum(ref.last - max(ref.first, FIRST_LEDGER) + 1 for ref in refs[:_ALONE])
        subject.bytes_per_ledger = read / max(1, ledgers)
        most = max(1, int(_MAX_SAMPLE * len(alone) / max(1, read)))
        together = refs[_ALONE : _ALONE + most] or refs
        begin = time.perf_counter()
        total = _read_together(source, together)
        rate = total / max(1e-6, time.perf_counter() - begin)
    except SourceError as error:
        yield NOTES.error("speed", "speed not measured: a read FAILED", error)
        return
    threads = min(_THREADS, len(together))
    text = f"{latency * 1000:,.1f} ms a read, {size(int(rate))}/s with {threads} at a time"
    yield NOTES.ok("speed", text, f"{size(int(subject.bytes_per_ledger))} a ledger, compressed")


def spread(source: LedgerSource, first: int, last: int, number: int) -> list[BatchRef]:
    """At most ``number`` different objects, evenly spread."""
    step = max(1, (last - first) // max(1, number))
    found: dict[str, BatchRef] = {}
    for sequence in range(first, last + 1, step):
        ref = source.batches(LedgerRange(sequence, sequence))[0]
        found.setdefault(ref.key, ref)
    return list(found.values())[:number]


def _timed(source: LedgerSource, ref: BatchRef) -> tuple[int, float]:
    begin = time.perf_counter()
    octets = len(source.read(ref))
    return octets, time.perf_counter() - begin


def _read_together(source: LedgerSource, refs: Sequence[BatchRef]) -> int:
    """Bytes of all; daemon threads, for one that hangs must not keep the process."""
    left, sizes, failures = list(refs), list[int](), list[SourceError]()

    def work() -> None:
        while not failures:
            try:
                ref = left.pop()
            except IndexError:
                return
            try:
                sizes.append(len(source.read(ref)))
            except SourceError as error:
                failures.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(sizes)
