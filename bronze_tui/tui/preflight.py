"""Checks before a start that need no network: identity, audit head, disk, clock.

Reads files, so it runs on a worker thread; source and store are checked by the inspecting process.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bronze_tui.audit.folder import verify_folder
from bronze_tui.config.models import Settings
from bronze_tui.domain.errors import BronzeError
from bronze_tui.inspect.checks import Check
from bronze_tui.inspect.dataset import Dataset, find_datasets
from bronze_tui.tui.widgets.figures import count, size

LEAST_FREE = 2 << 30
"""Bytes below which a disk is called nearly full."""
_SLACK = 5.0


def local_checks(
    settings: Settings, data_root: Path | None, pas_dir: Path | None, now: float
) -> Iterator[Check]:
    """One after the other.

    Args:
        data_root: folder of the local store; None on a remote one.
        now: Unix seconds.
    """
    datasets: list[Dataset] = []
    if data_root is None:
        text = "identity not compared: the store is not a folder of this machine"
        yield Check("identity", "none", text, "the engine compares it at start")
    else:
        try:
            datasets = find_datasets(data_root, settings.storage.prefix)
            yield from identity(settings, datasets)
        except BronzeError as error:
            yield Check("identity", "bad", "dataset NOT readable", str(error))
    yield head(pas_dir if settings.pas.enabled else None)
    for name, folder in (("state", settings.state_dir()), ("store", data_root)):
        if folder is not None:
            yield disk(name, folder)
    yield clock(datasets, now)


def identity(settings: Settings, datasets: Sequence[Dataset]) -> Iterator[Check]:
    """Whether what is committed was cut as the configuration cuts it."""
    known = {dataset.chain_key: dataset for dataset in datasets}
    for era in settings.active():
        dataset = known.get(era.chain_key)
        if dataset is None or not dataset.ranges:
            text = f"identity {era.chain_key}: nothing is committed yet"
            yield Check("identity", "ok", text)
            continue
        was = dataset.cut()
        now = (era.ledger_start, era.partition_size)
        if was is not None and was != now:
            detail = f"committed from ledger {was[0]} by {count(was[1])}, the configuration says"
            yield Check(
                "identity",
                "bad",
                f"identity {era.chain_key} DIFFERS",
                f"{detail} from {now[0]} by {count(now[1])}; use a new version_label",
            )
            continue
        text = f"identity {era.chain_key} matches {count(len(dataset.ranges))} partitions"
        yield Check("identity", "ok", text)


def head(pas_dir: Path | None) -> Check:
    """The recorded head of each chain against its last event."""
    if pas_dir is None:
        return Check("audit", "none", "audit head not compared: pas is off")
    if not pas_dir.is_dir():
        return Check("audit", "ok", "no audit event yet", str(pas_dir))
    try:
        report = verify_folder(pas_dir)
    except BronzeError as error:
        return Check("audit", "bad", "audit events NOT readable", str(error))
    events = sum(chain.events for chain in report.chains)
    wrong = next((f for c in report.chains for f in c.findings if f.kind.startswith("head_")), None)
    if wrong is not None:
        return Check("audit", "bad", "audit head IS NOT the last event", wrong.message)
    broken = next((c for c in report.chains if not c.ok), None)
    if broken is not None and broken.first_wrong is not None:
        text = f"audit chain {broken.chain_key} is BROKEN"
        return Check("audit", "bad", text, f"{broken.first_wrong.message}; see 5 Audit")
    return Check("audit", "ok", f"audit head is the last of {count(events)} events", str(pas_dir))


def disk(name: str, folder: Path) -> Check:
    """Free space where the folder is or will be."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        usage = shutil.disk_usage(place)
    except OSError as error:
        return Check(
            "disk", "bad", f"disk of the {name} NOT readable", f"{place}: {error.strerror}"
        )
    state = "ok" if usage.free >= LEAST_FREE else "bad"
    text = f"disk of the {name}: {size(usage.free)} free"
    return Check("disk", "ok" if state == "ok" else "bad", text, str(place))


def clock(datasets: Sequence[Dataset], now: float) -> Check:
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
        return Check("clock", "none", f"clock {shown}", f"the last commit's time is {newest!a}")
    if now + _SLACK < last:
        return Check("clock", "bad", f"clock {shown} is BEHIND the last commit", newest)
    return Check("clock", "ok", f"clock {shown}", f"last commit {newest[:19]}Z" if newest else "")
