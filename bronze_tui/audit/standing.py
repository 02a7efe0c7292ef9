"""What speaks for a chain besides itself: its signed head, the verifier's memory, trusted anchors.

The same words for the Audit page and ``bronze status``; ages count from a time that is given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bronze_tui.audit.canonical import HASH_PREFIX
from bronze_tui.audit.findings import Finding
from bronze_tui.audit.memory import Recalled, SeenHead, peek
from bronze_tui.audit.note import VKEY_VARIABLE, VerifyKey, parse_vkey
from bronze_tui.audit.publishedhead import look_at_heads, read_head_file
from bronze_tui.audit.report import SignedHead, VerifyReport, signed_head_words
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.domain.errors import SourceDenied, UsageError
from bronze_tui.domain.text import safe_text

Role = Literal["", "good", "worry", "bad"]
Row = tuple[str, str, Role]
"""Name, value, how grave it is."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one chain."""

    signed: SignedHead
    seen: SeenHead | None
    alarms: tuple[Finding, ...]
    """What differs from the head last seen."""
    checked_key: bool
    """Whether the signature was checked by a key that is trusted."""


def standings(
    report: VerifyReport, keys: Sequence[VerifyKey], memory: Path | None
) -> dict[str, Standing]:
    """The standing of every chain of a verified PAS folder, and of those that were seen there and
    are gone; nothing is written."""
    heads = look_at_heads(report.chains, Path(report.folder), keys)
    recalled = peek(report, memory)
    none = Recalled(None, ())
    return {
        key: Standing(
            heads.get(key, SignedHead("missing")),
            recalled.get(key, none).seen,
            recalled.get(key, none).findings,
            bool(keys),
        )
        for key in {**heads, **recalled}
    }


def trusted_keys(environment: Mapping[str, str] = os.environ) -> list[VerifyKey]:
    """The keys in ``BRONZE_VKEY``, those that can be read."""
    found = []
    for text in environment.get(VKEY_VARIABLE, "").split():
        with suppress(UsageError):
            found.append(parse_vkey(text))
    return found


def standing_rows(standing: Standing, events: int, now: float) -> Iterator[Row]:
    """The lines of a chain.

    Args:
        events: of the chain now. now: Unix seconds.
    """
    yield _signed_row(standing.signed, events, now, checked=standing.checked_key)
    alarm = next((f for f in standing.alarms if f.severity == "error"), None)
    if alarm is None:
        yield from _seen_rows(standing, events)
        return
    words = alarm.kind.replace("_", " ").upper()
    since = f", {_seen_words(standing.seen)}" if standing.seen is not None else ""
    yield from _alarm_rows(f"{words}{since}, {events:,} now", alarm.expected, alarm.found)


def alarm_line(standing: Mapping[str, Standing]) -> str:
    """The first evidence that a chain is not the one that was seen or signed; empty without any."""
    for key, each in standing.items():
        for finding in each.alarms:
            if finding.severity == "error":
                return f"{key}: {finding.kind}"
        if each.signed.state in ("ahead", "mismatch"):
            return f"{key}: signed head {each.signed.state}"
    return ""


def signed_file(path: Path, events: int) -> SignedHead:
    """A published head by its file and the number of events alone: no event is read, so that
    neither its root nor its signature is compared."""
    try:
        found = read_head_file(path)
    except (ProofRejected, SourceDenied) as error:
        return SignedHead("malformed", words=error.what)
    if found is None:
        return SignedHead("missing")
    names = " ".join(sorted({name for name, _ in found.signers}))
    size = found.head.size
    state = "ahead" if size > events else "behind" if size < events else "current"
    return SignedHead(state, size, found.head.root.hex(), names, found.signed_at)


def signed_doc(signed: SignedHead, now: float) -> dict[str, Any] | None:
    """For JSON; None where there is no signed head."""
    if signed.state == "missing":
        return None
    return {
        "state": signed.state,
        "size": signed.size,
        "root": signed.root,
        "signers": signed.signers,
        "age_seconds": round(max(0.0, now - signed.signed_at), 1),
    }


def known_rows(
    signed: SignedHead, seen: SeenHead | None, hashes: Mapping[str, int], head: str, now: float
) -> Iterator[Row]:
    """The lines of a chain whose events are known by their hashes only, as a catalog has them.

    Args:
        hashes: event hash to its number, from 1.
    """
    yield _uncompared_row(signed, len(hashes), now)
    if seen is None:
        yield "last seen", "not yet: 'bronze verify' remembers heads", ""
    elif seen.head in hashes:
        more = len(hashes) - hashes[seen.head]
        yield "last seen", f"{_seen_words(seen)}: {_grown(more)}", "good"
    else:
        words = f"NOT IN THE CHAIN ANY MORE: {_seen_words(seen)}"
        yield from _alarm_rows(f"{words}, {len(hashes):,} now", seen.head, head)


def age(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3 h``, ``9 d``."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:,.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _signed_row(signed: SignedHead, events: int, now: float, *, checked: bool) -> Row:
    if signed.state == "missing":
        return "signed head", "not signed ('bronze head')", ""
    about = "" if checked else ", not checked"
    about += f", {age(now - signed.signed_at)} old"
    if signed.good:
        words = signed_head_words(signed, events, about)
        return "signed head", words, "good" if checked else ""
    return "signed head", signed_head_words(signed, events), "bad"


def _alarm_rows(words: str, then: str, now: str) -> Iterator[Row]:
    yield "last seen", words, "bad"
    yield "  head then", then.removeprefix(HASH_PREFIX), "bad"
    yield "  head now", now.removeprefix(HASH_PREFIX) or "none", "bad"


def _uncompared_row(signed: SignedHead, events: int, now: float) -> Row:
    if signed.state in ("missing", "malformed"):
        return _signed_row(signed, events, now, checked=False)
    words = f"{signed.size:,} of {events:,} events, signed by {safe_text(signed.signers)}"
    words += f", {age(now - signed.signed_at)} old"
    if signed.state == "ahead":
        return "signed head", f"{words}: EVENTS ARE MISSING", "bad"
    return "signed head", f"{words} (compare: 'bronze verify --vkey')", ""


def _seen_rows(standing: Standing, events: int) -> Iterator[Row]:
    seen = standing.seen
    if standing.alarms:
        yield "last seen", safe_text(standing.alarms[0].message), "worry"
    elif seen is None:
        yield "last seen", "not yet: 'bronze verify' (or l) remembers heads", ""
    else:
        yield "last seen", f"{_seen_words(seen)}: {_grown(events - seen.events)}", "good"


def _seen_words(seen: SeenHead) -> str:
    return f"{seen.events:,} events at {seen.seen_at}"


def _grown(more: int) -> str:
    return "the same head" if not more else f"it only grew since, by {more:,}"
