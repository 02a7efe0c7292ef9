"""The walker against the Stellar SDK and against a plain reading of the table."""

from __future__ import annotations

import random
import struct
from functools import cache

import pytest
from grammar_bytes import Label, Maker, PlainReader, Refusal, labels_below, word
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stellar_sdk import xdr as sdk
from xdrlib3 import Error as SdkError

from bronze_tui.domain.errors import XdrError
from bronze_tui.xdr.header import ROOT, facts_projection
from bronze_tui.xdr.projection import compile_projection
from bronze_tui.xdr.table import Ref, Table, load
from bronze_tui.xdr.walker import DEPTH_LIMIT, Walker

FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

SDK_ACCEPTS = {
    "padding is not zero": "RFC 4506 section 3: padding bytes are zero; the SDK never looks",
    "unknown bool": "RFC 4506 section 4.4: 0 or 1; the SDK takes every other value as true",
    "unknown flag of an optional": "RFC 4506 section 4.19: 0 or 1; as for bool",
}
"""What we refuse and the SDK takes. It writes other bytes back than it has read, so such a ledger
would change its hash on the way through any decoder."""

SDK_REFUSES = "Maximum decoding depth reached"
"""What the SDK refuses and we take: more than 512 types nested, where the network's own readers in
Go allow 1,500."""


@cache
def walker(root: str = ROOT) -> Walker:
    return Walker(facts_projection() if root == ROOT else compile_projection(load(), root))


def sdk_reads(data: bytes, root: str = ROOT) -> tuple[bytes | None, str]:
    """The bytes that the SDK writes back, or None and its reason."""
    try:
        return getattr(sdk, root).from_xdr_bytes(data).to_xdr_bytes(), ""
    except (ValueError, EOFError, SdkError) as error:
        return None, str(error)


def we_read(data: bytes, root: str = ROOT) -> XdrError | None:
    try:
        end = walker(root).walk(data)
    except XdrError as error:
        return error
    return None if end == len(data) else XdrError("trailing bytes", offset=end)


def check_agreement(data: bytes, root: str = ROOT) -> None:
    """Both take it, both refuse it, or the difference is a listed one."""
    ours = we_read(data, root)
    written, reason = sdk_reads(data, root)
    if ours is None:
        assert written == data or reason == SDK_REFUSES, reason
    elif written is not None:
        assert any(rule in ours.what for rule in SDK_ACCEPTS), ours
        assert written != data


def test_every_arm_of_every_union_is_walked_as_the_sdk_reads_it(table: Table) -> None:
    wanted: set[Label] = labels_below(table, Ref(ROOT), ROOT)
    assert len(wanted) > 400
    maker = Maker(table, 0, deep=13)
    ledgers = 0
    while not wanted <= maker.used.keys():
        maker.reseed(ledgers)
        data = maker.make(ROOT)
        assert walker().walk(data) == len(data)
        assert sdk_reads(data)[0] == data
        ledgers += 1
        assert ledgers < 1000, sorted(wanted - maker.used.keys())


@FEW
@given(st.integers(0, 2**32), st.sampled_from([ROOT, "TransactionEnvelope", "LedgerHeader"]))
def test_random_values_are_walked_to_their_end(seed: int, root: str) -> None:
    data = Maker(load(), seed, deep=11).make(root)
    assert walker(root).walk(data + b"\xff" * 8) == len(data)
    check_agreement(data, root)


def mutated(data: bytes, pick: random.Random) -> bytes:
    """One to three random changes: words, bytes, cuts and repeats."""
    out = bytearray(data)
    for _ in range(pick.randint(1, 3)):
        at = pick.randrange(0, len(out))
        aligned = at & ~3
        match pick.randrange(6):
            case 0:
                out[at] ^= 1 << pick.randrange(8)
            case 1:
                out[aligned : aligned + 4] = word(pick.choice([0, 1, 2, 3, 7, 2**31, 2**32 - 1]))
            case 2:
                out[aligned : aligned + 4] = word(pick.randrange(64))
            case 3:
                del out[aligned : aligned + 4 * pick.randint(1, 4)]
            case 4:
                out[aligned:aligned] = out[aligned : aligned + 4 * pick.randint(1, 4)]
            case _:
                out[at] = pick.randrange(256)
        if len(out) < 8:
            return data
    return bytes(out)


@settings(FEW, max_examples=400)
@given(st.integers(0, 2**32), st.integers(0, 60))
def test_mutated_bytes_are_judged_as_the_sdk_judges_them(seed: int, origin: int) -> None:
    check_agreement(mutated(made(origin), random.Random(seed)))


@cache
def made(seed: int) -> bytes:
    return Maker(load(), seed, deep=8, longest=2).make(ROOT)


def test_mutated_real_ledger_is_judged_as_the_sdk_judges_it(testnet: bytes) -> None:
    pick = random.Random(7)
    for _ in range(150):
        check_agreement(mutated(testnet[12:], pick))


@settings(FEW, max_examples=600)
@given(st.integers(0, 2**32), st.integers(0, 60))
def test_errors_name_offset_and_field_of_a_plain_reading(seed: int, origin: int) -> None:
    """Where bytes end, a field shortly after the cut one may be named: fixed sizes are skipped."""
    data = mutated(made(origin), random.Random(seed))
    ours = we_read(data)
    refusal, end = plain_reading(data)
    if refusal is None:
        assert ours is None or (ours.offset == end and ours.what.startswith("trailing"))
        return
    assert ours is not None
    assert ours.what.startswith(refusal.rule)
    if refusal.rule == "bytes end":
        assert refusal.offset <= ours.offset <= len(data)
    else:
        assert (ours.offset, ours.path) == (refusal.offset, refusal.path)


def plain_reading(data: bytes) -> tuple[Refusal | None, int]:
    reader = PlainReader(load(), data)
    try:
        return None, reader.read(ROOT)
    except Refusal as refusal:
        return refusal, reader.position


def test_listed_differences_are_real(table: Table) -> None:
    padding = struct.pack(">I", 1) + b"a\0\0\1"
    assert sdk_reads(padding, "SCSymbol")[0] == struct.pack(">I", 1) + b"a\0\0\0"
    assert "padding" in str(we_read(padding, "SCSymbol"))
    two = word(0) + word(2)
    assert sdk_reads(two, "SCVal")[0] == word(0) + word(1)
    assert "unknown bool 2" in str(we_read(two, "SCVal"))
    flag = word(16) + word(2) + word(0)
    assert sdk_reads(flag, "SCVal")[0] == word(16) + word(1) + word(0)
    assert "unknown flag of an optional 2" in str(we_read(flag, "SCVal"))
    deep = (word(16) + word(1) + word(1)) * 300 + word(1)
    assert we_read(deep, "SCVal") is None
    assert sdk_reads(deep, "SCVal") == (None, SDK_REFUSES)


VECTOR_OF_ONE = word(16) + word(1) + word(1)
BOMBS = {
    "SCVal": VECTOR_OF_ONE,
    "ClaimPredicate": word(3) + word(1),
    "SCPQuorumSet": word(1) + word(0) + word(1),
    "SorobanAuthorizedInvocation": word(0) + word(1) + bytes(32) + word(0) * 2 + word(1),
}


@pytest.mark.parametrize("root", BOMBS)
def test_depth_bomb_is_refused(root: str) -> None:
    error = we_read(BOMBS[root] * 100_000, root)
    assert error is not None
    assert f"nested deeper than {DEPTH_LIMIT} levels" in error.what
    assert error.path.startswith(f"{root}.")
    assert len(error.path) < 300


def test_depth_bomb_inside_a_whole_ledger() -> None:
    body = Maker(load(), 0, deep=0).make("LedgerCloseMetaV2")
    key = word(6) + word(1) + bytes(32) + VECTOR_OF_ONE * 100_000
    error = we_read(word(2) + body[:-4] + word(1) + key)
    assert error is not None
    assert "nested deeper" in error.what
    assert error.path.startswith("LedgerCloseMeta.v2.evictedKeys[0].contractData.key.vec[0].vec")
    assert error.path.endswith(".vec[0].vec[0]")


@pytest.mark.parametrize(
    ("root", "data", "rule"),
    [
        ("SCVal", word(16) + word(1) + word(2**32 - 1), "length 4294967295 cannot fit"),
        ("SCVal", word(16) + word(1) + word(2) + word(1), "length 2 cannot fit"),
        ("SCVal", word(13) + word(2**32 - 1) + bytes(8), "length 4294967295 cannot fit"),
        ("SCVal", word(13) + word(9) + bytes(8), "length 9 cannot fit"),
        ("SCVal", word(15) + word(33) + bytes(36), "length 33 is over the limit of 32"),
        ("LedgerHeader", bytes(76) + word(7), "length 7 is over the limit of 6"),
        ("LedgerCloseMeta", word(3), "unknown union arm 3"),
        ("LedgerCloseMeta", word(2**32 - 1), "unknown union arm -1"),
        ("LedgerCloseMeta", b"", "bytes end"),
        ("LedgerCloseMeta", b"\0\0\0", "bytes end"),
    ],
)
def test_length_bombs_and_unknown_versions(root: str, data: bytes, rule: str) -> None:
    error = we_read(data, root)
    assert error is not None
    assert error.what.startswith(rule)
    assert error.path.startswith(root)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_truncation_at_every_byte(small_ledgers: dict[int, bytes], version: int) -> None:
    data = small_ledgers[version]
    assert we_read(data) is None
    for size in range(len(data)):
        error = we_read(data[:size])
        assert error is not None
        assert 0 <= error.offset <= size
        assert error.path.startswith("LedgerCloseMeta")


def test_a_cut_run_of_fixed_fields_names_the_field() -> None:
    data = Maker(load(), 0, deep=0).make("LedgerHeader")
    assert walker("LedgerHeader").walk(data) == len(data)
    totals = 4 + 32 + 32 + 8 + 4 + 4 + 32 + 32 + 4
    error = we_read(data[: totals + 4], "LedgerHeader")
    assert error is not None
    assert (error.path, error.offset) == ("LedgerHeader.totalCoins", totals)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_at_any_offset(small_ledgers: dict[int, bytes], kind: type) -> None:
    data = small_ledgers[1]
    for start in (0, 1, 2, 3, 12):
        buffer = kind(b"\xff" * start + data + b"\xee")
        assert walker().walk(buffer, start) == start + len(data)


def test_start_outside_the_buffer() -> None:
    for start in (-1, 9):
        with pytest.raises(XdrError, match="cannot walk"):
            walker().walk(bytes(8), start)
