"""A lake that the command line names by its address."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.networks import PASSPHRASES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bronze_tui.config.load import Loaded
    from bronze_tui.hooks.contracts import LedgerSource

MODE = "lake"


def open_lake(address: str, loaded: Loaded | None) -> LedgerSource:
    """The lake at a folder or URL; without an address that of the configuration.

    Region, endpoint, layout and client settings come from the configuration where there is one,
    credentials from the environment.

    Raises:
        UsageError: neither is known. ConfigError, PluginError, SourceError: it cannot be opened.
    """
    from bronze_tui.config.resolve import address as url_of
    from bronze_tui.config.resolve import source_options
    from bronze_tui.config.sections import SourceSettings
    from bronze_tui.domain.ledger import FIRST_LEDGER
    from bronze_tui.hooks.manager import load_plugins

    if not address and loaded is None:
        raise UsageError("which lake?", todo="give --from with its folder or URL")
    if loaded is None:
        options = replace(source_options(SourceSettings(), FIRST_LEDGER), mode=MODE)
        allow: tuple[str, ...] = ()
        disable: tuple[str, ...] = ()
    else:
        settings = loaded.settings
        options = settings.source_options()
        allow, disable = tuple(settings.plugins.allow), tuple(settings.plugins.disable)
    if address:
        options = replace(options, url=url_of(address))
    host = load_plugins(allow=allow, disable=disable, needed={options.mode})
    source: LedgerSource = host.source(options.mode)(options)
    return source


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
