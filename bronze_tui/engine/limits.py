"""What limits a run, in one word: pure arithmetic over what was measured since the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WORDS = (
    "network",
    "disk",
    "memory",
    "requests",
    "cpu",
    "workers",
    "store",
    "commit",
    "delivery",
    "nothing",
)
_COMPUTE = ("decompress", "walk", "hash", "encode")
_NEAR = 0.85
"""Part of the cores (or of a span) from which they are called used up."""
_WORKS = 0.6
"""Part of the computing stages' time that must be CPU time, or something else holds them up."""
_HALF = 0.5
_PACED = 0.25


@dataclass(frozen=True, slots=True)
class Load:
    """Seconds are sums over threads since the last load, but for ``span``, which is the wall's.

    ``cpu`` is this process's CPU time, ``queued`` what its threads waited for a core.
    """

    span: float
    cores: float
    cpu: float
    queued: float
    stages: Mapping[str, float]
    """By stage of the builders: waiting, decompress, walk, hash, encode, store."""
    gate_full: float = 0.0
    """Seconds during which as many reads went on as were allowed."""
    starved: bool = False
    """Read-ahead was held back by the memory budget."""
    paced: float = 0.0
    """Seconds that requests waited for ``perf.max_requests_per_second``."""
    local_source: bool = False
    local_store: bool = False
    committing: bool = False
    """Built partitions wait for the sequencer."""
    delivering: bool = False
    """Commits wait for audit events to be delivered first."""
    moving: bool = True
    awaited: str = ""
    """The stage in which all builders stand now."""


def limited_by(load: Load) -> str:
    """One of ``WORDS``: where more would make the run faster.

    ``network``: the source's answers; ``disk``: a local source or store; ``memory``: the budget of
    read-ahead; ``requests``: the operator's own limit; ``cpu``: the cores are used up, by others
    too; ``workers``: cores are free, but every builder computes; ``store``: a remote store's
    answers; ``commit``: the sequencer; ``delivery``: the audit endpoint; ``nothing``:
    nothing moves, and not for want of an answer.
    """
    if load.delivering:
        return "delivery"
    if load.committing:
        return "commit"
    if not load.moving:
        return _standing(load)
    compute = sum(load.stages.get(stage, 0.0) for stage in _COMPUTE)
    waiting, storing = load.stages.get("waiting", 0.0), load.stages.get("store", 0.0)
    if load.paced >= _PACED * (waiting + storing) and load.paced > _PACED * load.span:
        return "requests"
    busy = load.cpu + load.queued >= _NEAR * load.cores * load.span
    if compute >= max(waiting, storing):
        if busy:
            return "cpu"
        return "workers" if load.cpu + load.queued >= _WORKS * compute else "disk"
    if busy:
        # Readers and uploads wait for a core like everything else.
        return "cpu"
    if storing >= waiting:
        return "disk" if load.local_store else "store"
    if load.local_source:
        return "disk"
    return "memory" if load.starved and load.gate_full < _HALF * load.span else "network"


def _standing(load: Load) -> str:
    """Whose answer is waited for while nothing moves."""
    if load.awaited == "waiting":
        return "disk" if load.local_source else "network"
    if load.awaited == "store":
        return "disk" if load.local_store else "store"
    return "nothing"
