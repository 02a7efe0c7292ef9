"""The outbox without a copy: look at it, decide about parked events, deliver what waits.

Each function opens the configured catalog for itself and may run while a copier works on it.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from bronze_tui.catalog.deliveries import Backlog, Deliveries
from bronze_tui.catalog.opening import open_catalog, read_catalog
from bronze_tui.catalog.store import Catalog
from bronze_tui.config.models import Settings
from bronze_tui.domain.endpoint import parse_endpoint
from bronze_tui.domain.errors import Exit, LockedError, StateError, UsageError
from bronze_tui.domain.events import EngineEvent
from bronze_tui.engine.backlog import LOCK_FILE, Outbox, age_of, take_lock
from bronze_tui.engine.delivery import NoDelivery
from bronze_tui.engine.opening import open_delivery
from bronze_tui.hooks.manager import load_plugins

PATIENCE = 30.0
"""Seconds without progress after which ``deliver`` gives up."""


@dataclass(frozen=True, slots=True)
class OutboxReport:
    """Every chain of the catalog, the configured ones first."""

    endpoint: str
    """Without secrets; empty when nothing is posted."""
    chains: tuple[Backlog, ...]

    def to_doc(self) -> dict[str, Any]:
        """For JSON; ages in seconds."""
        return {
            "endpoint": self.endpoint,
            "chains": [
                {**asdict(c), "oldest_seconds": age_of(c.oldest) if c.oldest else None}
                for c in self.chains
            ],
        }


def report(settings: Settings) -> OutboxReport:
    """Read the outbox; writes nothing.

    Raises:
        StateError: there is no catalog yet, or it is damaged. CatalogUnavailable.
    """
    with _catalog(settings, read_only=True) as catalog:
        deliveries = Deliveries(catalog, read_only=True)
        mine = [era.chain_key for era in settings.active()]
        others = [key for key in catalog.chain_keys() if key not in mine]
        chains = tuple(deliveries.backlog(key) for key in (*mine, *others))
    pas = settings.pas
    posting = pas.enabled and pas.endpoint
    return OutboxReport(parse_endpoint(pas.endpoint).shown if posting else "", chains)


def retry(settings: Settings, chain_key: str, *, everything: bool) -> list[str]:
    """Let parked events be tried again, or with ``everything`` send whole chains again; one line
    about each chain.

    Raises:
        UsageError: nothing is parked, or the chain is unknown.
    """
    lines = []
    with _catalog(settings) as catalog:
        deliveries = Deliveries(catalog)
        for key in _chosen(settings, catalog, chain_key):
            if everything:
                lines.append(f"{key}: {deliveries.resend(key, who())} events are sent again")
            elif (seq := deliveries.retry(key, who())) is not None:
                lines.append(f"{key}: event {seq} is tried again")
    if not lines:
        raise UsageError("no event is parked", todo="see bronze pas status")
    return lines


def skip(settings: Settings, chain_key: str, first: int, last: int, reason: str) -> str:
    """Leave events out of the delivery for good; a line that says which.

    Raises:
        UsageError: none of them waits, or it is not plain of which chain they are.
    """
    with _catalog(settings) as catalog:
        keys = _chosen(settings, catalog, chain_key)
        if len(keys) > 1:
            raise UsageError(
                "several chains are configured", todo=f"add --chain with one of {', '.join(keys)}"
            )
        done = Deliveries(catalog).skip(keys[0], first, last, reason, who())
    named = str(done[0]) if len(done) == 1 else f"{done[0]} to {done[-1]}"
    return f"{keys[0]}: {len(done)} events ({named}) are not delivered, by {who()}: {reason}"


def deliver(
    settings: Settings,
    chain_key: str,
    say: Callable[[EngineEvent], None],
    patience: float = PATIENCE,
) -> tuple[Outbox, int]:
    """Deliver what waits, until nothing is left that can go out; what is left, and how many went.

    Raises:
        UsageError: nothing is posted by this configuration. LockedError: a copier delivers.
    """
    if not (settings.pas.enabled and settings.pas.endpoint):
        raise UsageError("no endpoint", todo="set pas.enabled: true and pas.endpoint")
    plugins = settings.plugins
    host = load_plugins(allow=plugins.allow, disable=plugins.disable, required=plugins.required)
    with _catalog(settings) as catalog:
        _refuse_second(settings)
        keys = _chosen(settings, catalog, chain_key)
        delivery = open_delivery(settings, host, catalog, keys, say)
        if isinstance(delivery, NoDelivery):
            return Outbox(), 0
        delivery.start()
        delivery.finish(lambda: None, grace=patience)
        return delivery.outbox, delivery.delivered


def who() -> str:
    """The person at this machine, as far as it knows."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        name = f"user id {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def exit_code(outbox: Outbox) -> Exit:
    """What a script must know: all out, a person is needed, or the endpoint did not take it."""
    if outbox.parked:
        return Exit.FAILED
    return Exit.UNREACHABLE if outbox.waiting else Exit.OK


def _refuse_second(settings: Settings) -> None:
    lock = take_lock(settings.state_dir() / LOCK_FILE)
    if lock is None:
        raise LockedError(
            "another process delivers audit events from this state folder",
            where=str(settings.state_dir()),
            todo="let it; bronze pas status shows how far it is",
        )
    os.close(lock)


def _chosen(settings: Settings, catalog: Catalog, chain_key: str) -> Sequence[str]:
    known = catalog.chain_keys()
    if not chain_key:
        return [era.chain_key for era in settings.active()]
    if chain_key not in known:
        there = ", ".join(known) or "none"
        raise UsageError(f"no chain {chain_key!r} in the catalog (chains: {there})")
    return [chain_key]


@contextmanager
def _catalog(settings: Settings, *, read_only: bool = False) -> Iterator[Catalog]:
    catalog = read_catalog(settings)
    if catalog is None:
        in_server = settings.catalog.postgres_dsn.get_secret_value()
        where = "catalog.postgres_dsn" if in_server else str(settings.catalog_path())
        raise StateError(
            "there is no catalog yet", where=where, todo="it is made by the first bronze run"
        )
    if not read_only:
        catalog.close()
        catalog = open_catalog(settings)
    try:
        yield catalog
    finally:
        catalog.close()
