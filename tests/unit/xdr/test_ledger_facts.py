"""Facts of ledgers against the SDK's decode; batches, bare ledgers and what stands between."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grammar_bytes import Maker, unpacked, word
from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import xdr as sdk
from stellar_sdk.xdr import TransactionResultCode as Code

from bronze_tui.domain.errors import XdrError
from bronze_tui.domain.ledger import LedgerFacts
from bronze_tui.xdr.fields import header_fields
from bronze_tui.xdr.header import ROOT, LedgerReader, batch_bounds, iter_ledgers
from bronze_tui.xdr.table import load


def sdk_facts(data: bytes, start: int) -> LedgerFacts:
    """The same facts by decoding everything."""
    meta = sdk.LedgerCloseMeta.from_xdr_bytes(data)
    ledger: Any = meta.v0 or meta.v1 or meta.v2
    header = ledger.ledger_header.header
    at = data.index(header.to_xdr_bytes())
    results = [item.result.result for item in ledger.tx_processing]
    return LedgerFacts(
        version=meta.v,
        sequence=header.ledger_seq.uint32,
        start=start,
        end=start + len(data),
        header_start=start + at,
        header_end=start + at + len(header.to_xdr_bytes()),
        ledger_hash=ledger.ledger_header.hash.hash,
        previous_ledger_hash=header.previous_ledger_hash.hash,
        close_time=header.scp_value.close_time.time_point.uint64,
        protocol_version=header.ledger_version.uint32,
        total_coins=header.total_coins.int64,
        fee_pool=header.fee_pool.int64,
        tx_set_hash=header.scp_value.tx_set_hash.hash,
        tx_count=len(results),
        tx_set_count=sdk_envelopes(ledger.tx_set),
        operation_count=sum(sdk_operations(result.result) for result in results),
    )


def sdk_operations(result: Any) -> int:
    if result.code in (Code.txFEE_BUMP_INNER_SUCCESS, Code.txFEE_BUMP_INNER_FAILED):
        result = result.inner_result_pair.result.result
    return len(result.results or [])


def sdk_envelopes(tx_set: Any) -> int:
    if isinstance(tx_set, sdk.TransactionSet):
        return len(tx_set.txs)
    count = 0
    for phase in tx_set.v1_tx_set.phases:
        for component in phase.v0_components or []:
            count += len(component.txs_maybe_discounted_fee.txs)
        if phase.parallel_txs_component is not None:
            for stage in phase.parallel_txs_component.execution_stages:
                count += sum(len(c.dependent_tx_cluster) for c in stage.parallel_tx_execution_stage)
    return count


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 4, 12, 13]))
def test_facts_are_those_of_a_full_decode(seed: int, start: int) -> None:
    data = Maker(load(), seed, deep=9).make(ROOT)
    facts = LedgerReader().read(b"\xff" * start + data + b"\xff" * 7, start)
    assert facts == sdk_facts(data, start)


def test_made_ledgers_have_what_is_counted() -> None:
    maker = Maker(load(), 0, deep=9)
    made = []
    for seed in range(90):
        maker.reseed(seed)
        made.append(LedgerReader().read(maker.make(ROOT)))
    for version in (0, 1, 2):
        facts = [f for f in made if f.version == version]
        assert any(f.operation_count for f in facts)
        assert any(f.tx_set_count for f in facts)


def test_fee_bumps_count_the_operations_inside(reader: LedgerReader) -> None:
    maker = Maker(load(), 0, deep=0)
    header = word(0) + maker.make("LedgerHeaderHistoryEntry") + bytes(32) + word(0)
    operation = word(-1)
    inner = bytes(8) + word(-1) + word(2) + operation * 2 + word(0)
    bump = bytes(32) + bytes(8) + word(1) + bytes(32) + inner + word(0)
    plain = bytes(32) + bytes(8) + word(-1) + word(3) + operation * 3 + word(0)
    failed = bytes(32) + bytes(8) + word(-3) + word(0)
    rest = word(0) + word(0) + word(0)
    processing = word(3) + bump + rest + plain + rest + failed + rest
    facts = reader.read(header + processing + word(0) * 2)
    assert (facts.tx_count, facts.operation_count, facts.tx_set_count) == (3, 5, 0)


def test_pubnet_ledger(reader: LedgerReader, pubnet: bytes) -> None:
    (facts,) = iter_ledgers(pubnet, reader)
    assert facts == sdk_facts(pubnet[12:], 12)
    assert (facts.sequence, facts.tx_count, facts.operation_count) == (53312000, 163, 234)
    assert sha256(pubnet[facts.header_start : facts.header_end]).digest() == facts.ledger_hash


def test_testnet_ledger(reader: LedgerReader, testnet: bytes) -> None:
    (facts,) = iter_ledgers(testnet, reader)
    assert facts == sdk_facts(testnet[12:], 12)
    assert (facts.sequence, facts.tx_count, facts.operation_count) == (982180, 5, 5)
    assert sha256(testnet[facts.header_start : facts.header_end]).digest() == facts.ledger_hash


def test_archives_of_the_go_copier(reader: LedgerReader, shared: Path) -> None:
    for folder, bare in (("archive-bare", True), ("archive-batch", False)):
        objects = sorted((shared / "go-copier" / folder).rglob("*.zst"))
        assert objects
        for path in objects:
            data = unpacked(path)
            assert (batch_bounds(data) is None) is bare
            (facts,) = iter_ledgers(data, reader)
            assert facts == sdk_facts(data[facts.start :], facts.start)


def test_kinds_of_buffer_give_the_same_facts(testnet: bytes) -> None:
    reader = LedgerReader()
    wanted = reader.read(testnet, 12)
    for buffer in (bytearray(testnet), memoryview(testnet), np.frombuffer(testnet, np.uint8)):
        assert reader.read(buffer, 12) == wanted


def test_readers_of_many_threads_do_not_disturb_each_other(pubnet: bytes, testnet: bytes) -> None:
    wanted = [LedgerReader().read(data, 12) for data in (pubnet, testnet)]

    def work(which: int) -> bool:
        reader, data = LedgerReader(), (pubnet, testnet)[which]
        return all(reader.read(data, 12) == wanted[which] for _ in range(40))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, [0, 1, 0, 1]))


def test_batch_of_several_ledgers(reader: LedgerReader, small_ledgers: dict[int, bytes]) -> None:
    ledgers = [small_ledgers[0], small_ledgers[2], small_ledgers[1]]
    batch = word(64) + word(66) + word(3) + b"".join(ledgers)
    assert batch_bounds(batch) == (64, 66)
    found = list(iter_ledgers(batch, reader))
    assert [batch[f.start : f.end] for f in found] == ledgers
    assert [f.version for f in found] == [0, 2, 1]
    with pytest.raises(XdrError, match="4 bytes follow the last ledger"):
        list(iter_ledgers(batch + bytes(4), reader))
    with pytest.raises(XdrError, match="1 bytes follow the last ledger"):
        list(iter_ledgers(batch + b"\0", reader))
    missing = iter_ledgers(word(64) + word(67) + word(4) + b"".join(ledgers), reader)
    assert len([next(missing) for _ in ledgers]) == 3
    with pytest.raises(XdrError, match="bytes end") as caught:
        next(missing)
    assert caught.value.offset == len(batch)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_bare_ledger(reader: LedgerReader, small_ledgers: dict[int, bytes], version: int) -> None:
    data = small_ledgers[version]
    assert batch_bounds(data) is None
    (facts,) = iter_ledgers(data, reader)
    assert (facts.version, facts.start, facts.end) == (version, 0, len(data))
    with pytest.raises(XdrError, match="follow the last ledger"):
        list(iter_ledgers(data + data, reader))


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ((3, 3, 2), "neither a LedgerCloseMeta nor a batch: 2 ledgers for 3 to 3"),
        ((9, 8, 0), "neither"),
        ((2**32 - 1, 0, 2), "neither"),
        ((2, 3, 3), "unknown union arm 3 at byte 4 in LedgerCloseMeta.v2.ext"),
        ((2, 2**32 - 1, 2**32 - 2), "bytes end inside the value at byte 12"),
    ],
)
def test_neither_batch_nor_ledger(
    reader: LedgerReader, words: tuple[int, int, int], rule: str
) -> None:
    with pytest.raises(XdrError, match=rule):
        list(iter_ledgers(b"".join(map(word, words)), reader))


@pytest.mark.parametrize("size", [0, 1, 11])
def test_too_short_for_anything(reader: LedgerReader, size: int) -> None:
    with pytest.raises(XdrError, match="bytes end"):
        list(iter_ledgers(bytes(size), reader))


def test_header_fields_are_those_of_the_sdk(pubnet: bytes) -> None:
    fields = dict(header_fields(pubnet, 12))
    meta = sdk.LedgerCloseMetaBatch.from_xdr_bytes(pubnet).ledger_close_metas[0]
    header = meta.v1.ledger_header.header
    assert list(fields)[:4] == [
        "ledgerVersion",
        "previousLedgerHash",
        "scpValue.txSetHash",
        "scpValue.closeTime",
    ]
    assert fields["bucketListHash"] == header.bucket_list_hash.hash.hex()
    assert fields["totalCoins"] == str(header.total_coins.int64)
    assert fields["idPool"] == str(header.id_pool.uint64)
    assert fields["maxTxSetSize"] == str(header.max_tx_set_size.uint32)
    assert fields["skipList"] == " ".join(h.hash.hex() for h in header.skip_list)
    assert len(fields) == 15


def test_projections_load_neither_numba_nor_the_sdk() -> None:
    code = (
        "import sys; from bronze_tui.xdr import header; header.facts_projection();"
        "print([m for m in ('numba', 'stellar_sdk') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
