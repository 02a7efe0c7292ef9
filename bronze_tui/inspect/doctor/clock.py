"""Whether this machine's clock is right: ledgers, commits and servers know better."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from bronze_tui.config.models import Settings
from bronze_tui.domain.errors import BronzeError
from bronze_tui.inspect.dataset import Dataset, find_datasets
from bronze_tui.inspect.doctor.endpoint import ask
from bronze_tui.inspect.doctor.finding import Finding, Notes
from bronze_tui.inspect.doctor.subject import Subject

NOTES = Notes("clock")
_SLACK, _LEDGER_SLACK = 5.0, 60.0
_SKEW, _REFUSED = 5.0, 300.0
"""Seconds: worth a word; object stores refuse signed requests of a clock that is 15 minutes off,
some already at 5."""
_SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
_STORES = {"s3": "https://s3.amazonaws.com", "gs": "https://storage.googleapis.com"}
_TODO = "set the clock and keep it by NTP"


def checks(subject: Subject) -> Iterator[Finding]:
    """Against the newest ledger, the last commit, and the clocks of servers in use."""
    datasets: Sequence[Dataset] = ()
    if subject.data_root is not None:
        try:
            datasets = find_datasets(subject.data_root, subject.settings.storage.prefix)
        except BronzeError:
            datasets = ()
    yield against_commits(datasets, subject.now)
    if subject.closed is not None:
        yield against_ledger(subject.closed, subject.now)
    known = {name for name, _ in subject.server_times}
    for url in servers(subject.settings):
        host = urlsplit(url).hostname or ""
        if host not in known and not subject.stop.is_set():
            known.add(host)
            try:
                answer = ask(url, "/", "HEAD")
            except (OSError, http.client.HTTPException, ValueError):
                yield NOTES.none("server", f"clock of {host} not seen", "it did not answer")
                continue
            if answer.ahead is not None:
                subject.server_times.append((host, answer.ahead))
    for name, ahead in subject.server_times:
        yield against_server(name, ahead)
    if _SYNCHRONIZED.exists():
        yield NOTES.ok("ntp", "the system says that its clock is synchronized")


def servers(settings: Settings) -> list[str]:
    """Web servers whose answers carry a date: of source and store."""
    found = []
    for options in (settings.source_options(), settings.store_options()):
        parts = urlsplit(options.url)
        if options.endpoint:
            found.append(options.endpoint)
        elif parts.scheme in ("http", "https"):
            found.append(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
        elif parts.scheme in _STORES:
            found.append(_STORES[parts.scheme])
    return list(dict.fromkeys(found))


def against_server(name: str, ahead: float) -> Finding:
    """This clock and a server's; its header has whole seconds."""
    word = "behind" if ahead > 0 else "ahead of"
    text = f"this clock is {abs(ahead):,.0f} s {word} {name}"
    if abs(ahead) >= _REFUSED:
        detail = "signed requests are refused"
        return NOTES.fail("server", text, detail, _TODO)
    if abs(ahead) >= _SKEW:
        return NOTES.warn("server", text, todo=_TODO)
    return NOTES.ok("server", f"this clock agrees with {name}", f"within {_SKEW:g} s")


def against_ledger(closed: float, now: float) -> Finding:
    """No ledger closes in the future."""
    shown = f"{datetime.fromtimestamp(closed, UTC):%Y-%m-%d %H:%M:%SZ}"
    if now + _LEDGER_SLACK < closed:
        text = f"this clock is {closed - now:,.0f} s BEHIND the close of the newest ledger"
        return NOTES.fail("newest", text, shown, _TODO)
    return NOTES.ok("newest", f"newest ledger closed {shown}")


def against_commits(datasets: Sequence[Dataset], now: float) -> Finding:
    """Whether this clock is past the newest commit."""
    shown = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%SZ}"
    newest = ""
    for dataset in datasets:
        if dataset.ranges:
            try:
                newest = max(newest, dataset.committed(dataset.ranges[-1]).created_at)
            except BronzeError:
                continue
    try:
        last = datetime.fromisoformat(newest.replace("Z", "+00:00")).timestamp() if newest else 0.0
    except ValueError:
        return NOTES.none("clock", f"clock {shown}", f"the last commit's time is {newest!a}")
    if now + _SLACK < last:
        return NOTES.fail("clock", f"clock {shown} is BEHIND the last commit", newest, _TODO)
    return NOTES.ok("clock", f"clock {shown}", f"last commit {newest[:19]}Z" if newest else "")
