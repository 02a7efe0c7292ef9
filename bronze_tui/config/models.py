"""``Settings``: the whole configuration, frozen, and what it means for the engine and plugins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bronze_tui.config import resolve
from bronze_tui.config.sections import (
    IGNORED_THERE,
    OURS,
    BronzeSettings,
    CatalogSettings,
    CheckpointSettings,
    EraEntry,
    EraSettings,
    Key,
    LoggingSettings,
    MetricsSettings,
    PasSettings,
    PerfSettings,
    PluginSettings,
    Section,
    SourceSettings,
    StorageSettings,
)

if TYPE_CHECKING:
    from bronze_tui.domain.era import Era
    from bronze_tui.hooks.contracts import EmitterOptions, SourceOptions, StoreOptions


class Settings(Section):
    """Every section; values are typed and single-key rules hold, ``check`` has the others."""

    copier_id: Annotated[str, Field(min_length=1, max_length=200), Key(env="COPIER_ID")] = Field(
        default="bronze-copier-001", description="Name of this copier in checkpoints and locks."
    )
    era: EraSettings = Field(default=EraSettings(), description="The one era to copy.")
    eras: tuple[EraEntry, ...] = Field(
        default=(), description="Several eras; takes precedence over era."
    )
    active_eras: Annotated[tuple[str, ...], IGNORED_THERE] = Field(
        default=(), description="Which of the eras to copy, by era_id; empty: all."
    )
    source: SourceSettings = Field(
        default=SourceSettings(), description="Where ledgers are read from."
    )
    storage: StorageSettings = Field(
        default=StorageSettings(), description="Where Bronze is written."
    )
    catalog: CatalogSettings = Field(
        default=CatalogSettings(), description="The database of lineage, audit chain and outbox."
    )
    pas: PasSettings = Field(default=PasSettings(), description="The public audit stream.")
    checkpoint: CheckpointSettings = Field(
        default=CheckpointSettings(), description="State on this machine."
    )
    perf: PerfSettings = Field(default=PerfSettings(), description="Speed, memory, and failures.")
    logging: LoggingSettings = Field(
        default=LoggingSettings(), description="What is logged, and how."
    )
    metrics: MetricsSettings = Field(default=MetricsSettings(), description="Prometheus metrics.")
    bronze: BronzeSettings = Field(
        default=BronzeSettings(), description="The tables and their files."
    )
    plugins: Annotated[PluginSettings, OURS] = Field(
        default=PluginSettings(), description="Plugins that are not part of this distribution."
    )

    def active(self) -> tuple[Era, ...]:
        """The eras to copy, in ledger order."""
        return resolve.eras(self.eras or (self.era,), self.active_eras)

    def source_options(self) -> SourceOptions:
        """What the source's factory gets."""
        return resolve.source_options(self.source, self.active()[0].first_ledger)

    def store_options(self) -> StoreOptions:
        """What the store's factory gets; files are staged below the state folder."""
        return resolve.store_options(self.storage, self.state_dir() / "staging")

    def emitter_options(self) -> EmitterOptions:
        """What an emitter's factory gets, whether or not ``pas.enabled``."""
        return resolve.emitter_options(self.pas)

    def state_dir(self) -> Path:
        """Absolute folder of checkpoints, journal and staged files."""
        return Path(self.checkpoint.dir).absolute()

    def catalog_path(self) -> Path:
        """Absolute path of the SQLite catalog, whether or not PostgreSQL is used."""
        if self.catalog.path:
            return Path(self.catalog.path).absolute()
        return self.state_dir() / "catalog.sqlite"
