"""One line of what is wrong with a configuration: where, which key, what, what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding; ``str()`` is the line that people see."""

    where: str
    """``file:line:column``, ``environment NAME``, ``--set``, or a file name alone."""
    key: str
    """Dotted key, empty when the finding is about the whole file."""
    what: str
    todo: str = ""

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.where, self.key, self.what) if part)
        return f"{text}; {self.todo}" if self.todo else text
