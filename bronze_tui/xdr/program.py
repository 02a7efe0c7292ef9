"""Writes the walker's instructions: labels, folding of fixed-size runs, tables of switches.

It knows instructions, not XDR types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bronze_tui.xdr import kernel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FieldPath = tuple[str, ...]
"""Field names from the start of a procedure; ``[]`` enters a vector's element."""


@dataclass(eq=False, slots=True)
class Label:
    """A place in the program, known once `Writer.place` has met it."""

    position: int = -1
    uses: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Program:
    """What `walker.Walker` runs.

    The last three are only read to explain an error: the field that each instruction reads, the
    fixed-size fields that it passes over before (words from its start, field), and what a switch
    chooses by.
    """

    code: NDArray[np.int32]
    marks: int
    sums: int
    places: dict[int, FieldPath]
    runs: dict[int, tuple[tuple[int, FieldPath], ...]]
    choices: dict[int, str]


class Writer:
    """Collects instructions; fields of fixed size wait in a run that the next one skips."""

    def __init__(self) -> None:
        self._code: list[int] = []
        self._ahead = 0
        self._run: list[tuple[int, FieldPath]] = []
        self._places: dict[int, FieldPath] = {}
        self._runs: dict[int, tuple[tuple[int, FieldPath], ...]] = {}
        self._choices: dict[int, str] = {}
        self._tables: list[tuple[int, list[tuple[int, Label | int]]]] = []

    def skip(self, words: int, path: FieldPath) -> None:
        """Pass over a field of fixed size."""
        self._run.append((self._ahead, path))
        self._ahead += words

    def peek(self, operation: int, path: FieldPath, mark: int, *operands: int) -> None:
        """An instruction that looks at the value to come and leaves the run as it is."""
        self._places[len(self._code)] = path
        self._code += [operation, 0, mark, self._ahead, *operands]

    def add(self, operation: int, path: FieldPath, *operands: int | Label) -> None:
        """An instruction that reads the value to come, or goes elsewhere."""
        start = len(self._code)
        self._places[start] = path
        if self._run:
            self._runs[start] = tuple(self._run)
        self._code += [operation, self._ahead]
        for operand in operands:
            if isinstance(operand, Label):
                operand.uses.append(len(self._code))
                self._code.append(operand.position)
            else:
                self._code.append(operand)
        self._ahead, self._run = 0, []

    def switch(
        self, what: str, path: FieldPath, lowest: int, table: list[tuple[int, Label | int]]
    ) -> None:
        """A choice by the next word; ``table`` has (words to skip, target), the default last."""
        self._choices[len(self._code)] = what
        self.add(kernel.SWITCH, path, lowest, len(table) - 1, -1)
        self._tables.append((len(self._code) - 1, table))

    def place(self, label: Label, path: FieldPath) -> None:
        """``label`` is here; what waits to be skipped is skipped before it."""
        if self._ahead:
            after = Label()
            self.add(kernel.JUMP, path, after)
            self._put(after)
        self._put(label)

    def _put(self, label: Label) -> None:
        label.position = len(self._code)
        for use in label.uses:
            self._code[use] = label.position

    def finish(self, marks: int, sums: int) -> Program:
        """Append the tables, equal ones once, and freeze."""
        import numpy as np

        known: dict[Sequence[int], int] = {}
        for use, table in self._tables:
            flat: list[int] = []
            for words, target in table:
                flat += [words, target.position if isinstance(target, Label) else target]
            key = tuple(flat)
            if key not in known:
                known[key] = len(self._code)
                self._code += flat
            self._code[use] = known[key]
        code = np.array(self._code, dtype=np.int32)
        return Program(code, marks, sums, self._places, self._runs, self._choices)
