"""The signed head that a folder publishes, or that an auditor kept, against the chain itself.

A head that is older than the chain is fine and shown to be about its first events; one that is
newer means that events are gone. Signatures are checked by the keys that are given and no others.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from bronze_tui.audit import tree
from bronze_tui.audit.chain import ChainReport
from bronze_tui.audit.findings import Finding, Kind
from bronze_tui.audit.folder import read_capped
from bronze_tui.audit.names import SIGNED_HEAD_SUFFIX, signed_head_name
from bronze_tui.audit.note import MAX_NOTE_BYTES, VerifyKey, open_note, split_note
from bronze_tui.audit.report import SignedHead, VerifyReport
from bronze_tui.audit.signedhead import TreeHead, leaf_hashes, origin_of, parse_head
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.domain.errors import SourceDenied

_ALARM = "keep the head as evidence: who signed it has announced these events"


@dataclass(frozen=True, slots=True)
class HeadFile:
    """A signed head as it lies in a file; nothing about it is checked yet."""

    path: Path
    head: TreeHead
    signers: tuple[tuple[str, str], ...]
    """Key name and key id (hex) of each signature."""
    signed_at: float
    """The file's time, Unix seconds: a head has none of its own."""

    @property
    def chain_key(self) -> str:
        """The chain that the origin names, empty when it names none."""
        return chain_of_origin(self.head.origin)


def chain_of_origin(origin: str) -> str:
    """The chain key at the end of a log's origin; empty when there is none."""
    parts = [unquote(part) for part in origin.split("/")[-3:]]
    return "/".join(parts) if len(parts) == 3 and all(parts) else ""


def read_head_file(path: Path) -> HeadFile | None:
    """A head's file; None where there is none.

    Raises:
        ProofRejected: it is no signed head. SourceDenied: it cannot be read.
    """
    try:
        at = os.stat(path).st_mtime  # noqa: PTH116
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceDenied(f"cannot be read ({error.strerror})", where=str(path)) from error
    text, signatures = split_note(read_capped(path, MAX_NOTE_BYTES))
    signers = tuple((name, key_id.hex()) for name, key_id, _ in signatures)
    return HeadFile(path, parse_head(text), signers, at)


def compare_published(
    report: VerifyReport,
    folder: Path,
    keys: Sequence[VerifyKey],
    *,
    chain_key: str = "",
    kept: Iterable[Path] = (),
    required: bool = True,
) -> VerifyReport:
    """The report with each chain's signed head, and with what is wrong between the two.

    Args:
        folder: the PAS folder, where heads are published beside the events.
        chain_key: only this chain's.
        kept: files of heads that the auditor kept, which must be about the chain's first events.
        required: whether a chain without a published head is an error, not a warning.

    Raises:
        SourceDenied: a head cannot be read.
    """
    chains, shown = [], dict(report.signed_heads)
    kept = list(kept)
    known = {chain_key} if chain_key else _keys(report)
    others = [path for path in kept if not chain_key and chain_of_file(path) not in known]
    for chain in report.chains:
        path = folder / signed_head_name(chain.chain_key)
        judge = _Judge(chain, keys)
        shown[chain.chain_key] = judge.published(path, required=required)
        for mine in kept:
            if chain_key or chain_of_file(mine) == chain.chain_key:
                judge.head(mine)
        chains.append(replace(chain, findings=(*judge.found, *chain.findings)))
    stray = [*_orphans(folder, report, chain_key), *others]
    found = [finding for path in stray for finding in _orphan(path, keys)]
    return replace(
        report,
        chains=tuple(chains),
        findings=(*found, *report.findings),
        signed_heads=shown,
    )


def chain_of_file(path: Path) -> str | None:
    """The chain that a head's file names; None where it is no signed head.

    Raises:
        SourceDenied: it cannot be read.
    """
    try:
        found = read_head_file(path)
    except ProofRejected:
        return None
    return found.chain_key if found is not None else None


def look_at_heads(
    chains: Iterable[ChainReport], folder: Path, keys: Sequence[VerifyKey]
) -> Mapping[str, SignedHead]:
    """What each chain's published head is, without findings; unreadable ones say so in words."""
    shown = {}
    for chain in chains:
        try:
            judge = _Judge(chain, keys)
            path = folder / signed_head_name(chain.chain_key)
            shown[chain.chain_key] = judge.published(path, required=False)
        except SourceDenied as error:
            shown[chain.chain_key] = SignedHead("unreadable", words=error.what)
    return shown


def _keys(report: VerifyReport) -> set[str]:
    return {chain.chain_key for chain in report.chains}


def _orphans(folder: Path, report: VerifyReport, chain_key: str) -> Iterator[Path]:
    """Published heads of chains that have no event here."""
    known = {signed_head_name(key) for key in _keys(report)}
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        raise SourceDenied(f"cannot be read ({error.strerror})", where=str(folder)) from error
    for name in names:
        if not name.endswith(SIGNED_HEAD_SUFFIX) or name in known:
            continue
        if not chain_key or chain_of_file(folder / name) == chain_key:
            yield folder / name


def _orphan(path: Path, keys: Sequence[VerifyKey]) -> list[Finding]:
    key = chain_of_file(path) or ""
    judge = _Judge(ChainReport(key, 0, (), "", "", "", ()), keys)
    judge.head(path)
    return judge.found


class _Judge:
    """Collects what is wrong between one chain and the heads signed of it."""

    def __init__(self, chain: ChainReport, keys: Sequence[VerifyKey]) -> None:
        self._chain = chain
        self._keys = keys
        self._leaves: list[bytes] | None = None
        self.found: list[Finding] = []

    def published(self, path: Path, *, required: bool) -> SignedHead:
        """Judge the head that the folder publishes."""
        if path.is_symlink() or path.exists():
            return self.head(path)
        self._add(
            "signed_head_missing",
            path,
            "no signed head is published beside the events",
            cause="'bronze head' was never run, or the head was taken away",
            warning=not required,
        )
        return SignedHead("missing")

    def head(self, path: Path) -> SignedHead:
        """Judge one head: form, signature, origin, then size and root against the events."""
        try:
            file = read_head_file(path)
        except ProofRejected as error:
            self._add("signed_head_malformed", path, error.what, cause="the file was altered")
            return SignedHead("malformed", words=error.what)
        if file is None:
            raise SourceDenied("no such file", where=str(path))
        state = self._signature(file) or self._origin(file) or self._events(file)
        names = " ".join(sorted({name for name, _ in file.signers}))
        head = file.head
        return SignedHead(state, head.size, head.root.hex(), names, file.signed_at)

    def _signature(self, file: HeadFile) -> str:
        """``bad_signature`` or ``unknown_key`` where it does not count; else nothing."""
        if not self._keys:
            return ""
        trusted = {(key.name, key.key_id.hex()) for key in self._keys}
        there = ", ".join("+".join(signer) for signer in file.signers)
        wanted = ", ".join("+".join(key) for key in sorted(trusted))
        if not trusted & set(file.signers):
            self._add(
                "signed_head_unknown_key",
                file.path,
                "no key that you trust signed this head",
                expected=wanted,
                found=there,
                cause="the operator's key was replaced, or somebody else made this head",
            )
            return "unknown_key"
        try:
            open_note(read_capped(file.path, MAX_NOTE_BYTES), self._keys)
        except ProofRejected as error:
            self._add(
                "signed_head_bad_signature",
                file.path,
                error.what,
                expected=wanted,
                found=f"{file.head}",
                cause="the head was altered after it was signed, or signed in another's name",
            )
            return "bad_signature"
        return ""

    def _origin(self, file: HeadFile) -> str:
        names = [key.name for key in self._keys] or [name for name, _ in file.signers]
        expected = [origin_of(name, self._chain.chain_key) for name in names]
        if file.head.origin in expected:
            return ""
        self._add(
            "signed_head_other_origin",
            file.path,
            "the head is one of another log",
            expected=" or ".join(expected),
            found=file.head.origin,
            cause="the head of another chain or operator was put in its place",
        )
        return "other_origin"

    def _events(self, file: HeadFile) -> str:
        head, line = file.head, [item.event for item in self._chain.line]
        if head.size > len(line):
            lost = head.size - len(line)
            self._add(
                "signed_head_ahead",
                file.path,
                f"EVENTS ARE MISSING: {head.size:,} were signed and {len(line):,} are here, "
                f"{lost:,} of them are gone",
                expected=str(head),
                found=f"{len(line)} events, head {self._chain.head or 'none'}",
                cause=f"the end of the chain was cut off or not copied here; {_ALARM}",
            )
            return "ahead"
        if self._leaves is None:
            self._leaves = leaf_hashes(line)
        root = tree.root(self._leaves, head.size)
        if root != head.root:
            self._add(
                "signed_head_mismatch",
                file.path,
                f"THE CHAIN WAS REWRITTEN: its first {head.size:,} events are not those that were "
                "signed",
                expected=f"root {head.root.hex()}",
                found=f"root {root.hex()}",
                cause=f"an event among them is another now; {_ALARM}",
            )
            return "mismatch"
        return "behind" if head.size < len(line) else "current"

    def _add(
        self,
        kind: Kind,
        path: Path,
        message: str,
        *,
        expected: str = "",
        found: str = "",
        cause: str = "",
        warning: bool = False,
    ) -> None:
        severity = "warning" if warning else "error"
        self.found.append(
            Finding(
                kind,
                severity,  # type: ignore[arg-type]
                self._chain.chain_key,
                message,
                file=path.name,
                expected=expected,
                found=found,
                cause=cause,
            )
        )
