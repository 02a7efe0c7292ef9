"""A page that looks into an audit folder: workers verify the chain and read the partition files,
and post what they found as ``Verified`` and ``FilesRead``."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from textual import work

from bronze_tui.audit.filecheck import FileResult, Progress, check_files
from bronze_tui.audit.memory import memory_folder
from bronze_tui.audit.standing import Standing, standings, trusted_keys
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.domain.errors import BronzeError
from bronze_tui.tui.auditdesk import holes_of
from bronze_tui.tui.auditnews import FilesRead, Verified
from bronze_tui.tui.keeping import own_folder
from bronze_tui.tui.pins import read_pins
from bronze_tui.tui.screens.base import Page


class ChainPage(Page):
    """Verifies and reads in workers; the page draws what they bring."""

    def __init__(self) -> None:
        super().__init__()
        self.stop_reading = threading.Event()

    def on_unmount(self) -> None:
        self.stop_reading.set()

    @work(thread=True, exclusive=True, group="verify", exit_on_error=False)
    def verify(self, folder: Path) -> None:
        """Links and hashes of every event, against the heads that were pinned."""
        from bronze_tui.audit.folder import verify_folder

        begin = time.perf_counter()
        session = self.bronze.session
        pinned = read_pins(own_folder(session))
        report, problem = None, ""
        standing: dict[str, Standing] = {}
        try:
            holes = holes_of(session.data_root, session.prefix)
            report = verify_folder(folder, pins=pinned, holes=holes)
            standing = standings(report, trusted_keys(), memory_folder(os.environ))
        except BronzeError as error:
            problem = str(error)
        except OSError as error:
            problem = f"{folder}: {error.strerror or error}"
        cost = time.perf_counter() - begin
        self.post_message(Verified(report, problem, pinned, cost, standing))

    @work(thread=True, exclusive=True, group="files", exit_on_error=False)
    def read_files(self, events: list[AuditEvent], root: Path) -> None:
        """Hash the partition files of the events again, until ``stop_reading`` is set."""

        def tell(fresh: list[FileResult], progress: Progress) -> None:
            self.post_message(FilesRead(fresh, progress))

        check_files(events, root, stop=self.stop_reading.is_set, tell=tell)
