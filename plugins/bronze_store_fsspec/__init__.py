"""Any place that fsspec knows (s3fs, gcsfs, sftp, ...), as a source of ledgers and as a store.

For S3, GCS and Azure the built-in modes and backends are faster; this one is for everything else,
and for credentials that only botocore or gcsfs understand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bronze_tui.hooks.markers import hookimpl

if TYPE_CHECKING:
    from bronze_tui.hooks.contracts import LedgerSource, SourceOptions, Store, StoreOptions
    from bronze_tui.hooks.specs import Register

bronze_hook_api = 1


def open_source(options: SourceOptions) -> LedgerSource:
    """Open the lake at ``options.url`` and learn its layout.

    Raises:
        ConfigError: no such kind of URL, its package is missing, or the options do not fit.
        SourceDenied, SourceUnavailable, SourceDataError: see the lake source.
    """
    from bronze_store_fsspec.lake import FsspecObjects
    from bronze_store_fsspec.place import open_place
    from bronze_tui.lake.objects import PatientObjects
    from bronze_tui.lake.source import LakeSource

    place = open_place("source", options, requester_pays=options.requester_pays)
    return LakeSource(PatientObjects(FsspecObjects(place), options.meter), options)


def open_store(options: StoreOptions) -> Store:
    """Open the store at ``options.url``.

    Raises:
        ConfigError: no such kind of URL, its package is missing, the options do not fit, or it
            cannot create an object only where none stands.
    """
    from bronze_store_fsspec.client import make_client
    from bronze_tui.remote.store import BucketStore

    return BucketStore(make_client(options), options.staging_dir, meter=options.meter)


@hookimpl
def bronze_register_sources(register: Register) -> None:
    """Offer the source ``fsspec``."""
    register("fsspec", open_source, summary="lake at any fsspec URL")


@hookimpl
def bronze_register_stores(register: Register) -> None:
    """Offer the store ``fsspec``."""
    register("fsspec", open_store, summary="any fsspec URL that can create if absent")
