"""Finds, loads and calls plugins so that a bad one is a record and never a crash.

Third-party plugins are listed without being imported, and loaded only when they are named.
Loading goes entry point by entry point, calls go implementation by implementation, because
pluggy itself stops at the first failure of either.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

from bronze_tui.domain.errors import PluginError, UsageError
from bronze_tui.domain.events import Alert, EngineEvent
from bronze_tui.hooks import specs
from bronze_tui.hooks.discovery import discover
from bronze_tui.hooks.markers import HOOK_API, PROJECT
from bronze_tui.hooks.records import PluginRecord, Stage, Switches
from bronze_tui.hooks.registry import REGISTRATION, Factory, Offer, Registry, suggestion

QUARANTINE_AFTER = 3
"""Failures in a row of one hook of one plugin."""
MAX_ERROR = 500

AlertSink = Callable[[Alert], None]
# A plugin that calls sys.exit at import is as broken as one that raises.
_FAILURES = (Exception, SystemExit)


@dataclass(slots=True)
class CallFigures:
    """How one hook of one plugin has fared; ``seconds`` is the time spent in it."""

    plugin: str
    hook: str
    calls: int = 0
    errors: int = 0
    in_a_row: int = 0
    seconds: float = 0.0


class _Failed(Exception):
    """One plugin failed at ``stage``."""

    def __init__(self, stage: Stage, text: str) -> None:
        super().__init__(text)
        self.stage = stage


def load_plugins(
    *,
    allow: Collection[str] = (),
    disable: Iterable[str] = (),
    required: Iterable[str] = (),
    third_party: bool = True,
    needed: Collection[str] = (),
    strict: bool = False,
    alert: AlertSink | None = None,
    env: Mapping[str, str] = os.environ,
) -> PluginHost:
    """Load the built-in plugins and the third-party ones that are named.

    Args:
        allow: third-party plugins to load (the configuration's ``plugins.allow``).
        disable: plugins not to load, built-in ones too.
        required: plugins without which there is no run.
        third_party: false loads built-in plugins only.
        needed: names the configuration uses as source, store or emitter; a third-party plugin
            of that name is loaded.
        strict: any failed plugin is an error.
        alert: told of failures and quarantine.
        env: holds ``BRONZE_DISABLE_PLUGINS``.

    Raises:
        PluginError: a required plugin is not active, or ``strict`` and one failed.
    """
    required = tuple(required)
    named = {*allow, *needed, *required}
    host = PluginHost(required, alert)
    for record, entry in discover(Switches.of(disable, third_party, env)):
        host._take(record, entry, load=record.builtin or record.name in named)
    host._check(strict)
    return host


class PluginHost:
    """The loaded plugins: their records, what they offer, and calls to them."""

    def __init__(self, required: tuple[str, ...] = (), alert: AlertSink | None = None) -> None:
        self._sink = alert
        self._required = frozenset(required)
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(specs)
        self._registry = Registry()
        self._records: dict[str, PluginRecord] = {}
        self._refused: list[PluginRecord] = []
        self._figures: dict[tuple[str, str], CallFigures] = {}
        self._lock = threading.Lock()

    @property
    def records(self) -> tuple[PluginRecord, ...]:
        """One per entry point, built-in ones first, then by name."""
        everything = [*self._records.values(), *self._refused]
        return tuple(sorted(everything, key=lambda r: (not r.builtin, r.name)))

    @property
    def figures(self) -> tuple[CallFigures, ...]:
        """Calls, errors and time of each notification, by plugin and hook."""
        with self._lock:
            return tuple(replace(f) for _, f in sorted(self._figures.items()))

    def names(self, kind: str) -> list[str]:
        """What can be named as ``source``, ``store``, ``emitter`` or ``command``."""
        return self._registry.names(kind)

    def connect(self, alert: AlertSink) -> None:
        """Send alerts to ``alert`` from now on, those of plugins that failed to load included."""
        self._sink = alert
        for record in self.records:
            if record.status == "failed":
                self._say_failed(record)

    def source(self, name: str) -> Factory:
        """Factory of the source ``name``: takes SourceOptions, gives a LedgerSource.

        Raises:
            PluginError: the plugin that offers it failed or is switched off (exit 4).
            UsageError: no plugin offers it.
        """
        return self._factory("source", name)

    def store(self, name: str) -> Factory:
        """Factory of the store ``name``: takes StoreOptions, gives a Store. Raises as source."""
        return self._factory("store", name)

    def emitter(self, name: str) -> Factory:
        """Factory of the emitter ``name``: takes EmitterOptions, gives an Emitter. Raises as
        source."""
        return self._factory("emitter", name)

    def command(self, name: str) -> Factory:
        """Factory of the subcommand ``name``: takes None, gives a click command. Raises as
        source."""
        return self._factory("command", name)

    def notify(self, hook_name: str, event: EngineEvent) -> None:
        """Call every implementation of a notification hook, each on its own.

        A failure is counted and told as an alert; after three in a row the plugin gets no more
        calls in this run.

        Raises:
            PluginError: a required plugin was quarantined by this call.
        """
        failed: PluginError | None = None
        for impl in getattr(self._manager.hook, hook_name).get_hookimpls():
            if self._records[impl.plugin_name].status != "active":
                continue
            started = time.perf_counter()
            try:
                impl.function(*[event for _ in impl.argnames])
            except _FAILURES as error:
                seconds = time.perf_counter() - started
                failed = self._count_failure(impl.plugin_name, hook_name, error, seconds) or failed
            else:
                self._count(impl.plugin_name, hook_name, time.perf_counter() - started, ok=True)
        if failed is not None:
            raise failed

    def _take(self, record: PluginRecord, entry: EntryPoint, *, load: bool) -> None:
        if record.stage == "name":
            self._refused.append(record)
            self._say_failed(record)
            return
        if load and record.status == "listed":
            record = self._load(record, entry)
        self._records[record.name] = record
        if record.status == "failed":
            self._say_failed(record)

    def _load(self, record: PluginRecord, entry: EntryPoint) -> PluginRecord:
        started = time.perf_counter()
        try:
            hooks = self._activate(record.name, entry)
        except _Failed as failure:
            if self._manager.has_plugin(record.name):
                self._manager.unregister(name=record.name)
            self._registry.remove(record.name)
            cause = failure.__cause__ or failure
            record = replace(
                record,
                status="failed",
                stage=failure.stage,
                error=str(failure)[:MAX_ERROR],
                traceback="".join(traceback.format_exception(cause)),
            )
        else:
            record = replace(
                record, status="active", hooks=hooks, offers=self._registry.of(record.name)
            )
        return replace(record, load_ms=round((time.perf_counter() - started) * 1000, 1))

    def _activate(self, name: str, entry: EntryPoint) -> tuple[str, ...]:
        """Import, check the API number, register, look for unknown hooks, collect the offers."""
        plugin = _guard("import", entry.load)
        number = getattr(plugin, "bronze_hook_api", None)
        if number != HOOK_API:
            raise _Failed("version", f"bronze_hook_api is {number!r}, this release has {HOOK_API}")
        _guard("register", lambda: self._manager.register(plugin, name))
        callers = self._manager.get_hookcallers(plugin) or []
        if not callers:
            raise _Failed("register", "it implements no hook: mark its functions with hookimpl")
        for impl in _impls(callers, name):
            if impl.hookwrapper or impl.wrapper:
                raise _Failed("register", "hook wrappers are not supported")
        _check_pending(callers, name)
        for caller in callers:
            kind = REGISTRATION.get(caller.name)
            if kind is not None:
                self._collect(kind, caller, name)
        return tuple(sorted(c.name for c in callers))

    def _collect(self, kind: str, caller: pluggy.HookCaller, plugin: str) -> None:
        def register(
            name: str, factory: Factory, config_model: Any = None, summary: str = ""
        ) -> None:
            self._registry.add(Offer(kind, name, plugin, factory, config_model, summary))

        for impl in _impls([caller], plugin):
            _guard("call", partial(impl.function, *[register for _ in impl.argnames]))

    def _check(self, strict: bool) -> None:
        for name in sorted(self._required):
            record = self._records.get(name)
            if record is None:
                raise PluginError(
                    f"required plugin {name!r} is not installed",
                    todo=suggestion(name, sorted(self._records)),
                )
            if record.status != "active":
                raise _unusable(record, f"required plugin {name!r}")
        if strict:
            for record in self.records:
                if record.status == "failed":
                    raise _unusable(record, f"plugin {record.name!r}")

    def _factory(self, kind: str, name: str) -> Factory:
        offer = self._registry.find(kind, name)
        if offer is not None:
            return offer.factory
        record = self._records.get(name)
        if record is not None and record.status != "active":
            raise _unusable(record, f"{kind} {name!r}")
        for record in self.records:
            if record.builtin and record.status in ("failed", "disabled"):
                raise _unusable(
                    record, f"{kind} {name!r} is not on offer, and plugin {record.name!r}"
                )
        raise UsageError(
            f"unknown {kind} {name!r}",
            todo=suggestion(name, self._registry.names(kind)),
        )

    def _count(self, plugin: str, hook: str, seconds: float, *, ok: bool) -> CallFigures:
        with self._lock:
            figures = self._figures.setdefault((plugin, hook), CallFigures(plugin, hook))
            figures.calls += 1
            figures.seconds += seconds
            figures.errors += not ok
            figures.in_a_row = 0 if ok else figures.in_a_row + 1
            return replace(figures)

    def _count_failure(
        self, plugin: str, hook: str, error: BaseException, seconds: float
    ) -> PluginError | None:
        """Count it and tell; the error to raise when this quarantines a required plugin."""
        figures = self._count(plugin, hook, seconds, ok=False)
        text = _text(error)
        if figures.in_a_row < QUARANTINE_AFTER:
            self._alert("warn", f"plugin {plugin!r} failed in {hook} ({text})", "the run goes on")
            return None
        self._records[plugin] = replace(
            self._records[plugin],
            status="quarantined",
            stage="call",
            error=f"{hook}: {text}",
            traceback="".join(traceback.format_exception(error)),
        )
        what = f"plugin {plugin!r} failed {figures.in_a_row} times in a row in {hook} ({text})"
        self._alert("error", what, "it gets no more calls in this run")
        if plugin not in self._required:
            return None
        return PluginError(
            f"required {what}",
            todo="mend or disable it and start again; committed partitions are safe",
        )

    def _say_failed(self, record: PluginRecord) -> None:
        self._alert(
            "warn",
            f"plugin {record.name!r} of {record.distribution} failed at {record.stage} "
            f"({record.error})",
            "see 'bronze plugins'",
        )

    def _alert(self, level: str, message: str, todo: str) -> None:
        if self._sink is not None:
            self._sink(Alert(level=level, component="plugins", message=message, todo=todo))


def _guard(stage: Stage, action: Callable[[], Any]) -> Any:
    try:
        return action()
    except _FAILURES as error:
        raise _Failed(stage, _text(error)) from error


def _impls(callers: Iterable[pluggy.HookCaller], name: str) -> list[pluggy.HookImpl]:
    return [i for caller in callers for i in caller.get_hookimpls() if i.plugin_name == name]


def _check_pending(callers: Iterable[pluggy.HookCaller], name: str) -> None:
    """Refuse a hook that no spec describes: pluggy would never call it and never say so."""
    known = sorted(n for n in vars(specs) if n.startswith("bronze_"))
    for caller in callers:
        if caller.has_spec() or all(i.optionalhook for i in _impls([caller], name)):
            continue
        close = get_close_matches(caller.name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise _Failed("pending", f"unknown hook {caller.name!r}{hint}")


def _unusable(record: PluginRecord, what: str) -> PluginError:
    if record.status == "disabled":
        return PluginError(
            f"{what} is switched off",
            todo="enable it: see --no-plugins, --disable-plugin and BRONZE_DISABLE_PLUGINS",
        )
    if record.status == "listed":
        return PluginError(
            f"{what} is installed but not loaded", todo=f"add {record.name!r} to plugins.allow"
        )
    return PluginError(
        f"{what} failed at {record.stage} ({record.error})",
        where=f"{record.distribution} {record.version}".strip(),
        todo="see 'bronze plugins --json' for the traceback",
    )


def _text(error: BaseException) -> str:
    """Kind and message on one line: errors of pluggy and of compilers have several."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:MAX_ERROR]
