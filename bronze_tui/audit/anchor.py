"""Anchors: a signed head in the memo of a Stellar transaction, made and checked offline.

The memo (MEMO_HASH) is the SHA-256 of the head's three lines. The transaction bumps the account's
sequence number to 0, which changes nothing; one account gives one public, ordered list of heads.
The Stellar SDK is imported when it is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bronze_tui.audit.signedhead import TreeHead
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.domain.errors import UsageError

MAX_ENVELOPE = 100_000


@dataclass(frozen=True, slots=True)
class Anchor:
    """A signed transaction whose memo is a head."""

    account: str
    """``G...``, the transaction's source."""
    sequence: int
    transaction: str
    """Hex of the transaction's hash: under it the network knows it."""
    outer: str = ""
    """Hex of the hash of the fee bump around it, where there is one."""

    def known_as(self, transaction: str) -> bool:
        """Whether the hash (hex) is that of the transaction or of its fee bump."""
        return transaction in (self.transaction, self.outer)


def memo_of(head: TreeHead) -> bytes:
    """The 32 bytes of the memo."""
    return sha256(head.text().encode()).digest()


def build_anchor(
    head: TreeHead,
    account: str,
    sequence: int,
    passphrase: str,
    *,
    fee: int,
    secret: str = "",
    until: int = 0,
) -> str:
    """The transaction's envelope in base64, to be submitted, or signed elsewhere first.

    Args:
        account: ``G...``, the source.
        sequence: the account's present sequence number; the transaction takes the next.
        fee: stroops, the most that is paid.
        secret: ``S...`` of the account; empty leaves the envelope without signature.
        until: Unix seconds after which no ledger may take it; 0: ever.

    Raises:
        UsageError: account, sequence or secret are none, or do not belong together.
    """
    from stellar_sdk import Account, Keypair, TransactionBuilder

    pair = _keypair(secret) if secret else None
    if pair is not None and pair.public_key != account:
        raise UsageError(f"the secret is not that of account {account!a}, but of {pair.public_key}")
    try:
        Keypair.from_public_key(account)
        source = Account(account, sequence)
        builder = TransactionBuilder(source, passphrase, base_fee=fee)
        builder.add_hash_memo(memo_of(head)).append_bump_sequence_op(bump_to=0)
        envelope = builder.add_time_bounds(0, until).build()
        if pair is not None:
            envelope.sign(pair)
        return str(envelope.to_xdr())
    except (ValueError, TypeError) as error:
        raise UsageError(f"no transaction can be made of that: {error}") from None


def check_anchor(envelope: str, head: TreeHead, account: str, passphrase: str) -> Anchor:
    """Check that an envelope anchors a head: its memo, its source, and the source's signature.

    Whether the network took it is not known here.

    Raises:
        ProofRejected: it does not.
    """
    from stellar_sdk import FeeBumpTransactionEnvelope, HashMemo, Keypair, TransactionEnvelope

    if len(envelope) > MAX_ENVELOPE:
        raise ProofRejected("not a transaction envelope: too long")
    try:
        text = envelope.strip()
        bumped = FeeBumpTransactionEnvelope.is_fee_bump_transaction_envelope(text)
        kind = FeeBumpTransactionEnvelope if bumped else TransactionEnvelope
        parsed: Any = kind.from_xdr(text, passphrase)
    except Exception as error:
        # The SDK raises many kinds for foreign bytes; all mean the same here.
        raise ProofRejected(f"not a transaction envelope ({type(error).__name__})") from None
    outer = ""
    if bumped:
        outer = parsed.hash_hex()
        parsed = parsed.transaction.inner_transaction_envelope
    transaction = parsed.transaction
    memo = transaction.memo.memo_hash if isinstance(transaction.memo, HashMemo) else b""
    if memo != memo_of(head):
        raise ProofRejected(
            f"the memo is {memo.hex() or 'no hash'}, and the head's is {memo_of(head).hex()}"
        )
    if transaction.source.account_id != account:
        raise ProofRejected(f"the source is {transaction.source.account_id}, not {account}")
    if not any(_signed(Keypair.from_public_key(account), parsed, s) for s in parsed.signatures):
        raise ProofRejected(f"no signature of {account} for this network is on it")
    return Anchor(account, transaction.sequence, parsed.hash_hex(), outer)


def _keypair(secret: str) -> Any:
    from stellar_sdk import Keypair

    try:
        return Keypair.from_secret(secret.strip())
    except Exception:
        # Its message could hold the secret.
        raise UsageError("the secret is none: S and 55 letters and digits are expected") from None


def _signed(pair: Any, envelope: Any, signature: Any) -> bool:
    from stellar_sdk.exceptions import BadSignatureError

    try:
        pair.verify(envelope.hash(), signature.signature)
    except (BadSignatureError, ValueError):
        return False
    return True
