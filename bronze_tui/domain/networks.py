"""Passphrases of the public networks, by the names that datasets use."""

from __future__ import annotations

PASSPHRASES = {
    "pubnet": "Public Global Stellar Network ; September 2015",
    "mainnet": "Public Global Stellar Network ; September 2015",
    "public": "Public Global Stellar Network ; September 2015",
    "testnet": "Test SDF Network ; September 2015",
    "futurenet": "Test SDF Future Network ; October 2022",
}
