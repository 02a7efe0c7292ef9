"""One partition to verify, and what verifying it gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bronze_tui.audit.chain import ChainReport
from bronze_tui.audit.findings import Finding, Kind, Severity
from bronze_tui.domain.audit import AuditEvent, EventTable
from bronze_tui.domain.ledger import LedgerRange

LEVELS = ("chain", "manifest", "file", "row", "ledger", "source")
"""In order of depth; each includes those before."""

MOST = 20
"""Findings kept of one partition; more are counted."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A partition as an event announces it, or as its own records do where there is no event."""

    chain_key: str
    partition: LedgerRange
    tables: tuple[tuple[str, EventTable], ...]
    event: AuditEvent | None = None
    position: int | None = None
    """Of the event in link order, counted from 1."""
    event_file: str = ""

    @property
    def byte_size(self) -> int:
        """Bytes announced, of all tables."""
        return sum(table.byte_size for _, table in self.tables)

    @property
    def network(self) -> str:
        """The dataset's name of its network."""
        return self.chain_key.split("/")[0]

    @property
    def identity(self) -> str:
        """The event's hash; without an event, ledgers and checksums."""
        if self.event is not None:
            return self.event.event_hash
        sums = ",".join(table.checksum for _, table in self.tables)
        return f"{self.chain_key}:{self.partition}:{sums}"


@dataclass(frozen=True, slots=True)
class Edges:
    """Hex hashes at a partition's ends, as its rows have them."""

    first_previous_hash: str
    last_hash: str


@dataclass(slots=True)
class Outcome:
    """What was found in one partition."""

    unit: Unit
    findings: list[Finding] = field(default_factory=list)
    edges: Edges | None = None
    ledgers: int = 0
    bytes_read: int = 0
    signers: Counter[str] = field(default_factory=Counter)
    """Signed ledgers by the validator's G-address."""
    first_signed: dict[str, int] = field(default_factory=dict)
    """The first of them."""
    unsigned: int = 0
    unchecked: int = 0
    """Signed ledgers whose network nobody told."""
    anchors: dict[int, str] = field(default_factory=dict)
    """Ledgers whose hash is the trusted one, and that hash."""
    recalled: bool = False
    """An earlier run found it sound, and it was not read again."""
    left_out: int = 0
    """Findings beyond MOST."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return not any(f.severity == "error" for f in self.findings)

    def add(
        self,
        kind: Kind,
        message: str,
        *,
        ledger: int | None = None,
        file: str = "",
        expected: str = "",
        found: str = "",
        cause: str = "",
        severity: Severity = "error",
    ) -> None:
        """Keep a finding of this partition."""
        if len(self.findings) >= MOST:
            self.left_out += 1
            return
        ledgers = str(self.unit.partition) if ledger is None else str(ledger)
        self.findings.append(
            Finding(
                kind,
                severity,
                self.unit.chain_key,
                message,
                self.unit.position,
                ledgers,
                file or self.unit.event_file,
                expected,
                found,
                cause,
            )
        )

    def close(self) -> None:
        """Say how many findings were left out."""
        if self.left_out:
            text = f"{self.left_out} more findings of this partition were left out"
            self.findings.append(
                Finding(
                    "more_findings",
                    "error",
                    self.unit.chain_key,
                    text,
                    self.unit.position,
                    str(self.unit.partition),
                )
            )


def units_of(chains: Iterable[ChainReport]) -> list[Unit]:
    """One unit for each event of the chains, in link order."""
    return [
        Unit(
            chain.chain_key,
            item.event.partition,
            item.event.tables,
            item.event,
            position,
            item.file,
        )
        for chain in chains
        for position, item in enumerate(chain.line, 1)
    ]
