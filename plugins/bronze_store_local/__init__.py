"""The local store: immutable files on a disk of this machine, or on one mounted like it.

Registers one factory as ``local``; opening it writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bronze_tui.hooks.markers import hookimpl

if TYPE_CHECKING:
    from bronze_tui.hooks.contracts import Store, StoreOptions
    from bronze_tui.hooks.specs import Register

bronze_hook_api = 1


def open_local(options: StoreOptions) -> Store:
    """Open the folder that ``options.url`` (``file:///abs/path``) names; it need not exist yet.

    Raises:
        ConfigError: the URL is no file URL with an absolute path.
        StoreRefused: something else than a folder stands there.
    """
    from bronze_store_local.store import LocalStore, root_of

    return LocalStore(root_of(options.url))


@hookimpl
def bronze_register_stores(register: Register) -> None:
    """Offer the local store under the configuration's backend name."""
    register("local", open_local, summary="folder on a local or mounted disk: file URL")
