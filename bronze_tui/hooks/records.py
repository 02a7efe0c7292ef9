"""What is known of each plugin, as data: the ``bronze plugins`` command and screens show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

DISTRIBUTION = "bronze-tui"
DISABLE_VARIABLE = "BRONZE_DISABLE_PLUGINS"
_ALL = frozenset({"1", "all", "*", "true"})

Status = Literal["active", "listed", "failed", "disabled", "quarantined"]
Stage = Literal["", "name", "import", "version", "register", "pending", "call"]


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """One plugin; ``stage``, ``error`` and ``traceback`` say where and how it failed."""

    name: str
    distribution: str
    version: str
    status: Status
    stage: Stage = ""
    hooks: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    """``kind:name`` of what it registered."""
    load_ms: float = 0.0
    error: str = ""
    builtin: bool = False
    traceback: str = ""

    def to_json(self) -> dict[str, Any]:
        """The record as ``bronze plugins --json`` prints it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Switches:
    """Which plugins may not be loaded, from the command line and the environment."""

    disabled: frozenset[str]
    third_party: bool

    @classmethod
    def of(cls, disable: Iterable[str], third_party: bool, env: Mapping[str, str]) -> Switches:
        """Join ``--disable-plugin``, ``--no-plugins`` and ``BRONZE_DISABLE_PLUGINS``.

        The variable holds names separated by commas; ``all`` (or ``1``) means all third-party
        plugins.
        """
        named = {n.strip() for n in env.get(DISABLE_VARIABLE, "").split(",") if n.strip()}
        return cls(
            disabled=frozenset({*disable, *(named - _ALL)}),
            third_party=third_party and not named & _ALL,
        )

    def allow(self, name: str, builtin: bool) -> bool:
        """Whether the plugin may be loaded if something needs it."""
        return name not in self.disabled and (builtin or self.third_party)
