"""One journal record as one log line, in the Go copier's two formats (slog text and JSON).

Which event has which level and words is decided here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bronze_tui.headless.plain import plain

LEVELS = {"debug": 10, "info": 20, "warn": 30, "error": 40}

_MESSAGES = {
    "run_started": ("info", "run started"),
    "coverage": ("info", "coverage"),
    "partition_started": ("debug", "processing partition"),
    "partition_progress": ("debug", "partition progress"),
    "partition_built": ("debug", "partition built"),
    "partition_committed": ("info", "partition committed"),
    "partition_retried": ("warn", "partition failed, will be tried again"),
    "partition_failed": ("error", "partition failed"),
    "partition_quarantined": ("error", "partition declared a hole"),
    "event_linked": ("debug", "event linked"),
    "event_delivered": ("debug", "event delivered"),
    "outbox_figures": ("debug", "outbox"),
    "stage_figures": ("debug", "stage figures"),
    "requests": ("debug", "requests"),
    "throughput": ("debug", "throughput"),
    "state_changed": ("info", "state changed"),
}
_NOT_FIELDS = {"kind", "seq", "time", "run", "message", "level"}
_LONG_LISTS = 3


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log line before it has a format."""

    time: float
    level: str
    message: str
    fields: dict[str, Any]

    def text(self) -> str:
        """``time=... level=INFO msg="..." key=value``, as slog's text handler writes it."""
        pairs = {
            "time": stamp(self.time),
            "level": self.level.upper(),
            "msg": self.message,
            **self.fields,
        }
        return " ".join(f"{plain(key)}={_quoted(value)}" for key, value in pairs.items())

    def pairs(self, without: Collection[str] = ()) -> str:
        """``key=value`` of the fields that are not ``without``, quoted as in ``text``."""
        shown = (item for item in self.fields.items() if item[0] not in without)
        return " ".join(f"{plain(key)}={_quoted(value)}" for key, value in shown)

    def json(self) -> str:
        """One JSON object with ``time``, ``level``, ``msg`` first, as slog's JSON handler."""
        doc = {"time": stamp(self.time), "level": self.level.upper(), "msg": self.message}
        return json.dumps({**doc, **self.fields}, default=str)


def log_line(record: Mapping[str, Any]) -> LogLine | None:
    """The log line of a record; None for a kind that has none."""
    kind = str(record.get("kind"))
    fields = {k: v for k, v in record.items() if k not in _NOT_FIELDS and v not in (None, "", [])}
    try:
        time = float(record.get("time", 0.0))
    except (TypeError, ValueError, OverflowError):
        time = 0.0
    if kind == "alert":
        level = str(record.get("level"))
        level = level if level in LEVELS else "info"
        return LogLine(time, level, str(record.get("message", "")), fields)
    if kind == "run_finished":
        level = "info" if record.get("exit_code") == 0 else "error"
        detail = {"detail": record["message"]} if record.get("message") else {}
        return LogLine(time, level, f"run finished: {record.get('outcome')}", fields | detail)
    known = _MESSAGES.get(kind)
    return LogLine(time, *known, fields) if known is not None else None


def level_of(record: Mapping[str, Any]) -> str:
    """The level of a record's line; info for a kind that has no line."""
    kind = record.get("kind")
    if kind == "alert":
        level = str(record.get("level"))
        return level if level in LEVELS else "info"
    if kind == "run_finished":
        return "info" if record.get("exit_code") == 0 else "error"
    return _MESSAGES.get(str(kind), ("info",))[0]


def stamp(seconds: float) -> str:
    """UTC with milliseconds, ``2026-01-12T10:22:09.114Z``."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list):
        shown = ",".join(str(v) for v in value[:_LONG_LISTS])
        more = len(value) - _LONG_LISTS
        value = f"{shown},... {more} more" if more > 0 else shown
    text = plain(str(value))
    if text and not any(c in text for c in ' "=\\') and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=False)
