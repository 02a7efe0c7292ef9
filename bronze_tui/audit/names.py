"""Names of the files in a PAS folder: events, heads, and what crashes leave behind.

An event's name is the Go copier's; a name already taken by other evidence gets the first eight hex
digits of the event hash before the suffix, so that nothing is ever overwritten.
"""

from __future__ import annotations

import re

from bronze_tui.domain.audit import AuditEvent

HEADS_FILE = "pas-chain-heads.json"
SIGNED_HEAD_SUFFIX = ".signed-head"
TEMP_PREFIX = ".tmp-"
BACKUP_FOLDER = "pas-backup"
"""The Go copier's default name of the folder."""

_EVENT_NAME = re.compile(r".+_[0-9]+-[0-9]+(?:\.[0-9a-f]{8})?\.json", re.DOTALL)
_INGESTER_NAME = re.compile(r"pas_[0-9]+_[0-9]+_[0-9]{8}T[0-9]{6}Z\.json")
_LEFTOVER = re.compile(r".+\.(?:tmp|damaged-[0-9]+)|\.tmp-.+", re.DOTALL)


def chain_prefix(chain_key: str) -> str:
    """What the names of a chain's events begin with; other chains may share it."""
    return chain_key.replace("/", "_") + "_"


def signed_head_name(chain_key: str) -> str:
    """``{network}_{era}_{version}.signed-head``; its origin says which chain it is about."""
    return f"{chain_key.replace('/', '_')}{SIGNED_HEAD_SUFFIX}"


def event_name(event: AuditEvent) -> str:
    """``{network}_{era}_{version}_{start}-{end}.json``."""
    return (
        f"{event.network}_{event.era_id}_{event.version_label}"
        f"_{event.ledger_start}-{event.ledger_end}.json"
    )


def event_name_apart(event: AuditEvent) -> str:
    """The name of an event whose plain name is taken: ``….{8 hex of its hash}.json``."""
    return f"{event_name(event)[:-5]}.{event.event_hash[7:15]}.json"


def agrees(name: str, event: AuditEvent) -> bool:
    """Whether ``name`` is one of the two names of ``event``."""
    return name == event_name(event) or name == event_name_apart(event)


def is_event_name(name: str) -> bool:
    """Whether a file of this name should hold an event."""
    return name.count("_") >= 3 and _EVENT_NAME.fullmatch(name) is not None


def is_ingester_name(name: str) -> bool:
    """Whether a file of this name should hold an event of the DuckLake ingester."""
    return _INGESTER_NAME.fullmatch(name) is not None


def is_leftover(name: str) -> bool:
    """Whether the name is that of a temporary or moved-aside file."""
    return _LEFTOVER.fullmatch(name) is not None
