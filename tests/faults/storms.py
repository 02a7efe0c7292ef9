"""Runs in which many things go wrong at random, each by one seed: proxies in front of real servers,
servers that crash, copiers that are killed, disks that fail, three copiers on one dataset."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from chaos import troubles
from copying import Site
from crashing import ERRORS, Copy, Ended, Fault, start
from remote import RemoteSite

RUN_CODES = {0, 1, 7}
"""Done; some work failed; something could not be reached."""
RACE_CODES = {0, 1, 5, 6, 7}
"""Also: locked by another, and what another one wrote stands there."""
COPIERS = 3
PASSES = 45.0
"""Seconds after which there is no more trouble."""
_STEP = 0.01

Blow = Callable[["Storm"], list[str]]


class Storm:
    """One run's trouble.

    Args:
        rng: decides everything but what the machine's own timing decides.
    """

    def __init__(
        self, site: Site, rng: random.Random, mutate: Callable[[], None] | None = None
    ) -> None:
        self.site, self.rng, self._mutate = site, rng, mutate
        self.codes: list[int] = []

    def blow(self, name: str) -> list[str]:
        """Do it; what was wrong with how the runs ended."""
        return STORMS[name][1](self)

    @property
    def remote(self) -> RemoteSite:
        """The site, which is on servers."""
        assert isinstance(self.site, RemoteSite)
        return self.site

    def trouble(self, part: str, share: float) -> None:
        """Every kind of fault before one server, ``share`` of its requests in all."""
        kinds = troubles(part)
        chaos = self.remote.chaos[part]
        chaos.trouble({kind: share / len(kinds) for kind in kinds}, self.rng.randrange(1 << 32))

    def start(self, fault: Fault | None = None, **changes: Any) -> Copy:
        """Start a copy."""
        return start(self.site, fault, self._mutate, **changes)

    def while_running(self, copy: Copy, first: float, last: float) -> bool:
        """Wait a random time between ``first`` and ``last`` seconds; whether it still runs."""
        end = time.monotonic() + self.rng.uniform(first, last)
        while copy.running() and time.monotonic() < end:
            time.sleep(_STEP)
        return copy.running()

    def end(self, copy: Copy, allowed: set[int] = RUN_CODES) -> list[str]:
        """Wait for its end; what is wrong with it. A storm passes, since pauses between attempts
        grow with it; the copy must end soon after."""
        if self.while_running(copy, PASSES, PASSES) and isinstance(self.site, RemoteSite):
            self.site.servers.calm()
        try:
            ended = copy.wait()
        except TimeoutError as error:
            return [f"never ended: {error}"]
        self.codes.append(ended.code)
        return [] if ended.killed else manners(ended, allowed)


def manners(ended: Ended, allowed: set[int]) -> list[str]:
    """What is wrong with how a run ended that was not killed."""
    output = ended.output
    wrong = [] if ended.code in allowed else [f"exit code {ended.code}: {output[-600:]}"]
    words = ("Traceback", "this is a defect", "unexpected ")
    return wrong + [f"{word}: {output[-800:]}" for word in words if word in output]


def _store_trouble(storm: Storm) -> list[str]:
    storm.trouble("store", 0.25)
    return storm.end(storm.start())


def _catalog_trouble(storm: Storm) -> list[str]:
    storm.trouble("catalog", 0.06)
    return storm.end(storm.start())


def _endpoint_trouble(storm: Storm) -> list[str]:
    storm.trouble("endpoint", 0.6)
    return storm.end(storm.start())


def _endpoint_dead(storm: Storm) -> list[str]:
    storm.remote.close_endpoint()
    return storm.end(storm.start())


def _endpoint_dies(storm: Storm) -> list[str]:
    copy = storm.start()
    if storm.while_running(copy, 0.1, 1.0):
        storm.remote.close_endpoint()
        storm.while_running(copy, 0.1, 0.5)
        storm.remote.open_endpoint()
    return storm.end(copy)


def _postgres_stops(storm: Storm) -> list[str]:
    copy, server = storm.start(), storm.remote.servers.postgres
    for _ in range(storm.rng.randint(1, 2)):
        if storm.while_running(copy, 0.05, 0.8):
            server.crash()
            storm.while_running(copy, 0.0, 0.4)
            server.start()
    return storm.end(copy)


def _store_killed(storm: Storm) -> list[str]:
    copy, server = storm.start(), storm.remote.servers.s3
    if storm.while_running(copy, 0.2, 0.9):
        server.kill()
        server.start()
    return storm.end(copy)


def _kills(storm: Storm) -> list[str]:
    wrong = []
    for _ in range(storm.rng.randint(1, 3)):
        copy = storm.start()
        if storm.while_running(copy, 0.05, 1.2):
            copy.kill()
        wrong += storm.end(copy)
    return wrong


def _kills_in_trouble(storm: Storm) -> list[str]:
    for part in storm.remote.servers.parts:
        storm.trouble(part, 0.04)
    return _kills(storm)


def _disk_in_trouble(storm: Storm) -> list[str]:
    for part in storm.remote.servers.parts:
        storm.trouble(part, 0.04)
    return _disk(storm)


def _disk(storm: Storm) -> list[str]:
    rng = storm.rng
    call = rng.choice(["link", "rename", "mkdir", "fsync", "open", "write"])
    fault = Fault("patch", call, rng.choice(sorted(ERRORS)), rng.randint(1, 40))
    return storm.end(storm.start(fault))


def _everything(storm: Storm) -> list[str]:
    for part in storm.remote.servers.parts:
        storm.trouble(part, 0.05)
    return _postgres_stops(storm)


def _race(storm: Storm) -> list[str]:
    """Three copiers at once; all but the first have state folders of their own."""
    copies = [storm.start(**_apart(storm.site, number)) for number in range(COPIERS)]
    wrong = [w for copy in copies for w in storm.end(copy, RACE_CODES)]
    wrong += [] if 0 in storm.codes else [f"nobody won: {storm.codes}"]
    return wrong + _losers_go_on(storm)


def _race_unlocked(storm: Storm) -> list[str]:
    """The same, with the lock removed again and again: safety may not rest on it."""
    copies = [storm.start(**_apart(storm.site, number)) for number in range(COPIERS)]
    while any(copy.running() for copy in copies):
        storm.remote.free_lock()
        time.sleep(_STEP)
    wrong = [w for copy in copies for w in storm.end(copy, RACE_CODES)]
    return wrong + _losers_go_on(storm)


def _losers_go_on(storm: Storm) -> list[str]:
    """Whoever lost can run again and agrees with what stands."""
    wrong = []
    for number in range(1, COPIERS):
        wrong += storm.end(storm.start(**_apart(storm.site, number)), {0})
    return wrong


def _apart(site: Site, number: int) -> Mapping[str, Any]:
    if number == 0:
        return {}
    own = {"checkpoint__dir": site.root / f"state-{number}"}
    if isinstance(site, RemoteSite) and site.dsn:
        return own
    # A catalog of its own makes a chain of its own.
    return own | {"pas__backup_dir": site.root / f"pas-{number}"}


STORMS: dict[str, tuple[tuple[str, ...], Blow]] = {
    "store in trouble": (("store",), _store_trouble),
    "catalog in trouble": (("catalog",), _catalog_trouble),
    "endpoint in trouble": (("endpoint",), _endpoint_trouble),
    "endpoint dead": (("endpoint",), _endpoint_dead),
    "endpoint dies": (("endpoint",), _endpoint_dies),
    "PostgreSQL stops": (("catalog",), _postgres_stops),
    "S3 server killed": (("store",), _store_killed),
    "kills": ((), _kills),
    "kills in trouble": (("store",), _kills_in_trouble),
    "disk": ((), _disk),
    "disk in trouble": (("store",), _disk_in_trouble),
    "everything in trouble": (("store", "catalog", "endpoint"), _everything),
    "race": ((), _race),
    "race without locks": (("store",), _race_unlocked),
}
"""What each needs on servers, and what it does."""


def shares_nothing(name: str, parts: tuple[str, ...]) -> bool:
    """Whether copiers with catalogs of their own wrote to one store, so that a catalog need not
    know all that stands there before its next run."""
    return name.startswith("race") and "catalog" not in parts


def possible(parts: tuple[str, ...]) -> list[str]:
    """Names of the storms that can blow where these parts are on servers."""
    return [name for name, (needs, _) in STORMS.items() if set(needs) <= set(parts)]
