"""What the ledger page writes: facts, checks, the place; and what a person may type to go to.

Pure functions of the reader's answers, so that every figure is tested without a screen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from textual.content import Content

from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.ledger import MAX_LEDGER, LedgerRange
from bronze_tui.tui.widgets.figures import count, line, pairs, part, short_hash, size, stack

Part = str | tuple[str, str] | Content
LEAST_PREFIX = 4
_HEX = re.compile(r"[0-9a-f]+")
_RANGE = re.compile(r"(.*?)\s+in\s+(\d+-\d+)")
SIGNS = {"ok": ("[ok] ", "good"), "bad": ("[BAD]", "bad"), "none": ("[--] ", "muted")}
_FULL_HASH = 77
"""Columns from which a hash is written out."""


@dataclass(frozen=True, slots=True)
class Goto:
    """Where to go: a ledger number, the beginning of a ledger hash, a hash of either kind."""

    kind: Literal["sequence", "prefix", "hash", "transaction"]
    text: str
    sequence: int = 0
    within: LedgerRange | None = None
    """Ledgers to search for a transaction; None: the partition in front."""


def parse_goto(text: str) -> Goto:
    """Read what was typed.

    Raises:
        UsageError: it is none of these.
    """
    cleaned = text.strip().lower()
    within = None
    if found := _RANGE.fullmatch(cleaned):
        cleaned = found[1]
        try:
            within = LedgerRange.parse(found[2])
        except ValueError as error:
            raise UsageError(str(error), todo="write in FIRST-LAST") from None
    number = re.sub(r"(?<=\d)[ _,](?=\d)", "", cleaned)
    if number.isascii() and number.isdigit() and len(number) <= 10:
        if int(number) > MAX_LEDGER:
            raise UsageError(f"{number} is no ledger number", todo=f"the largest is {MAX_LEDGER}")
        return Goto("sequence", number, int(number))
    kind, _, rest = cleaned.rpartition(" ")
    if kind in ("", "tx", "hash") and _HEX.fullmatch(rest):
        if len(rest) == 64:
            return Goto("transaction" if kind == "tx" or within else "hash", rest, 0, within)
        if LEAST_PREFIX <= len(rest) < 64 and kind != "tx":
            return Goto("prefix", rest)
    raise UsageError(
        f"{text.strip()[:80]!r} is no ledger number and no hash",
        todo="type a number, the first letters of a ledger hash, or a transaction hash",
    )


def facts(
    columns: Mapping[str, Any],
    header: Sequence[Sequence[str]],
    width: int,
    *,
    compact: bool = False,
) -> Content:
    """The header in labelled lines, as wide hashes as fit."""
    more = {str(name): str(value) for name, value in header}
    shown = str if width >= _FULL_HASH else _shorter(width)

    def fact(name: str) -> Content:
        value = columns.get(name)
        # Exact: total coins are more than a float can hold.
        return part(f"{value:,}" if isinstance(value, int) else value)

    def hashed(name: str) -> Content:
        return part(shown(str(columns.get(name))), "accent")

    dated: list[Part] = [
        fact("close_time"),
        ("   protocol ", "muted"),
        fact("protocol_version"),
    ]
    counts: list[Part] = [
        fact("tx_count"),
        (" txs, ", "muted"),
        fact("operation_count"),
        (" ops, ", "muted"),
    ]
    if width >= 66:
        dated += [("   base fee ", "muted"), part(more.get("baseFee", "-"))]
    rows = [
        ("hash", hashed("ledger_hash")),
        ("previous", hashed("previous_ledger_hash")),
        ("tx set", hashed("tx_set_hash")),
        ("closed", line(*dated)),
        ("holds", line(*counts, fact("xdr_byte_length"), (" bytes of XDR", "muted"))),
        ("total coins", line(fact("total_coins"), (" stroops", "muted"))),
        ("fee pool", line(fact("fee_pool"), (" stroops", "muted"))),
    ]
    if compact:
        del rows[2]
    elif width >= _FULL_HASH:
        rows.append(("XDR sha256", part(columns.get("xdr_sha256"), "accent")))
    return pairs(rows, 13)


def _shorter(width: int) -> Any:
    room = max(12, width - 15)
    return lambda text: short_hash(text, room - 10, 6)


def check_lines(checks: Sequence[Mapping[str, str]], *, compact: bool = False) -> Content:
    """One line a check; what was found instead stands below a bad one.

    Compact, all good ones share one line and only bad ones have their own.
    """
    rows = []
    if compact:
        good = [c for c in checks if c["state"] != "bad"]
        words = [(f"{SIGNS[c['state']][0].strip()} {c['name']}  ", "muted") for c in good]
        checks = [c for c in checks if c["state"] == "bad"]
        if not checks:
            return line(*words)
    for check in checks:
        sign, tone = SIGNS.get(check["state"], SIGNS["none"])
        bad = check["state"] == "bad"
        rows.append(line((sign, tone), " ", part(check["text"], "bad" if bad else "")))
        if check["detail"] and check["state"] == "ok":
            rows[-1] = line(rows[-1], "  ", part(check["detail"], "muted"))
        elif check["detail"]:
            rows.append(line("      ", part(check["detail"], "muted")))
    return stack(rows)


def check_title(checks: Sequence[Mapping[str, str]]) -> str:
    """``CHECKS 5 ok, 1 BAD``."""
    counts = {state: sum(c["state"] == state for c in checks) for state in SIGNS}
    words = [f"{counts['ok']} ok"]
    words += [f"{counts['bad']} BAD"] if counts["bad"] else []
    words += [f"{counts['none']} not tried"] if counts["none"] else []
    return f"CHECKS  {', '.join(words)}"


def place(partition: Mapping[str, Any]) -> Content:
    """The partition in one line."""
    return line(
        part(partition["chain_key"], "muted"),
        "  ",
        (f"{partition['start']}-{partition['end']}", "strong"),
        f"  {count(partition['rows'])} ledgers  {size(partition['bytes'])}  ",
        part(partition["proof"], "good"),
        "  ",
        part(str(partition["created_at"])[:19].replace("T", " ") + "Z", "muted"),
    )


def list_head(width: int) -> str:
    """Titles over the list of ledgers."""
    return _columns("ledger", "txs", "ops", "kB", width)


def list_line(row: Sequence[int], width: int) -> str:
    """One ledger of the list: number, transactions, operations, thousands of bytes."""
    sequence, transactions, operations, octets = row
    weight = f"{octets / 1000:,.1f}" if octets < 100_000 else f"{octets / 1000:,.0f}"
    return _columns(str(sequence), str(transactions), str(operations), weight, width)


def _columns(sequence: str, transactions: str, operations: str, weight: str, width: int) -> str:
    text = f" {sequence:>10} {transactions:>5}"
    if width >= 23:
        text += f" {operations:>5}"
    if width >= 31:
        text += f" {weight:>7}"
    return text
