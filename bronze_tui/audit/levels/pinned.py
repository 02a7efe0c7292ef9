"""Validators whose keys are known: lists that come with the program, and lists that are given.

A list is TOML with ``[[VALIDATORS]]``, as in stellar-core's configuration and in an organisation's
stellar.toml (SEP-20).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from bronze_tui.domain.networks import PASSPHRASES

_LISTS = ("pubnet", "testnet", "futurenet")
_NAMES = ("NAME", "DISPLAY_NAME", "ALIAS")
_ORGANISATIONS = ("HOME_DOMAIN", "HOST")


@cache
def pinned_validators(passphrase: str) -> Mapping[str, str]:
    """Name and home domain by G-address, of a public network; empty for any other."""
    for name in _LISTS:
        if PASSPHRASES[name] == passphrase:
            text = files("bronze_tui.audit").joinpath("validators", f"{name}.toml").read_text()
            return validators_of_toml(text)
    return {}


def validators_of_toml(text: str) -> dict[str, str]:
    """G-address to name, with its home domain or host in parentheses.

    Raises:
        ValueError: no TOML, no ``[[VALIDATORS]]``, one without key, or a key with two names.
    """
    doc = tomllib.loads(text)
    entries = doc.get("VALIDATORS")
    if not isinstance(entries, list) or not entries:
        raise ValueError("it has no [[VALIDATORS]]")
    found: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        key = entry.get("PUBLIC_KEY") if isinstance(entry, dict) else None
        if not isinstance(key, str):
            raise ValueError(f"its validator {number} has no PUBLIC_KEY")
        label = _label(entry)
        if found.setdefault(key, label) != label:
            raise ValueError(f"{key} has two names")
    return found


def _label(entry: dict[str, Any]) -> str:
    name = next((str(entry[k]) for k in _NAMES if entry.get(k)), "")
    organisation = next((str(entry[k]) for k in _ORGANISATIONS if entry.get(k)), "")
    return f"{name} ({organisation})" if name and organisation else name or organisation
