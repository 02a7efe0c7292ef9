"""The state of every configured chain as the catalog and the checkpoint on disk tell it."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bronze_tui.audit.memory import memory_folder, seen_heads
from bronze_tui.audit.names import signed_head_name
from bronze_tui.audit.standing import known_rows, signed_doc, signed_file
from bronze_tui.catalog.deliveries import Backlog, Deliveries
from bronze_tui.catalog.opening import read_catalog
from bronze_tui.catalog.store import Catalog
from bronze_tui.config.models import Settings
from bronze_tui.domain.checkpoint import Checkpoint
from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import BronzeError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.engine.backlog import age_of
from bronze_tui.engine.merge import merged
from bronze_tui.journal.outbox import outbox_words
from bronze_tui.journal.wire import call, engine_info


@dataclass(frozen=True, slots=True)
class ChainSurvey:
    """One chain; ranges are ``S-E`` texts."""

    chain_key: str
    covered: list[str]
    gaps: list[str]
    """Ledgers inside the covered span that are neither committed nor declared."""
    holes: list[str]
    ledgers: int
    partitions: int
    last_ledger: int | None
    ledger_end: int | None
    head: str
    events: int
    unfiled: int
    checkpoint: str
    checkpoint_ledger: int | None
    checkpoint_age_seconds: float | None
    delivery: str = ""
    """One line on the deliveries; empty without an endpoint."""
    undelivered: int = 0
    parked: int = 0
    signed_head: dict[str, Any] | None = None
    """Of the file beside the events, unchecked; None when it is not signed."""
    last_seen: dict[str, Any] | None = None
    """The head that ``bronze verify`` saw last here; ``in_chain`` is false when it is gone."""
    proof: list[list[str]] = field(default_factory=list)
    """Name and value of each line about these."""


@dataclass(frozen=True, slots=True)
class Survey:
    """All configured chains and whether an engine works on them."""

    state_dir: str
    engine: str
    chains: list[ChainSurvey]

    def to_doc(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def survey(settings: Settings) -> Survey:
    """Read the state; writes nothing.

    Raises:
        StateError: the catalog is damaged. CatalogUnavailable: it does not answer.
    """
    state_dir, catalog = settings.state_dir(), read_catalog(settings)
    try:
        chains = [_chain(era, catalog, state_dir) for era in settings.active()]
        if settings.pas.enabled:
            chains = [_with_proof(chain, catalog, settings) for chain in chains]
        if catalog is not None and settings.pas.enabled and settings.pas.endpoint:
            deliveries = Deliveries(catalog, read_only=True)
            chains = [_with_delivery(c, deliveries.backlog(c.chain_key)) for c in chains]
    finally:
        if catalog is not None:
            catalog.close()
    return Survey(str(state_dir), _engine(state_dir), chains)


def _chain(era: Era, catalog: Catalog | None, state_dir: Path) -> ChainSurvey:
    rows = catalog.rows(era.chain_key) if catalog else []
    partitions = sorted(row.partition for row in rows)
    declared = catalog.holes(era.chain_key) if catalog else []
    holes = [hole.partition for hole in declared if hole.repaired_at is None]
    text, ledger, age = _checkpoint(era, state_dir)
    return ChainSurvey(
        chain_key=era.chain_key,
        covered=merged(partitions),
        gaps=_gaps(era, [*partitions, *holes]),
        holes=[str(hole) for hole in holes],
        ledgers=sum(map(len, partitions)),
        partitions=len(partitions),
        last_ledger=partitions[-1].end if partitions else None,
        ledger_end=era.ledger_end,
        head=rows[-1].event_hash if rows else "",
        events=len(rows),
        unfiled=sum(not row.filed for row in rows),
        checkpoint=text,
        checkpoint_ledger=ledger,
        checkpoint_age_seconds=age,
    )


def _with_proof(chain: ChainSurvey, catalog: Catalog | None, settings: Settings) -> ChainSurvey:
    rows = catalog.rows(chain.chain_key) if catalog else []
    hashes = {row.event_hash: number for number, row in enumerate(rows, 1)}
    folder, now = settings.emitter_options().backup_dir, time.time()
    signed = signed_file(folder / signed_head_name(chain.chain_key), len(rows))
    seen = seen_heads(memory_folder(os.environ), str(folder)).get(chain.chain_key)
    lines = known_rows(signed, seen, hashes, chain.head, now)
    return replace(
        chain,
        signed_head=signed_doc(signed, now),
        last_seen=None if seen is None else {**asdict(seen), "in_chain": seen.head in hashes},
        proof=[[name, value] for name, value, _ in lines],
    )


def _with_delivery(chain: ChainSurvey, backlog: Backlog) -> ChainSurvey:
    figures = {
        "waiting": backlog.waiting,
        "parked": int(backlog.parked is not None),
        "oldest_seconds": age_of(backlog.oldest),
    }
    text = f"{backlog.delivered:,} events; {outbox_words(figures) or 'none waits'}"
    if backlog.parked is not None:
        text += f": event {backlog.parked.seq}, {backlog.parked.reason}"
    return replace(
        chain, delivery=text, undelivered=backlog.waiting, parked=int(backlog.parked is not None)
    )


def _gaps(era: Era, known: list[LedgerRange]) -> list[str]:
    gaps = []
    expected = era.first_ledger
    for partition in sorted(known):
        if partition.start > expected:
            gaps.append(f"{expected}-{partition.start - 1}")
        expected = max(expected, partition.end + 1)
    return gaps


def _checkpoint(era: Era, state_dir: Path) -> tuple[str, int | None, float | None]:
    path = state_dir / Checkpoint.file_name(era)
    try:
        checkpoint = Checkpoint.from_json(path.read_bytes(), where=str(path))
        age = max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return "none", None, None
    except (OSError, BronzeError) as error:
        return f"unreadable ({error})", None, None
    ledger = checkpoint.last_committed_ledger
    return f"ledger {ledger}, {age:,.0f} s old", ledger, age


def _engine(state_dir: Path) -> str:
    """One line on the engine of this state folder."""
    try:
        info = engine_info(state_dir)
        if info is None:
            return "not running"
        answer = call(state_dir, "status", timeout=2.0)
    except BronzeError:
        return "not running"
    return f"{answer.get('state', 'running')}, process {info.pid}, run {info.run_id}"
