"""Every hook, on one page: registration (called once) and notification (past tense, isolated)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from bronze_tui.hooks.markers import hookspec

if TYPE_CHECKING:
    from bronze_tui.domain.events import (
        EventLinked,
        PartitionCommitted,
        PartitionFailed,
        RunFinished,
        RunStarted,
    )


class Register(Protocol):
    """Callback of the registration hooks.

    ``factory(settings)`` is called only when the configuration names ``name``, so heavy imports
    belong inside it. ``config_model`` is a pydantic model for settings of third-party plugins.
    """

    def __call__(
        self, name: str, factory: Any, config_model: Any = None, summary: str = ""
    ) -> None: ...


@hookspec
def bronze_register_sources(register: Register) -> None:
    """Offer ledger sources by the name that ``source.mode`` uses. Added in 0.1."""


@hookspec
def bronze_register_stores(register: Register) -> None:
    """Offer stores by the name that ``storage.backend`` uses. Added in 0.1."""


@hookspec
def bronze_register_emitters(register: Register) -> None:
    """Offer audit event emitters by name. Added in 0.1."""


@hookspec
def bronze_register_commands(register: Register) -> None:
    """Offer subcommands of ``bronze``: the factory returns a click command. Added in 0.1."""


@hookspec
def bronze_run_started(event: RunStarted) -> None:
    """The engine holds its locks and has a plan. Added in 0.1."""


@hookspec
def bronze_partition_committed(event: PartitionCommitted) -> None:
    """A partition's commit record, lineage and event are durable. Added in 0.1."""


@hookspec
def bronze_partition_failed(event: PartitionFailed) -> None:
    """A partition failed after its retries. Added in 0.1."""


@hookspec
def bronze_event_linked(event: EventLinked) -> None:
    """A PAS event joined its chain. Added in 0.1."""


@hookspec
def bronze_run_finished(event: RunFinished) -> None:
    """The run is over, whatever its outcome. Added in 0.1."""
