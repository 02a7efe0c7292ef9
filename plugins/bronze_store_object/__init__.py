"""The object store: S3 and Azure buckets through obstore, GCS through google-cloud-storage.

Registers one factory under the configuration's backend names; the client library is imported when
a store is opened. Tested against SeaweedFS, Azurite and fake-gcs-server, not against the clouds
themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bronze_tui.hooks.markers import hookimpl

if TYPE_CHECKING:
    from bronze_tui.hooks.contracts import Store, StoreOptions
    from bronze_tui.hooks.specs import Register
    from bronze_tui.remote.client import BucketClient

bronze_hook_api = 1

BACKENDS = ("s3", "gcs", "object")
"""Values of ``storage.backend``; all mean the same code, the URL decides where it writes."""


def open_object(options: StoreOptions) -> Store:
    """Open the bucket that ``options.url`` names, without contacting it.

    Raises:
        ConfigError: no bucket URL, a setting the client does not know, or a gs:// URL without
            the google-cloud-storage package.
    """
    from bronze_tui.remote.store import BucketStore

    if options.url.startswith(("gs://", "gcs://")):
        from bronze_store_object.google import make_google_client

        client: BucketClient = make_google_client(options)
    else:
        from bronze_store_object.remote import make_client

        client = make_client(options)
    return BucketStore(client, options.staging_dir, meter=options.meter)


@hookimpl
def bronze_register_stores(register: Register) -> None:
    """Offer the object store under the configuration's backend names."""
    for backend in BACKENDS:
        register(backend, open_object, summary="bucket: s3, gs or az URL")
