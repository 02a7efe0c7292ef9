"""What the levels below the chain read and found, and its text and JSON forms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from bronze_tui.audit.findings import Finding
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.text import safe_text

FILE = "file"
UNREAD = frozenset({"file_unreadable", "source_unreadable", "anchor_unreadable"})
"""Findings that say nothing about the data: it could not be looked at."""


@dataclass(frozen=True, slots=True)
class AnchoredBy:
    """One origin of trusted hashes."""

    kind: str
    """FILE, ``history archive`` or ``RPC server``."""
    where: str
    ledgers: int
    """Hashes that it gave."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Figures and findings of the levels ``manifest`` to ``source``."""

    level: str
    data: str
    """Where the files were read, without credentials."""
    partitions: int
    """All there are."""
    read: int
    """Of these, verified in this run."""
    recalled: int
    """Of these, verified by an earlier run and not read again."""
    ledgers: int
    bytes_read: int
    seconds: float
    choice: str
    """How partitions were chosen; empty: all."""
    findings: tuple[Finding, ...]
    signers: Mapping[str, int]
    validators: Mapping[str, str]
    unsigned: int
    unchecked: int
    anchors: int
    """Trusted hashes given."""
    matched: int
    """Of these, met."""
    proven: tuple[LedgerRange, ...]
    limits: tuple[str, ...]
    anchored_by: tuple[AnchoredBy, ...] = ()

    @property
    def unread(self) -> bool:
        """Whether something could not be read, so that nothing can be said about it."""
        return any(f.kind in UNREAD for f in self.findings)


def depth_doc(depth: Depth) -> dict[str, Any]:
    """Plain data for the JSON report."""
    known, unknown = _known_signatures(depth)
    return {
        "data": depth.data,
        "partitions": depth.partitions,
        "partitions_read": depth.read,
        "partitions_recalled": depth.recalled,
        "ledgers": depth.ledgers,
        "bytes_read": depth.bytes_read,
        "seconds": round(depth.seconds, 3),
        "choice": depth.choice,
        "signers": [
            {"validator": key, "name": depth.validators.get(key, ""), "ledgers": count}
            for key, count in Counter(depth.signers).most_common()
        ],
        "ledgers_unsigned": depth.unsigned,
        "ledgers_signature_unchecked": depth.unchecked,
        "anchors": depth.anchors,
        "anchors_matched": depth.matched,
        "anchored_by": [asdict(origin) for origin in depth.anchored_by],
        "ledgers_signed_by_known": known,
        "ledgers_signed_by_unknown": unknown,
        "proven": [{"start": r.start, "end": r.end} for r in depth.proven],
        "limits": list(depth.limits),
        "findings": [asdict(f) for f in depth.findings],
    }


def depth_rows(depth: Depth) -> Iterator[tuple[str, str]]:
    """Name and value of each figure worth a line."""
    yield "data", safe_text(depth.data)
    chosen = f" ({depth.choice})" if depth.choice else ""
    known = f", {depth.recalled:,} known from before" if depth.recalled else ""
    yield "partitions", f"{depth.read:,} read of {depth.partitions:,}{chosen}{known}"
    rate = depth.bytes_read / depth.seconds / 1e6 if depth.seconds > 0 else 0.0
    if depth.bytes_read:
        yield "bytes", f"{depth.bytes_read:,} in {depth.seconds:,.1f} s ({rate:,.0f} MB/s)"
    if depth.ledgers:
        yield "rows", f"{depth.ledgers:,} ledgers"
    if depth.level in ("ledger", "source"):
        yield from _network_rows(depth)


def _network_rows(depth: Depth) -> Iterator[tuple[str, str]]:
    signed = sum(depth.signers.values())
    yield (
        "signatures",
        (f"{signed:,} valid, {depth.unsigned:,} ledgers without, {depth.unchecked:,} not checked"),
    )
    if depth.validators and signed:
        known, unknown = _known_signatures(depth)
        yield "signed by", f"known validators {known:,}, unknown ones {unknown:,}"
    for key, count in Counter(depth.signers).most_common(10):
        name = depth.validators.get(key, "")
        label = safe_text(name) if name else "not on the list" if depth.validators else "unnamed"
        yield "  signer", f"{key} {label}: {count:,}"
    if len(depth.signers) > 10:
        yield "  signer", f"and {len(depth.signers) - 10:,} more (--json lists all)"
    for origin in depth.anchored_by:
        plural = "" if origin.ledgers == 1 else "es"
        text = f"{origin.kind} {safe_text(origin.where)}: {origin.ledgers:,} hash{plural}"
        yield "trusted", text
    if depth.anchors:
        yield "anchors", f"{depth.matched:,} of {depth.anchors:,} met"
    proven = ", ".join(str(r) for r in depth.proven) or "no ledger"
    yield "anchored", f"{proven}: hashes proven by a trusted one"


def _known_signatures(depth: Depth) -> tuple[int, int]:
    """Ledgers signed by validators that are on the list, and by others."""
    known = sum(count for key, count in depth.signers.items() if key in depth.validators)
    return known, sum(depth.signers.values()) - known


def limits_of(
    level: str,
    *,
    known_network: bool,
    validators: bool,
    anchors: bool,
    anchored_by: Iterable[AnchoredBy] = (),
) -> Iterable[str]:
    """What this level cannot see, for the end of the report."""
    said = {
        "manifest": "Level manifest: events, manifests and commit records compared, and the "
        "catalog where a configuration names it; no data file was read.",
        "file": "Level file: every Parquet file is the one announced; its rows were not looked at.",
        "row": "Level row: columns, counts and links follow from the XDR in the rows; whether the "
        "network closed these ledgers is level ledger.",
    }
    if level in said:
        yield said[level]
        return
    from bronze_tui.audit.levels.trust import LIMITS

    yield from LIMITS if level == "ledger" else LIMITS[1:]
    if not known_network:
        yield (
            "The network's passphrase is not known, so that signatures were not checked: give "
            "--network-passphrase."
        )
    if not validators:
        yield "No list of validators is known: a valid signature may be anybody's."
    if not anchors:
        yield (
            "No trusted ledger hash was given (--anchors): the ledgers agree with each other, and "
            "a history that was made up as a whole would too."
        )
    yield from _words_of(anchored_by)


def _words_of(anchored_by: Iterable[AnchoredBy]) -> Iterator[str]:
    """On whom the trusted hashes rest; as far as can be seen, one host is one keeper."""
    asked = [origin for origin in anchored_by if origin.kind != FILE and origin.ledgers]
    keepers = {urlsplit(origin.where).netloc or origin.where for origin in asked}
    if len(keepers) == 1:
        yield (
            "The trusted hashes are the word of one host or folder: whoever keeps it could make up "
            "a history that agrees with itself. Give an archive of another organisation besides."
        )
    if len(keepers) > 1:
        yield (
            f"The trusted hashes are the word of {len(keepers)} hosts or folders; that different "
            "organisations keep them is not checked."
        )
