"""The object store: S3, GCS and Azure buckets through obstore.

Registers one factory under the configuration's backend names; obstore is imported when a store
is opened. Tested against an in-memory store and a small S3 server on this machine, not yet
against the clouds themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bronze_tui.hooks.markers import hookimpl

if TYPE_CHECKING:
    from bronze_tui.hooks.contracts import Store, StoreOptions
    from bronze_tui.hooks.specs import Register

bronze_hook_api = 1

BACKENDS = ("s3", "gcs", "object")
"""Values of ``storage.backend``; all mean the same code, the URL decides where it writes."""


def open_object(options: StoreOptions) -> Store:
    """Open the bucket that ``options.url`` names, without contacting it.

    Raises:
        ConfigError: no bucket URL, or a setting the client does not know.
    """
    from bronze_store_object.remote import make_client, public_url
    from bronze_store_object.store import ObjectStore

    return ObjectStore(make_client(options), public_url(options.url), options.staging_dir)


@hookimpl
def bronze_register_stores(register: Register) -> None:
    """Offer the object store under the configuration's backend names."""
    for backend in BACKENDS:
        register(backend, open_object, summary="bucket: s3, gs or az URL")
