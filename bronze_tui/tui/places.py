"""Where a run's data and audit events are: what its own record says, and, where there is nothing
to look at, why not and what to do. For sessions that were opened without a configuration, or with
one that is not what the run was started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from bronze_tui.tui.session import Session

OPEN_FOLDER = "bronze attach FOLDER opens a dataset or an audit folder by itself"
NAME_CONFIG = "name it: bronze attach --config FILE, or bronze attach FOLDER"


@dataclass(frozen=True, slots=True)
class Absence:
    """Why something is not there to look at, and what to do; both whole sentences."""

    why: str
    todo: str = OPEN_FOLDER


@dataclass(frozen=True, slots=True)
class Places:
    """Folders that a run named; ``data_root`` holds ``NETWORK/ERA/VERSION``."""

    data_root: Path | None
    pas_dir: Path | None
    no_data: Absence | None = None
    no_pas: Absence | None = None


def recorded(started: Mapping[str, Any], *, here: bool) -> Places:
    """The places of a run by its ``run_started`` record.

    Args:
        started: the record; empty when the run ended before it wrote one.
        here: the run is of this machine, so that folders that are not there may come yet.
    """
    data_root, no_data = _data(str(started.get("store") or ""), here=here)
    pas_dir, no_pas = _pas(started, here=here)
    return Places(data_root, pas_dir, no_data, no_pas)


def _data(store: str, *, here: bool) -> tuple[Path | None, Absence | None]:
    url = urlsplit(store)
    folder = Path(unquote(url.path))
    if not store:
        why = "The run ended before it said where its data is."
        return None, Absence(why, NAME_CONFIG)
    if url.scheme != "file":
        return None, remote(store)
    # The address names the dataset: network, era and version are its last three folders.
    if len(folder.parts) <= 4:
        return None, Absence(f"The run's record names no dataset: {store}.")
    if not here and not folder.is_dir():
        return None, Absence(f"The run wrote to {folder}, which is no folder of this machine.")
    return folder.parents[2], None


def _pas(started: Mapping[str, Any], *, here: bool) -> tuple[Path | None, Absence | None]:
    named = started.get("pas_dir")
    if not isinstance(named, str):
        return None, Absence("The journal does not name the run's audit folder.", NAME_CONFIG)
    if not named:
        return None, PAS_OFF
    folder = Path(named)
    if not here and not folder.is_dir():
        why = f"The run's audit folder is {folder}, which is no folder of this machine."
        return None, Absence(why)
    return folder, None


PAS_OFF = Absence(
    "This run writes no audit events: pas.enabled is off.", "set pas.enabled and run again"
)


def remote(store: str) -> Absence:
    """The store is none of this machine's folders."""
    why = f"The store is {store}; this page reads folders of this machine."
    return Absence(why, "copy partitions here, then bronze attach FOLDER opens them")


def with_recorded(session: Session, started: Mapping[str, Any], *, here: bool) -> Session:
    """``session`` with the places that its run named; ``overridden`` where a configuration says
    otherwise."""
    places = recorded(started, here=here)
    if session.loaded is not None:
        if not started:
            return session
        root = places.data_root
        same_data = root is None or root == _configured_root(session)
        named = isinstance(started.get("pas_dir"), str)
        same_pas = not named or places.pas_dir == session.pas_dir
        if same_data and same_pas:
            return session
        return replace(
            session,
            data_root=session.data_root if same_data else root,
            prefix=session.prefix if same_data else "",
            pas_dir=session.pas_dir if same_pas else places.pas_dir,
            no_pas=session.no_pas if same_pas else places.no_pas,
            overridden=True,
        )
    return replace(
        session,
        data_root=places.data_root,
        prefix="",
        pas_dir=places.pas_dir,
        no_data=places.no_data,
        no_pas=places.no_pas,
    )


def _configured_root(session: Session) -> Path | None:
    root = session.data_root
    return None if root is None else Path(root / session.prefix)
