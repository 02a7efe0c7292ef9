"""A transaction in a ledger of a lake or of a copy: its envelope, and proof that it succeeded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bronze_tui.audit.history import Header, signed_for
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.domain.errors import XdrError
from bronze_tui.inspect import tree
from bronze_tui.inspect.find import envelope_path, result_path
from bronze_tui.xdr.buffer import Buffer
from bronze_tui.xdr.proof import LedgerProof, ProofReader

_SUCCESS = ("txSUCCESS", "txFEE_BUMP_INNER_SUCCESS")


@dataclass(frozen=True, slots=True)
class Taken:
    """Where a transaction was taken."""

    ledger: int
    close_time: int
    ledger_hash: str
    envelope: str
    """Base64, as the transaction set has it."""
    signer: bytes
    """Public key of the validator that signed the ledger's value; empty when none did."""


def find_taken(ledgers: Iterable[tuple[str, Buffer]], transaction: str, passphrase: str) -> Taken:
    """The transaction's place in the first of ``ledgers`` that took it.

    The ledger's own bytes must give its hash, its transaction set and its results, and its
    validator must have signed for the network.

    Args:
        ledgers: where each is from, and its LedgerCloseMeta.
        transaction: hex of the hash.

    Raises:
        ProofRejected: none took it, it failed, or the ledger does not agree with itself.
        XdrError: one is no LedgerCloseMeta.
    """
    wanted = bytes.fromhex(transaction)
    where = ""
    for where, xdr in ledgers:
        if wanted not in bytes(xdr):
            continue
        top = tree.root(_decoded(where, bytes(xdr)))
        found = result_path(top, wanted)
        if found is None:
            continue
        code = tree.at(top, found[0]).value.result.result.result.code.name
        if code not in _SUCCESS:
            raise ProofRejected(f"transaction {transaction} failed ({code})", where=where)
        path = envelope_path(top, wanted, passphrase)
        if path is None:
            text = f"the results have transaction {transaction}, and the transaction set has not"
            raise ProofRejected(text, where=where)
        proof = ProofReader().read(xdr)
        _agrees(proof, passphrase, where)
        return Taken(
            proof.facts.sequence,
            proof.facts.close_time,
            proof.header_hash.hex(),
            str(tree.at(top, path).value.to_xdr()),
            proof.node,
        )
    raise ProofRejected(f"transaction {transaction} is in no ledger of it", where=where)


def _decoded(where: str, xdr: bytes) -> Any:
    from stellar_sdk.xdr import LedgerCloseMeta

    try:
        return LedgerCloseMeta.from_xdr_bytes(xdr)
    except (ValueError, EOFError, RecursionError) as error:
        raise XdrError(f"the Stellar SDK refuses it: {error}", where=where) from error


def _agrees(proof: LedgerProof, passphrase: str, where: str) -> None:
    facts = proof.facts
    for what, computed, stated in (
        ("header", proof.header_hash, facts.ledger_hash),
        ("transaction set", proof.tx_set_hash, facts.tx_set_hash),
        ("results", proof.result_hash, proof.header_result_hash),
    ):
        if computed != stated:
            text = f"ledger {facts.sequence} is forged: its {what} gives {computed.hex()}"
            raise ProofRejected(f"{text}, and the ledger says {stated.hex()}", where=where)
    header = Header(
        facts.sequence,
        proof.header_hash,
        facts.previous_ledger_hash,
        facts.tx_set_hash,
        facts.close_time,
        proof.node,
        proof.signature,
    )
    if signed_for(header, passphrase) is False:
        text = f"the validator's signature on ledger {facts.sequence} is not one of this network"
        raise ProofRejected(text, where=where)
