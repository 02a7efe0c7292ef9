"""What plugins offer: named factories of sources, stores, emitters and commands.

A factory is held, never called: the configuration decides which one is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from bronze_tui.domain.names import RULE, is_name

KINDS = ("source", "store", "emitter", "command")
REGISTRATION = {
    "bronze_register_sources": "source",
    "bronze_register_stores": "store",
    "bronze_register_emitters": "emitter",
    "bronze_register_commands": "command",
}
"""Registration hook to the kind of thing it registers."""

Factory = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that one plugin can make."""

    kind: str
    name: str
    plugin: str
    factory: Factory
    config_model: Any = None
    summary: str = ""


class Registry:
    """Offers by kind and name; each pair exists once."""

    def __init__(self) -> None:
        self._offers: dict[tuple[str, str], Offer] = {}

    def add(self, offer: Offer) -> None:
        """Take an offer in.

        Raises:
            ValueError: bad name or factory, or another plugin offers the same.
        """
        if not isinstance(offer.name, str) or not is_name(offer.name):
            raise ValueError(f"{offer.kind} name {offer.name!r} is not allowed: use {RULE}")
        if not callable(offer.factory):
            raise ValueError(f"{offer.kind} {offer.name!r} has a factory that cannot be called")
        standing = self._offers.get((offer.kind, offer.name))
        if standing is not None:
            raise ValueError(
                f"{offer.kind} {offer.name!r} is already offered by plugin {standing.plugin!r}"
            )
        self._offers[offer.kind, offer.name] = offer

    def remove(self, plugin: str) -> None:
        """Forget everything ``plugin`` offered."""
        self._offers = {k: o for k, o in self._offers.items() if o.plugin != plugin}

    def find(self, kind: str, name: str) -> Offer | None:
        """The offer of that kind and name."""
        return self._offers.get((kind, name))

    def names(self, kind: str) -> list[str]:
        """Names on offer, sorted."""
        return sorted(name for each, name in self._offers if each == kind)

    def of(self, plugin: str) -> tuple[str, ...]:
        """What ``plugin`` offers, as ``kind:name`` texts, sorted."""
        return tuple(
            sorted(f"{o.kind}:{o.name}" for o in self._offers.values() if o.plugin == plugin)
        )


def suggestion(name: str, known: list[str]) -> str:
    """What to do about an unknown name: the nearest known one, and all of them."""
    close = get_close_matches(name, known, n=1)
    listed = f"known are {', '.join(known)}" if known else "none is known"
    return f"did you mean {close[0]!r}? {listed}" if close else listed
