"""Ledgers that took a given transaction: demo ledgers with one transaction put in place of another,
and every hash and the signature made anew."""

from __future__ import annotations

from hashlib import sha256
from struct import pack
from typing import Any

from stellar_sdk import Keypair
from stellar_sdk import xdr as x

from bronze_tui.inspect import tree
from bronze_tui.inspect.find import envelope_path, result_path

VALIDATOR = Keypair.from_raw_ed25519_seed(sha256(b"a validator of the tests").digest())


def with_transaction(
    xdr: bytes, passphrase: str, envelope: str, transaction: str, *, code: Any = None
) -> bytes:
    """The ledger with one of its successful transactions replaced; it agrees with itself.

    Args:
        transaction: hex hash of ``envelope`` (base64).
        code: result code in place of success.
    """
    meta = x.LedgerCloseMeta.from_xdr_bytes(xdr)
    inner = meta.v0 or meta.v1 or meta.v2
    top = tree.root(meta)
    pair = next(
        m.result
        for m in inner.tx_processing
        if m.result.result.result.code == x.TransactionResultCode.txSUCCESS
    )
    path = envelope_path(top, pair.transaction_hash.hash, passphrase)
    assert path is not None
    assert result_path(top, pair.transaction_hash.hash) is not None
    _put(tree.at(top, path[:-1]), path[-1], x.TransactionEnvelope.from_xdr(envelope))
    pair.transaction_hash = x.Hash(bytes.fromhex(transaction))
    if code is not None:
        pair.result.result = x.TransactionResultResult(code)
    return sealed(meta, passphrase)


def sealed(meta: Any, passphrase: str) -> bytes:
    """The ledger with its hashes computed and its closing value signed by VALIDATOR."""
    inner = meta.v0 or meta.v1 or meta.v2
    header = inner.ledger_header.header
    pairs = [m.result for m in inner.tx_processing]
    results = x.TransactionResultSet(pairs).to_xdr_bytes()
    header.tx_set_result_hash = x.Hash(sha256(results).digest())
    value = header.scp_value
    set_hash = sha256(_set_bytes(meta, inner)).digest()
    value.tx_set_hash = x.Hash(set_hash)
    network_id = sha256(passphrase.encode()).digest()
    closed = value.close_time.time_point.uint64
    signature = VALIDATOR.sign(network_id + pack(">i32sQ", 4, set_hash, closed))
    value.ext = x.StellarValueExt(
        x.StellarValueType.STELLAR_VALUE_SIGNED,
        x.LedgerCloseValueSignature(x.NodeID(VALIDATOR.xdr_public_key()), x.Signature(signature)),
    )
    inner.ledger_header.hash = x.Hash(sha256(header.to_xdr_bytes()).digest())
    return bytes(meta.to_xdr_bytes())


def _set_bytes(meta: Any, inner: Any) -> bytes:
    if meta.v0 is None:
        return bytes(inner.tx_set.to_xdr_bytes())
    envelopes = b"".join(t.to_xdr_bytes() for t in inner.tx_set.txs)
    return bytes(inner.tx_set.previous_ledger_hash.hash) + envelopes


def _put(holder: tree.Node, place: int, envelope: Any) -> None:
    holder.value[place] = envelope
