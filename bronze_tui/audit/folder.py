"""A PAS folder on disk: finding it, reading it, verifying it at level ``chain``.

Nothing is written or followed out of the folder; a file that cannot be read at all means that
nothing can be said, which is another exit code than a broken proof.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bronze_tui.audit.chain import verify_chains
from bronze_tui.audit.event import MAX_EVENT_BYTES, EventRejected, parse_event
from bronze_tui.audit.findings import Finding, Severity
from bronze_tui.audit.heads import MAX_HEADS_BYTES, parse_heads
from bronze_tui.audit.ingester import read_event_file
from bronze_tui.audit.links import EventFile
from bronze_tui.audit.names import (
    BACKUP_FOLDER,
    HEADS_FILE,
    SIGNED_HEAD_SUFFIX,
    chain_prefix,
    is_event_name,
    is_ingester_name,
    is_leftover,
)
from bronze_tui.audit.report import VerifyReport
from bronze_tui.domain.errors import SourceDenied, StateError, UsageError
from bronze_tui.domain.ledger import LedgerRange

_LISTINGS = 5


@dataclass(frozen=True, slots=True)
class PasFolder:
    """A folder's events and everything in it that is none."""

    path: Path
    files: tuple[EventFile, ...]
    heads: dict[str, str] | None
    """Entries of the heads file; None when it is absent or damaged."""
    damaged: frozenset[str]
    """Names of files that hold no JSON text: empty, cut, other bytes."""
    findings: tuple[Finding, ...]


def resolve(path: Path) -> Path:
    """The PAS folder that ``path`` names: itself, its ``pas-backup``, or its only such child.

    Raises:
        UsageError: there is none, or several. SourceDenied: it cannot be looked into.
    """
    if not _guarded(path, path.exists):
        raise UsageError("no such folder", where=str(path))
    if not _guarded(path, path.is_dir):
        raise UsageError("not a folder", where=str(path), todo="give the PAS folder")
    if _is_pas(path) or path.name == BACKUP_FOLDER:
        return path
    named = path / BACKUP_FOLDER
    if _guarded(named, named.is_dir):
        return named
    found = _children(path)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(f.relative_to(path)) for f in found[:4])
        raise UsageError(f"holds several PAS folders ({names})", where=str(path), todo="name one")
    raise UsageError(
        f"no audit events here: no {HEADS_FILE}, no NETWORK_ERA_VERSION_START-END.json, "
        f"no {BACKUP_FOLDER} folder",
        where=str(path),
        todo="give the folder that pas.backup_dir of the configuration names",
    )


def read_folder(path: Path, *, foreign: bool = False) -> PasFolder:
    """Read every event of a PAS folder.

    Args:
        foreign: take events of the DuckLake ingester too; else they are no events.

    Raises:
        SourceDenied: the folder or a file in it cannot be read.
    """
    # The heads file first: a copier at work writes it after the event, so heads that are read
    # first can be behind the events but never ahead of them.
    heads, findings = _read_heads(path)
    files: list[EventFile] = []
    damaged: set[str] = set()
    for entry in _settled_entries(path):
        if entry.name == HEADS_FILE:
            continue
        if is_leftover(entry.name) or not entry.name.endswith(".json"):
            findings += _leftover(entry)
            continue
        if not entry.is_file():
            findings.append(_rejected(entry.name, "unreadable", "not a regular file"))
            continue
        try:
            data = read_capped(entry.path, MAX_EVENT_BYTES)
            files.append(
                read_event_file(entry.name, data)
                if foreign
                else EventFile(entry.name, parse_event(data, where=entry.name))
            )
        except EventRejected as error:
            findings.append(_rejected(entry.name, error.kind, error.what))
            if error.kind == "unreadable":
                damaged.add(entry.name)
    return PasFolder(path, tuple(files), heads, frozenset(damaged), tuple(findings))


def verify_folder(
    path: Path,
    *,
    chain_key: str = "",
    pin: str = "",
    pins: Mapping[str, str] | None = None,
    holes: Mapping[str, Iterable[LedgerRange]] | None = None,
) -> VerifyReport:
    """Verify a PAS folder at level ``chain``.

    Args:
        chain_key: judge only this chain.
        pin: an event hash that was kept apart and must stand in the chain.
        pins: the same for several chains, by chain key.
        holes: ledgers declared missing, by chain key.

    Raises:
        UsageError: the chain is not here, or a pin is given and there are several.
        SourceDenied: something cannot be read.
    """
    with collector_paused():
        return _verify(path, chain_key, pin, pins or {}, holes)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the cyclic collector from walking many live events again and again (a third of the
    time); nothing here makes cycles."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _verify(
    path: Path,
    chain_key: str,
    pin: str,
    pins: Mapping[str, str],
    holes: Mapping[str, Iterable[LedgerRange]] | None,
) -> VerifyReport:
    folder = read_folder(path, foreign=True)
    keys = {item.event.chain_key for item in folder.files} | set(folder.heads or {})
    if chain_key and chain_key not in keys:
        there = ", ".join(sorted(keys)) or "none"
        raise UsageError(f"no chain {chain_key!r} here (chains: {there})", where=str(path))
    if pin and not chain_key and len(keys) > 1:
        raise UsageError(
            "several chains are here, and one head was given",
            where=str(path),
            todo=f"add --chain with one of {', '.join(sorted(keys))}",
        )
    pinned_key = chain_key or next(iter(keys), "")
    pins = {**pins, pinned_key: pin} if pin and pinned_key else pins
    chains = verify_chains(
        folder.files,
        heads=_heads_to_compare(folder),
        pins=pins,
        holes=holes,
        damaged=folder.damaged,
        foreign=True,
    )
    if chain_key:
        chains = tuple(chain for chain in chains if chain.chain_key == chain_key)
    findings = tuple(f for f in folder.findings if not chain_key or _concerns(f, chain_key))
    findings += tuple(_mixed(folder.files))
    if not keys:
        findings += (_no_events(),)
    return VerifyReport(str(path), "chain", chains, findings, bool(pin or pins))


def read_capped(path: str | Path, limit: int) -> bytes:
    """The file's bytes, or its first ``limit + 1`` when it is larger.

    Raises:
        SourceDenied: it cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            data = os.read(fd, limit + 1)
            while len(data) <= limit and (more := os.read(fd, limit + 1 - len(data))):
                data += more
            return data
        finally:
            os.close(fd)
    except OSError as error:
        raise _unreadable(Path(path), error) from error


def declared_holes(folder: Path) -> dict[str, list[LedgerRange]]:
    """Holes declared in a dataset's ``_holes`` folder, by chain key (from the folder's path).

    Raises:
        UsageError: it is not such a folder. SourceDenied: it cannot be read.
    """
    full = folder.resolve()
    if full.name != "_holes" or len(full.parts) < 5 or not _guarded(full, full.is_dir):
        raise UsageError(
            "not a folder of declared holes",
            where=str(folder),
            todo="give NETWORK/ERA/VERSION/_holes of the dataset",
        )
    holes = []
    for entry in _entries(full):
        stem, dot, suffix = entry.name.rpartition(".")
        try:
            holes += [LedgerRange.parse(stem)] if dot and suffix == "json" else []
        except ValueError:
            continue
    return {"/".join(full.parts[-4:-1]): sorted(holes)}


def _heads_to_compare(folder: PasFolder) -> dict[str, str] | None:
    damaged = any(f.kind == "head_unreadable" for f in folder.findings)
    return None if damaged else folder.heads or {}


def _read_heads(path: Path) -> tuple[dict[str, str] | None, list[Finding]]:
    file = path / HEADS_FILE
    if not _guarded(file, lambda: os.path.lexists(file)):
        return None, []
    try:
        return parse_heads(read_capped(file, MAX_HEADS_BYTES), where=HEADS_FILE), []
    except StateError as error:
        cause = "a crash or a full disk cut it; bronze run makes it anew from the events"
        text = error.what
        return None, [Finding("head_unreadable", "error", "", text, file=HEADS_FILE, cause=cause)]


def _leftover(entry: os.DirEntry[str]) -> Iterator[Finding]:
    if is_leftover(entry.name):
        text = "a copier at work, killed, or met by a damaged file left it; not part of the proof"
        yield Finding("leftover_file", "note", "", text, file=entry.name)


def _rejected(name: str, kind: str, what: str) -> Finding:
    severity: Severity = "error"
    cause = "the file was altered, or comes from other software"
    if kind == "unreadable":
        cause = "a crash or a full disk cut it, or other bytes were put in its place"
        if not is_event_name(name) and not is_ingester_name(name):
            severity, cause = "warning", "it does not belong in this folder"
    return Finding(kind, severity, "", what, file=name, cause=cause)  # type: ignore[arg-type]


def _mixed(files: tuple[EventFile, ...]) -> Iterator[Finding]:
    ours = sum(item.ingester is None for item in files)
    if 0 < ours < len(files):
        text = (
            f"{ours:,} events of PAS v1.1 and {len(files) - ours:,} of the DuckLake ingester are "
        )
        text += "in one folder; each chain is judged by its own rule"
        cause = "two programs write here, or two folders were put into one"
        yield Finding("mixed_shapes", "warning", "", text, cause=cause)


def _no_events() -> Finding:
    return Finding("no_events", "error", "", "the folder holds no event, so nothing is proven")


def _concerns(finding: Finding, chain_key: str) -> bool:
    return (
        not finding.file
        or finding.file == HEADS_FILE
        or finding.file.startswith(chain_prefix(chain_key))
    )


def _children(path: Path) -> list[Path]:
    found, refused = [], None
    for child in sorted(Path(e.path) for e in _entries(path) if e.is_dir()):
        named = child / BACKUP_FOLDER
        try:
            found += [child] if _is_pas(child) else []
            found += [named] if _guarded(named, named.is_dir) else []
        except SourceDenied as error:
            refused = error
    if refused is not None and not found:
        raise refused
    return found


def _is_pas(path: Path) -> bool:
    return any(
        entry.name == HEADS_FILE
        or entry.name.endswith(SIGNED_HEAD_SUFFIX)
        or is_event_name(entry.name)
        or is_ingester_name(entry.name)
        for entry in _entries(path)
    )


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError as error:
        raise _unreadable(path, error) from error


def _settled_entries(path: Path) -> list[os.DirEntry[str]]:
    """The folder's entries by name. A listing that runs while a copier creates files may miss one
    and hold a later one, so it is taken again until no event is new."""
    seen: dict[str, os.DirEntry[str]] = {}
    for _ in range(_LISTINGS):
        fresh = {e.name: e for e in _entries(path) if e.name not in seen}
        seen |= fresh
        if all(is_leftover(name) for name in fresh):
            break
    return [seen[name] for name in sorted(seen)]


def _guarded(path: Path, question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> SourceDenied:
    return SourceDenied(
        f"cannot be read ({error.strerror})",
        where=str(path),
        todo="nothing can be said about the chain: check the path and its permissions",
    )
