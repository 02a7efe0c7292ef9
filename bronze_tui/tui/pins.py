"""Heads that were kept apart from the chain, and reports: files of ours in the state folder.

The one proof against a tail that was cut off; never written into the audit folder itself.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bronze_tui.audit.event import is_hash
from bronze_tui.domain.errors import StoreRefused

PINS_FILE = "pinned-heads.json"
_LIMIT = 1 << 20


def read_pins(folder: Path | None) -> dict[str, str]:
    """Chain key to the hash pinned there; empty without a readable file."""
    if folder is None:
        return {}
    try:
        path = folder / PINS_FILE
        if path.stat().st_size > _LIMIT:
            return {}
        doc: Any = json.loads(path.read_bytes())
        return {
            str(key): str(entry["hash"])
            for key, entry in doc.items()
            if isinstance(entry, dict) and is_hash(str(entry.get("hash")))
        }
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def pin_head(folder: Path, chain_key: str, head: str, events: int, now: float) -> Path:
    """Keep ``head`` as the pinned one of its chain; the file.

    Raises:
        StoreRefused: it cannot be written.
    """
    kept: dict[str, Any] = {key: {"hash": value} for key, value in read_pins(folder).items()}
    path = folder / PINS_FILE
    try:
        kept |= {k: v for k, v in json.loads(path.read_bytes()).items() if k in kept}
    except (OSError, ValueError, AttributeError, RecursionError):
        pass
    kept[chain_key] = {"hash": head, "events": events, "pinned_at": utc(now)}
    write_file(path, json.dumps(kept, indent=2).encode() + b"\n")
    return path


def write_report(folder: Path, text: str, doc: Mapping[str, Any], now: float) -> tuple[Path, Path]:
    """Write both forms of a report; their paths.

    Raises:
        StoreRefused: they cannot be written.
    """
    stem = f"verify-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
    paths = folder / f"{stem}.txt", folder / f"{stem}.json"
    write_file(paths[0], text.encode() + b"\n")
    write_file(paths[1], json.dumps(doc, indent=2).encode() + b"\n")
    return paths


def write_file(path: Path, data: bytes) -> None:
    """Replace ``path`` whole, never half.

    Raises:
        StoreRefused: it cannot be written.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        fresh.write_bytes(data)
        fresh.replace(path)
    except OSError as error:
        raise StoreRefused(
            f"cannot be written ({error.strerror})", where=str(path), todo="check the folder"
        ) from error


def utc(now: float) -> str:
    """``2026-01-12T10:29:44Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
