"""The lake source: SEP-54 archives on local disks, S3, GCS, Azure and plain HTTP.

Registers one factory under the configuration's mode names; nothing heavy is imported before a
source is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bronze_tui.hooks.markers import hookimpl

if TYPE_CHECKING:
    from bronze_tui.hooks.contracts import LedgerSource, SourceOptions
    from bronze_tui.hooks.specs import Register

bronze_hook_api = 1

MODES = ("datastore", "local", "gcs", "s3", "lake")
"""Values of ``source.mode``; all mean the same code, the URL decides where it reads."""


def open_lake(options: SourceOptions) -> LedgerSource:
    """Open the lake at ``options.url`` and learn its layout.

    Raises:
        ConfigError: the URL, the options and the lake do not fit together.
        SourceDenied: no such lake, or no permission. SourceUnavailable: retryable.
        SourceDataError: the lake's manifest is broken or does not fit its objects.
    """
    from bronze_source_lake.objects import open_objects
    from bronze_tui.lake.source import LakeSource

    return LakeSource(open_objects(options), options)


@hookimpl
def bronze_register_sources(register: Register) -> None:
    """Offer the lake under every mode name of the configuration."""
    for mode in MODES:
        register(mode, open_lake, summary="Galexie (SEP-54) lake: file, s3, gs, az or http URL")
