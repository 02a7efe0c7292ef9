"""``bronze run``: the copier.

On a terminal the engine is a process of its own and the app reads its journal; else the engine
works in this process and is rendered from its journal.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bronze_tui.commands._options import Command, config_options
from bronze_tui.domain.errors import Exit

if TYPE_CHECKING:
    from bronze_tui.config.load import Loaded
    from bronze_tui.engine.control import RunControl
    from bronze_tui.engine.main import PluginSwitches
    from bronze_tui.engine.opening import RunFlags

_ENGINE_OPTIONS: tuple[Callable[[Command], Command], ...] = (
    click.option("--workers", type=click.IntRange(1, 64), help="Builders; else perf.workers."),
    click.option(
        "--follow/--no-follow",
        default=None,
        help="Wait for new ledgers at the source's tip (default: when the last era has no end).",
    ),
    click.option(
        "--flush-partial", is_flag=True, help="At the tip, commit a short last partition, then end."
    ),
    click.option("--repair", is_flag=True, help="Work on declared holes only."),
    click.option("--no-plugins", is_flag=True, help="Built-in plugins only."),
    click.option("--disable-plugin", multiple=True, metavar="NAME", help="Do not load a plugin."),
    click.option(
        "--strict-plugins", is_flag=True, help="End with 4 when any plugin fails to load."
    ),
)


def engine_options(command: Command) -> Command:
    """Add the options that say how the engine works, in the order of ``_ENGINE_OPTIONS``."""
    for option in reversed(_ENGINE_OPTIONS):
        command = option(command)
    return command


@click.command()
@config_options
@click.option("--no-tui", is_flag=True, help="Without the app: progress, or log lines in a pipe.")
@click.option("--dry-run", is_flag=True, help="Print the plan; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Journal as JSON lines on stdout.")
@click.option("--plain", is_flag=True, help="Log lines instead of progress bars on a terminal.")
@engine_options
def command(
    config: Path | None,
    sets: tuple[str, ...],
    no_tui: bool,
    dry_run: bool,
    as_json: bool,
    plain: bool,
    workers: int | None,
    follow: bool | None,
    flush_partial: bool,
    repair: bool,
    no_plugins: bool,
    disable_plugin: tuple[str, ...],
    strict_plugins: bool,
) -> int:
    """Copy ledgers from the source into committed partitions.

    On a terminal it opens the operator's screen; --no-tui, --json, --plain or a pipe run without.
    Without it Ctrl-C or SIGTERM drains: what is being built is finished and committed. A second
    Ctrl-C stops at once, which is safe too. SIGHUP (a lost terminal) is survived. Run again to go
    on.
    """
    from bronze_tui.commands._context import load_config

    if workers is not None:
        sets = (*sets, f"perf.workers={workers}")
    if not (no_tui or as_json or plain or dry_run):
        from bronze_tui.tui import launch

        if launch.on_terminal():
            if launch.nothing_configured(config, sets):
                from bronze_tui.commands._starting import start

                return start()
            flags = _spelled(
                follow, flush_partial, repair, no_plugins, disable_plugin, strict_plugins
            )
            arguments = [*config_arguments(config, sets), *flags]
            return launch.run_with_app(load_config(config, sets), arguments).code
    return _without_app(
        load_config(config, sets),
        (follow, flush_partial, repair),
        (no_plugins, disable_plugin, strict_plugins),
        dry_run=dry_run,
        as_json=as_json,
        plain=plain,
    )


def config_arguments(config: Path | None, sets: Sequence[str] = ()) -> list[str]:
    """``--config`` and ``--set`` as they stand on a command line."""
    given = ["--config", str(config)] if config is not None else []
    return [*given, *(word for value in sets for word in ("--set", value))]


def _spelled(
    follow: bool | None,
    flush_partial: bool,
    repair: bool,
    no_plugins: bool,
    disable_plugin: tuple[str, ...],
    strict_plugins: bool,
) -> list[str]:
    words = [] if follow is None else ["--follow" if follow else "--no-follow"]
    switches = {
        "--flush-partial": flush_partial,
        "--repair": repair,
        "--no-plugins": no_plugins,
        "--strict-plugins": strict_plugins,
    }
    words += [word for word, given in switches.items() if given]
    return [*words, *(word for name in disable_plugin for word in ("--disable-plugin", name))]


def _without_app(
    loaded: Loaded,
    flags: tuple[bool | None, bool, bool],
    switches: tuple[bool, tuple[str, ...], bool],
    *,
    dry_run: bool,
    as_json: bool,
    plain: bool,
) -> int:
    from bronze_tui.engine.main import PluginSwitches
    from bronze_tui.engine.opening import RunFlags

    run_flags = RunFlags(*flags)
    plugin_switches = PluginSwitches(not switches[0], *switches[1:])
    if dry_run:
        return _dry_run(loaded, run_flags, plugin_switches, as_json=as_json)
    return run_headless(loaded, run_flags, plugin_switches, as_json=as_json, plain=plain)


def run_engine(loaded: Loaded, flags: RunFlags, switches: PluginSwitches) -> int:
    """Run the engine in this process without any renderer; the exit code."""
    from bronze_tui.engine.main import EngineProcess

    listeners = _serve_metrics(loaded)
    try:
        engine = EngineProcess(loaded, flags, switches, listeners.listener)
        with Signals(engine.control):
            return int(engine.run().exit_code)
    finally:
        listeners.close()


def run_headless(
    loaded: Loaded,
    flags: RunFlags,
    switches: PluginSwitches,
    *,
    as_json: bool = False,
    plain: bool = False,
    next_step: str = "",
) -> int:
    """Run the engine in this process with a renderer; the exit code."""
    from bronze_tui.engine.main import EngineProcess
    from bronze_tui.headless.renderer import choose_mode, renderer

    settings = loaded.settings
    mode = choose_mode(
        json=as_json,
        log_format=settings.logging.format,
        terminal=sys.stderr.isatty(),
        env=os.environ,
        plain=plain,
    )
    feed = renderer(mode, level=settings.logging.level, next_step=next_step)
    stop_metrics = _serve_metrics(loaded, feed)
    finished: Any = None
    try:
        engine = EngineProcess(loaded, flags, switches, stop_metrics.listener)
        with Signals(engine.control) as signals:
            finished = engine.run()
    finally:
        feed.close(finished)
        stop_metrics.close()
    if signals.received is not None and finished.exit_code == Exit.OK:
        return 128 + signals.received
    return int(finished.exit_code)


class _Listeners:
    """The renderer, and the metrics endpoint when it is on."""

    def __init__(self, *feeds: Callable[[dict[str, Any]], None]) -> None:
        self._all = list(feeds)
        self._closers: list[Callable[[], None]] = []

    def add(self, listener: Callable[[dict[str, Any]], None], close: Callable[[], None]) -> None:
        self._all.append(listener)
        self._closers.append(close)

    def listener(self, record: dict[str, Any]) -> None:
        for each in self._all:
            each(record)

    def close(self) -> None:
        for each in self._closers:
            each()


def _serve_metrics(loaded: Loaded, *feeds: Callable[[dict[str, Any]], None]) -> _Listeners:
    listeners = _Listeners(*feeds)
    metrics = loaded.settings.metrics
    if metrics.enabled:
        from bronze_tui.headless.metrics import MetricsServer

        server = MetricsServer(metrics.address)
        listeners.add(server, server.close)
    return listeners


class Signals:
    """SIGINT and SIGTERM drain, the second one stops, the third one ends the process at once.

    Handlers run between any two instructions of the main thread, so the control's lock is taken
    in a thread of its own.
    """

    def __init__(self, control: RunControl) -> None:
        self._control = control
        self._before: dict[int, Any] = {}
        self.received: int | None = None

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
            self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _handle(self, number: int, frame: object) -> None:  # noqa: ARG002
        name = signal.Signals(number).name
        if self.received is None:
            wish = self._control.drain
        elif self._control.state != "stopping":
            wish = self._control.stop
        else:
            os._exit(128 + number)
        self.received = number
        threading.Thread(target=wish, args=(name,), daemon=True).start()


def _dry_run(loaded: Loaded, flags: RunFlags, switches: PluginSwitches, *, as_json: bool) -> int:
    from bronze_tui.engine.preview import preview

    shown = preview(loaded, flags, switches)
    click.echo(shown.to_json() if as_json else shown.to_text())
    return Exit.OK
