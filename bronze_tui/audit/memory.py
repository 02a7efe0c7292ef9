"""Verifier memory: the head last seen of each chain, kept where the chain's writer has no hand.

A chain that is whole in itself may still be shorter than yesterday, or another one. What is kept
is replaced only by a head that continues it, so an alarm stays until a person forgets.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bronze_tui.audit.chain import ChainReport
from bronze_tui.audit.event import is_hash
from bronze_tui.audit.findings import Finding, Kind
from bronze_tui.audit.report import VerifyReport
from bronze_tui.domain import files
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.writers import temp_name

SCHEMA = "bronze-seen-head/1"
_SUFFIX = ".json"
_LIMIT = 64 << 10
_LEDGER_ORDER = frozenset({"gap", "declared_gap", "out_of_order"})
_ALARMS: frozenset[Kind] = frozenset({"chain_shrank", "chain_changed", "remembered_head_pruned"})


@dataclass(frozen=True, slots=True)
class SeenHead:
    """A head as it was when its chain was last verified."""

    chain_key: str
    place: str
    """Absolute path, or URL, of the audit folder."""
    head: str
    events: int
    last_ledgers: str
    """``S-E`` of the last event."""
    seen_at: str
    """``2026-01-12T10:29:44Z``."""


def memory_folder(environment: Mapping[str, str]) -> Path | None:
    """``$XDG_STATE_HOME/bronze/heads``, by default in ``~/.local/state``; None without a home."""
    home = environment.get("XDG_STATE_HOME", "")
    try:
        base = Path(home) if home.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return base / "bronze" / "heads"


def recall(
    report: VerifyReport, folder: Path | None, *, now: float, chain_key: str = ""
) -> VerifyReport:
    """The report with what differs from the heads last seen; then heads are kept anew.

    Memory that cannot be used is a warning: the chain was verified all the same.

    Args:
        folder: of the memory; None where this user has no home.
        now: Unix time in seconds.
        chain_key: the one chain that the report is about, where it was narrowed down.
    """
    place = place_of(report.folder)
    if folder is None:
        return _with(report, [_unusable("", "this user has no home folder")])
    try:
        remembered, damaged = _read(folder)
    except OSError as error:
        return _with(report, [_unusable(str(folder), str(error.strerror))])
    here = {seen.chain_key: seen for seen in remembered if seen.place == place}
    chains, dates = [], []
    for chain in report.chains:
        seen = here.get(chain.chain_key)
        if lost := damaged.get(_name(place, chain.chain_key)):
            found = [_damaged(chain, lost)]
        elif seen is not None:
            found = list(_compare(chain, seen))
            dates.append(seen.seen_at)
        else:
            found = list(_elsewhere(chain, remembered))
        chains.append(_added(chain, found))
    gone = [
        _gone(seen)
        for key, seen in sorted(here.items())
        if chain_key in ("", key) and key not in {chain.chain_key for chain in chains}
    ]
    result = replace(report, chains=tuple(chains))
    unkept = _keep(result, folder, place, now, set(damaged))
    return replace(_with(result, [*gone, *unkept]), last_seen=_oldest(chains, dates))


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is remembered of one chain, and what differs from it."""

    seen: SeenHead | None
    findings: tuple[Finding, ...]
    """``chain_shrank``, ``chain_changed``, ``remembered_head_pruned`` or ``memory_damaged``."""


def peek(report: VerifyReport, folder: Path | None) -> dict[str, Recalled]:
    """What ``recall`` would say of each chain, without keeping anything; empty where memory cannot
    be used. Chains that are remembered and gone are there too."""
    place = place_of(report.folder)
    try:
        remembered, damaged = _read(folder) if folder is not None else ([], {})
    except OSError:
        return {}
    here = {seen.chain_key: seen for seen in remembered if seen.place == place}
    found = {key: Recalled(seen, (_gone(seen),)) for key, seen in here.items()}
    for chain in report.chains:
        seen = here.get(chain.chain_key)
        lost = damaged.get(_name(place, chain.chain_key))
        alarms = (_damaged(chain, lost),) if lost else ()
        found[chain.chain_key] = Recalled(seen, tuple(_compare(chain, seen)) if seen else alarms)
    return found


def seen_heads(folder: Path | None, place: str) -> dict[str, SeenHead]:
    """The heads last seen at a place, by chain key; empty where memory cannot be used."""
    try:
        remembered, _ = _read(folder) if folder is not None else ([], {})
    except OSError:
        return {}
    return {seen.chain_key: seen for seen in remembered if seen.place == place_of(place)}


def forget(folder: Path | None, place: str, chain_key: str = "") -> int:
    """Drop what is remembered of a place's chains (or one), damaged memory of them too; how many.

    Raises:
        StateError: it cannot be dropped.
    """
    dropped = 0
    if folder is None:
        return dropped
    try:
        remembered, damaged = _read(folder)
        names = {_name(s.place, s.chain_key) for s in remembered if s.place == place_of(place)}
        names |= {name for name in damaged if name.startswith(_prefix(place_of(place)))}
        if chain_key:
            names &= {_name(place_of(place), chain_key)}
        for name in names:
            (folder / name).unlink(missing_ok=True)
            dropped += 1
    except OSError as error:
        raise StateError(
            f"what was remembered cannot be dropped ({error.strerror})", where=str(folder)
        ) from error
    return dropped


def place_of(folder: str) -> str:
    """The name under which a folder's chains are remembered."""
    return folder if "://" in folder else str(Path(folder).resolve())


def _compare(chain: ChainReport, seen: SeenHead) -> Iterator[Finding]:
    line = [item.event for item in chain.line]
    if any(event.event_hash == seen.head for event in line):
        return
    pruned = bool(line) and bool(line[0].prev_event_hash)
    if pruned and line[0].prev_event_hash == seen.head:
        return
    then = f"when it was last verified here ({seen.seen_at}) the chain had {seen.events} events"
    then += f", the last of ledgers {seen.last_ledgers}"
    if pruned and line[0].ledger_start > LedgerRange.parse(seen.last_ledgers).end:
        yield _alarm(
            "remembered_head_pruned",
            chain,
            seen,
            f"{then}; it begins after them now, so the two cannot be compared",
            "old events were pruned since; --forget remembers the chain as it is now",
        )
    elif not pruned and len(line) >= seen.events:
        finding = _alarm(
            "chain_changed",
            chain,
            seen,
            f"{then}; event {seen.events} is another now",
            "the chain was rewritten, or this is a fork of it: keep both heads as evidence",
        )
        yield replace(finding, found=line[seen.events - 1].event_hash)
    elif pruned:
        text, cause = f"{then}; that event is not here now", "the chain was rewritten"
        yield _alarm("chain_changed", chain, seen, text, cause)
    else:
        yield _alarm(
            "chain_shrank",
            chain,
            seen,
            f"{then}; it has {len(line)} now",
            "its last events were removed, or an older copy was put in its place",
        )


def _elsewhere(chain: ChainReport, others: list[SeenHead]) -> Iterator[Finding]:
    """A chain that is new here, against the same chain key at other places."""
    same = [seen for seen in others if seen.chain_key == chain.chain_key]
    hashes = {item.event.event_hash for item in chain.line}
    if not same or any(seen.head in hashes for seen in same):
        return
    seen = max(same, key=lambda s: s.seen_at)
    finding = _alarm(
        "seen_elsewhere",
        chain,
        seen,
        f"a chain of this key with another head was seen at {seen.place} ({seen.seen_at}): "
        f"{seen.events} events, the last of ledgers {seen.last_ledgers}",
        "this is an older copy, or another dataset; if not, two histories are being shown",
    )
    yield replace(finding, severity="warning")


def _alarm(kind: Kind, chain: ChainReport, seen: SeenHead, text: str, cause: str) -> Finding:
    severity = "warning" if kind == "remembered_head_pruned" else "error"
    return Finding(
        kind,
        severity,  # type: ignore[arg-type]
        chain.chain_key,
        text,
        expected=seen.head,
        found=chain.head,
        cause=cause,
    )


def _gone(seen: SeenHead) -> Finding:
    return Finding(
        "chain_gone",
        "error",
        seen.chain_key,
        f"chain {seen.chain_key} had {seen.events} events when it was last verified here "
        f"({seen.seen_at}), and has none now",
        ledgers=seen.last_ledgers,
        expected=seen.head,
        cause="its events were removed, or moved to another folder",
    )


def _damaged(chain: ChainReport, file: Path) -> Finding:
    return Finding(
        "memory_damaged",
        "warning",
        chain.chain_key,
        "what was remembered of this chain cannot be read, so nothing was compared",
        file=str(file),
        found=chain.head,
        cause="a full disk or another program damaged it; --forget begins anew from this head",
    )


def _unusable(folder: str, why: str) -> Finding:
    return Finding(
        "memory_unusable",
        "warning",
        "",
        f"heads cannot be remembered ({why}), so a later run has nothing to compare",
        file=folder,
        cause="check the folder and its permissions, set XDG_STATE_HOME, or give --no-memory",
    )


def _added(chain: ChainReport, found: list[Finding]) -> ChainReport:
    """With the alarm before everything else: no finding about one event matters more."""
    return replace(chain, findings=(*found, *chain.findings)) if found else chain


def _with(report: VerifyReport, found: list[Finding]) -> VerifyReport:
    return replace(report, findings=(*found, *report.findings)) if found else report


def _oldest(chains: list[ChainReport], dates: list[str]) -> str:
    """Since when all chains were compared; empty when one was not."""
    return min(dates) if dates and len(dates) == len(chains) else ""


def _keep(
    report: VerifyReport, folder: Path, place: str, now: float, damaged: set[str]
) -> list[Finding]:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    try:
        for chain in report.chains:
            name = _name(place, chain.chain_key)
            if name in damaged or not _trusted(chain):
                continue
            events = len(chain.line)
            seen = SeenHead(chain.chain_key, place, chain.head, events, chain.last_ledgers, stamp)
            _write(folder, name, seen)
    except OSError as error:
        return [_unusable(str(folder), str(error.strerror))]
    return []


def _trusted(chain: ChainReport) -> bool:
    """Whether the line of events is sound, whatever ledgers it leaves out or has pruned."""
    pruned = bool(chain.line) and bool(chain.line[0].event.prev_event_hash)
    return bool(chain.line) and all(
        f.kind in _LEDGER_ORDER or (pruned and f.kind == "missing_event" and f.event == 1)
        for f in chain.findings
        if f.severity == "error" or f.kind in _ALARMS
    )


def _read(folder: Path) -> tuple[list[SeenHead], dict[str, Path]]:
    """What is remembered, and the names of files that cannot be understood."""
    remembered, damaged = [], {}
    try:
        names = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return [], {}
    for name in names:
        if not name.endswith(_SUFFIX) or name.startswith("."):
            continue
        path = folder / name
        seen = _parsed(path)
        if seen is None or _name(seen.place, seen.chain_key) != name:
            damaged[name] = path
        else:
            remembered.append(seen)
    return remembered, damaged


def _parsed(path: Path) -> SeenHead | None:
    try:
        if path.stat().st_size > _LIMIT:
            return None
        doc: Any = json.loads(path.read_bytes())
        if type(doc) is not dict or doc.pop("schema", "") != SCHEMA:
            return None
        seen = SeenHead(**doc)
        LedgerRange.parse(seen.last_ledgers)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    texts = (seen.chain_key, seen.place, seen.head, seen.seen_at)
    sound = all(type(text) is str for text in texts) and type(seen.events) is int
    return seen if sound and is_hash(seen.head) and seen.events > 0 else None


def _write(folder: Path, name: str, seen: SeenHead) -> None:
    if not folder.is_dir():
        files.make_dirs(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    temp = folder / temp_name()
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        json.dump({"schema": SCHEMA, **asdict(seen)}, file, indent=2)
        file.write("\n")
    try:
        files.replace(folder / name, temp)
    except OSError:
        temp.unlink(missing_ok=True)
        raise


def _prefix(place: str) -> str:
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:16] + "-"


def _name(place: str, chain_key: str) -> str:
    key = hashlib.sha256(chain_key.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{_prefix(place)}{key}{_SUFFIX}"
