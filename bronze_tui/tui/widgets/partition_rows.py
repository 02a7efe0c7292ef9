"""The partitions page's rows: one partition from run, coverage and disk; filter, sort, export."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.text import safe_text
from bronze_tui.journal.views import ChainView, PartitionView
from bronze_tui.tui.dataset import Papers

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class PartitionRow:
    """What is known; numbers that are not are None."""

    chain_key: str
    partition: LedgerRange
    state: str
    attempt: int | None = None
    attempts: int | None = None
    rows: int | None = None
    parquet_bytes: int | None = None
    checksum: str = ""
    event: int | None = None
    seconds: float | None = None
    when: float | None = None
    detail: str = ""
    todo: str = ""

    @property
    def key(self) -> str:
        """As in the run view."""
        return f"{self.chain_key}/{self.partition}"


def from_view(view: PartitionView, before: PartitionRow | None = None) -> PartitionRow:
    """The row of a partition of this run; what only the disk knew stays."""
    return PartitionRow(
        chain_key=view.chain_key,
        partition=view.partition,
        state=view.state,
        attempt=view.attempt,
        attempts=view.attempts or None,
        rows=view.rows or view.ledgers or (before.rows if before else None),
        parquet_bytes=view.parquet_bytes or (before.parquet_bytes if before else None),
        checksum=view.checksum or (before.checksum if before else ""),
        event=view.event if view.event is not None else (before.event if before else None),
        seconds=view.seconds or None,
        when=view.since,
        detail=view.detail,
        todo=view.todo,
    )


def with_papers(row: PartitionRow, papers: Papers) -> PartitionRow:
    """The row with what its commit record says; the run's own words stay."""
    raw = papers.raw
    if raw is None:
        return replace(row, detail=row.detail or papers.problem or papers.hole_reason)
    return replace(
        row,
        rows=row.rows if row.state != "committed" else raw.row_count,
        parquet_bytes=raw.byte_size,
        checksum=raw.checksum,
        when=row.when if row.when is not None else unix(papers.created_at),
    )


def unix(text: str) -> float | None:
    """Unix seconds of an RFC 3339 time."""
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def from_coverage(chain: ChainView, partition_size: int, origin: int) -> Iterator[PartitionRow]:
    """Aligned partitions of what was committed or declared a hole before this run, newest
    first; a foreign journal may claim more than anybody can list, so take what is needed."""
    for state, spans in (("committed", chain.committed), ("hole", chain.holes)):
        for span in reversed(list(spans)):
            for partition in blocks(span, partition_size, origin):
                yield PartitionRow(chain.chain_key, partition, state)


def blocks(span: LedgerRange, partition_size: int, origin: int) -> Iterator[LedgerRange]:
    """``span`` cut where blocks of ``partition_size`` from ``origin`` begin, newest first."""
    end = span.end
    while end >= span.start:
        start = max(span.start, end - (end - origin) % partition_size)
        yield LedgerRange(start, end)
        end = start - 1


# Filter.

Test = Callable[[PartitionRow], bool]
_NUMBERS: dict[str, Callable[[PartitionRow], float | None]] = {
    "try": lambda row: row.attempt,
    "rows": lambda row: row.rows,
    "mb": lambda row: None if row.parquet_bytes is None else row.parquet_bytes / _MIB,
    "event": lambda row: row.event,
    "s": lambda row: row.seconds,
}


def parse_filter(text: str) -> tuple[Test, str]:
    """A test of rows from ``state:failed try:>1 mb:<400 !text``, and what is wrong with it.

    Terms must all hold. ``ledger:N`` finds the partition with that ledger; a bare text is looked
    for in range, state, checksum and error. A term that is no number where one belongs is said.
    """
    tests, problem = [], ""
    for word in text.split():
        negated = word.startswith("!") and len(word) > 1
        test, wrong = _term(word[1:] if negated else word)
        problem = problem or wrong
        tests.append(_not(test) if negated else test)
    return (lambda row: all(test(row) for test in tests)), problem


def _not(test: Test) -> Test:
    return lambda row: not test(row)


def _term(word: str) -> tuple[Test, str]:
    name, colon, value = word.partition(":")
    if colon and name == "state":
        return (lambda row: row.state.startswith(value.lower())), ""
    if colon and name == "ledger":
        if value.isascii() and value.isdigit() and len(value) < 12:
            return (lambda row: int(value) in row.partition), ""
        return _all, f"ledger:{value} is not a ledger number"
    if colon and name in _NUMBERS:
        return _number(name, value)
    low = word.lower()
    return (lambda row: low in _haystack(row)), ""


def _all(row: PartitionRow) -> bool:  # noqa: ARG001 - the test that every row passes
    return True


def _haystack(row: PartitionRow) -> str:
    return f"{row.key} {row.state} {row.checksum} {row.detail}".lower()


def _number(name: str, value: str) -> tuple[Test, str]:
    sign = value[:2] if value[:2] in ("<=", ">=") else value[:1] if value[:1] in "<>=" else ""
    try:
        limit = float(value[len(sign) :])
    except ValueError:
        return _all, f"{name}:{value} needs a number, such as {name}:>1"
    of = _NUMBERS[name]
    compare: dict[str, Callable[[float], bool]] = {
        "<": lambda x: x < limit,
        ">": lambda x: x > limit,
        "<=": lambda x: x <= limit,
        ">=": lambda x: x >= limit,
    }
    holds: Callable[[float], bool] = compare.get(sign, lambda x: x == limit)

    def test(row: PartitionRow) -> bool:
        number = of(row)
        return number is not None and holds(number)

    return test, ""


# Sort.

SORTS = ("range", "state", "try", "rows", "mb", "event", "seconds", "when")
_SEVERITY = {
    "failed": 0, "retrying": 1, "hole": 2, "building": 3, "held": 4, "missing": 5, "committed": 6,
}  # fmt: skip


def sorted_rows(rows: Iterable[PartitionRow], column: str, *, descending: bool) -> list[str]:
    """Keys in order; ties and unknown numbers by range."""
    of: dict[str, Callable[[PartitionRow], float | None]] = {
        "state": lambda r: -_SEVERITY.get(r.state, 9),
        "try": lambda r: r.attempt,
        "rows": lambda r: r.rows,
        "mb": lambda r: r.parquet_bytes,
        "event": lambda r: r.event,
        "seconds": lambda r: r.seconds,
        "when": lambda r: r.when,
    }
    value = of.get(column)
    unknown = -math.inf if descending else math.inf

    def rank(row: PartitionRow) -> float:
        number = value(row) if value is not None else 0.0
        return unknown if number is None else number

    ordered = sorted(rows, key=lambda row: (rank(row), _place(row)), reverse=descending)
    return [row.key for row in ordered]


def _place(row: PartitionRow) -> tuple[str, int, int]:
    return row.chain_key, row.partition.start, row.partition.end


# Export.

FIELDS = (
    "chain_key", "partition", "state", "attempt", "attempts", "rows", "parquet_bytes", "checksum",
    "event", "seconds", "when", "detail", "todo",
)  # fmt: skip


def as_doc(row: PartitionRow) -> dict[str, object]:
    """The row as plain values."""
    return {**asdict(row), "partition": str(row.partition)}


def as_text(row: PartitionRow) -> str:
    """The row on one line, empty values left out."""
    doc = as_doc(row)
    return "  ".join(f"{n}={safe_text(str(doc[n]))}" for n in FIELDS if doc[n] not in (None, ""))


def as_json(rows: Iterable[PartitionRow]) -> str:
    """A JSON list."""
    return json.dumps([as_doc(row) for row in rows], indent=1)


def as_csv(rows: Iterable[PartitionRow]) -> str:
    """CSV with a header; texts that a spreadsheet would run as a formula are quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in rows:
        doc = as_doc(row)
        writer.writerow(_inert(doc[name]) for name in FIELDS)
    return out.getvalue()


def _inert(value: object) -> object:
    if not isinstance(value, str):
        return "" if value is None else value
    text = safe_text(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
