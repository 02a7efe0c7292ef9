"""Whether what is committed was cut as the configuration cuts it, and agrees with the catalog."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bronze_tui.config.models import Settings
from bronze_tui.domain.errors import BronzeError, Exit
from bronze_tui.inspect.dataset import Dataset, find_datasets
from bronze_tui.inspect.doctor.finding import Finding, Notes
from bronze_tui.inspect.doctor.subject import Subject

NOTES = Notes("dataset")


def checks(subject: Subject) -> Iterator[Finding]:
    """Of each era that the configuration copies."""
    if subject.data_root is None:
        text = "identity not compared: the store is not a folder of this machine"
        yield NOTES.none("identity", text, "the engine compares it at start")
        return
    try:
        datasets = find_datasets(subject.data_root, subject.settings.storage.prefix)
        yield from identity(subject.settings, datasets)
    except BronzeError as error:
        yield NOTES.error("identity", "dataset NOT readable", error)


def identity(settings: Settings, datasets: Sequence[Dataset]) -> Iterator[Finding]:
    """First ledger and partition size, now and when the dataset was begun."""
    known = {dataset.chain_key: dataset for dataset in datasets}
    for era in settings.active():
        dataset = known.get(era.chain_key)
        if dataset is None or not dataset.ranges:
            yield NOTES.ok("identity", f"identity {era.chain_key}: nothing is committed yet")
            continue
        was = dataset.cut()
        now = (era.ledger_start, era.partition_size)
        if was is not None and was != now:
            yield NOTES.fail(
                "identity",
                f"identity {era.chain_key} DIFFERS",
                f"committed from ledger {was[0]} by {was[1]:,}, the configuration says from"
                f" {now[0]} by {now[1]:,}",
                "use a new version_label, or the values it was begun with",
                Exit.USAGE,
            )
            continue
        text = f"identity {era.chain_key} matches {len(dataset.ranges):,} partitions"
        yield NOTES.ok("identity", text)
