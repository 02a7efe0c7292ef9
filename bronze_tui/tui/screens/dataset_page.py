"""A page that looks into a store's folder: workers read the dataset and post what they found."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual import work
from textual.message import Message
from textual.worker import get_current_worker

from bronze_tui.domain.errors import BronzeError
from bronze_tui.tui.dataset import (
    Check,
    Found,
    Papers,
    Place,
    chain_keys,
    listing,
    papers,
    verify,
)
from bronze_tui.tui.screens.base import Page
from bronze_tui.tui.widgets.partition_rows import PartitionRow

BATCH = 100
"""Commit records read before the page hears of them."""


class Listed(Message):
    """The disk's partitions."""

    def __init__(self, found: Sequence[Found]) -> None:
        super().__init__()
        self.found = found


class Read(Message):
    """Records of some partitions, by row key."""

    def __init__(self, found: Sequence[tuple[str, Papers]], *, chosen: bool) -> None:
        super().__init__()
        self.found, self.chosen = found, chosen


class Hashed(Message):
    """How far a verification is, or what it found."""

    def __init__(self, key: str, check: Check | float) -> None:
        super().__init__()
        self.key, self.check = key, check


class DatasetPage(Page):
    """Reads records and files in workers; the page draws what ``Listed``, ``Read`` and ``Hashed``
    bring."""

    def place_of(self, chain_key: str) -> Place | None:
        """Where a chain's dataset lies; None when the store is not on this machine."""
        session = self.bronze.session
        if session.data_root is None:
            return None
        return Place(session.data_root, session.prefix, chain_key)

    @work(thread=True, exclusive=True, group="list", exit_on_error=False)
    def list_disk(self, chains: tuple[str, ...]) -> None:
        """Names of commit records first, then what each says, newest first."""
        session, worker = self.bronze.session, get_current_worker()
        root = session.data_root
        if root is None:
            return
        found: list[Found] = []
        for chain_key in chains or chain_keys(root, session.prefix):
            try:
                found += listing(Place(root, session.prefix, chain_key))
            except BronzeError:
                continue
        self.post_message(Listed(found))
        batch: list[tuple[str, Papers]] = []
        for item in sorted(found, key=lambda f: f.partition, reverse=True):
            if worker.is_cancelled:
                return
            place = Place(root, session.prefix, item.chain_key)
            batch.append((f"{item.chain_key}/{item.partition}", papers(place, item.partition)))
            if len(batch) == BATCH:
                self.post_message(Read(batch, chosen=False))
                batch = []
        self.post_message(Read(batch, chosen=False))

    @work(thread=True, exclusive=True, group="papers", exit_on_error=False)
    def read_papers(self, row: PartitionRow) -> None:
        """The chosen partition's records."""
        place = self.place_of(row.chain_key)
        if place is not None:
            try:
                found = papers(place, row.partition)
            except BronzeError as error:
                found = Papers(problem=str(error))
            self.post_message(Read([(row.key, found)], chosen=True))

    @work(thread=True, exclusive=True, group="verify", exit_on_error=False)
    def verify_files(self, row: PartitionRow, place: Place) -> None:
        """Hash again; progress at most ten times a second."""
        worker, told = get_current_worker(), [0.0]

        def tell(fraction: float) -> None:
            if time.monotonic() - told[0] >= 0.1:
                told[0] = time.monotonic()
                self.post_message(Hashed(row.key, min(1.0, fraction)))

        try:
            check = verify(place, row.partition, tell, lambda: worker.is_cancelled)
        except BronzeError as error:
            check = Check(0, 0, (str(error),), "")
        self.post_message(Hashed(row.key, check))
