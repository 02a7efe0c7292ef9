"""What the app shows and what it may do: decided before it starts, only a new engine changes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bronze_tui.tui.places import NAME_CONFIG, Absence

if TYPE_CHECKING:
    import subprocess

    from bronze_tui.config.load import Loaded

SessionKind = Literal["run", "attach", "replay", "inspect", "start"]


@dataclass(frozen=True)
class Session:
    """One start of the app.

    ``run``: we started the engine (``child``). ``attach``: an engine runs or ran in ``state_dir``.
    ``replay``: a recorded journal at ``speed``. ``inspect``: a dataset or audit folder without
    any journal. ``start``: nothing is known yet, the start screen asks.
    """

    kind: SessionKind
    journal: Path | None = None
    state_dir: Path | None = None
    loaded: Loaded | None = None
    control: bool = False
    """Whether commands may be sent to the engine."""
    child: subprocess.Popen[bytes] | None = None
    arguments: tuple[str, ...] | None = None
    """Command line of ``bronze engine`` that starts such a run again; None when none is known."""
    speed: float = 1.0
    data_root: Path | None = None
    """Folder of the local store; None on a remote one."""
    prefix: str = "bronze/"
    pas_dir: Path | None = None
    no_data: Absence | None = None
    """Why ``data_root`` is None, where more is known than that."""
    no_pas: Absence | None = None
    """Why ``pas_dir`` is None, likewise."""
    overridden: bool = False
    """The run was started with other places than ``loaded`` has."""
    first_page: str = "dashboard"
    after: float = 0.0
    """Unix seconds; older journal records are of earlier runs."""
    refresh_hz: float = 4.0
    mouse: bool = True

    @property
    def live(self) -> bool:
        """Whether time goes on outside: false for recordings and plain folders."""
        return self.kind in ("run", "attach")

    @property
    def why_no_data(self) -> Absence:
        """What a page says that needs the data and has none."""
        return self.no_data or Absence("No dataset is known here.", NAME_CONFIG)

    @property
    def why_no_pas(self) -> Absence:
        """What a page says that needs the audit events and has none."""
        return self.no_pas or Absence("No audit folder is known here.", NAME_CONFIG)
