"""Turns the state in which a walk stopped into an error for people: rule, byte offset, field.

The field path is rebuilt here from the stack, so that a walk that succeeds pays nothing for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bronze_tui.domain.errors import XdrError
from bronze_tui.xdr import kernel
from bronze_tui.xdr.sizes import LARGEST

if TYPE_CHECKING:
    from bronze_tui.xdr.program import FieldPath, Program
    from bronze_tui.xdr.projection import Projection

_WORD = 4
_CALL_LENGTH = 3
_LONGEST_PATH = 240


def explain(projection: Projection, status: int, words: Any, stack: Any, state: Any) -> XdrError:
    """The error for a walk that ended with ``status``; arrays are those of `kernel.walk`."""
    program = projection.program
    pc = int(state[kernel.PC])
    position = int(state[kernel.POSITION])
    limit = int(state[kernel.LIMIT])
    place = program.places[pc]
    if status == kernel.TRUNCATED:
        position, place = _cut_field(program, pc, position, limit)
    frames = [int(frame) for frame in stack[: int(state[kernel.STACKED])]]
    return XdrError(
        _rule(program, status, pc, position, words, len(stack)),
        offset=int(state[kernel.BASE]) + _WORD * position,
        path=_path_text(projection.root, _field(program, place, frames)),
    )


def _rule(program: Program, status: int, pc: int, position: int, words: Any, depth: int) -> str:
    value = int(words[position : position + 1].byteswap()[0]) if position < len(words) else 0
    operand = int(program.code[pc + 2]) if pc + 2 < len(program.code) else 0
    match status:
        case kernel.TRUNCATED:
            return "bytes end inside the value"
        case kernel.LENGTH if operand < LARGEST:
            return f"length {value} is over the limit of {operand}"
        case kernel.LENGTH | kernel.CROWDED:
            left = _WORD * (len(words) - position - 1)
            return f"length {value} cannot fit in the {left} bytes left"
        case kernel.PADDING:
            return "padding is not zero"
        case kernel.DEPTH:
            return f"nested deeper than {depth} levels"
        case _:
            what = program.choices.get(pc, "flag of an optional")
            signed = value - (1 << 32) if value >> 31 else value
            return f"unknown {what} {signed}"


def _cut_field(program: Program, pc: int, position: int, limit: int) -> tuple[int, FieldPath]:
    """Where the field begins that the end of the bytes cuts, in words, and its path.

    An optional or a union arm of fixed size is skipped unseen; then it is the field after it.
    """
    if position <= limit:
        return position, program.places[pc]
    start = position - int(program.code[pc + 1])
    cut = start, program.places[pc]
    for words, path in program.runs.get(pc, ()):
        if start + words <= limit:
            cut = start + words, path
    return min(cut[0], limit), cut[1]


def _field(program: Program, place: FieldPath, frames: list[int]) -> list[str]:
    """Names from the root: each procedure's own path, found by the calls on the stack."""
    names: list[str] = []
    while True:
        for name in reversed(place):
            if name == "[]":
                frame = frames.pop()
                name = f"[{((frame >> 32) & 0xFFFFFFFF) - (frame & 0xFFFFFFFF)}]"
            names.append(name)
        if not frames:
            return names[::-1]
        place = program.places[frames.pop() - _CALL_LENGTH]


def _path_text(root: str, names: list[str]) -> str:
    text = root + "".join(name if name.startswith("[") else f".{name}" for name in names)
    if len(text) <= _LONGEST_PATH:
        return text
    half = _LONGEST_PATH // 2
    return f"{text[:half]}...{text[-half:]}"
