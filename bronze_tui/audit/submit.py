"""Hands an anchor to the network through an RPC server, and learns what became of it.

The same envelope may be handed in any number of times: the network takes it once at most. So
every doubt ends in looking the transaction up by its hash.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bronze_tui.audit.anchor import Anchor, check_anchor
from bronze_tui.audit.rpc import Looked, Rpc
from bronze_tui.audit.signedhead import TreeHead
from bronze_tui.audit.tree import ProofRejected
from bronze_tui.domain.errors import (
    SourceUnavailable,
    StoreRefused,
    StoreUnavailable,
)

TIMEOUT = 90.0
"""Seconds; a ledger closes every five or six."""
POLL_SECONDS = 2.0
AGAIN_SECONDS = 6.0
"""After ``TRY_AGAIN_LATER``: about one ledger."""

_WORDS = {
    "txBAD_SEQ": "the account's sequence number is another by now: build the transaction anew",
    "txBAD_AUTH": "the signature is not the account's for this network",
    "txBAD_AUTH_EXTRA": "it bears signatures that nothing needs",
    "txNO_ACCOUNT": "the account does not exist on this network",
    "txINSUFFICIENT_BALANCE": "the account cannot pay the fee above its reserve",
    "txINSUFFICIENT_FEE": "the network is busy and asks more: raise --fee",
    "txTOO_LATE": "its time is over, or the clock here is wrong: build it anew",
    "txTOO_EARLY": "its time has not come: the clock here is wrong",
    "txINTERNAL_ERROR": "the network's own error: try again",
    "txFAILED": "its operation failed",
    "txNOT_SUPPORTED": "the network does not know this kind of transaction",
}
_SUCCESS = ("txSUCCESS", "txFEE_BUMP_INNER_SUCCESS")


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and waiting; tests bring their own."""

    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep


def result_code(result_xdr: str) -> str:
    """Code of a TransactionResult (base64), as in ``txSUCCESS``; empty when it is none."""
    from stellar_sdk.xdr import TransactionResult

    try:
        return str(TransactionResult.from_xdr(result_xdr).result.code.name)
    except Exception:
        # Foreign bytes make the SDK raise many kinds; all mean the same here.
        return ""


def in_words(result_xdr: str) -> str:
    """A TransactionResult's code and what it means."""
    code = result_code(result_xdr)
    if not code:
        return "the server does not say why"
    return f"{code}: {_WORDS[code]}" if code in _WORDS else code


def check_looked(
    looked: Looked, transaction: str, head: TreeHead, account: str, passphrase: str
) -> Anchor:
    """Check that what a server has under a hash anchors a head, and succeeded.

    Raises:
        ProofRejected: it is another transaction, anchors something else, failed, or is not there.
    """
    if looked.status == "NOT_FOUND":
        raise ProofRejected(
            f"transaction {transaction} is in none of the ledgers {looked.window} that the server "
            "keeps",
            todo="ask a server that keeps more, or give --ledger with the ledger that took it",
        )
    anchor = check_anchor(looked.envelope_xdr, head, account, passphrase)
    if not anchor.known_as(transaction):
        text = f"the server gives transaction {anchor.transaction} for {transaction}"
        raise ProofRejected(text)
    code = result_code(looked.result_xdr)
    if looked.status != "SUCCESS" or code not in _SUCCESS:
        raise ProofRejected(f"transaction {transaction} failed ({in_words(looked.result_xdr)})")
    return anchor


def submit(
    rpc: Rpc, envelope: str, transaction: str, *, until: int, timeout: float, clock: Clock
) -> Looked:
    """Hand a signed envelope in until a ledger has taken it.

    Args:
        transaction: hex of its hash.
        until: Unix seconds after which no ledger takes it; 0: ever.
        timeout: seconds in all.

    Raises:
        StoreRefused: it was refused, failed, or can no longer be taken.
        StoreUnavailable: what became of it is not known yet.
    """
    return _Submission(rpc, envelope, transaction, until, clock).run(timeout)


class _Submission:
    def __init__(self, rpc: Rpc, envelope: str, transaction: str, until: int, clock: Clock) -> None:
        self._rpc, self._envelope, self._transaction = rpc, envelope, transaction
        self._until, self._clock = until, clock
        self._trouble = ""

    def run(self, timeout: float) -> Looked:
        deadline = self._clock.now() + timeout
        accepted = False
        while True:
            wait = POLL_SECONDS
            if not accepted:
                status = self._send()
                accepted = status in ("PENDING", "DUPLICATE")
                wait = AGAIN_SECONDS if status == "TRY_AGAIN_LATER" else POLL_SECONDS
            found = self._look()
            if found is not None:
                return found
            if self._clock.now() + wait >= deadline:
                raise self._unknown(timeout, accepted)
            self._clock.pause(wait)

    def _send(self) -> str:
        """The server's status; empty when it did not answer."""
        try:
            sent = self._rpc.send(self._envelope)
        except SourceUnavailable as error:
            self._trouble = f"; the server: {error.what}"
            return ""
        self._trouble = ""
        if sent.status == "TRY_AGAIN_LATER":
            self._trouble = "; the network asks to try again later"
        if sent.status == "ERROR":
            # An earlier hand-in may have been taken, which leaves this one a used-up sequence.
            found = self._look()
            if found is None:
                raise StoreRefused(
                    f"the network refuses the transaction ({in_words(sent.result_xdr)})",
                    where=self._rpc.where,
                )
        return sent.status

    def _look(self) -> Looked | None:
        try:
            found = self._rpc.transaction(self._transaction)
        except SourceUnavailable as error:
            self._trouble = f"; the server: {error.what}"
            return None
        if found.status == "SUCCESS":
            return found
        if found.status == "FAILED":
            raise StoreRefused(
                f"a ledger took the transaction, and it failed ({in_words(found.result_xdr)})",
                where=f"{self._rpc.where} ledger {found.ledger}",
            )
        if self._until and found.window_closed > self._until:
            raise StoreRefused(
                "no ledger took the transaction in its time, and none will" + self._trouble,
                where=self._rpc.where,
                todo="submit anew, with a higher --fee if the network is busy",
            )
        return None

    def _unknown(self, timeout: float, accepted: bool) -> StoreUnavailable:
        state = "accepted, and in no ledger" if accepted else "not accepted"
        todo = "it may still be taken: look with --transaction before you submit another"
        if self._until:
            todo = f"no ledger closed after {self._until} (Unix) takes it: look with --transaction"
        return StoreUnavailable(
            f"transaction {self._transaction} is {state} after {timeout:g} s{self._trouble}",
            where=self._rpc.where,
            todo=todo,
        )
