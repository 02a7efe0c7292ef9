"""What a verifier brings along to level ``ledger``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bronze_tui.domain.networks import PASSPHRASES

LIMITS = (
    "A ledger's header covers its transaction set, results, fees, close time and state hash. It "
    "does not cover transaction meta (entry changes, events, diagnostics): those are proven by "
    "level source only, against a second copy.",
    "A validator's signature says that it nominated this transaction set and time on this "
    "network; whose key it is must be known from elsewhere (--validators).",
)


@dataclass(frozen=True, slots=True)
class Trust:
    """Known from elsewhere, not from whoever made the dataset."""

    passphrase: str = ""
    """The network's; empty: by the dataset's network name, where it is a public one."""
    anchors: Mapping[int, str] = field(default_factory=dict)
    """Ledger to hex hash, from a source that is trusted."""
    validators: Mapping[str, str] = field(default_factory=dict)
    """G-address to name; empty: anybody may have signed."""

    def passphrase_of(self, network: str) -> str:
        """The passphrase for a dataset of that network name; empty when nobody knows it."""
        return self.passphrase or PASSPHRASES.get(network, "")
