"""Which partitions are read: all, a random sample, those since a time or ledger, or one part of t.

The chain is always judged whole; only the levels below it are narrowed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bronze_tui.audit.levels.unit import Unit
from bronze_tui.domain.errors import UsageError

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?Z?)?"
)
_NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for; empty fields narrow nothing."""

    since: str = ""
    """A ledger number, or a time in UTC as in ``2026-01-31`` or ``2026-01-31T08:00:00Z``."""
    subset: str = ""
    """``n/t``: the partitions whose place in the chain is n modulo t."""
    sample: str = ""
    """``N%`` or a number of partitions, drawn at random."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be understood.

        Raises:
            UsageError: one of the fields has another form.
        """
        if self.since and not (_NUMBER.fullmatch(self.since) or _is_time(self.since)):
            raise UsageError(
                f"{self.since!a} is neither a ledger nor a time",
                where="--since",
                todo="give a ledger number, or a UTC time such as 2026-01-31T08:00:00Z",
            )
        if self.subset:
            self._parts()
        if self.sample:
            self._size(1)

    def pick(self, units: Sequence[Unit]) -> list[Unit]:
        """The partitions to read, in the order of ``units``."""
        chosen = [unit for unit in units if self._recent(unit)]
        if self.subset:
            part, parts = self._parts()
            chosen = [u for place, u in enumerate(chosen) if place % parts == part - 1]
        if self.sample:
            size = self._size(len(chosen))
            places = random.Random(self.seed).sample(range(len(chosen)), size)  # noqa: S311
            chosen = [chosen[place] for place in sorted(places)]
        return chosen

    @property
    def narrows(self) -> bool:
        """Whether anything may be left out."""
        return bool(self.since or self.subset or self.sample)

    def text(self) -> str:
        """For the report; a sample can be drawn again with its seed."""
        said = [f"since {self.since}"] if self.since else []
        said += [f"subset {self.subset}"] if self.subset else []
        said += [f"sample {self.sample} (--seed {self.seed})"] if self.sample else []
        return ", ".join(said)

    def _recent(self, unit: Unit) -> bool:
        if not self.since:
            return True
        if _NUMBER.fullmatch(self.since):
            return unit.partition.end >= int(self.since)
        return unit.event is None or unit.event.timestamp >= self.since.rstrip("Z")

    def _parts(self) -> tuple[int, int]:
        part, slash, parts = self.subset.partition("/")
        numbers = slash and _NUMBER.fullmatch(part) and _NUMBER.fullmatch(parts)
        if numbers and 1 <= int(part) <= int(parts):
            return int(part), int(parts)
        raise UsageError(
            f"{self.subset!a} is not n/t", where="--subset", todo="give 1/7 to 7/7, for example"
        )

    def _size(self, count: int) -> int:
        text = self.sample.removesuffix("%")
        try:
            value = float(text)
            if not 0 < value < 1e12 or (text == self.sample and value != int(value)):
                raise ValueError
        except ValueError:
            raise UsageError(
                f"{self.sample!a} is no sample", where="--sample", todo="give 5% or 100"
            ) from None
        if text != self.sample:
            if value > 100:
                raise UsageError("a sample has at most 100%", where="--sample")
            return min(count, max(1, round(count * value / 100)))
        return min(count, int(value))


def _is_time(text: str) -> bool:
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text.partition(".")[0].rstrip("Z"))
    except ValueError:
        return False
    return True
