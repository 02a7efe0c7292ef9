"""Makes a lost or damaged catalog again: lineage from the store's commit records, the chain and its
outbox from the proven files of the audit folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bronze_tui.audit.backup import read_backup
from bronze_tui.catalog.opening import open_catalog
from bronze_tui.catalog.outage import Patience
from bronze_tui.catalog.records import ChainRow
from bronze_tui.catalog.store import Catalog
from bronze_tui.config.models import Settings
from bronze_tui.config.redact import redact
from bronze_tui.domain.errors import SourceError, SourceUnavailable, StateError, UsageError
from bronze_tui.domain.events import EngineEvent
from bronze_tui.domain.layout import RAW_TABLE, Layout
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.engine.commit import Committer
from bronze_tui.engine.context import EngineOptions, EraContext
from bronze_tui.engine.opening import RunFlags, engine_options, lock_state
from bronze_tui.engine.outbox import outbox_event
from bronze_tui.engine.reconcile import Inventory, reconcile, take_inventory
from bronze_tui.hooks.contracts import BatchRef, Codec, Emitter, LedgerSource, SourceInfo, Store
from bronze_tui.hooks.manager import PluginHost, load_plugins
from bronze_tui.tables.schema import schema_hash

Say = Callable[[EngineEvent], None]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One chain, made again."""

    chain_key: str
    partitions: int
    events_kept: int
    """Events whose bytes came from files of the audit folder."""
    holes: int
    head: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command was told.

    ``replace``: rows that the catalog has may go. ``new_chain``: events may be lost for good, so
    that the chain begins anew.
    """

    replace: bool = False
    new_chain: bool = False


def rebuild(settings: Settings, wishes: Wishes, say: Say) -> list[Rebuilt]:
    """Make the rows of every active era again; nothing in the store is changed, and event files
    are only added.

    Raises:
        UsageError: the catalog has rows, or events would be lost, and the wishes do not say so.
        StateError: what should vouch for the rows is missing or damaged; nothing was removed.
        LockedError, StoreError, PluginError.
    """
    with ExitStack() as stack:
        stack.enter_context(lock_state(settings.state_dir()))
        host = load_plugins(
            allow=settings.plugins.allow,
            disable=settings.plugins.disable,
            needed={settings.source.mode, settings.storage.backend},
        )
        source = _source(settings, host)
        stack.callback(source.close)
        store: Store = host.store(settings.storage.backend)(settings.store_options())
        stack.callback(store.close)
        layouts = [Layout(settings.storage.prefix, era) for era in settings.active()]
        for layout in layouts:
            stack.callback(store.lock(f"{layout.root}_lock", settings.copier_id).release)
        patience = Patience(limit=lambda: settings.catalog.max_outage, say=say)
        catalog = open_catalog(settings, patience=patience)
        stack.callback(catalog.close)
        work = _Rebuild(settings, wishes, say, source, store, catalog)
        emitters = work.emitters(host, stack)
        return [work.era(layout, emitters) for layout in layouts]


class _Rebuild:
    """Everything open for a rebuild."""

    def __init__(
        self,
        settings: Settings,
        wishes: Wishes,
        say: Say,
        source: LedgerSource,
        store: Store,
        catalog: Catalog,
    ) -> None:
        self._settings = settings
        self._wishes = wishes
        self._say = say
        self._source = source
        self._store = store
        self._catalog = catalog
        self._options: EngineOptions = engine_options(settings, RunFlags())
        self._edge: tuple[int, str] | None = None

    def emitters(self, host: PluginHost, stack: ExitStack) -> tuple[Emitter, ...]:
        """The one that files events, when the audit stream is on."""
        if not self._settings.pas.enabled:
            return ()
        emitter: Emitter = host.emitter("file")(self._settings.emitter_options())
        stack.callback(emitter.close)
        return (emitter,)

    def era(self, layout: Layout, emitters: tuple[Emitter, ...]) -> Rebuilt:
        """One chain."""
        catalog, era = self._catalog, layout.era
        rows = catalog.rows(era.chain_key)
        if rows and not self._wishes.replace:
            raise UsageError(
                f"the catalog has {len(rows)} partitions of {era.chain_key}",
                where=catalog.where,
                todo="it is left alone; --replace makes its rows again",
            )
        owner = f"catalog rebuild (process {os.getpid()} on {socket.gethostname()})"
        context = EraContext(
            era=era,
            layout=layout,
            source=self._source,
            store=self._store,
            catalog=catalog,
            options=self._options,
            dataset_id=catalog.register(era, RAW_TABLE, schema_hash()),
            epoch=catalog.take_lease(era.chain_key, owner),
        )
        backup = Path(self._settings.emitter_options().backup_dir) if emitters else None
        inventory = take_inventory(context)
        kept = self._evidence(context, backup, inventory, rows)
        if rows:
            catalog.forget(era.chain_key, context.dataset_id)
        self._recover(context, emitters, backup)
        made = catalog.rows(era.chain_key)
        return Rebuilt(
            chain_key=era.chain_key,
            partitions=len(made),
            events_kept=sum(row.event_hash in kept for row in made),
            holes=len(inventory.holes),
            head=made[-1].event_hash if made else "",
        )

    def _recover(
        self, context: EraContext, emitters: tuple[Emitter, ...], backup: Path | None
    ) -> None:
        state_dir = self._settings.state_dir()
        committer = Committer(context, emitters, state_dir, self._say)
        if self._edge is not None and self._edge[0] == context.era.first_ledger - 1:
            committer.edge_hash = self._edge[1]
        reconcile(context, committer, backup, state_dir, self._say)
        last = committer.last
        self._edge = None if last is None else (last.partition.end, last.last_ledger_hash)

    def _evidence(
        self,
        context: EraContext,
        backup: Path | None,
        inventory: Inventory,
        rows: Sequence[ChainRow],
    ) -> set[str]:
        """Hashes of the proven events on disk, looked at before anything is removed."""
        events = (
            [] if backup is None else read_backup(backup, context.chain_key, holes=inventory.holes)
        )
        found = {event.event_hash for _, _, event in events}
        if self._wishes.new_chain:
            return found
        if inventory.commits and not found:
            raise UsageError(
                f"{len(inventory.commits)} partitions are committed, but no audit event is there",
                where=str(backup or "pas.enabled is false"),
                todo="restore the audit folder from a backup; --new-chain begins another chain",
            )
        lost = [row for row in rows if row.event_hash not in found and _is_sound(row)]
        if lost:
            raise UsageError(
                f"{len(lost)} events of {context.chain_key} stand in the catalog alone",
                where=self._catalog.where,
                todo="a run writes their files: do that first; --new-chain gives them up",
            )
        return found


def _is_sound(row: ChainRow) -> bool:
    try:
        outbox_event(row)
    except StateError:
        return False
    return True


def _source(settings: Settings, host: PluginHost) -> LedgerSource:
    """The source, which only has to say what it is; one that is away is described as configured."""
    options = settings.source_options()
    try:
        source: LedgerSource = host.source(settings.source.mode)(options)
    except SourceError:
        return _AbsentSource(SourceInfo(options.mode, redact(options.url)))
    return source


class _AbsentSource:
    """A source that cannot be read now."""

    codec: Codec = "none"

    def __init__(self, info: SourceInfo) -> None:
        self._info = info

    def describe(self) -> SourceInfo:
        """As configured."""
        return self._info

    def tip(self) -> int | None:
        """Not known."""
        return None

    def batches(self, ledgers: LedgerRange) -> Sequence[BatchRef]:  # noqa: ARG002
        """None that could be read."""
        return ()

    def read(self, ref: BatchRef) -> bytes:
        """Refuse."""
        raise SourceUnavailable("the source is away", where=ref.key)

    def close(self) -> None:
        """Nothing is open."""
