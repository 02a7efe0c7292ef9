"""A look at the catalog, and its migration, without an engine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bronze_tui.catalog.migrations import LATEST, STEPS, Step, pending, version_of
from bronze_tui.catalog.migrations import migrate as take_steps
from bronze_tui.catalog.opening import open_database, read_catalog
from bronze_tui.config.models import Settings


@dataclass(frozen=True, slots=True)
class ChainState:
    """One chain in the catalog; ``owner`` is whoever took it last, living or not."""

    chain_key: str
    partitions: int
    events_unfiled: int
    epoch: int
    owner: str
    since: str


@dataclass(frozen=True, slots=True)
class CatalogState:
    """The catalog as it stands; ``version`` is 0 when there is none yet."""

    where: str
    version: int
    latest: int
    chains: list[ChainState]

    def to_doc(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """Aligned lines for people."""
        version = f"version {self.version} of {self.latest}" if self.version else "none yet"
        lines = [f"catalog    {self.where}", f"schema     {version}"]
        for chain in self.chains:
            lines += [
                f"chain      {chain.chain_key}",
                f"  rows     {chain.partitions:,} partitions, {chain.events_unfiled:,} events"
                " without file",
                f"  owner    {chain.owner or 'none'}"
                + (f", epoch {chain.epoch}, since {chain.since}" if chain.owner else ""),
            ]
        return "\n".join(lines)


def look(settings: Settings) -> CatalogState:
    """Read the catalog; changes nothing.

    Raises:
        StateError: damaged, or newer. CatalogUnavailable: it does not answer. ConfigError.
    """
    catalog = read_catalog(settings)
    if catalog is None:
        place = "PostgreSQL" if settings.catalog.postgres_dsn else str(settings.catalog_path())
        return CatalogState(place, 0, LATEST, [])
    try:
        database = catalog.database
        version = database.read(lambda c: version_of(c, database))
        chains = []
        for chain_key in catalog.chain_keys():
            rows = catalog.rows(chain_key)
            epoch, owner, since = catalog.owner_of(chain_key) or (0, "", "")
            unfiled = sum(not row.filed for row in rows)
            chains.append(ChainState(chain_key, len(rows), unfiled, epoch, owner, since))
        return CatalogState(catalog.where, version, LATEST, chains)
    finally:
        catalog.close()


def migrate(settings: Settings, *, dry_run: bool) -> list[Step]:
    """Take the steps that the catalog lacks, or only name them.

    Raises:
        StateError: rows of the Go copier forbid it, or the schema is newer. CatalogUnavailable,
        StoreRefused, LockedError, ConfigError.
    """
    if not dry_run:
        database = open_database(settings)
        try:
            return take_steps(database)
        finally:
            database.close()
    catalog = read_catalog(settings)
    if catalog is None:
        return list(STEPS)
    try:
        return pending(catalog.database)
    finally:
        catalog.close()
