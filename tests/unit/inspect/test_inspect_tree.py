"""The decoded tree: framed as the bytes are, asked in pages, values as people write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from copying import Site
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import Keypair, MuxedAccount, xdr

from bronze_tui.domain.errors import UsageError
from bronze_tui.inspect import tree
from bronze_tui.inspect.values import short
from bronze_tui.lake.frames import decompress_frame
from bronze_tui.xdr.header import LedgerReader, iter_ledgers


def ledgers(root: Path, most: int = 30) -> Iterator[tuple[bytes, tree.Node]]:
    for path in sorted(root.rglob("*.zst*"))[:most]:
        data = decompress_frame(path.read_bytes(), 1 << 28)
        for facts in iter_ledgers(data, LedgerReader()):
            raw = bytes(data[facts.start : facts.end])
            yield raw, tree.root(xdr.LedgerCloseMeta.from_xdr_bytes(raw))


def test_every_node_is_the_bytes_it_was_decoded_from(copied: Site) -> None:
    nodes = 0
    for raw, top in ledgers(copied.lake):
        assert tree.encode(top) == raw
        for path, node in tree.walk(top):
            nodes += 1
            below = tree.children(node)
            parts = b"".join(tree.encode(child) for child in below)
            assert tree.encode(node).endswith(parts), (path, node.name)
            info = tree.describe(node)
            assert info["more"] == bool(below)
            assert isinstance(info["value"], str)
    assert nodes > 10_000


def test_a_real_ledger_too(shared: Path) -> None:
    raw, top = next(ledgers(shared / "lake" / "pubnet", 1))
    assert tree.encode(top) == raw
    fields = tree.page(top, [0], 0, 100)["children"]
    assert sum(f["bytes"] for f in fields) + 4 == len(raw)
    results = next(i for i, f in enumerate(fields) if f["name"] == "txProcessing")
    transaction = tree.at(top, [0, results, 0])
    assert len(list(tree.walk(transaction))) > 50


def test_pages_of_a_vector_and_names_of_its_items(copied: Site) -> None:
    _, top = max(ledgers(copied.lake), key=lambda pair: len(pair[0]))
    fields = [c["name"] for c in tree.page(top, [0], 0, 50)["children"]]
    number = fields.index("txProcessing")
    whole = tree.page(top, [0, number], 0, 100)
    assert whole["total"] == 7
    page = tree.page(top, [0, number], 2, 3)
    assert [c["name"] for c in page["children"]] == ["[2]", "[3]", "[4]"]
    assert page["children"] == whole["children"][2:5]


@pytest.mark.parametrize("path", [[5], [0, 99], [-1], [0, 0, 0, 0, 0]])
def test_a_path_to_nowhere_is_refused(copied: Site, path: list[int]) -> None:
    _, top = next(ledgers(copied.lake))
    with pytest.raises(UsageError, match="no node"):
        tree.at(top, path)


@given(st.binary(max_size=28))
def test_a_memo_is_quoted_text_whatever_its_bytes(text: bytes) -> None:
    memo = xdr.Memo(xdr.MemoType.MEMO_TEXT, text=text)
    node = tree.root(memo)
    [arm] = tree.children(node)
    value = tree.describe(arm)["value"]
    assert value[0] == value[-1] == '"'
    assert value[1:-1] == text.decode("utf-8", "backslashreplace")
    assert tree.encode(node) == memo.to_xdr_bytes()


@given(st.binary(max_size=200))
def test_opaque_bytes_are_hex(data: bytes) -> None:
    value = xdr.SCVal(xdr.SCValType.SCV_BYTES, bytes=xdr.SCBytes(data))
    [arm] = tree.children(tree.root(value))
    assert tree.describe(arm)["value"] == (data.hex() or "empty")


KEYS = Keypair.from_raw_ed25519_seed(bytes(32))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (KEYS.xdr_account_id(), KEYS.public_key),
        (MuxedAccount(KEYS.public_key, 7).to_xdr_object(), MuxedAccount(KEYS.public_key, 7)),
        (xdr.Asset(xdr.AssetType.ASSET_TYPE_NATIVE), "XLM"),
        (xdr.Int64(-1234567), "-1,234,567"),
        (xdr.TimePoint(xdr.Uint64(1_700_000_000)), "1,700,000,000  2023-11-14T22:13:20Z"),
        (xdr.TimePoint(xdr.Uint64(2**63)), "9,223,372,036,854,775,808  beyond the calendar"),
        (xdr.Int128Parts(xdr.Int64(-1), xdr.Uint64(2**64 - 2)), "-2"),
        (xdr.UInt128Parts(xdr.Uint64(1), xdr.Uint64(0)), f"{2**64:,}"),
        (xdr.SCSymbol(b"transfer"), '"transfer"'),
        (xdr.String32(b"[/red]\x1b"), '"[/red]\x1b"'),
        (xdr.AssetCode4(b"AB\0\0"), '"AB"'),
        (xdr.MemoType.MEMO_TEXT, "MEMO_TEXT"),
        (xdr.SCVal(xdr.SCValType.SCV_U32, u32=xdr.Uint32(9)), "SCV_U32  9"),
        (None, "absent"),
    ],
)
def test_values_are_written_as_people_name_them(value: Any, expected: object) -> None:
    wanted = expected.universal_account_id if isinstance(expected, MuxedAccount) else expected
    assert short(value) == wanted
