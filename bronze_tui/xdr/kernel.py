"""The walk itself, in the subset of Python that numba compiles; importing it needs no numba.

One function, because a call between compiled functions costs as much as an instruction here; the
operation codes stand beside it, because the compiled form is cached under the stamp of this file.
Positions are XDR words of 4 bytes from the start of ``words``.
"""

from __future__ import annotations

import sys
from typing import Any

# Every instruction is [code, skip, operands...]: first `skip` words of fixed-size fields are
# passed over, then the code acts.
HALT = 0  # the value ends
RETURN = 1  # back to the caller
JUMP = 2  # target
CALL = 3  # target
SWITCH = 4  # lowest, count, table of (skip, target) with the default last
OPTIONAL = 5  # target when absent
OPAQUE = 6  # maximum bytes
VECTOR = 7  # maximum elements, least words of one element, target after it
VECTOR_FIXED = 8  # maximum elements, words of one element
NEXT = 9  # targets: first instruction of the element, first after the vector
OPTIONAL_FIXED = 10  # words when present
PADDED = 11  # bytes of a fixed opaque that does not fill its last word
MARK = 12  # mark, words ahead, words: a value of fixed size
OPEN = 13  # mark, words ahead: start of a value
CLOSE = 14  # mark, words ahead: end of that value
MARK_COUNT = 15  # mark, words ahead: a vector
ADD_COUNT = 16  # sum, words ahead: a vector

THROUGH = 0  # table target: the next instruction
REFUSED = -1  # table target: no such value

DONE = 0
TRUNCATED = 1
LENGTH = 2  # over the limit that the type declares
CROWDED = 3  # more bytes or elements than the bytes left can hold
VALUE = 4  # no such union arm, enum member or flag
PADDING = 5
DEPTH = 6
ROWS_FULL = 7

POSITION, LIMIT, BASE, PC, STACKED, ROWS = 0, 1, 2, 3, 4, 5  # places in `state`
SUMS = 8  # sums begin here in `state`

_SWAP = sys.byteorder == "little"


def walk(words: Any, code: Any, stack: Any, rows: Any, opened: Any, state: Any) -> int:
    """Walk one value and say how it ended (DONE, TRUNCATED, ...).

    Args:
        words: the buffer as native uint32, read as big-endian; read from ``state[POSITION]`` up to
            ``state[LIMIT]``, which must not exceed its length.
        code: int32 program.
        stack: int64 scratch; its length is the depth limit. A loop keeps (count << 32 | left).
        rows: int64 (n, 3); gets (mark, first byte, bytes or elements) in order of the first bytes;
            bytes count from ``state[BASE]`` at word 0.
        opened: int64 scratch, one cell a mark.
        state: int64 in and out, see the constants; sums must be zero on entry.
    """

    def big_endian(word: Any) -> Any:
        if _SWAP:
            return (word & 0xFF) << 24 | (word & 0xFF00) << 8 | (word >> 8) & 0xFF00 | word >> 24
        return word + 0

    position = state[POSITION]
    limit = state[LIMIT]
    base = state[BASE]
    depth = stack.shape[0]
    room = rows.shape[0]
    pc = 0
    sp = 0
    used = 0
    status = DONE
    while True:
        op = code[pc]
        position += code[pc + 1]
        if op == SWITCH:
            if position >= limit:
                status = TRUNCATED
                break
            word = big_endian(words[position])
            index = ((word ^ 0x80000000) - 0x80000000) - code[pc + 2]
            if index < 0 or index >= code[pc + 3]:
                index = code[pc + 3] + 0
            entry = code[pc + 4] + 2 * index
            target = code[entry + 1]
            if target < 0:
                status = VALUE
                break
            position += 1 + code[entry]
            if target == THROUGH:
                pc += 5
            else:
                pc = target
        elif op == CALL:
            if sp >= depth:
                status = DEPTH
                break
            stack[sp] = pc + 3
            sp += 1
            pc = code[pc + 2]
        elif op == RETURN:
            sp -= 1
            pc = stack[sp]
        elif op == JUMP:
            pc = code[pc + 2]
        elif op == NEXT:
            if stack[sp - 1] & 0xFFFFFFFF > 1:
                stack[sp - 1] -= 1
                pc = code[pc + 2]
            else:
                sp -= 1
                pc = code[pc + 3]
        elif op >= MARK:
            ahead = position + code[pc + 3]
            mark = code[pc + 2]
            if op == CLOSE:
                rows[opened[mark], 2] = base + 4 * ahead - rows[opened[mark], 1]
                pc += 4
                continue
            length = 0
            if op >= MARK_COUNT:
                if ahead >= limit:
                    position = ahead
                    status = TRUNCATED
                    break
                length = big_endian(words[ahead])
                ahead += 1
                if op == ADD_COUNT:
                    state[SUMS + mark] += length
                    pc += 4
                    continue
            if used >= room:
                status = ROWS_FULL
                break
            if op == MARK:
                length = 4 * code[pc + 4]
            rows[used, 0] = mark
            rows[used, 1] = base + 4 * ahead
            rows[used, 2] = length
            opened[mark] = used
            used += 1
            pc += 5 if op == MARK else 4
        elif op == HALT:
            if position > limit:
                status = TRUNCATED
            break
        elif op == PADDED:
            words_taken = (code[pc + 2] + 3) >> 2
            if position + words_taken > limit:
                status = TRUNCATED
                break
            position += words_taken - 1
            if big_endian(words[position]) & ((1 << (8 * (-code[pc + 2] & 3))) - 1):
                status = PADDING
                break
            position += 1
            pc += 3
        else:
            if position >= limit:
                status = TRUNCATED
                break
            length = big_endian(words[position])
            if op in (OPTIONAL, OPTIONAL_FIXED):
                if length > 1:
                    status = VALUE
                    break
                position += 1
                if op == OPTIONAL_FIXED:
                    position += code[pc + 2] * length
                    pc += 3
                elif length:
                    pc += 3
                else:
                    pc = code[pc + 2]
                continue
            if length > code[pc + 2]:
                status = LENGTH
                break
            if op == OPAQUE:
                taken = (length + 3) >> 2
                if taken > limit - position - 1:
                    status = CROWDED
                    break
                position += taken
                if length & 3 and big_endian(words[position]) & ((1 << (8 * (-length & 3))) - 1):
                    status = PADDING
                    break
                position += 1
                pc += 3
                continue
            if length * code[pc + 3] > limit - position - 1:
                status = CROWDED
                break
            position += 1
            if op == VECTOR_FIXED:
                position += length * code[pc + 3]
                pc += 4
            elif length == 0:
                pc = code[pc + 4]
            else:
                if sp >= depth:
                    status = DEPTH
                    break
                stack[sp] = (length << 32) | length
                sp += 1
                pc += 5
    state[POSITION] = position
    state[PC] = pc
    state[STACKED] = sp
    state[ROWS] = used
    return status
