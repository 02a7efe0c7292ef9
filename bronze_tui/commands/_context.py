"""What several commands open: the configured source, without an engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bronze_tui.config.load import Loaded
    from bronze_tui.hooks.contracts import LedgerSource


def load_config(config: Path | None, sets: Sequence[str]) -> Loaded:
    """The configuration of ``--config`` and ``--set``.

    Raises:
        ConfigError: it is wrong.
    """
    from bronze_tui.config.load import load

    return load(config, sets)


def open_source(config: Path | None, sets: Sequence[str]) -> LedgerSource:
    """The configured ledger source; the caller closes it.

    Raises:
        ConfigError, PluginError, SourceError.
    """
    from bronze_tui.hooks.manager import load_plugins

    settings = load_config(config, sets).settings
    host = load_plugins(
        allow=settings.plugins.allow,
        disable=settings.plugins.disable,
        needed={settings.source.mode},
    )
    source: LedgerSource = host.source(settings.source.mode)(settings.source_options())
    return source
