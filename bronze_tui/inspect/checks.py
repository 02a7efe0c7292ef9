"""Whether one stored ledger is what it says: its hashes, its link, and columns against its XDR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from bronze_tui.domain.errors import XdrError
from bronze_tui.domain.ledger import LedgerFacts, LedgerRange

if TYPE_CHECKING:
    from bronze_tui.xdr.header import LedgerReader

State = Literal["ok", "bad", "none"]


@dataclass(frozen=True, slots=True)
class Check:
    """One rule; ``none`` means that it could not be tried, and ``detail`` says why."""

    name: str
    state: State
    text: str
    detail: str = ""

    def to_json(self) -> dict[str, str]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Before:
    """The ledger before: its hash, or why there is none."""

    sequence: int
    hash: str = ""
    why: str = ""


def checks(
    row: Mapping[str, Any],
    xdr: bytes,
    partition: LedgerRange,
    before: Before,
    reader: LedgerReader,
) -> list[Check]:
    """All checks that need the stored data alone.

    Args:
        row: the ledger's columns but for the XDR.
        partition: what the commit record says of the file.
    """
    found = [_bytes(row, xdr)]
    facts, error = _facts(xdr, reader)
    if facts is None:
        found.append(Check("decode", "bad", "the XDR is no LedgerCloseMeta", error))
        found.append(Check("header", "none", "header hash", "not computed: no header was found"))
    else:
        found.append(_header(row, xdr, facts))
    found += [_link(row, before), _range(row, facts, partition)]
    if facts is not None:
        found.append(_columns(row, xdr, facts))
    return found


def _facts(xdr: bytes, reader: LedgerReader) -> tuple[LedgerFacts | None, str]:
    try:
        facts = reader.read(xdr)
    except XdrError as error:
        return None, str(error)
    if facts.end != len(xdr):
        return None, f"{len(xdr) - facts.end} bytes follow the ledger"
    return facts, ""


def _bytes(row: Mapping[str, Any], xdr: bytes) -> Check:
    computed = sha256(xdr).hexdigest()
    same = computed == row["xdr_sha256"]
    text = "xdr_sha256 equals sha256(xdr_bytes)" if same else "xdr_sha256 IS NOT sha256(xdr_bytes)"
    detail = f"{len(xdr):,} bytes" if same else f"computed {computed}"
    return Check("bytes", "ok" if same else "bad", text, detail)


def _header(row: Mapping[str, Any], xdr: bytes, facts: LedgerFacts) -> Check:
    computed = sha256(memoryview(xdr)[facts.header_start : facts.header_end]).hexdigest()
    if computed == row["ledger_hash"]:
        return Check("header", "ok", "header hash recomputed equals ledger_hash")
    return Check(
        "header", "bad", "header hash recomputed IS NOT ledger_hash", f"computed {computed}"
    )


def _link(row: Mapping[str, Any], before: Before) -> Check:
    if not before.hash:
        return Check("link", "none", "previous_ledger_hash not compared", before.why)
    same = before.hash == row["previous_ledger_hash"]
    verb = "equals" if same else "IS NOT the"
    text = f"previous_ledger_hash {verb} hash of {before.sequence}"
    detail = "" if same else f"{before.sequence} has {before.hash}"
    return Check("link", "ok" if same else "bad", text, detail)


def _range(row: Mapping[str, Any], facts: LedgerFacts | None, partition: LedgerRange) -> Check:
    found = {row["ledger_sequence"]} | ({facts.sequence} if facts is not None else set())
    outside = [n for n in found if n not in partition]
    if not outside:
        return Check("range", "ok", f"sequence in range {partition}")
    return Check("range", "bad", f"sequence NOT in range {partition}", f"found {outside[0]}")


def _columns(row: Mapping[str, Any], xdr: bytes, facts: LedgerFacts) -> Check:
    stored = {**row, "close_time": int(row["close_time"].timestamp())}
    derived = {
        "ledger_sequence": facts.sequence,
        "ledger_hash": facts.ledger_hash.hex(),
        "previous_ledger_hash": facts.previous_ledger_hash.hex(),
        "close_time": facts.close_time,
        "protocol_version": facts.protocol_version,
        "total_coins": facts.total_coins,
        "fee_pool": facts.fee_pool,
        "tx_set_hash": facts.tx_set_hash.hex(),
        "tx_count": facts.tx_count,
        "operation_count": facts.operation_count,
        "xdr_byte_length": len(xdr),
    }
    wrong = [name for name, value in derived.items() if stored[name] != value]
    if not wrong:
        return Check("columns", "ok", f"{len(derived)} columns equal what the XDR says")
    details = ", ".join(f"{n} is {stored[n]}, the XDR says {derived[n]}" for n in wrong)
    return Check("columns", "bad", "columns DIFFER from what the XDR says", details)
