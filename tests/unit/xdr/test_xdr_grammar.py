"""The parser of XDR text, and the shipped table against the installed SDK."""

from __future__ import annotations

import json

import pytest

from bronze_tui.xdr import compile as compiler
from bronze_tui.xdr.grammar import GrammarError, Parser
from bronze_tui.xdr.table import (
    NO_LIMIT,
    TABLE_FILE,
    Arm,
    Array,
    Enum,
    Opaque,
    Optional,
    Primitive,
    Ref,
    Struct,
    Table,
    TableError,
    Union,
    Vector,
    dump,
    parse,
)


@pytest.mark.parametrize(
    ("text", "name", "node"),
    [
        ("typedef opaque Hash[32];", "Hash", Opaque(32, fixed=True)),
        ("typedef opaque Value<>;", "Value", Opaque(NO_LIMIT, fixed=False)),
        ("typedef string Text<LIMIT>;", "Text", Opaque(28, fixed=False, text=True)),
        ("typedef unsigned hyper uint64;", "uint64", Primitive("unsigned hyper")),
        ("typedef Item* Maybe;", "Maybe", Optional(Ref("Item"))),
        ("typedef Item Four[0x4];", "Four", Array(4, Ref("Item"))),
        ("typedef Item Some<5>;", "Some", Vector(5, Ref("Item"))),
        ("enum E { /* a */ A = -1, B = 0x100 }; // end", "E", Enum((("A", -1), ("B", 256)))),
        (
            "struct S { int a; struct { bool b; } inner; };",
            "S",
            Struct((("a", Primitive("int")), ("inner", Struct((("b", Primitive("bool")),))))),
        ),
        (
            "union U switch (Kind k) { case ONE: case 7: void; case 2: Item x<>; default: int d;};",
            "U",
            Union(
                "k",
                Ref("Kind"),
                (
                    Arm((1, 7), "", None),
                    Arm((2,), "x", Vector(NO_LIMIT, Ref("Item"))),
                    Arm(None, "d", Primitive("int")),
                ),
            ),
        ),
    ],
)
def test_definition(text: str, name: str, node: object) -> None:
    assert Parser({"LIMIT": 28, "ONE": 1}).definition(text) == (name, node)


@pytest.mark.parametrize(
    "text",
    [
        "struct S { int a }",
        "struct S { };",
        "struct S { Item x[]; };",
        "enum E { A = UNKNOWN };",
        "typedef opaque Hash[32]; more",
        "union U switch (int v) { int a; };",
        "program P { };",
        "typedef @;",
        "struct S { int a",
    ],
)
def test_bad_text_is_refused(text: str) -> None:
    with pytest.raises(GrammarError):
        Parser({}).definition(text)


def test_enum_members_name_the_arms_of_later_unions() -> None:
    parser = Parser({})
    parser.definition("enum Kind { FIRST = 3 };")
    _, node = parser.definition("union U switch (Kind k) { case FIRST: void; };")
    assert node == Union("k", Ref("Kind"), (Arm((3,), "", None),))


def test_the_shipped_table_is_what_the_sdk_says(table: Table) -> None:
    assert compiler.compile_table().types == table.types, (
        "the grammar of the installed stellar_sdk has changed: "
        "run python -m bronze_tui.xdr.compile and look at the difference"
    )


def test_enums_have_the_values_of_the_sdk_classes(table: Table) -> None:
    from stellar_sdk import xdr

    enums = {name: node for name, node in table.types.items() if isinstance(node, Enum)}
    assert len(enums) > 50
    for name, node in enums.items():
        assert dict(node.members) == {m.name: m.value for m in getattr(xdr, name)}


def test_table_file_is_deterministic_and_checked(table: Table) -> None:
    data = dump(table)
    assert parse(data) == table
    assert dump(parse(data)) == data
    raw = json.loads(data)
    for change in (
        {"grammar_sha256": "0" * 64},
        {"format": 99},
        {"types": {**raw["types"], "Hash": ["opaque", 31]}},
        {"types": {"Hash": ["cloud", 1]}},
        {"types": {"Hash": ["opaque"]}},
    ):
        with pytest.raises(TableError):
            parse(json.dumps({**raw, **change}).encode())


def test_compile_command(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiler, "__file__", f"{tmp_path}/compile.py")
    assert compiler.main(["--check"]) == 1
    assert compiler.main([]) == 0
    assert compiler.main(["--check"]) == 0
    path = compiler.Path(f"{tmp_path}/{TABLE_FILE}")
    table = parse(path.read_bytes())
    path.write_bytes(dump(Table("1", {**table.types, "Hash": Opaque(31, fixed=True)})))
    assert compiler.main(["--check"]) == 1
    assert "has drifted" in capsys.readouterr().err


def test_a_name_without_definition_is_refused() -> None:
    with pytest.raises(GrammarError, match="Lost"):
        compiler.reachable({"A": Ref("Lost")}, ["A"])
