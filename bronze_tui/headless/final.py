"""The closing block of a run: what was copied, the figures, the head, where it lies, what next."""

from __future__ import annotations

import shlex
from typing import Any

from bronze_tui.domain.events import RunStarted
from bronze_tui.headless.plain import plain
from bronze_tui.headless.summary import RunSummary
from bronze_tui.headless.units import count, duration, rate, size

_WORDS = {
    "done": "done",
    "at_tip": "at the tip",
    "drained": "drained",
    "stopped": "stopped",
    "halted": "HALTED",
    "failed": "FAILED",
}


def final_text(summary: RunSummary, next_step: str = "") -> str:
    """Some aligned lines without a final newline; ``next_step`` replaces the usual advice."""
    if summary.started is None:
        return _headline(summary)
    rows = [*_rows(summary, summary.started), ("next", next_step or advice(summary))]
    return "\n".join(
        [_headline(summary), *(f"  {name:<11} {plain(text)}" for name, text in rows if text)]
    )


def final_json(summary: RunSummary, next_step: str = "") -> dict[str, Any]:
    """The same as a flat JSON object; sizes in bytes, times in seconds."""
    started, finished = summary.started, summary.finished
    return {
        "outcome": summary.state,
        "exit_code": finished.exit_code if finished else None,
        "message": finished.message if finished else "",
        "run_id": summary.run_id,
        "datasets": started.chain_keys if started else [],
        "ledgers": summary.ledgers,
        "partitions_committed": summary.partitions_committed,
        "partitions_failed": summary.partitions_failed,
        "partitions_quarantined": summary.partitions_quarantined,
        "xdr_bytes": summary.xdr_bytes,
        "source_bytes": summary.source_bytes,
        "parquet_bytes": summary.parquet_bytes,
        "seconds": summary.seconds,
        "ledgers_per_second": mean_rate(summary),
        "retries": summary.retries,
        "warnings": summary.warnings,
        "errors": summary.errors,
        "last_committed_ledger": summary.last_committed_ledger,
        "head": summary.head,
        "source": started.source if started else "",
        "store": started.store if started else "",
        "state_dir": started.state_dir if started else "",
        "next": next_step or advice(summary),
    }


def mean_rate(summary: RunSummary) -> float:
    """Ledgers per second over the whole run."""
    return summary.ledgers / summary.seconds if summary.seconds > 0 else 0.0


def advice(summary: RunSummary) -> str:
    """What to do next, by the outcome."""
    file = summary.started.config_file if summary.started else ""
    config = f" --config {shlex.quote(file)}" if file else ""
    if summary.state == "halted":
        todo = next((n.todo for n in reversed(summary.notices) if n.level == "error"), "")
        return todo or f"mend the cause, then 'bronze run{config}' goes on where it halted"
    if summary.state in ("done", "at_tip") and not summary.partitions_failed:
        shows = f"'bronze status{config}' shows coverage and head"
        return f"{shows}; 'bronze verify FOLDER' proves the chain"
    if summary.partitions_quarantined:
        return f"mend the source, then 'bronze run{config} --repair' fills the declared holes"
    return f"'bronze run{config}' goes on where this one ended"


def _headline(summary: RunSummary) -> str:
    word = _WORDS.get(summary.state, plain(summary.state))
    message = summary.finished.message if summary.finished else ""
    if summary.started is None:
        return f"{word} before anything was copied\n  {plain(message)}"
    text = (
        f"{word}: {count(summary.ledgers)} ledgers in {count(summary.partitions_committed)} "
        f"partitions, {_spent(summary.seconds)} ({rate(mean_rate(summary))} ledgers/s)"
    )
    return f"{text}\n  {plain(message)}" if message else text


def _spent(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def _rows(summary: RunSummary, started: RunStarted) -> list[tuple[str, str]]:
    failed = summary.partitions_failed
    quarantined = summary.partitions_quarantined
    last = summary.last_committed_ledger
    return [
        ("dataset", ", ".join(started.chain_keys)),
        ("read", f"{size(summary.source_bytes)} of {started.source}"),
        ("ledgers", f"{size(summary.xdr_bytes)} of XDR, last committed {last or 'none'}"),
        ("written", f"{size(summary.parquet_bytes)} to {started.store}"),
        ("head", summary.head or "none"),
        ("failed", f"{failed} partitions" if failed else ""),
        ("holes", f"{quarantined} partitions declared missing" if quarantined else ""),
        ("retries", str(summary.retries) if summary.retries else ""),
        ("state", started.state_dir),
    ]
