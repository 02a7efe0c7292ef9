from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from struct import pack

import pytest
from stellar_sdk import Keypair, Network, TransactionEnvelope
from stellar_sdk import xdr as x
from stellar_sdk.fee_bump_transaction_envelope import FeeBumpTransactionEnvelope

from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.lake.frames import decompress_frame, inspect_frame
from bronze_tui.lake.manifest import parse_manifest
from bronze_tui.testing.tiny_lake import (
    DEMO_PASSPHRASE,
    TinyLake,
    find_object,
    make_frame,
    remove,
    replace_object,
    rewrite,
    write_tiny_lake,
)
from bronze_tui.xdr.header import LedgerReader, iter_ledgers

CAP = 1 << 28


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    return write_tiny_lake(tmp_path_factory.mktemp("lake"), count=64)


@pytest.fixture(scope="module")
def metas(lake: TinyLake) -> list[x.LedgerCloseMeta]:
    return [decoded for _, decoded in ledgers_of(lake)]


def ledgers_of(lake: TinyLake) -> Iterator[tuple[bytes, x.LedgerCloseMeta]]:
    """Every ledger's bytes and the SDK's reading of them."""
    for path in dict.fromkeys(lake.path(fact.sequence) for fact in lake.facts):
        data = decompress_frame(path.read_bytes(), CAP)
        batch = x.LedgerCloseMetaBatch.from_xdr_bytes(data)
        assert batch.to_xdr_bytes() == data
        for meta in batch.ledger_close_metas:
            yield meta.to_xdr_bytes(), meta


def body_of(
    meta: x.LedgerCloseMeta,
) -> x.LedgerCloseMetaV0 | x.LedgerCloseMetaV1 | x.LedgerCloseMetaV2:
    body = (meta.v0, meta.v1, meta.v2)[meta.v]
    assert body is not None
    return body


def envelopes_of(meta: x.LedgerCloseMeta) -> list[x.TransactionEnvelope]:
    body = body_of(meta)
    if isinstance(body, x.LedgerCloseMetaV0):
        return body.tx_set.txs
    found = []
    assert body.tx_set.v1_tx_set is not None
    for phase in body.tx_set.v1_tx_set.phases:
        for component in phase.v0_components or []:
            assert component.txs_maybe_discounted_fee is not None
            found += component.txs_maybe_discounted_fee.txs
        if phase.parallel_txs_component:
            for stage in phase.parallel_txs_component.execution_stages:
                for cluster in stage.parallel_tx_execution_stage:
                    found += cluster.dependent_tx_cluster
    return found


def test_hashes_link_and_cover_their_parts(lake: TinyLake, metas: list[x.LedgerCloseMeta]) -> None:
    previous = None
    for fact, meta in zip(lake.facts, metas, strict=True):
        body = body_of(meta)
        entry = body.ledger_header
        header = entry.header
        assert entry.hash.hash == hashlib.sha256(header.to_xdr_bytes()).digest()
        assert entry.hash.hash.hex() == fact.ledger_hash
        assert header.ledger_seq.uint32 == fact.sequence
        if previous is not None:
            assert header.previous_ledger_hash.hash == previous
        previous = entry.hash.hash
        results = x.TransactionResultSet([part.result for part in body.tx_processing])
        digest = hashlib.sha256(results.to_xdr_bytes()).digest()
        assert header.tx_set_result_hash.hash == digest
        if isinstance(body, x.LedgerCloseMetaV0):
            signed = header.previous_ledger_hash.hash + b"".join(
                envelope.to_xdr_bytes() for envelope in body.tx_set.txs
            )
        else:
            signed = body.tx_set.to_xdr_bytes()
        assert header.scp_value.tx_set_hash.hash == hashlib.sha256(signed).digest()
        assert header.scp_value.close_time.time_point.uint64 == fact.close_time


def test_close_times_are_five_seconds_apart(lake: TinyLake) -> None:
    times = [fact.close_time for fact in lake.facts]
    assert {after - before for before, after in pairwise(times)} == {5}


def test_the_validator_signed_every_value(metas: list[x.LedgerCloseMeta]) -> None:
    network = Network(DEMO_PASSPHRASE).network_id()
    for meta in metas:
        value = body_of(meta).ledger_header.header.scp_value
        signature = value.ext.lc_value_signature
        assert signature is not None
        assert signature.node_id.node_id.ed25519 is not None
        key = Keypair.from_raw_ed25519_public_key(signature.node_id.node_id.ed25519.uint256)
        signed = (
            network
            + pack(">i", 4)
            + value.tx_set_hash.hash
            + pack(">Q", value.close_time.time_point.uint64)
        )
        key.verify(signed, signature.signature.signature)


def test_transactions_are_signed_and_have_their_results(metas: list[x.LedgerCloseMeta]) -> None:
    for meta in metas:
        hashes = []
        for envelope in envelopes_of(meta):
            if envelope.fee_bump:
                bump = FeeBumpTransactionEnvelope.from_xdr_object(envelope, DEMO_PASSPHRASE)
                inner = bump.transaction.inner_transaction_envelope
                signer = Keypair.from_public_key(bump.transaction.fee_source.account_id)
                signer.verify(bump.hash(), bump.signatures[0].signature)
                hashes.append(bump.hash())
            else:
                inner = TransactionEnvelope.from_xdr_object(envelope, DEMO_PASSPHRASE)
                hashes.append(inner.hash())
            source = Keypair.from_public_key(inner.transaction.source.account_id)
            source.verify(inner.hash(), inner.signatures[0].signature)
        results = [part.result.transaction_hash.hash for part in body_of(meta).tx_processing]
        assert sorted(hashes) == sorted(results)


def test_sequence_numbers_and_fees_add_up(metas: list[x.LedgerCloseMeta]) -> None:
    last: dict[str, int] = {}
    pool = 0
    for meta in metas:
        order = {}
        for envelope in envelopes_of(meta):
            outer = envelope.fee_bump
            inner = outer.tx.inner_tx.v1 if outer else envelope.v1
            assert inner is not None
            source = inner.tx.source_account.to_xdr()
            order[source, inner.tx.seq_num.sequence_number.int64] = 1
        for source, number in sorted(order):
            assert number == last.get(source, number - 1) + 1
            last[source] = number
        body = body_of(meta)
        pool += sum(part.result.result.fee_charged.int64 for part in body.tx_processing)
        assert body.ledger_header.header.fee_pool.int64 == pool


def test_everything_promised_is_there(lake: TinyLake, metas: list[x.LedgerCloseMeta]) -> None:
    versions = Counter(meta.v for meta in metas)
    assert versions == {0: 4, 1: 30, 2: 30}
    codes: Counter[x.TransactionResultCode] = Counter()
    operations: Counter[x.OperationType] = Counter()
    meta_versions: Counter[tuple[int, int]] = Counter()
    events = 0
    upgrades: list[x.LedgerUpgrade] = []
    for meta in metas:
        body = body_of(meta)
        upgrades += [entry.upgrade for entry in body.upgrades_processing]
        assert len(body.ledger_header.header.scp_value.upgrades) == len(body.upgrades_processing)
        for part in body.tx_processing:
            codes[part.result.result.result.code] += 1
            applied = part.tx_apply_processing
            meta_versions[meta.v, applied.v] += 1
            if applied.v == 3 and applied.v3 and applied.v3.soroban_meta:
                events += len(applied.v3.soroban_meta.events)
            if applied.v == 4 and applied.v4:
                events += sum(len(operation.events) for operation in applied.v4.operations)
        for envelope in envelopes_of(meta):
            inner = envelope.fee_bump.tx.inner_tx.v1 if envelope.fee_bump else envelope.v1
            assert inner is not None
            operations.update(operation.body.type for operation in inner.tx.operations)
    named = x.TransactionResultCode
    assert set(codes) == {
        named.txSUCCESS,
        named.txFAILED,
        named.txINSUFFICIENT_BALANCE,
        named.txFEE_BUMP_INNER_SUCCESS,
        named.txFEE_BUMP_INNER_FAILED,
    }
    assert set(operations) == {
        x.OperationType.PAYMENT,
        x.OperationType.CREATE_ACCOUNT,
        x.OperationType.INVOKE_HOST_FUNCTION,
    }
    assert set(meta_versions) == {(0, 2), (1, 3), (2, 4)}
    assert events > 20
    assert {upgrade.type for upgrade in upgrades} == {
        x.LedgerUpgradeType.LEDGER_UPGRADE_VERSION,
        x.LedgerUpgradeType.LEDGER_UPGRADE_MAX_TX_SET_SIZE,
    }
    assert any(fact.tx_count == 0 for fact in lake.facts)


def test_the_walker_counts_what_the_maker_says(lake: TinyLake) -> None:
    reader = LedgerReader()
    for fact in lake.facts:
        data = decompress_frame(lake.path(fact.sequence).read_bytes(), CAP)
        (found,) = iter_ledgers(data, reader)
        assert (found.sequence, found.version) == (fact.sequence, fact.version)
        assert found.tx_count == found.tx_set_count == fact.tx_count
        assert found.operation_count == fact.operation_count
        assert found.ledger_hash.hex() == fact.ledger_hash
        part = data[found.start : found.end]
        assert fact.xdr == (len(part), hashlib.sha256(part).hexdigest())


def test_objects_look_like_galexie_wrote_them(lake: TinyLake) -> None:
    data = lake.path(2).read_bytes()
    assert inspect_frame(data, CAP).content_size is None
    manifest = parse_manifest((lake.root / ".config.json").read_bytes(), where="lake")
    assert manifest.network_passphrase == DEMO_PASSPHRASE
    assert (manifest.ledgers_per_batch, manifest.batches_per_partition) == (1, 64_000)
    assert lake.path(2).parent.name == "FFFFFFFF--0-63999"


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        write_tiny_lake(tmp_path / name, count=16, seed=seed)
    one, two, three = (files(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert one.keys() == three.keys()
    assert all(one[name] != three[name] for name in one if name != ".config.json")


def test_batches_are_widened_to_whole_objects(tmp_path: Path) -> None:
    lake = write_tiny_lake(
        tmp_path, first=2, count=10, ledgers_per_file=8, files_per_partition=1, extension="zstd"
    )
    assert lake.ledgers == LedgerRange(2, 15)
    assert sorted(files(tmp_path)) == [
        ".config.json",
        "FFFFFFF7--8-15.xdr.zstd",
        "FFFFFFFF--0-7.xdr.zstd",
    ]
    assert len(list(ledgers_of(lake))) == 14
    first = x.LedgerCloseMetaBatch.from_xdr_bytes(
        decompress_frame((tmp_path / "FFFFFFFF--0-7.xdr.zstd").read_bytes(), CAP)
    )
    assert (first.start_sequence.uint32, first.end_sequence.uint32) == (2, 7)


def test_bare_objects(tmp_path: Path) -> None:
    lake = write_tiny_lake(tmp_path, first=982_180, count=4, bare=True)
    assert ".config.json" not in files(tmp_path)
    data = decompress_frame(lake.path(982_180).read_bytes(), CAP)
    assert x.LedgerCloseMeta.from_xdr_bytes(data).to_xdr_bytes() == data


@pytest.mark.parametrize(
    "arguments", [{"count": 0}, {"first": 1}, {"bare": True, "ledgers_per_file": 2}]
)
def test_impossible_lakes(tmp_path: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="tiny lake"):
        write_tiny_lake(tmp_path, **arguments)  # type: ignore[arg-type]


def test_damage(tmp_path: Path) -> None:
    lake = write_tiny_lake(tmp_path, count=4)
    path = rewrite(tmp_path, 3, lambda data: data + b"more")
    assert path == lake.path(3) == find_object(tmp_path, 3)
    assert decompress_frame(path.read_bytes(), CAP).endswith(b"more")
    assert replace_object(tmp_path, 4, b"junk").read_bytes() == b"junk"
    assert not remove(tmp_path, 5).exists()
    with pytest.raises(FileNotFoundError, match="ledger 5"):
        find_object(tmp_path, 5)


def test_frames_by_choice() -> None:
    with_size = make_frame(b"ledger", checksum=False, content_size=True)
    assert inspect_frame(with_size, CAP).content_size == 6
    assert len(make_frame(b"ledger")) > len(make_frame(b"ledger", checksum=False))


def test_importing_the_module_loads_no_sdk() -> None:
    program = (
        "import sys, bronze_tui.testing.tiny_lake; "
        "sys.exit('stellar_sdk' in sys.modules or 'zstandard' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
