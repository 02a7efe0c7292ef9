"""A lake that the command line names by its address."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.networks import PASSPHRASES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bronze_tui.config.load import Loaded
    from bronze_tui.hooks.contracts import LedgerSource

_BARE = (
    "era.network=none",
    "era.era_id=none",
    "era.version_label=none",
    "era.ledger_start=2",
    "source.mode=lake",
    "source.url=/",
)


def open_lake(address: str, loaded: Loaded | None, sets: Sequence[str] = ()) -> LedgerSource:
    """The lake at a folder or URL; without an address that of the configuration.

    Region, endpoint, layout and client settings come from the configuration, or where there is
    none from ``sets``; credentials from the environment.

    Args:
        sets: ``source.KEY=VALUE``, for want of a configuration.

    Raises:
        UsageError: neither is known. ConfigError, PluginError, SourceError: it cannot be opened.
    """
    from bronze_tui.config.resolve import address as url_of
    from bronze_tui.hooks.manager import load_plugins

    if not address and loaded is None:
        raise UsageError("which lake?", todo="give --from with its folder or URL")
    settings = (loaded or _bare(sets)).settings
    options = settings.source_options()
    if address:
        options = replace(options, url=url_of(address))
    host = load_plugins(
        allow=settings.plugins.allow, disable=settings.plugins.disable, needed={options.mode}
    )
    source: LedgerSource = host.source(options.mode)(options)
    return source


def _bare(sets: Sequence[str]) -> Loaded:
    """A configuration of a lake and nothing else."""
    from bronze_tui.config.load import load

    for text in sets:
        if not text.strip().startswith("source."):
            raise UsageError(
                f"{text.partition('=')[0]!a} is no key of the lake",
                where="--set",
                todo="without --config only source keys can be set",
            )
    return load(None, (*_BARE, *sets), {})


def check_network(source: LedgerSource, networks: Iterable[str], passphrase: str) -> None:
    """Refuse a lake that says it is of another network than the datasets.

    Args:
        passphrase: the configuration's; empty: by the datasets' names, where they are public ones.

    Raises:
        UsageError: it does.
    """
    about = source.describe()
    for network in networks:
        ours = passphrase or PASSPHRASES.get(network, "")
        if ours and about.network_passphrase and about.network_passphrase != ours:
            raise UsageError(
                f"the lake is of the network {about.network_passphrase!a}, the dataset {network!a} "
                f"is of {ours!a}",
                where=about.location,
                todo="give a lake of the same network",
            )
