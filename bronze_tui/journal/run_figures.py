"""Every number that is computed of a run view, one function each: what screens, headless renderers
and verdict show is the same because it comes from here.

Pure; sizes in bytes, times in Unix seconds, durations in seconds, rates a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from bronze_tui.domain.ledger import MAX_LEDGER, LedgerRange
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.views import IN_FLIGHT, PartitionView, RateSample


def in_flight(view: RunView) -> list[PartitionView]:
    """Partitions being built, retried or held, in ledger order."""
    active = [v for v in view.partitions.values() if v.state in IN_FLIGHT]
    return sorted(active, key=lambda v: (v.chain_key, v.partition))


# How far.


def span(view: RunView) -> LedgerRange | None:
    """Ledgers of the run's eras: to the configured end, else to what is known of the source."""
    start = view.started.get("ledger_start")
    if start is None:
        return None
    end = view.started.get("ledger_end") or 0
    if not end:
        end = max(view.started.get("source_tip") or 0, last_committed_ledger(view) or 0)
    return LedgerRange(start, min(MAX_LEDGER, max(start, end)))


def fraction(view: RunView) -> float | None:
    """Committed ledgers of the span, 0 to 1; None where the end is unknown. What is only built is
    not done: it counts when it is committed."""
    whole = span(view)
    if whole is None or not (view.started.get("ledger_end") or view.started.get("source_tip")):
        return None
    if view.engine_state == "done":
        return 1.0
    done = sum(c.committed.covered(whole.start, whole.end) for c in view.chains.values())
    return min(1.0, done / len(whole))


def partitions_done(view: RunView) -> int:
    """Partitions committed before this run and by it."""
    before: int = view.started.get("partitions_done", 0)
    return before + view.partitions_committed


def last_committed_ledger(view: RunView) -> int | None:
    """The highest committed ledger of all chains."""
    ends = [c.committed.last_end for c in view.chains.values() if len(c.committed)]
    told = view.finished.get("last_committed_ledger") if view.finished else None
    return max([*ends, *([] if told is None else [told])], default=None)


def head(view: RunView) -> str:
    """Event hash of the newest era's head that has one; "" before the first event."""
    told = str(view.finished.get("head", "")) if view.finished else ""
    return told or next((c.head for c in reversed(view.chains.values()) if c.head), "")


def events(view: RunView) -> int:
    """Events of all chains."""
    return sum(c.events for c in view.chains.values())


def ledgers(view: RunView) -> int:
    """Ledgers of this run: built so far, committed once it has ended."""
    return _told(view, "ledgers")


def xdr_bytes(view: RunView) -> int:
    """XDR decoded by this run."""
    return _told(view, "xdr_bytes")


def source_bytes(view: RunView) -> int:
    """Bytes read from the source by this run."""
    return _told(view, "source_bytes")


def _told(view: RunView, name: str) -> int:
    """The engine's newest total."""
    newest: dict[str, Any] = {**view.throughput, **(view.finished or {})}
    total: int = newest.get(name, 0)
    return total


# How fast.


def _ledgers(sample: RateSample) -> float:
    return sample.ledgers


def rate(view: RunView) -> RateSample | None:
    """The newest throughput."""
    return view.samples[-1] if view.samples else None


def mean_rate(
    view: RunView, seconds: float, of: Callable[[RateSample], float] = _ledgers
) -> float | None:
    """Mean of the samples of the last ``seconds``, ledgers a second unless ``of`` takes another
    rate; None without samples."""
    recent = [of(sample) for sample in _recent(view, seconds)]
    return sum(recent) / len(recent) if recent else None


def median_rate(view: RunView, seconds: float) -> float | None:
    """Median ledgers a second over the last ``seconds``; None without samples."""
    recent = sorted(s.ledgers for s in _recent(view, seconds))
    return recent[len(recent) // 2] if recent else None


def _recent(view: RunView, seconds: float) -> Iterator[RateSample]:
    """Samples of the last ``seconds``, newest first."""
    for sample in reversed(view.samples):
        if view.time - sample.time > seconds:
            return
        yield sample


def overall_rate(view: RunView) -> float:
    """Ledgers a second over the whole run."""
    seconds = elapsed(view)
    return ledgers(view) / seconds if seconds > 0 else 0.0


def usual_gap(view: RunView) -> float | None:
    """Median seconds between commits of this run; None before the third."""
    gaps = sorted(later - time for (time, _), (later, _) in pairwise(view.commits))
    return gaps[len(gaps) // 2] if len(gaps) >= 2 else None


def last_commit(view: RunView) -> float | None:
    """When the last partition was committed."""
    return view.commits[-1][0] if view.commits else None


def limited_by(view: RunView) -> str:
    """network, disk, memory, requests, cpu, workers, store or commit; "" when nothing moves or
    nothing is known."""
    limit = str(view.throughput.get("limited_by", ""))
    return "" if limit == "nothing" else limit


# How long.


def elapsed(view: RunView) -> float:
    """Seconds of the run so far."""
    if view.finished is not None:
        return float(view.finished.get("seconds", 0.0))
    return max(0.0, view.time - view.started_at) if view.started_at is not None else 0.0


def eta_seconds(view: RunView) -> float | None:
    """The engine's estimate by bytes, never a number of our own; None when it gives none, or the
    run does not copy."""
    value = view.throughput.get("eta_seconds")
    if view.finished is not None or view.engine_state != "running":
        return None
    return None if value is None else float(value)


# With what.


def workers(view: RunView) -> int | None:
    """Builders wanted; None when the run does not tell."""
    wanted: int | None = view.throughput.get("workers", view.started.get("workers"))
    return wanted


def fetchers(view: RunView) -> int | None:
    """Objects that may be read at the same time now; None when the run does not tell."""
    return view.throughput.get("fetchers") or None


def resident_bytes(view: RunView) -> int | None:
    """The engine's resident memory; None when it does not tell."""
    size: int | None = view.throughput.get("rss_bytes")
    return size
