"""Trusted ledger hashes from history archives and RPC servers, fetched for the ledgers to verify.

Of each unbroken run of partitions the newest ledger is enough: links prove the older ones. Where
two sources know one ledger they must agree, else neither is believed about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bronze_tui.audit.findings import Finding, Kind
from bronze_tui.audit.history import (
    FREQUENCY,
    Archive,
    ArchiveState,
    Header,
    checkpoint_of,
    checkpoint_range,
    signed_for,
)
from bronze_tui.audit.levels.unit import Unit
from bronze_tui.audit.rpc import Rpc
from bronze_tui.domain.errors import SourceDataError, SourceError, UsageError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.text import safe_text


class AnchorSource(Protocol):
    """Somebody who says which ledgers the network closed."""

    where: str
    """For people."""
    kind: str
    """What it is, in the report's words."""

    def passphrase(self) -> str:
        """Of its network; empty where it does not say.

        Raises:
            SourceError, UsageError: there is no such source.
        """
        ...

    def window(self) -> LedgerRange:
        """Ledgers that it knows.

        Raises:
            SourceError, UsageError.
        """
        ...

    def header(self, ledger: int) -> Header:
        """The header of a ledger of the window, proven by its hash.

        Raises:
            SourceError.
        """
        ...

    def close(self) -> None:
        """Release what is held; idempotent."""
        ...


class ArchiveSource:
    """A history archive."""

    kind = "history archive"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.where = archive.where
        self._state: ArchiveState | None = None
        self._held: tuple[int, tuple[Header, ...]] = (0, ())

    def passphrase(self) -> str:
        """Of its network; empty in archives of old."""
        return self._known().passphrase

    def window(self) -> LedgerRange:
        """From ledger 1 to the newest whole checkpoint."""
        current = self._known().current
        newest = (current + 1) // FREQUENCY * FREQUENCY - 1
        if newest < 1:
            text = f"its newest ledger is {current}: no checkpoint is whole"
            raise SourceDataError(text, where=self.where)
        return LedgerRange(1, newest)

    def header(self, ledger: int) -> Header:
        """One header of a checkpoint, all of which was checked."""
        checkpoint = checkpoint_of(ledger)
        if self._held[0] != checkpoint:
            self._held = checkpoint, self._archive.checkpoint(checkpoint)
        return self._held[1][ledger - checkpoint_range(checkpoint).start]

    def close(self) -> None:
        """Release what is held; idempotent."""
        self._archive.close()

    def _known(self) -> ArchiveState:
        if self._state is None:
            self._state = self._archive.state()
        return self._state


class RpcSource:
    """An RPC server."""

    kind = "RPC server"

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self.where = rpc.where

    def passphrase(self) -> str:
        """Of its network."""
        return self._rpc.passphrase()

    def window(self) -> LedgerRange:
        """Ledgers that the server keeps."""
        return self._rpc.window()

    def header(self, ledger: int) -> Header:
        """One header."""
        return self._rpc.header(ledger)

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._rpc.close()


@dataclass(slots=True)
class SourceUse:
    """What a source was asked for and gave."""

    kind: str
    where: str
    window: LedgerRange | None = None
    named: bool = False
    """Whether it says which network it is of."""
    ledgers: list[int] = field(default_factory=list)
    """Whose hashes it gave."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Anchors by the dataset's network name, and how they were come by."""

    anchors: dict[str, dict[int, str]]
    uses: tuple[SourceUse, ...]
    findings: tuple[Finding, ...]
    disputed: frozenset[int] = frozenset()
    """Ledgers of which nobody is believed, the given file neither."""


def gather(
    sources: Sequence[AnchorSource],
    units: Sequence[Unit],
    passphrases: Mapping[str, str],
    given: Mapping[int, str],
) -> Gathered:
    """Ask every source for the newest ledger of each unbroken run that it knows.

    Args:
        passphrases: by network name of the datasets; empty texts where nobody knows.
        given: trusted hashes from a file, which sources must not contradict.

    Raises:
        UsageError: a source is of another network than all datasets, or is none.
    """
    return _Gathering(units, passphrases, given).run(sources)


class _Gathering:
    def __init__(
        self, units: Sequence[Unit], passphrases: Mapping[str, str], given: Mapping[int, str]
    ) -> None:
        self._passphrases, self._given = passphrases, given
        self._runs = _runs(units)
        self._said: dict[tuple[str, int], list[tuple[str, str]]] = {}
        self._findings: list[Finding] = []
        self._disputed: set[int] = set()

    def run(self, sources: Sequence[AnchorSource]) -> Gathered:
        asked = [(source, SourceUse(source.kind, source.where)) for source in sources]
        able = [(s, use, networks) for s, use in asked if (networks := self._open(s, use))]
        wanted: dict[str, set[int]] = {name: set() for name in self._passphrases}
        for _, use, networks in able:
            assert use.window is not None
            for name in networks:
                for run in self._runs.get(name, ()):
                    newest = min(run.end, use.window.end)
                    if newest >= max(run.start, use.window.start):
                        wanted[name].add(newest)
        for source, use, networks in able:
            for name in networks:
                self._ask(source, use, name, sorted(wanted[name]))
        anchors = {name: self._agreed(name) for name in self._passphrases}
        return Gathered(
            anchors,
            tuple(use for _, use in asked),
            tuple(self._findings),
            frozenset(self._disputed),
        )

    def _open(self, source: AnchorSource, use: SourceUse) -> tuple[str, ...]:
        """The networks that the source speaks for; none when it cannot be read."""
        try:
            theirs = source.passphrase()
            use.named = bool(theirs)
            networks = self._networks(source, theirs)
            use.window = source.window()
        except SourceError as error:
            self._refused(source, error, "", "")
            return ()
        return networks

    def _networks(self, source: AnchorSource, theirs: str) -> tuple[str, ...]:
        unknown = [name for name, text in self._passphrases.items() if not text]
        if unknown:
            raise UsageError(
                f"which network {unknown[0]!a} is, is not known",
                where=source.where,
                todo="give --network-passphrase",
            )
        ours = tuple(n for n, text in self._passphrases.items() if theirs in ("", text))
        if not ours:
            wanted = ", ".join(sorted(set(self._passphrases.values())))
            raise UsageError(
                f"the {source.kind} is of network {safe_text(theirs)[:80]!a}, and the data of "
                f"{wanted!a}",
                where=source.where,
                todo="give one of the data's network",
            )
        return ours

    def _ask(
        self, source: AnchorSource, use: SourceUse, network: str, ledgers: Iterable[int]
    ) -> None:
        assert use.window is not None
        for ledger in ledgers:
            if ledger not in use.window:
                continue
            try:
                header = source.header(ledger)
                signed = signed_for(header, self._passphrases[network])
                if signed is False:
                    text = f"the signature of ledger {ledger} is not one of this network"
                    raise SourceDataError(text, where=source.where)
                if signed is None and not use.named:
                    text = f"neither it nor the header of ledger {ledger} says which network"
                    raise SourceDataError(text, where=source.where)
            except SourceError as error:
                self._refused(source, error, network, str(ledger))
                continue
            use.ledgers.append(ledger)
            said = self._said.setdefault((network, ledger), [])
            said.append((f"{source.kind} {source.where}", header.ledger_hash.hex()))

    def _agreed(self, network: str) -> dict[int, str]:
        agreed: dict[int, str] = {}
        for (name, ledger), said in sorted(self._said.items()):
            if name != network:
                continue
            if ledger in self._given:
                said = [("the file of trusted hashes", self._given[ledger]), *said]
            if len({text for _, text in said}) == 1:
                agreed[ledger] = said[0][1]
            else:
                self._disagree(network, ledger, said)
        return agreed

    def _disagree(self, network: str, ledger: int, said: Sequence[tuple[str, str]]) -> None:
        self._disputed.add(ledger)
        (first, ours), *others = said
        other, theirs = next((who, what) for who, what in others if what != ours)
        everybody = "; ".join(f"{who} says {what}" for who, what in said)
        self._add(
            "anchor_disagreement",
            network,
            f"trusted sources name different ledgers {ledger}: {everybody}",
            str(ledger),
            cause=f"{first} or {other} is forged, or of another network: ask a third",
            expected=ours,
            found=theirs,
        )

    def _refused(
        self, source: AnchorSource, error: SourceError, network: str, ledgers: str
    ) -> None:
        damaged = isinstance(error, SourceDataError)
        self._add(
            "anchor_damaged" if damaged else "anchor_unreadable",
            network,
            f"the {source.kind} {source.where} gave no trusted hash: {error.what}",
            ledgers,
            file=error.where,
            cause="what it gives is forged or damaged, so it proves nothing"
            if damaged
            else error.todo,
        )

    def _add(
        self,
        kind: Kind,
        network: str,
        text: str,
        ledgers: str,
        *,
        file: str = "",
        cause: str = "",
        expected: str = "",
        found: str = "",
    ) -> None:
        self._findings.append(
            Finding(kind, "error", network, text, None, ledgers, file, expected, found, cause)
        )


def _runs(units: Iterable[Unit]) -> dict[str, list[LedgerRange]]:
    """Unbroken runs of partitions of each dataset, by network name."""
    runs: dict[str, list[LedgerRange]] = {}
    before: Unit | None = None
    for unit in sorted(units, key=lambda u: (u.chain_key, u.partition)):
        found = runs.setdefault(unit.network, [])
        joined = before is not None and before.chain_key == unit.chain_key
        if joined and found[-1].end + 1 >= unit.partition.start:
            found[-1] = LedgerRange(found[-1].start, max(found[-1].end, unit.partition.end))
        else:
            found.append(unit.partition)
        before = unit
    return runs
