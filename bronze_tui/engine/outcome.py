"""How a run ends, in an exit code, a word and a sentence; pure functions of what is left."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bronze_tui.domain.errors import BronzeError, Exit
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.engine.backlog import Outbox


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a run; ``outcome`` is done, at_tip, drained, stopped, halted or failed."""

    code: int
    outcome: str
    message: str


@dataclass(frozen=True, slots=True)
class RunEnd:
    """What was the case when a run ended."""

    halted_by: BronzeError | None
    unfiled: int
    """Audit events without a file, where the audit stream is on."""
    asked: str
    """The control's state: draining and stopping were asked for."""
    failures: tuple[str, ...]
    """Partitions that failed."""
    finished: bool
    """Nothing of the plan is left."""
    holes: tuple[LedgerRange, ...]
    tip: int | None
    ledger_end: int | None
    """Of the first era that is not finished."""


def run_verdict(end: RunEnd, outbox: Outbox, *, strict: bool) -> Verdict:
    """The first of these that holds: halted, events unfiled, asked to end, partitions failed,
    finished, at the tip; and what the outbox still holds."""
    if (error := end.halted_by) is not None:
        outcome = "halted" if error.exit_code is Exit.HALTED else "failed"
        return Verdict(error.exit_code, outcome, str(error))
    if end.unfiled:
        text = f"{end.unfiled} audit events have no file yet; run again"
        return Verdict(Exit.FAILED, "failed", text)
    return with_outbox(_copied(end), outbox, strict=strict)


def _copied(end: RunEnd) -> Verdict:
    if end.asked in ("draining", "stopping"):
        word = "drained" if end.asked == "draining" else "stopped"
        return Verdict(Exit.OK, word, f"{word} on request; run again to go on")
    if end.failures:
        holes = ", ".join(end.failures[:5])
        return Verdict(Exit.FAILED, "failed", f"partitions failed and were left out: {holes}")
    return _done(end.holes) if end.finished else _at_tip(end.tip, end.ledger_end)


def _done(holes: tuple[LedgerRange, ...]) -> Verdict:
    """A dataset with holes is not whole: a script that runs until 0 must not take it so."""
    if not holes:
        return Verdict(Exit.OK, "done", "every partition of the plan is committed")
    named = ", ".join(map(str, holes[:5]))
    text = f"all is committed but declared holes ({named}); run with --repair to fill them"
    return Verdict(Exit.FAILED, "done", text)


def _at_tip(tip: int | None, ledger_end: int | None) -> Verdict:
    """An endless era is done at the tip; a bounded one is not, and a script must know."""
    where = "is empty" if tip is None else f"ends at ledger {tip}"
    if ledger_end is not None:
        return Verdict(
            Exit.FAILED,
            "at_tip",
            f"the source {where}, the era ends at {ledger_end}; run again later, or with --follow",
        )
    text = f"the source {where}; whole partitions up to there are committed"
    return Verdict(Exit.OK, "at_tip", text)


def with_outbox(verdict: Verdict, outbox: Outbox, *, strict: bool) -> Verdict:
    """What the outbox still holds belongs into the verdict.

    Events that only wait go out with the next run, so a lenient run ends as well as without them;
    a parked one never goes out by itself, so a script must know. A strict run has failed.
    """
    if not outbox.waiting:
        return verdict
    told = replace(verdict, message=f"{verdict.message}; {_words(outbox)}")
    if verdict.code != Exit.OK or verdict.outcome not in ("done", "at_tip"):
        return told
    if strict:
        return replace(told, code=Exit.PLUGIN, outcome="failed")
    return replace(told, code=Exit.FAILED) if outbox.parked else told


def _words(outbox: Outbox) -> str:
    events = f"{outbox.waiting} audit event{'s' * (outbox.waiting > 1)}"
    if outbox.parked:
        return f"{events} not delivered, {outbox.parked} of them parked: see bronze pas status"
    return f"{events} not delivered yet: the next run or bronze pas deliver sends them"
