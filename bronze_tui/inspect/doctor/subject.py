"""What is examined, and what one group of checks tells the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

_IMPORTS = 5.0

if TYPE_CHECKING:
    from bronze_tui.config.models import Settings
    from bronze_tui.hooks.manager import PluginHost


@dataclass(slots=True)
class Subject:
    """One configuration.

    Args:
        write: make and remove probe objects; else only look at permissions.
        data_root: folder of the local store; None on a remote one.
        pas_dir: folder of the audit events, wherever ``pas.enabled`` says.
        now: Unix seconds by this machine's clock.
        open_files: soft limit of open files of the process that will run the engine.
    """

    settings: Settings
    write: bool
    data_root: Path | None
    pas_dir: Path
    now: float
    open_files: int
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when nobody waits any more: give up, clean up."""
    host: PluginHost | None = None
    """Set by the group ``plugins``."""
    newest: int | None = None
    """Newest ledger of the source."""
    closed: float | None = None
    """Unix seconds when it closed."""
    bytes_per_ledger: float | None = None
    """Mean source bytes of a ledger, of those read."""
    opening: threading.Lock = field(default_factory=threading.Lock)
    """See ``first_imports``."""
    server_times: list[tuple[str, float]] = field(default_factory=list)
    """Server and how many seconds its clock is before ours."""

    @contextmanager
    def first_imports(self) -> Iterator[None]:
        """Hold the others' opening back for a while: factories import compiled clients, some of
        which fail when two threads import them at once. A server that hangs holds nobody up."""
        held = self.opening.acquire(timeout=_IMPORTS)
        try:
            yield
        finally:
            if held:
                self.opening.release()


def data_root_of(settings: Settings) -> Path | None:
    """Folder of the local store; None on a remote one."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(settings.store_options().url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
