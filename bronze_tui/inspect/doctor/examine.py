"""Runs groups of checks beside each other, each bounded in time; findings come as they are made."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bronze_tui.domain.errors import BronzeError, Exit
from bronze_tui.inspect.doctor.finding import Finding, Notes
from bronze_tui.inspect.doctor.subject import Subject

PATIENCE = 30.0
"""Seconds that a group may be silent."""
_CLEAN_UP = 15.0

Checks = Callable[[Subject], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Group:
    """Checks that go one after the other.

    Args:
        after: groups whose findings it needs; it begins when they ended, however they did.
        cleans: it makes probe objects, so that it is waited for when the examination is given up.
    """

    name: str
    checks: Checks
    after: tuple[str, ...] = ()
    cleans: bool = False


class _Thread(threading.Thread):
    """A group at work; a daemon, so that a hanging server does not keep the process."""

    def __init__(self, group: Group, subject: Subject, news: queue.SimpleQueue[_News]) -> None:
        super().__init__(name=f"doctor-{group.name}", daemon=True)
        self.group = group
        self._subject = subject
        self._news = news
        self.heard = time.monotonic()

    def run(self) -> None:
        notes = Notes(self.group.name)
        found = self.group.checks(self._subject)
        try:
            for finding in found:
                self._news.put((self.group.name, finding))
                if self._subject.stop.is_set():
                    break
        except BronzeError as error:
            self._news.put((self.group.name, notes.error("check", "could not be checked", error)))
        except (Exception, SystemExit) as error:
            # Whatever a plugin or a server's answer raises: the other groups go on.
            text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            self._news.put((self.group.name, notes.fail("check", "could not be checked", text)))
        finally:
            close = getattr(found, "close", None)
            if close is not None:
                close()
            self._news.put((self.group.name, None))


_News = tuple[str, Finding | None]


class Examination:
    """Groups of checks on one subject; iterate it once, then close it."""

    def __init__(
        self, subject: Subject, groups: Sequence[Group], patience: float = PATIENCE
    ) -> None:
        self._subject = subject
        self._groups = tuple(groups)
        self._patience = patience
        self._news: queue.SimpleQueue[_News] = queue.SimpleQueue()
        self._running: dict[str, _Thread] = {}
        self._begun: list[_Thread] = []
        self._ended: set[str] = set()

    def __iter__(self) -> Iterator[tuple[str, Finding | None]]:
        """The group and a finding; None when the group has ended."""
        self._begin()
        while self._running:
            try:
                name, finding = self._news.get(timeout=self._left())
            except queue.Empty:
                yield from self._give_up()
            else:
                if name not in self._running:
                    continue
                self._running[name].heard = time.monotonic()
                if finding is None:
                    self._end(name)
                yield name, finding
            self._begin()

    def close(self) -> list[str]:
        """Give up what still runs and wait for its clean-up; the groups that did not manage it."""
        self._subject.stop.set()
        deadline = time.monotonic() + _CLEAN_UP
        left = []
        for thread in self._begun:
            if thread.group.cleans:
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    left.append(thread.group.name)
        return left

    def _begin(self) -> None:
        known = {group.name for group in self._groups}
        for group in self._groups:
            waits = set(group.after) & known - self._ended
            if group.name not in self._running and group.name not in self._ended and not waits:
                thread = _Thread(group, self._subject, self._news)
                self._running[group.name] = thread
                self._begun.append(thread)
                thread.start()

    def _left(self) -> float:
        silent = time.monotonic() - min(thread.heard for thread in self._running.values())
        return max(0.01, self._patience - silent)

    def _give_up(self) -> Iterator[tuple[str, Finding | None]]:
        now = time.monotonic()
        for name, thread in list(self._running.items()):
            if now - thread.heard >= self._patience:
                yield (
                    name,
                    Notes(name).fail(
                        "time",
                        f"no answer within {self._patience:g} s",
                        f"{_from(self._subject, name)}the rest of this group was not checked",
                        "see whether the server or disk answers at all; --timeout waits longer",
                        Exit.UNREACHABLE,
                    ),
                )
                self._end(name)
                yield name, None

    def _end(self, name: str) -> None:
        self._running.pop(name, None)
        self._ended.add(name)


def _from(subject: Subject, group: str) -> str:
    """Who did not answer, without credentials; empty where that is not plain."""
    settings = subject.settings
    if group in ("source", "clock"):
        options = settings.source_options()
        found = [options.endpoint, options.url]
    elif group == "store":
        stored = settings.store_options()
        found = [stored.endpoint, stored.url]
    else:
        return ""
    shown = [_without_user(url) for url in found if url]
    return f"{' '.join(shown)}: " if shown else ""


def _without_user(url: str) -> str:
    """The address without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
