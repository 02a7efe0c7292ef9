"""Marks: values, vectors and sums at paths; and the compiled walk's cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from grammar_bytes import Maker, word
from stellar_sdk import xdr as sdk

from bronze_tui.domain.errors import XdrError
from bronze_tui.xdr import walker as walker_module
from bronze_tui.xdr.grammar import Parser
from bronze_tui.xdr.projection import Kind, Mark, ProjectionError, compile_projection
from bronze_tui.xdr.table import Table
from bronze_tui.xdr.walker import Walker


def small_table(*definitions: str) -> Table:
    parser = Parser({})
    return Table("0", dict(parser.definition(text) for text in definitions))


def rows(table: Table, root: str, data: bytes, *marks: Mark) -> list[tuple[str, int, int]]:
    projection = compile_projection(table, root, marks)
    walker = Walker(projection)
    assert walker.walk(b"\xff" * 4 + data, 4) == 4 + len(data)
    return [(projection.marks[m], offset - 4, n) for m, offset, n in walker.rows.tolist()]


def value(name: str, *paths: str) -> Mark:
    return Mark(name, Kind.VALUE, paths)


def test_values_of_fixed_and_variable_size() -> None:
    table = small_table(
        "struct Inner { opaque key[8]; string text<>; };",
        "struct Root { int a; hyper b; Inner inner; Inner* maybe; int last; };",
    )
    inner = bytes(8) + word(5) + b"hello\0\0\0"
    data = word(1) + bytes(8) + inner + word(1) + inner + word(9)
    found = rows(
        table,
        "Root",
        data,
        value("b", "Root.b"),
        value("inner", "Root.inner"),
        value("key", "Root.inner.key"),
        value("text", "Root.inner.text"),
        value("maybe", "Root.maybe"),
        value("deep", "Root.maybe.text"),
        value("last", "Root.last"),
        value("all", "Root"),
    )
    assert found == [
        ("all", 0, len(data)),
        ("b", 4, 8),
        ("inner", 12, 20),
        ("key", 12, 8),
        ("text", 20, 12),
        ("maybe", 32, 24),
        ("deep", 44, 12),
        ("last", 56, 4),
    ]


def test_vectors_and_arms() -> None:
    table = small_table(
        "enum Kind { A = 0, B = 5 };",
        "union Item switch (Kind k) { case A: int number; case B: int pair<2>; };",
        "struct Root { Item items<>; int tail[2]; };",
    )
    data = word(3) + word(0) + word(7) + word(5) + word(1) + word(8) + word(5) + word(0) + bytes(8)
    marks = (
        Mark("items", Kind.VECTOR, ("Root.items",)),
        Mark("pair", Kind.VECTOR, ("Root.items[].pair",)),
        value("number", "Root.items[].number"),
        value("each", "Root.items[].pair[]"),
        value("tail", "Root.tail[]"),
    )
    assert rows(table, "Root", data, *marks) == [
        ("items", 4, 3),
        ("number", 8, 4),
        ("pair", 20, 1),
        ("each", 20, 4),
        ("pair", 32, 0),
        ("tail", 32, 4),
        ("tail", 36, 4),
    ]


def test_default_arm_bool_switch_padded_opaque_and_unrolled_array() -> None:
    table = small_table(
        "union Choice switch (int v) { case 1: int one; case 3: void; default: hyper other; };",
        "union Flag switch (bool b) { case 1: int yes; default: void; };",
        "struct Root { Choice c; Flag f; opaque odd[5]; Flag s[2]; };",
    )
    projection = compile_projection(table, "Root")
    walker = Walker(projection)
    flags = word(1) + word(6) + word(0)
    for choice in (word(1) + word(0), word(3), word(2) + bytes(8), word(-9) + bytes(8)):
        for flag in (word(0), word(1) + word(4)):
            data = choice + flag + b"12345\0\0\0" + flags
            assert walker.walk(data) == len(data)
            padded = choice + flag + b"12345\0\0\1" + flags
            with pytest.raises(XdrError, match=r"padding is not zero at byte \d+ in Root\.odd"):
                walker.walk(padded)
            with pytest.raises(XdrError, match=r"bytes end"):
                walker.walk((choice + flag + b"12345")[: len(choice + flag) + 4])
    with pytest.raises(XdrError, match=r"unknown union arm 2 at byte 4 in Root\.f"):
        walker.walk(word(3) + word(2) + bytes(40))
    with pytest.raises(XdrError, match=r"unknown union arm 7 at byte \d+ in Root\.s\[1\]"):
        walker.walk(word(3) + word(0) + bytes(8) + word(0) + word(7))


def test_an_enum_switch_with_default_still_refuses_unknown_members() -> None:
    table = small_table(
        "enum Kind { A = 0, B = 1, C = 4 };",
        "union Root switch (Kind k) { case A: int a; default: void; };",
    )
    walker = Walker(compile_projection(table, "Root"))
    assert walker.walk(word(4)) == 4
    with pytest.raises(XdrError, match="unknown union arm 3 at byte 0 in Root"):
        walker.walk(word(3))


def test_sums_and_rows_beyond_the_first_room(pubnet: bytes, table: Table) -> None:
    path = "LedgerCloseMeta.v1.txProcessing[].result.result.feeCharged"
    changes = "LedgerCloseMeta.v1.txProcessing[].feeProcessing"
    projection = compile_projection(
        table,
        "LedgerCloseMeta",
        [value("fee", path), Mark("changes", Kind.SUM, (changes,))],
    )
    walker = Walker(projection)
    walker.walk(pubnet, 12)
    meta = sdk.LedgerCloseMetaBatch.from_xdr_bytes(pubnet).ledger_close_metas[0].v1
    offsets = walker.rows[:, 1]
    fees = [int.from_bytes(pubnet[i : i + 8], "big", signed=True) for i in offsets]
    assert fees == [t.result.result.fee_charged.int64 for t in meta.tx_processing]
    wanted = sum(len(t.fee_processing.ledger_entry_changes) for t in meta.tx_processing)
    assert walker.sums == [wanted]
    walker.walk(pubnet, 12)
    assert walker.sums == [wanted]


def test_marks_do_not_change_what_is_accepted(table: Table) -> None:
    marked = Walker(
        compile_projection(
            table,
            "LedgerCloseMeta",
            [
                value("set", "LedgerCloseMeta.v1.txSet", "LedgerCloseMeta.v2.txSet"),
                value("meta", "LedgerCloseMeta.v2.txProcessing[].txApplyProcessing"),
                Mark("topics", Kind.SUM, ("LedgerCloseMeta.v2.txProcessing[].feeProcessing",)),
            ],
        )
    )
    maker = Maker(table, 0, deep=9)
    for seed in range(40):
        maker.reseed(seed)
        data = maker.make("LedgerCloseMeta")
        assert marked.walk(data) == len(data)
        for mark, offset, size in marked.rows.tolist():
            kind = ("GeneralizedTransactionSet", "TransactionMeta")[mark]
            part = data[offset : offset + size]
            assert getattr(sdk, kind).from_xdr_bytes(part).to_xdr_bytes() == part


@pytest.mark.parametrize(
    ("kind", "path", "said"),
    [
        (Kind.VALUE, "LedgerCloseMeta.v3.ext", "no such field: LedgerCloseMeta.v3"),
        (Kind.VALUE, "LedgerCloseMeta.v1.txProcessing.result", "txProcessing.result"),
        (Kind.VALUE, "LedgerCloseMeta.v1.ledgerHeader.hash.x", "hash.x"),
        (Kind.VALUE, "LedgerCloseMeta.v1.ledgerHeader.header.ledgerSeq[]", r"ledgerSeq\[\]"),
        (Kind.SUM, "LedgerCloseMeta.v1.ledgerHeader", "ledgerHeader as a vector"),
        (Kind.VECTOR, "LedgerCloseMeta.v1.ledgerHeader.hash", "hash as a vector"),
        (Kind.VALUE, "LedgerHeader.ledgerSeq", "does not begin at LedgerCloseMeta"),
    ],
)
def test_bad_paths_are_refused(table: Table, kind: Kind, path: str, said: str) -> None:
    with pytest.raises(ProjectionError, match=said):
        compile_projection(table, "LedgerCloseMeta", [Mark("x", kind, (path,))])


@pytest.mark.parametrize(
    "definition",
    ["struct Root { opaque nothing[0]; };", "struct Root { int some[0]; };"],
)
def test_elements_without_bytes_are_refused(definition: str) -> None:
    table = small_table(definition, "typedef Root Bomb<>;")
    with pytest.raises(ProjectionError, match="elements without bytes"):
        compile_projection(table, "Bomb")


def test_far_apart_values_are_refused() -> None:
    table = small_table("union Root switch (int v) { case 1: void; case 99999: void; };")
    with pytest.raises(ProjectionError, match="too far apart"):
        compile_projection(table, "Root")


class _Wrapped:
    """Stands for a compiled function whose cache cannot be written."""

    def __call__(self, *arguments: Any) -> int:
        raise PermissionError("cannot write the index")


def _refuse(*arguments: Any) -> Any:
    raise RuntimeError("cannot cache function: no locator available")


@pytest.mark.parametrize("wrap", [_refuse, lambda function: _Wrapped()])
def test_an_unwritable_cache_is_done_without(
    monkeypatch: pytest.MonkeyPatch, wrap: Callable[..., Any]
) -> None:
    asked = []

    def fake(**options: Any) -> Any:
        asked.append(options)
        return wrap if options.get("cache") else lambda function: lambda *arguments: 0

    monkeypatch.setattr(walker_module, "njit", fake)
    monkeypatch.setattr(walker_module, "_compiled", None)
    assert walker_module.compiled_walk()(np.zeros(1)) == 0
    assert asked == [{"nogil": True, "cache": True}, {"nogil": True}]
