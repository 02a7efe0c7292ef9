"""What ``bronze rebuild`` found, as text, JSON and attestation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bronze_tui import PRODUCER_NAME, __version__
from bronze_tui.audit.attestation import ATTESTED, SOUND, VERDICTS, Attestation, Attested
from bronze_tui.audit.findings import Finding
from bronze_tui.domain.errors import Exit
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.text import safe_text

if TYPE_CHECKING:
    from bronze_tui.engine.reproduce import Reproduced

SCHEMA = "bronze-rebuild/1"
SOFTWARE = f"{PRODUCER_NAME} v{__version__}"
_WIDE = max(map(len, VERDICTS))
_NEXT = "the chain of events is judged by 'bronze verify'"


@dataclass(slots=True)
class Account:
    """Everything that was found, in the order of the partitions."""

    target: str
    data: str
    """Where the published files were read; empty when only events were."""
    lake: str
    wanted: str
    library: str
    choice: str
    published: int
    """Partitions that there are, chosen or not."""
    findings: tuple[Finding, ...]
    """Errors of the chain and the dataset as a whole."""
    missing: tuple[LedgerRange, ...]
    """Ledgers of the range that no partition holds."""
    found: list[Reproduced] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def counts(self) -> Counter[str]:
        """Partitions by verdict."""
        return Counter(each.judgement.verdict for each in self.found)

    @property
    def verdict(self) -> str:
        """``OK``, ``BROKEN``, or ``UNREAD`` when nothing is proven wrong and not all was read."""
        counts = self.counts
        if counts["DIFFERENT"] or any(f.severity == "error" for f in self.findings):
            return "BROKEN"
        sound = sum(counts[verdict] for verdict in SOUND)
        return "OK" if sound == len(self.found) and not self.missing else "UNREAD"

    @property
    def code(self) -> Exit:
        """The exit code: as that of ``bronze verify``."""
        codes = {"OK": Exit.OK, "BROKEN": Exit.VERIFICATION, "UNREAD": Exit.UNREACHABLE}
        return codes[self.verdict]

    def attestation(self, signer: str) -> Attestation | None:
        """What can be signed; None when nothing was found of any partition."""
        said = [e for e in self.found if e.judgement.verdict in ATTESTED and e.checksum]
        if not said:
            return None
        return Attestation(
            signer,
            f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            SOFTWARE,
            self.library,
            self.lake,
            self.data or self.target,
            f"{self.wanted}, {self.choice}" if self.choice else self.wanted,
            tuple(sorted({each.writer for each in said})),
            tuple(_attested(each) for each in said),
        )

    def to_doc(self) -> dict[str, Any]:
        """Plain data for the JSON report; keys are only ever added to it."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict.lower(),
            "target": self.target,
            "data": self.data,
            "lake": self.lake,
            "range": self.wanted,
            "choice": self.choice,
            "software": SOFTWARE,
            "library": self.library,
            "counts": {verdict: self.counts[verdict] for verdict in VERDICTS},
            "partitions_published": self.published,
            "missing": [str(part) for part in self.missing],
            "findings": [asdict(finding) for finding in self.findings],
            "partitions": [_doc(each) for each in self.found],
            "seconds": round(self.seconds, 3),
        }

    def summary(self) -> str:
        """The verdict in one line."""
        counts = [f"{count:,} {verdict}" for verdict, count in _known(self.counts)]
        errors = sum(f.severity == "error" for f in self.findings)
        counts += [f"{errors:,} errors of the chain or dataset"] if errors else []
        counts += [f"{len(self.missing):,} parts of the range missing"] if self.missing else []
        by_hash = sum(
            each.judgement.verdict in SOUND and each.judgement.compared_with != "file"
            for each in self.found
        )
        counts += [f"{by_hash:,} of them by hashes alone"] if by_hash else []
        said = ", ".join(counts) or "nothing"
        return f"{self.verdict}  {safe_text(self.target)} from {safe_text(self.lake)}: {said}"

    def closing(self) -> Iterator[str]:
        """Lines behind the partitions."""
        for part in self.missing:
            yield f"MISSING  ledgers {part}: no partition of the dataset holds them"
        for finding in self.findings:
            where = f" {finding.ledgers}" if finding.ledgers else ""
            text = f"{finding.severity} {finding.kind}{where}: {finding.message}"
            yield safe_text(f"{text} ({_NEXT})")
        fresh = [each for each in self.found if not each.recalled]
        octets = sum(each.xdr_bytes for each in fresh)
        rate = octets / self.seconds / 1e6 if self.seconds else 0.0
        chosen = f" ({self.choice})" if self.choice else ""
        known = len(self.found) - len(fresh)
        again = f", {known:,} known from before" if known else ""
        yield (
            f"{len(fresh):,} of {self.published:,} partitions built again{chosen}{again}, "
            f"{sum(each.ledgers for each in fresh):,} ledgers in {self.seconds:,.1f} s "
            f"({rate:,.1f} MB/s of XDR), {SOFTWARE}, {self.library}"
        )
        yield self.summary()


def lines_of(found: Reproduced) -> Iterator[str]:
    """One partition in a few lines."""
    judged, unit = found.judgement, found.unit
    name = f"{judged.verdict:<{_WIDE}}  {safe_text(unit.chain_key)} {unit.partition}"
    digest = f"  {found.checksum}" if judged.verdict in SOUND else ""
    yield name + digest
    where = judged.difference
    if where is not None:
        place = f"ledger {where.ledger}, {where.column}" if where.ledger else where.column
        yield f"    first     {safe_text(place)}"
        place = "from the lake" if found.checksum else "announced"
        yield f"    expected  {safe_text(where.expected)} ({place})"
        yield f"    found     {safe_text(where.found)} (published)"
        if where.also:
            yield f"    also      {safe_text(', '.join(where.also))}"
    if judged.cause:
        yield f"    cause     {safe_text(judged.cause)}"
    for note in judged.notes:
        yield f"    note      {safe_text(note)}"
    if found.kept:
        yield f"    kept      {safe_text(found.kept)}"


def _doc(found: Reproduced) -> dict[str, Any]:
    unit, judged = found.unit, found.judgement
    event = unit.event
    return {
        "chain_key": unit.chain_key,
        "ledgers": str(unit.partition),
        "verdict": judged.verdict,
        "compared_with": judged.compared_with,
        "event": unit.position,
        "event_hash": event.event_hash if event is not None else "",
        "announced": {name: table.checksum for name, table in unit.tables},
        "rebuilt": found.checksum,
        "content_root": found.content_root,
        "writer": found.writer,
        "ingested_at": found.ingested_at,
        "ledger_count": found.ledgers,
        "difference": asdict(judged.difference) if judged.difference is not None else None,
        "cause": judged.cause,
        "notes": list(judged.notes),
        "xdr_bytes": found.xdr_bytes,
        "source_bytes": found.source_bytes,
        "seconds": round(found.seconds, 3),
        "recalled": found.recalled,
        "kept": found.kept,
    }


def _attested(found: Reproduced) -> Attested:
    event = found.unit.event
    return Attested(
        found.unit.chain_key,
        found.unit.partition,
        found.judgement.verdict,
        event.event_hash if event is not None else "",
        found.checksum,
        found.content_root,
    )


def _known(counts: Counter[str]) -> Iterator[tuple[str, int]]:
    return ((verdict, counts[verdict]) for verdict in VERDICTS if counts[verdict])
