"""Example plugin: the source ``folder``, and a line in a file after each committed partition.

This module is imported when the configuration names the plugin; what is heavy belongs inside the
factory.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bronze_tui.hooks import hookimpl

if TYPE_CHECKING:
    from bronze_tui.domain.events import PartitionCommitted
    from bronze_tui.hooks.contracts import LedgerSource, SourceOptions
    from bronze_tui.hooks.specs import Register

bronze_hook_api = 1

NOTE_VARIABLE = "BRONZE_FOLDER_NOTES"


def open_folder(options: SourceOptions) -> LedgerSource:
    """Open the folder that ``source.url`` names (``file:///abs/path``).

    Raises:
        ConfigError: it is no file URL with an absolute path.
    """
    from bronze_source_folder.source import FolderSource

    return FolderSource(options)


@hookimpl
def bronze_register_sources(register: Register) -> None:
    """Offer ``source.mode: folder``."""
    register("folder", open_folder, summary="one uncompressed ledger batch a file: file URL")


@hookimpl
def bronze_partition_committed(event: PartitionCommitted) -> None:
    """Append one line to the file that ``BRONZE_FOLDER_NOTES`` names, if it names one.

    An exception here is counted and shown, and harms neither the run nor other plugins.
    """
    name = os.environ.get(NOTE_VARIABLE)
    if name:
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(f"{event.chain_key} {event.partition} {event.checksum}\n")
