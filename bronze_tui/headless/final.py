"""The closing block of a run: what was copied, the figures, the head, where it lies, what next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from bronze_tui.domain.events import Requests
from bronze_tui.headless.plain import plain
from bronze_tui.headless.units import count, duration, rate, size
from bronze_tui.journal import run_figures as figures
from bronze_tui.journal.outbox import outbox_words
from bronze_tui.journal.run_view import RunView

_WORDS = {
    "done": "done",
    "at_tip": "at the tip",
    "drained": "drained",
    "stopped": "stopped",
    "halted": "HALTED",
    "failed": "FAILED",
}


def final_text(view: RunView, next_step: str = "") -> str:
    """Some aligned lines without a final newline; ``next_step`` replaces the usual advice."""
    if view.started_at is None:
        return _headline(view)
    rows = [*_rows(view), ("next", next_step or advice(view))]
    return "\n".join(
        [_headline(view), *(f"  {name:<11} {plain(text)}" for name, text in rows if text)]
    )


def final_json(view: RunView, next_step: str = "") -> dict[str, Any]:
    """The same as a flat JSON object; sizes in bytes, times in seconds."""
    started, finished = view.started, view.finished or {}
    return {
        "outcome": view.engine_state,
        "exit_code": finished.get("exit_code"),
        "message": finished.get("message", ""),
        "run_id": view.run_id,
        "datasets": started.get("chain_keys", []),
        "ledgers": figures.ledgers(view),
        "partitions_committed": view.partitions_committed,
        "partitions_failed": view.partitions_failed,
        "partitions_quarantined": view.partitions_quarantined,
        "xdr_bytes": figures.xdr_bytes(view),
        "source_bytes": figures.source_bytes(view),
        "parquet_bytes": view.parquet_bytes,
        "seconds": figures.elapsed(view),
        "ledgers_per_second": figures.overall_rate(view),
        "retries": view.retries,
        "requests": {role: _counts(one) for role, one in sorted(view.requests.items())},
        "warnings": view.warnings,
        "errors": view.errors,
        "last_committed_ledger": figures.last_committed_ledger(view),
        "head": figures.head(view),
        "events_delivered": view.events_delivered,
        "events_undelivered": view.outbox.get("waiting", 0),
        "events_parked": view.outbox.get("parked", 0),
        "source": started.get("source", ""),
        "store": started.get("store", ""),
        "state_dir": started.get("state_dir", ""),
        "next": next_step or advice(view),
    }


def advice(view: RunView) -> str:
    """What to do next, by the outcome."""
    file = view.started.get("config_file", "")
    config = f" --config {shlex.quote(file)}" if file else ""
    if view.engine_state == "halted":
        todo = next((n.todo for n in reversed(view.notices) if n.level == "error"), "")
        return todo or f"mend the cause, then 'bronze run{config}' goes on where it halted"
    if view.outbox.get("parked"):
        return f"'bronze pas status{config}', then 'bronze pas retry' or 'bronze pas skip'"
    if view.engine_state in ("done", "at_tip") and not view.partitions_failed:
        shows = f"'bronze status{config}' shows coverage and head"
        return f"{shows}; 'bronze verify FOLDER' proves the chain"
    if view.partitions_quarantined:
        return f"mend the source, then 'bronze run{config} --repair' fills the declared holes"
    return f"'bronze run{config}' goes on where this one ended"


def _headline(view: RunView) -> str:
    word = _WORDS.get(view.engine_state, plain(view.engine_state))
    message = view.finished.get("message", "") if view.finished else ""
    if view.started_at is None:
        return f"{word} before anything was copied\n  {plain(message)}"
    spent, speed = _spent(figures.elapsed(view)), rate(figures.overall_rate(view))
    text = (
        f"{word}: {count(figures.ledgers(view))} ledgers in {count(view.partitions_committed)} "
        f"partitions, {spent} ({speed} ledgers/s)"
    )
    return f"{text}\n  {plain(message)}" if message else text


def _deliveries(view: RunView) -> str:
    """Audit events acknowledged by this run, and what is left; empty without an endpoint."""
    if not view.outbox:
        return ""
    left = outbox_words(view.outbox) or "none waits"
    return f"{count(view.events_delivered)} audit events; {left}"


def _counts(requests: Mapping[str, Any]) -> dict[str, int]:
    names = (field.name for field in fields(Requests) if field.name != "role")
    return {name: requests.get(name, 0) for name in names}


def _requests(requests: Mapping[str, Any]) -> str:
    """``1 204 requests (1 200 get, 4 list), 85.1 MiB in, 3 repeated, 2 throttled``."""
    one = _counts(requests)
    kinds = ("get", "put", "head", "list", "delete", "other")
    named = ", ".join(f"{count(one[f'{kind}s'])} {kind}" for kind in kinds if one[f"{kind}s"])
    parts = [f"{count(one['total'])} requests" + (f" ({named})" if named else "")]
    parts += [f"{size(one['bytes_in'])} in"] if one["bytes_in"] else []
    parts += [f"{size(one['bytes_out'])} out"] if one["bytes_out"] else []
    parts += [f"{count(one['retries'])} repeated"] if one["retries"] else []
    parts += [f"{count(one['throttles'])} throttled"] if one["throttles"] else []
    return ", ".join(parts)


def _spent(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def _rows(view: RunView) -> list[tuple[str, str]]:
    started = view.started
    failed = view.partitions_failed
    quarantined = view.partitions_quarantined
    last = figures.last_committed_ledger(view)
    return [
        ("dataset", ", ".join(started["chain_keys"])),
        ("read", f"{size(figures.source_bytes(view))} of {started.get('source', '-')}"),
        ("ledgers", f"{size(figures.xdr_bytes(view))} of XDR, last committed {last or 'none'}"),
        ("written", f"{size(view.parquet_bytes)} to {started.get('store', '-')}"),
        *((f"{role} I/O", _requests(one)) for role, one in sorted(view.requests.items())),
        ("head", figures.head(view) or "none"),
        ("delivered", _deliveries(view)),
        ("failed", f"{failed} partitions" if failed else ""),
        ("holes", f"{quarantined} partitions declared missing" if quarantined else ""),
        ("retries", str(view.retries) if view.retries else ""),
        ("state", started.get("state_dir", "")),
    ]
