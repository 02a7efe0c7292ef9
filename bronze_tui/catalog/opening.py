"""The catalog that a configuration names."""

from __future__ import annotations

from bronze_tui.catalog.database import Database
from bronze_tui.catalog.migrations import version_of
from bronze_tui.catalog.outage import Patience
from bronze_tui.catalog.sqlite import SqliteDatabase
from bronze_tui.catalog.store import Catalog
from bronze_tui.config.models import Settings
from bronze_tui.domain.errors import ConfigError


def open_database(
    settings: Settings, *, read_only: bool = False, patience: Patience | None = None
) -> Database:
    """PostgreSQL where a connection string is set, else the SQLite file.

    Raises:
        ConfigError: the connection string is wrong, or the driver is not installed.
        CatalogUnavailable: PostgreSQL does not answer; opening never waits.
        StateError, StoreRefused, LockedError: see Catalog.
    """
    dsn = settings.catalog.postgres_dsn.get_secret_value()
    if not dsn:
        return SqliteDatabase(settings.catalog_path(), read_only=read_only)
    try:
        from bronze_tui.catalog.postgres import PostgresDatabase
    except ImportError as error:
        raise ConfigError(
            [
                "catalog.postgres_dsn: the PostgreSQL driver cannot be loaded"
                f" ({error}); install bronze-tui[postgres]"
            ]
        ) from error
    return PostgresDatabase(
        dsn, read_only=read_only, patience=patience, silence=settings.catalog.timeout
    )


def open_catalog(settings: Settings, *, patience: Patience | None = None) -> Catalog:
    """The catalog, made or migrated where it must be; raises as ``open_database``."""
    return Catalog(open_database(settings, patience=patience))


def read_catalog(settings: Settings) -> Catalog | None:
    """The catalog to look into, None when there is none yet; raises as ``open_database``."""
    in_file = not settings.catalog.postgres_dsn.get_secret_value()
    if in_file and not settings.catalog_path().exists():
        return None
    database = open_database(settings, read_only=True)
    try:
        empty = database.read(lambda c: version_of(c, database)) == 0
    except BaseException:
        database.close()
        raise
    if empty:
        database.close()
        return None
    return Catalog(database, read_only=True)
