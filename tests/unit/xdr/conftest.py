"""One table, one reader and one real or made ledger for all tests of the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from grammar_bytes import Maker, unpacked

from bronze_tui.xdr.header import ROOT, LedgerReader
from bronze_tui.xdr.table import Table, load


@pytest.fixture(scope="session")
def table() -> Table:
    return load()


@pytest.fixture(scope="session")
def reader() -> LedgerReader:
    return LedgerReader()


@pytest.fixture(scope="session")
def small_ledgers(table: Table) -> dict[int, bytes]:
    """The shortest ledger of each version that the maker finds with few elements."""
    found: dict[int, bytes] = {}
    maker = Maker(table, 0, deep=4, longest=1)
    for seed in range(60):
        maker.reseed(seed)
        data = maker.make(ROOT)
        version = data[3]
        if version not in found or len(data) < len(found[version]):
            found[version] = data
    return found


@pytest.fixture(scope="session")
def pubnet(shared: Path) -> bytes:
    """Batch of ledger 53312000: V1, protocol 21, 163 transactions."""
    return unpacked(next((shared / "lake" / "pubnet").rglob("*.xdr.zstd")))


@pytest.fixture(scope="session")
def testnet(shared: Path) -> bytes:
    """Batch of ledger 982180: V2, protocol 25, 5 transactions."""
    return unpacked(next((shared / "lake" / "testnet").rglob("*.xdr.zst")))
