"""From sections to what the engine and plugin factories take: eras, addresses, options.

Nothing here touches the disk or the network.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bronze_tui.config import values
from bronze_tui.config.sections import (
    EraSettings,
    PasSettings,
    PerfSettings,
    SourceSettings,
    StorageSettings,
)
from bronze_tui.domain.era import Era

if TYPE_CHECKING:
    from bronze_tui.hooks.contracts import EmitterOptions, SourceOptions, StoreOptions

DATASTORE_SCHEMES = {"gcs": "gs", "s3": "s3", "filesystem": "file"}


def eras(configured: Iterable[EraSettings], active: Sequence[str]) -> tuple[Era, ...]:
    """The eras named by ``active`` (all when empty), in configured order."""
    return tuple(
        Era(
            network=era.network,
            era_id=era.era_id,
            version_label=era.version_label,
            ledger_start=era.ledger_start,
            ledger_end=era.ledger_end or None,
            partition_size=era.partition_size,
        )
        for era in configured
        if not active or era.era_id in active
    )


def partition_count(era: Era) -> int | None:
    """How many partitions the era has, None when it has no end."""
    if era.ledger_end is None:
        return None
    before = (era.first_ledger - era.ledger_start) // era.partition_size
    return (era.ledger_end - era.ledger_start) // era.partition_size - before + 1


def workers_of(perf: PerfSettings) -> int:
    """Partitions built at the same time, chosen for this machine where nobody chose."""
    return perf.workers or min(perf.max_in_flight_partitions, os.cpu_count() or 1)


def address(text: str) -> str:
    """``text`` as a URL without a final slash; a path becomes ``file://``, percent-encoded."""
    if not text or values.is_address(text):
        scheme, separator, rest = text.partition("://")
        return f"{scheme}{separator}{rest.rstrip('/') or '/' * (scheme == 'file')}"
    return Path(text).absolute().as_uri()


def source_url(source: SourceSettings) -> str:
    """The lake's URL, empty when the keys of its mode say nothing."""
    if source.url:
        return address(source.url)
    if source.mode == "local":
        return address(source.local_path)
    if source.mode == "gcs":
        return _bucket_url("gs", source.gcs_bucket, source.gcs_prefix)
    if source.mode == "s3":
        return _bucket_url("s3", source.s3_bucket, source.s3_prefix)
    if source.mode == "datastore" and source.datastore_path:
        return _datastore_url(source.datastore_type, source.datastore_path)
    return ""


def store_url(storage: StorageSettings) -> str:
    """The store's URL without the prefix, empty when the keys of its backend say nothing."""
    if storage.url:
        return address(storage.url)
    if storage.backend == "local":
        return address(storage.local_dir)
    if storage.backend == "gcs":
        return _bucket_url("gs", storage.gcs_bucket, "")
    if storage.backend == "s3":
        return _bucket_url("s3", storage.s3_bucket, "")
    return ""


def source_options(source: SourceSettings, first_ledger: int) -> SourceOptions:
    """Options of a source's factory."""
    from bronze_tui.hooks.contracts import SourceOptions

    endpoint = source.endpoint or source.s3_endpoint
    return SourceOptions(
        mode=source.mode,
        url=source_url(source),
        region=source.region or source.s3_region,
        endpoint=endpoint,
        path_style=_path_style(source.path_style, endpoint),
        anonymous=source.anonymous,
        requester_pays=source.requester_pays,
        ledgers_per_file=source.ledgers_per_file,
        files_per_partition=source.files_per_partition,
        network_passphrase=source.network_passphrase,
        first_ledger=first_ledger,
        timeout=source.timeout,
        extra=tuple(sorted(source.options.items())),
    )


def store_options(storage: StorageSettings, staging_dir: Path) -> StoreOptions:
    """Options of a store's factory."""
    from bronze_tui.hooks.contracts import StoreOptions

    endpoint = storage.endpoint or storage.s3_endpoint
    return StoreOptions(
        backend=storage.backend,
        url=store_url(storage),
        staging_dir=staging_dir,
        region=storage.region or storage.s3_region,
        endpoint=endpoint,
        path_style=_path_style(storage.path_style, endpoint),
        anonymous=storage.anonymous,
        timeout=storage.timeout,
        extra=tuple(sorted(storage.options.items())),
    )


def emitter_options(pas: PasSettings) -> EmitterOptions:
    """Options of an emitter's factory."""
    from bronze_tui.hooks.contracts import EmitterOptions

    return EmitterOptions(
        backup_dir=Path(pas.backup_dir).absolute(),
        endpoint=pas.endpoint,
        strict=pas.strict,
        token=pas.token.get_secret_value(),
        allow_private=pas.allow_private,
        extra=tuple(sorted(pas.options.items())),
    )


def _datastore_url(kind: str, path: str) -> str:
    scheme = DATASTORE_SCHEMES.get(kind.lower(), "")
    if values.is_address(path) or path.startswith("/") or scheme == "file":
        return address(path)
    bucket, _, prefix = path.partition("/")
    return _bucket_url(scheme, bucket, prefix) if scheme else ""


def _bucket_url(scheme: str, bucket: str, prefix: str) -> str:
    return f"{scheme}://{bucket}/{prefix.strip('/')}".rstrip("/") if bucket else ""


def _path_style(path_style: bool | None, endpoint: str) -> bool | None:
    # Servers other than AWS rarely have a host name per bucket.
    return True if path_style is None and endpoint else path_style
