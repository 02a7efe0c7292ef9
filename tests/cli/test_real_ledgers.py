"""Real ledgers: who signed them is on the lists that come along, and what they took is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stellar_sdk import FeeBumpTransactionEnvelope, StrKey
from stellar_sdk import TransactionEnvelope as SdkEnvelope
from stellar_sdk.xdr import LedgerCloseMeta, TransactionEnvelope, TransactionResultCode

from bronze_tui.audit.levels.pinned import pinned_validators
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.commands.ledger import ledgers_in_file
from bronze_tui.domain.networks import PASSPHRASES
from bronze_tui.inspect.anchored import find_taken

LAKE = Path(os.environ.get("BRONZE_SHARED", "../shared")) / "lake"


@pytest.mark.parametrize(
    ("network", "name"),
    [("pubnet", "Blockdaemon Validator 1"), ("testnet", "SDF testnet 2")],
)
def test_who_signed_real_ledgers_is_known(network: str, name: str) -> None:
    objects = sorted((LAKE / network).rglob("*.xdr.z*"))
    if not objects:
        pytest.skip("no real ledgers here (BRONZE_SHARED)")
    for _, xdr, facts in ledgers_in_file(objects[0]):
        meta = LedgerCloseMeta.from_xdr_bytes(xdr[facts.start : facts.end])
        header = (meta.v0 or meta.v1 or meta.v2).ledger_header.header
        key = header.scp_value.ext.lc_value_signature.node_id.node_id.ed25519.uint256
        known = pinned_validators(PASSPHRASES[network])
        assert known[StrKey.encode_ed25519_public_key(key)].startswith(name)


@pytest.mark.parametrize("network", ["pubnet", "testnet"])
def test_what_real_ledgers_took_is_found(network: str) -> None:
    objects = sorted((LAKE / network).rglob("*.xdr.z*"))
    if not objects:
        pytest.skip("no real ledgers here (BRONZE_SHARED)")
    ((name, xdr, facts),) = ledgers_in_file(objects[0])
    data = memoryview(xdr)[facts.start : facts.end]
    meta = LedgerCloseMeta.from_xdr_bytes(bytes(data))
    results = [m.result for m in (meta.v0 or meta.v1 or meta.v2).tx_processing]
    good = (TransactionResultCode.txSUCCESS, TransactionResultCode.txFEE_BUMP_INNER_SUCCESS)
    taken = [r.transaction_hash.hash.hex() for r in results if r.result.result.code in good]
    failed = [r.transaction_hash.hash.hex() for r in results if r.result.result.code not in good]
    assert taken
    passphrase = PASSPHRASES[network]
    for transaction in taken[:3]:
        found = find_taken([(name, data)], transaction, passphrase)
        assert (found.ledger, found.ledger_hash) == (facts.sequence, facts.ledger_hash.hex())
        envelope = TransactionEnvelope.from_xdr(found.envelope)
        kind = FeeBumpTransactionEnvelope if envelope.fee_bump else SdkEnvelope
        assert kind.from_xdr(found.envelope, passphrase).hash_hex() == transaction
    for transaction in failed[:1]:
        with pytest.raises(ProofRejected, match="failed"):
            find_taken([(name, data)], transaction, passphrase)
    other = PASSPHRASES["futurenet"]
    with pytest.raises(ProofRejected, match="the transaction set has not"):
        find_taken([(name, data)], taken[0], other)
