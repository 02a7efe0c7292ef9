"""The engine from start to end: opens, runs, closes; every fact goes to the journal."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bronze_tui import __version__
from bronze_tui.config.load import Loaded
from bronze_tui.config.redact import redact
from bronze_tui.domain.errors import BronzeError, Exit, PluginError
from bronze_tui.domain.events import (
    Alert,
    EngineEvent,
    EventLinked,
    PartitionCommitted,
    PartitionFailed,
    RunFinished,
    RunStarted,
)
from bronze_tui.domain.files import sweep
from bronze_tui.engine.control import RunControl, handler
from bronze_tui.engine.estimate import source_bytes_left
from bronze_tui.engine.memory import tune_allocator
from bronze_tui.engine.opening import Opened, RunFlags, engine_options, lock_state
from bronze_tui.engine.run import Engine
from bronze_tui.hooks.manager import PluginHost, load_plugins
from bronze_tui.journal.control import ControlServer
from bronze_tui.journal.writer import JOURNAL_NAME, Journal
from bronze_tui.xdr.header import LedgerReader

_NOTIFIED: dict[type[EngineEvent], str] = {
    RunStarted: "bronze_run_started",
    PartitionCommitted: "bronze_partition_committed",
    PartitionFailed: "bronze_partition_failed",
    EventLinked: "bronze_event_linked",
    RunFinished: "bronze_run_finished",
}


@dataclass(frozen=True, slots=True)
class PluginSwitches:
    """Plugin switches of the command line."""

    third_party: bool = True
    disable: tuple[str, ...] = ()
    strict: bool = False


class EngineProcess:
    """One run of the engine in this process.

    Args:
        listener: called with every journal record.
    """

    def __init__(
        self,
        loaded: Loaded,
        flags: RunFlags,
        switches: PluginSwitches,
        listener: Callable[[dict[str, Any]], None],
    ) -> None:
        self._loaded = loaded
        self._settings = loaded.settings
        self._flags = flags
        self._switches = switches
        self._listener = listener
        self._host: PluginHost | None = None
        self._journal: Journal | None = None
        self._plugin_error: PluginError | None = None
        self.control = RunControl(engine_options(loaded.settings, flags).workers)

    def run(self) -> RunFinished:
        """Run to an outcome; errors of any kind become the closing event.

        Raises:
            LockedError, StoreRefused: the state folder cannot be used, so nothing can be recorded.
        """
        state_dir = self._settings.state_dir()
        run_id = secrets.token_hex(4)
        with ExitStack() as stack:
            stack.enter_context(lock_state(state_dir))
            with suppress(OSError):  # what a killed engine left harms nobody
                sweep(state_dir)
            self._journal = Journal(state_dir / JOURNAL_NAME, run_id, redact=redact)
            stack.callback(self._journal.close)
            self._journal.subscribe(self._listener)
            try:
                with ExitStack() as opened:
                    return self._run(opened, state_dir, run_id)
            except BronzeError as error:
                return self._give_up(error)

    def _run(self, stack: ExitStack, state_dir: Path, run_id: str) -> RunFinished:
        settings = self._settings
        for warning in self._loaded.warnings:
            self._say(Alert("warn", "config", warning))
        self._host = load_plugins(
            allow=settings.plugins.allow,
            disable=(*settings.plugins.disable, *self._switches.disable),
            required=settings.plugins.required,
            third_party=self._switches.third_party,
            needed={settings.source.mode, settings.storage.backend},
            strict=self._switches.strict,
            alert=self._say,
        )
        tune_allocator(self.control.workers)
        # Loading the compiled walker takes some tenths of a second, a first start a whole one.
        walker = threading.Thread(target=LedgerReader, name="walker", daemon=True)
        walker.start()
        opened = Opened(settings, self._flags, self._host, stack, self._say, self.control)
        opened.open_eras()

        def beat() -> None:
            if self._plugin_error is not None:
                raise self._plugin_error
            opened.beat()

        engine = Engine(
            opened.eras,
            opened.options,
            self.control,
            self._say,
            beat,
            opened.delivery,
            opened.traffic,
        )
        opened.waiting.idle = engine.idle
        answers = handler(self.control, engine.status, engine.retry)
        server = ControlServer(state_dir, run_id, answers)
        socket = server.start().socket
        stack.callback(server.close)
        started = self._started(opened, run_id, state_dir, socket)
        self._say(started)
        for coverage in opened.coverage:
            self._say(coverage)
        walker.join()
        opened.delivery.start()
        return engine.run(started.source_tip)

    def _started(self, opened: Opened, run_id: str, state_dir: Path, socket: str) -> RunStarted:
        tip = opened.source.tip()
        counts = [era.plan.count(None) for era in opened.eras]
        rows = [row for era in opened.eras for row in _rows(era)]
        left = [era.plan.count(tip) for era in opened.eras]
        ledgers_left = sum(c[1] for c in left if c is not None)
        done = sum(len(row.partition) for row in rows)
        known = [c for c in counts if c is not None]
        whole = len(known) == len(counts)
        return RunStarted(
            run_id=run_id,
            pid=os.getpid(),
            version=__version__,
            chain_keys=[era.context.chain_key for era in opened.eras],
            source=opened.source.describe().location,
            store=opened.store.uri(opened.eras[0].context.layout.root.rstrip("/")),
            workers=self.control.workers,
            ledger_start=opened.eras[0].context.era.first_ledger,
            ledger_end=opened.eras[-1].context.era.ledger_end,
            partition_size=opened.eras[0].context.era.partition_size,
            partitions_total=len(rows) + sum(c[0] for c in known) if whole else None,
            partitions_done=len(rows),
            ledgers_total=done + sum(c[1] for c in known) if whole else None,
            ledgers_done=done,
            bytes_expected=source_bytes_left(
                opened.source,
                [era.plan for era in opened.eras],
                tip,
                ledgers_left,
                opened.options.fetchers,
            ),
            source_tip=tip,
            config_file=str(self._loaded.path or ""),
            state_dir=str(state_dir),
            socket=socket,
            pas_dir=self._pas_dir(),
        )

    def _pas_dir(self) -> str:
        settings = self._settings
        return str(settings.emitter_options().backup_dir) if settings.pas.enabled else ""

    def _say(self, event: EngineEvent) -> None:
        if self._journal is not None:
            self._journal.emit(event)
        hook = _NOTIFIED.get(type(event))
        if hook is not None and self._host is not None:
            try:
                self._host.notify(hook, event)
            except PluginError as error:
                # Raised between the steps of a commit, it would tear them apart: the run halts at
                # its next beat instead.
                self._plugin_error = error

    def _give_up(self, error: BronzeError) -> RunFinished:
        """The run could not begin: say why and close the journal properly."""
        what = f"{error.where}: {error.what}" if error.where else error.what
        self._say(Alert("error", "engine", what, error.todo))
        finished = RunFinished(
            exit_code=int(error.exit_code),
            outcome="halted" if error.exit_code is Exit.HALTED else "failed",
            message=str(error),
            partitions_committed=0,
            partitions_failed=0,
            ledgers=0,
            xdr_bytes=0,
            source_bytes=0,
            parquet_bytes=0,
            seconds=0.0,
            last_committed_ledger=None,
            head="",
            retries=0,
        )
        self._say(finished)
        return finished


def _rows(era: Any) -> Any:
    return era.context.catalog.rows(era.context.chain_key)
