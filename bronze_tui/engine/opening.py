"""Opens everything a run needs, in the order that keeps others safe: state lock, journal, plugins,
source, store, dataset locks, catalog, reconcile; and closes it in reverse."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from bronze_tui.catalog.deliveries import Deliveries
from bronze_tui.catalog.opening import open_catalog
from bronze_tui.catalog.store import Catalog
from bronze_tui.config.models import Settings
from bronze_tui.config.resolve import workers_of
from bronze_tui.domain.errors import LockedError, StoreRefused
from bronze_tui.domain.events import Alert, Coverage, EngineEvent
from bronze_tui.domain.files import make_dirs
from bronze_tui.domain.layout import RAW_TABLE, Layout
from bronze_tui.domain.ledger import MAX_LEDGER
from bronze_tui.domain.refusal import refusal
from bronze_tui.engine.backlog import LOCK_FILE, DeliveryPolicy
from bronze_tui.engine.commit import Committer
from bronze_tui.engine.context import EngineOptions, EraContext
from bronze_tui.engine.control import RunControl
from bronze_tui.engine.delivery import Delivery, NoDelivery
from bronze_tui.engine.merge import merged
from bronze_tui.engine.plan import EraPlan, next_ledger
from bronze_tui.engine.reconcile import reconcile
from bronze_tui.engine.schedule import EraRun
from bronze_tui.engine.traffic import Traffic
from bronze_tui.engine.waiting import Waiting
from bronze_tui.hooks.contracts import Emitter, LedgerSource, Store, StoreLock
from bronze_tui.hooks.manager import PluginHost
from bronze_tui.tables.parquet import Compression
from bronze_tui.tables.schema import schema_hash

Say = Callable[[EngineEvent], None]

_BEAT = 5.0


@dataclass(frozen=True, slots=True)
class RunFlags:
    """What the command line adds to the configuration."""

    follow: bool | None = None
    """None: follow the tip when the last era has no end."""
    flush_partial: bool = False
    repair: bool = False


def engine_options(settings: Settings, flags: RunFlags) -> EngineOptions:
    """Resolve automatic values."""
    perf = settings.perf
    workers = workers_of(perf)
    endless = settings.active()[-1].ledger_end is None
    once = flags.flush_partial or flags.repair
    follow = endless if flags.follow is None else flags.follow
    return EngineOptions(
        copier_id=settings.copier_id,
        workers=workers,
        window=workers + (perf.queue_size or 2 * workers),
        retry_attempts=perf.retry_attempts,
        retry_backoff=perf.retry_backoff_ms / 1000,
        memory_budget=perf.memory_budget,
        fetchers=perf.fetchers or min(perf.fetchers_max, max(16, 2 * workers)),
        fetchers_max=perf.fetchers_most(),
        adaptive=not perf.fetchers,
        max_ledger_bytes=settings.source.max_ledger_bytes,
        poll_interval=float(settings.source.poll_interval),
        compression=Compression.parse(settings.bronze.compression),
        ingested_now=settings.bronze.ingested_at == "now",
        skip_failed=perf.on_failure == "skip",
        follow=follow and not once,
        flush_partial=flags.flush_partial,
        audit_strict=settings.pas.strict,
        checkpoint_enabled=settings.checkpoint.enabled,
        repair=flags.repair,
    )


def lock_state(state_dir: Path) -> IO[str]:
    """One engine per state folder; the lock ends with the process.

    Raises:
        LockedError: another engine works with it. StoreRefused: it cannot be written.
    """
    path = state_dir / "engine.lock"
    try:
        make_dirs(state_dir)
        file = path.open("a+")
    except OSError as error:
        raise StoreRefused(
            f"state folder cannot be used ({error.strerror})",
            where=str(state_dir),
            todo="set checkpoint.dir to a folder this user can write",
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read(200).strip() or "unknown"
        file.close()
        raise LockedError(
            f"another engine works with this state folder ({owner})",
            where=str(state_dir),
            todo="use bronze ctl status, or give each copier its own checkpoint.dir",
        ) from error
    try:
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
    except OSError as error:
        with suppress(OSError):
            file.close()
        raise refusal(error, path) from error
    return file


class Opened:
    """Everything open for a run; closed by the stack it was opened on."""

    def __init__(
        self,
        settings: Settings,
        flags: RunFlags,
        host: PluginHost,
        stack: ExitStack,
        say: Say,
        control: RunControl,
    ) -> None:
        self._settings = settings
        self._host = host
        self._stack = stack
        self._say = say
        self._flags = flags
        self.options = engine_options(settings, flags)
        self._locks: list[StoreLock] = []
        self._beaten = time.monotonic()
        self._catalog: Catalog | None = None
        self.waiting = Waiting(
            strict=settings.catalog.strict,
            limit=settings.catalog.max_outage,
            control=control,
            say=say,
        )
        self.waiting.idle = self.beat
        self.traffic = Traffic(settings.perf.max_requests_per_second)
        self.source = self._open_source()
        self.store = self._open_store()
        self.eras: list[EraRun] = []
        self.delivery: Delivery | NoDelivery = NoDelivery()
        self.coverage: list[Coverage] = []

    def beat(self) -> None:
        """Keep locks alive.

        Raises:
            LockedError: one was lost; nothing more may be committed.
        """
        now = time.monotonic()
        if now - self._beaten >= _BEAT:
            self._beaten = now
            for lock in self._locks:
                lock.heartbeat()
            if self._catalog is not None and not self.waiting.waits:
                self._catalog.beat()

    def open_eras(self) -> None:
        """Lock, reconcile and plan every active era.

        Raises:
            LockedError, StateError, StoreError: see reconcile. CatalogUnavailable.
        """
        settings = self._settings
        owner = f"{settings.copier_id} (process {os.getpid()} on {socket.gethostname()})"
        eras = settings.active()
        layouts = [Layout(settings.storage.prefix, era) for era in eras]
        for layout in layouts:
            self._lock(layout)
        self.store.clean()
        self._catalog = catalog = open_catalog(settings, patience=self.waiting.patience())
        self._stack.callback(catalog.close)
        emitters = self._open_emitters()
        edge: tuple[int, str] | None = None
        for layout in layouts:
            run = self._open_era(layout, catalog, emitters, owner, edge)
            self.eras.append(run)
            last = run.committer.last
            edge = None if last is None else (last.partition.end, last.last_ledger_hash)
        keys = [layout.era.chain_key for layout in layouts]
        self.delivery = open_delivery(settings, self._host, catalog, keys, self._say)
        self._stack.callback(self.delivery.close)

    def _open_source(self) -> LedgerSource:
        factory = self._host.source(self._settings.source.mode)
        options = replace(self._settings.source_options(), meter=self.traffic.meter("source"))
        source = self.traffic.source(factory(options), options.url)
        self._stack.callback(source.close)
        for note in source.describe().notes:
            self._say(Alert("warn", "source", note))
        return source

    def _open_store(self) -> Store:
        factory = self._host.store(self._settings.storage.backend)
        options = replace(self._settings.store_options(), meter=self.traffic.meter("store"))
        store = self.traffic.store(factory(options), options.url)
        self._stack.callback(store.close)
        return store

    def _open_emitters(self) -> tuple[Emitter, ...]:
        if not self._settings.pas.enabled:
            return ()
        emitter: Emitter = self._host.emitter("file")(self._settings.emitter_options())
        self._stack.callback(emitter.close)
        return (emitter,)

    def _lock(self, layout: Layout) -> None:
        lock = self.store.lock(f"{layout.root}_lock", self._settings.copier_id)
        self._stack.callback(lock.release)
        self._locks.append(lock)

    def _open_era(
        self,
        layout: Layout,
        catalog: Catalog,
        emitters: tuple[Emitter, ...],
        owner: str,
        edge: tuple[int, str] | None,
    ) -> EraRun:
        settings, era = self._settings, layout.era
        context = EraContext(
            era=era,
            layout=layout,
            source=self.source,
            store=self.store,
            catalog=catalog,
            options=self.options,
            dataset_id=catalog.register(era, RAW_TABLE, schema_hash()),
            epoch=catalog.take_lease(era.chain_key, owner),
        )
        committer = Committer(context, emitters, settings.state_dir(), self._say)
        if edge is not None and edge[0] == era.first_ledger - 1:
            committer.edge_hash = edge[1]
        backup = Path(settings.emitter_options().backup_dir) if emitters else None
        inventory = reconcile(context, committer, backup, settings.state_dir(), self._say)
        rows = catalog.rows(era.chain_key)
        committed = [row.partition for row in rows]
        holes = tuple(h for h in inventory.holes if h not in committed)
        self.coverage.append(
            Coverage(
                chain_key=era.chain_key,
                committed=merged(committed),
                holes=[str(h) for h in holes],
                head=rows[-1].event_hash if rows else "",
                events=len(rows),
            )
        )
        position = next_ledger(era, committed, holes)
        plan = EraPlan(
            era, position, holes, repair=self._flags.repair, flush=self._flags.flush_partial
        )
        first = next(iter(plan.partitions(MAX_LEDGER)), None)
        if first is not None:
            # Before anything is built: files of a wrong cut would stop the right one.
            catalog.check_place(era.chain_key, first, context.dataset_id)
        return EraRun(context, committer, plan)


def open_delivery(
    settings: Settings, host: PluginHost, catalog: Catalog, chain_keys: Sequence[str], say: Say
) -> Delivery | NoDelivery:
    """What posts the chains' events to the configured endpoint; not started.

    Raises:
        ConfigError, PluginError, UsageError: there can be no emitter. What the catalog raises.
    """
    pas = settings.pas
    if not (pas.enabled and pas.endpoint):
        return NoDelivery()
    emitter: Emitter = host.emitter("http")(settings.emitter_options())
    policy = DeliveryPolicy(settings.state_dir() / LOCK_FILE, pas.strict, pas.max_outbox)
    return Delivery(Deliveries(catalog), chain_keys, emitter, policy, say)
