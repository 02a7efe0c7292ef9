"""What the inspecting child process needs to know, carried over its pipe as JSON.

Secrets may be in it: it goes to the child's standard input and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bronze_tui.domain.errors import UsageError

if TYPE_CHECKING:
    from bronze_tui.config.load import Loaded
    from bronze_tui.config.models import Settings
    from bronze_tui.hooks.contracts import SourceOptions

DEFAULT_MAX_LEDGER_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Cut:
    """How the configuration cuts one era."""

    chain_key: str
    ledger_start: int
    partition_size: int


@dataclass(frozen=True, slots=True)
class Setup:
    """One dataset folder and, where a configuration is known, its source and store.

    ``data_root`` is empty when the store is not a folder of this machine.
    """

    data_root: str = ""
    prefix: str = "bronze/"
    eras: tuple[Cut, ...] = ()
    """Of the configuration; datasets of other eras are listed after these."""
    passphrase: str = ""
    source_mode: str = ""
    source_url: str = ""
    store_backend: str = ""
    allow: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    max_ledger_bytes: int = DEFAULT_MAX_LEDGER_BYTES
    config: Mapping[str, Any] = field(default_factory=dict)
    """The whole configuration; empty where none is known."""

    @classmethod
    def of(cls, loaded: Loaded | None, data_root: Path | None, prefix: str) -> Setup:
        """From a session's parts; without a configuration only the folder is known."""
        root = str(data_root) if data_root is not None else ""
        if loaded is None:
            return cls(data_root=root, prefix=prefix)
        settings = loaded.settings
        return cls(
            data_root=root,
            prefix=prefix,
            eras=tuple(
                Cut(era.chain_key, era.ledger_start, era.partition_size)
                for era in settings.active()
            ),
            passphrase=settings.source.network_passphrase,
            source_mode=settings.source.mode,
            source_url=settings.source_options().url,
            store_backend=settings.storage.backend,
            allow=settings.plugins.allow,
            disable=settings.plugins.disable,
            max_ledger_bytes=settings.source.max_ledger_bytes,
            config=_plain(settings.model_dump()),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> Setup:
        """What ``to_json`` gave.

        Raises:
            TypeError: it is something else.
        """
        values = dict(doc)
        values["eras"] = tuple(Cut(**era) for era in values.get("eras", ()))
        for name in ("allow", "disable"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)

    def settings(self) -> Settings:
        """The configuration.

        Raises:
            UsageError: none is known.
        """
        from bronze_tui.config.models import Settings

        if not self.config:
            raise UsageError("no configuration is known here", todo="start with --config")
        return Settings.model_validate(self.config)

    def source_options(self) -> SourceOptions:
        """As the source's factory takes them; raises as ``settings``."""
        return self.settings().source_options()


def _plain(value: Any) -> Any:
    """Data for JSON that the models take again; secrets are shown."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    reveal = getattr(value, "get_secret_value", None)
    return reveal() if reveal is not None else value
