"""What a run works on: its eras, and every partition by its place in commit order."""

from __future__ import annotations

from dataclasses import dataclass, field

from bronze_tui.engine.commit import Committer
from bronze_tui.engine.context import EraContext
from bronze_tui.engine.plan import EraPlan
from bronze_tui.engine.workers import Outcome, Task


@dataclass(slots=True)
class EraRun:
    """One era of the run: what is open, who commits, what is left."""

    context: EraContext
    committer: Committer
    plan: EraPlan


@dataclass(slots=True)
class Schedule:
    """What was handed out and what came back, by place in commit order."""

    tasks: dict[int, tuple[EraRun, Task]] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    next_index: int = 0
    """Place of the next task to hand out."""
    next_commit: int = 0
    failed: bool = False
    given_up: bool = False
    """A stop gave a build up: nothing behind it may be committed, which would leave it out."""
