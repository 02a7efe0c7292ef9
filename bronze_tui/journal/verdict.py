"""One word for the state of a run, since when, the evidence, the next safe step.

Pure functions of the run view and the time, strongest rule first; screens and `--no-tui` print the
same line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bronze_tui.journal import run_figures as figures
from bronze_tui.journal.outbox import outbox_words
from bronze_tui.journal.run_view import RunView

GONE_AFTER = 10.0
"""Seconds without any record after which a run that did not end is gone: the engine's heartbeat
comes every five."""

STALL_LEAST = 60.0
STALL_GAPS = 5
SLOW_WINDOW = 60.0
SLOW_BASE = 900.0
SLOW_LEAST = 300.0
"""A run younger than this has no usual rate to be slow against."""

WORDS = (
    "GONE",
    "CHAIN BROKEN",
    "HALTED",
    "FAILED",
    "STALLED",
    "SLOW",
    "PAUSED",
    "DRAINING",
    "STOPPING",
    "STOPPED",
    "AT TIP",
    "DONE",
    "STARTING",
    "RUNNING",
)

BAD = ("GONE", "CHAIN BROKEN", "HALTED", "FAILED")
WORRYING = ("STALLED", "SLOW")


@dataclass(frozen=True, slots=True)
class Verdict:
    """``since`` is in Unix seconds; the texts are one line each, without markup."""

    word: str
    since: float
    evidence: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the journal cannot know.

    Args of the verdict beside the view: ``engine_alive`` None when nobody looked, ``chain_broken``
    the first break a verification found, ``recorded`` when time comes from a recording.
    """

    engine_alive: bool | None = None
    chain_broken: str = ""
    recorded: bool = False


_NOTHING_KNOWN = Circumstances()


def judge(view: RunView, now: float, about: Circumstances = _NOTHING_KNOWN) -> Verdict:
    """The strongest rule that holds."""
    for rule in _RULES:
        verdict = rule(view, now, about)
        if verdict is not None:
            return verdict
    rate = figures.mean_rate(view, 15.0)
    speed = f"{rate:,.0f} ledgers/s" if rate is not None else "no figures yet"
    limit = figures.limited_by(view)
    evidence = f"{speed}, limited by {limit}" if limit else speed
    left = figures.eta_seconds(view)
    step = "nothing to do" if left is None else f"nothing to do; about {clock(left)} left"
    evidence, step = _with_outbox(view, evidence, step)
    return Verdict("RUNNING", view.state_since, evidence, step)


def _with_outbox(view: RunView, evidence: str, step: str) -> tuple[str, str]:
    """Audit events that do not go out belong into the evidence; a person acts on parked ones."""
    words, state = outbox_words(view.outbox), view.outbox.get("state")
    if not words or (view.finished is None and state not in ("failing", "parked")):
        return evidence, step
    if state == "parked":
        return f"{evidence}; {words}", "see bronze pas status, then retry or skip"
    step = "bronze pas deliver, or run again" if view.finished is not None else step
    return f"{evidence}; {words}", step


def _gone(view: RunView, now: float, about: Circumstances) -> Verdict | None:
    if view.finished is not None or about.recorded or view.started_at is None:
        return None
    silent = now - view.time
    if about.engine_alive is not False and silent <= GONE_AFTER:
        return None
    why = "its process ended" if about.engine_alive is False else f"silent for {clock(silent)}"
    return Verdict(
        "GONE",
        view.time,
        f"the engine wrote no closing line; {why}; last commit {_last(view)}",
        "run again: it goes on behind the last commit",
    )


def _chain_broken(view: RunView, now: float, about: Circumstances) -> Verdict | None:  # noqa: ARG001
    if not about.chain_broken:
        return None
    return Verdict(
        "CHAIN BROKEN", view.state_since, about.chain_broken, "open Audit at the first break"
    )


def _halted(view: RunView, now: float, about: Circumstances) -> Verdict | None:  # noqa: ARG001
    if view.engine_state != "halted":
        return None
    reason, todo = _reason(view)
    return Verdict("HALTED", view.state_since, reason, todo or "see Logs, then run again")


def _failed(view: RunView, now: float, about: Circumstances) -> Verdict | None:  # noqa: ARG001
    if view.engine_state != "failed":
        return None
    reason, todo = _reason(view)
    code = view.finished.get("exit_code", 1) if view.finished else 1
    return Verdict("FAILED", view.state_since, f"exit {code}: {reason}", todo or "see Logs")


def _stalled(view: RunView, now: float, about: Circumstances) -> Verdict | None:  # noqa: ARG001
    if view.engine_state != "running" or view.finished is not None:
        return None
    base = figures.last_commit(view) or view.started_at
    if base is None:
        return None
    gap = figures.usual_gap(view)
    limit = max(STALL_LEAST, STALL_GAPS * gap) if gap is not None else None
    moving = figures.mean_rate(view, SLOW_WINDOW) not in (None, 0.0)
    if limit is None:
        # Before the third commit a big partition may take long: only a standstill counts.
        if moving or now - base <= STALL_LEAST:
            return None
    elif now - base <= limit:
        return None
    usual = f" (usual {clock(gap)})" if gap is not None else ""
    stage = figures.limited_by(view)
    where = f"; stage {stage}" if stage else ""
    return Verdict(
        "STALLED",
        base,
        f"nothing committed for {clock(now - base)}{usual}{where}",
        "look at what is in flight and its last error",
    )


def _slow(view: RunView, now: float, about: Circumstances) -> Verdict | None:  # noqa: ARG001
    if view.engine_state != "running" or figures.elapsed(view) < SLOW_LEAST:
        return None
    recent, usual = figures.mean_rate(view, SLOW_WINDOW), figures.median_rate(view, SLOW_BASE)
    if recent is None or usual is None or recent >= usual / 2:
        return None
    stage = figures.limited_by(view) or "nothing"
    return Verdict(
        "SLOW",
        view.time - SLOW_WINDOW,
        f"{recent:,.0f} ledgers/s in the last minute, usually {usual:,.0f}; limited by {stage}",
        "nothing is lost; see which stage has grown",
    )


def _asked(view: RunView, now: float, about: Circumstances) -> Verdict | None:  # noqa: ARG001
    words = {
        "paused": ("PAUSED", "resume when ready"),
        "draining": ("DRAINING", "wait, or stop now"),
        "stopping": ("STOPPING", "wait"),
        "drained": ("STOPPED", "run again to go on"),
        "stopped": ("STOPPED", "run again to go on"),
    }
    if view.engine_state not in words:
        return None
    word, step = words[view.engine_state]
    left = len(figures.in_flight(view))
    what = "in flight" if view.finished is None else "left unfinished"
    by = f"by {view.state_by}" if view.state_by else "on request"
    return Verdict(word, view.state_since, f"{by}; {left} partitions {what}", step)


def _at_tip(view: RunView, now: float, about: Circumstances) -> Verdict | None:  # noqa: ARG001
    if view.engine_state != "at_tip":
        return None
    tip = view.started.get("source_tip")
    text = view.finished.get("message", "") if view.finished else f"source tip {tip}"
    text, step = _with_outbox(view, str(text), "nothing to do: it waits for new ledgers")
    return Verdict("AT TIP", view.state_since, text, step)


def _done(view: RunView, now: float, about: Circumstances) -> Verdict | None:  # noqa: ARG001
    if view.engine_state != "done":
        return None
    text = f"{view.partitions_committed:,} partitions committed and linked in this run"
    text, step = _with_outbox(view, text, "prove it: verify the chain (Audit)")
    return Verdict("DONE", view.state_since, text, step)


def _starting(view: RunView, now: float, about: Circumstances) -> Verdict | None:  # noqa: ARG001
    if view.started_at is not None:
        return None
    return Verdict("STARTING", view.time, "the engine opens source, store and catalog", "wait")


_RULES: tuple[Callable[[RunView, float, Circumstances], Verdict | None], ...] = (
    _gone,
    _chain_broken,
    _halted,
    _failed,
    _stalled,
    _slow,
    _asked,
    _at_tip,
    _done,
    _starting,
)


def clock(seconds: float | None) -> str:
    """``0:07:41``; days are named; ``-`` when unknown."""
    if seconds is None:
        return "-"
    whole = max(0, round(seconds))
    days, rest = divmod(whole, 86_400)
    text = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {text}" if days else text


def _reason(view: RunView) -> tuple[str, str]:
    """The newest error and what to do."""
    for notice in reversed(view.notices):
        if notice.level == "error":
            return notice.text, notice.todo
    message = view.finished.get("message", "") if view.finished else ""
    return str(message) or "no reason was recorded", ""


def _last(view: RunView) -> str:
    last = figures.last_committed_ledger(view)
    return "none" if last is None else f"ledger {last}"
