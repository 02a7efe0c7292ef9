"""What a verifier brings along to level ``ledger``."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field

from bronze_tui.audit.levels.pinned import pinned_validators
from bronze_tui.domain.networks import PASSPHRASES

LIMITS = (
    "A ledger's header covers its transaction set, results, fees, close time and state hash. It "
    "does not cover transaction meta (entry changes, events, diagnostics): those are proven by "
    "level source only, against a second copy.",
    "A validator's signature says that it nominated this transaction set and time on this "
    "network, not that a quorum agreed; whose key it is says a list (--validators, else the one "
    "that comes with bronze).",
)


@dataclass(frozen=True, slots=True)
class Trust:
    """Known from elsewhere, not from whoever made the dataset."""

    passphrase: str = ""
    """The network's; empty: by the dataset's network name, where it is a public one."""
    anchors: dict[int, str] = field(default_factory=dict)
    """Ledger to hex hash, from a file that is trusted."""
    validators: Mapping[str, str] = field(default_factory=dict)
    """G-address to name, in place of the list that comes with the program."""
    gathered: dict[str, dict[int, str]] = field(default_factory=dict)
    """Ledger to hex hash by the dataset's network name, from archives and servers."""

    def passphrase_of(self, network: str) -> str:
        """The passphrase for a dataset of that network name; empty when nobody knows it."""
        return self.passphrase or PASSPHRASES.get(network, "")

    def anchors_of(self, network: str) -> Mapping[int, str]:
        """Trusted hashes for a dataset of that network name."""
        return ChainMap(self.anchors, self.gathered.get(network, {}))

    def validators_of(self, network: str) -> Mapping[str, str]:
        """Validators known for a dataset of that network name; empty: anybody may have signed."""
        return self.validators or pinned_validators(self.passphrase_of(network))
