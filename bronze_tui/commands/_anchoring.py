"""What ``bronze anchor`` does: builds, submits and checks an anchor of one signed head."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bronze_tui.audit.anchor import Anchor, build_anchor, check_anchor
from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.text import safe_text

if TYPE_CHECKING:
    from bronze_tui.audit.rpc import Looked, Rpc
    from bronze_tui.audit.signedhead import TreeHead
    from bronze_tui.inspect.anchored import Taken

SECRET_VARIABLE = "BRONZE_ANCHOR_SECRET"  # noqa: S105
_WORD = "That is the server's word: --ledger proves it, with the ledger's object of a lake."


@dataclass(frozen=True, slots=True)
class Anchoring:
    """One head, the account that anchors it, and the way to the network."""

    head: TreeHead
    account: str
    passphrase: str
    rpc: str
    """As ``--rpc`` has it; empty where it was not given."""
    allow_private: bool

    def build(self, sequence: int | None, fee: int, until: int = 0) -> str:
        """The envelope, signed where the environment has the secret.

        Raises:
            UsageError: the sequence number is neither given nor to be had.
        """
        secret = os.environ.get(SECRET_VARIABLE, "")
        if sequence is None:
            if not self.rpc:
                raise UsageError(
                    "the account's present sequence number is needed",
                    todo="give --sequence, or --rpc to ask for it",
                )
            with closing(self._server()) as rpc:
                sequence = rpc.sequence(self.account)
        return build_anchor(
            self.head,
            self.account,
            sequence,
            self.passphrase,
            fee=fee,
            secret=secret,
            until=until,
        )

    def submit(
        self, envelope: str, sequence: int | None, fee: int, timeout: float
    ) -> Iterator[str]:
        """Hand the anchor in, and say what became of it.

        Args:
            envelope: signed elsewhere; empty: it is built and signed here.

        Raises:
            ProofRejected: the envelope anchors something else. UsageError: nothing signs it.
            StoreRefused, StoreUnavailable, SourceError.
        """
        from bronze_tui.audit.submit import Clock, check_looked, submit

        until = 0
        if not envelope and not os.environ.get(SECRET_VARIABLE):
            raise UsageError(
                "nothing signs the transaction",
                todo=f"put the account's secret into {SECRET_VARIABLE}, or give --signed FILE",
            )
        with closing(self._server()) as rpc:
            if not envelope:
                if sequence is None:
                    sequence = rpc.sequence(self.account)
                until = int(time.time() + timeout)
                envelope = self.build(sequence, fee, until)
            anchor = self._checked(envelope)
            transaction = anchor.outer or anchor.transaction
            click.echo(f"bronze: handing in transaction {transaction}", err=True)
            looked = submit(
                rpc, envelope.strip(), transaction, until=until, timeout=timeout, clock=Clock()
            )
            anchor = check_looked(looked, transaction, self.head, self.account, self.passphrase)
            yield self._verdict(anchor)
            yield _placed(looked, rpc)

    def check(
        self,
        envelope: str,
        transaction: str,
        ledger: str,
        config: Path | None,
        sets: tuple[str, ...],
    ) -> Iterator[str]:
        """Check an envelope, or what a server or a ledger has under a hash.

        Raises:
            ProofRejected: it is no anchor of the head. UsageError, SourceError.
        """
        if envelope:
            anchor = self._checked(envelope)
            if transaction and not anchor.known_as(transaction):
                raise UsageError(f"the envelope is that of transaction {anchor.transaction}")
            transaction = transaction or anchor.outer or anchor.transaction
            yield self._verdict(anchor)
        asks = bool(self.rpc) or not (envelope or ledger)
        if asks:
            yield from self._looked_up(transaction, told=bool(envelope))
        if ledger:
            taken = self._taken(transaction, ledger, config, sets)
            anchor = self._checked(taken.envelope)
            if not envelope and not asks:
                yield self._verdict(anchor)
            yield self._in_ledger(taken)
        elif not asks:
            yield "Whether the network took it: give --rpc or --ledger."

    def _looked_up(self, transaction: str, *, told: bool) -> Iterator[str]:
        from bronze_tui.audit.submit import check_looked

        with closing(self._server()) as rpc:
            looked = rpc.transaction(transaction)
            anchor = check_looked(looked, transaction, self.head, self.account, self.passphrase)
            if not told:
                yield self._verdict(anchor)
            yield f"{_placed(looked, rpc)} {_WORD}"

    def _taken(
        self, transaction: str, ledger: str, config: Path | None, sets: tuple[str, ...]
    ) -> Taken:
        from bronze_tui.commands._ledgers import ledgers_of
        from bronze_tui.inspect.anchored import find_taken

        return find_taken(ledgers_of(ledger, config, sets), transaction, self.passphrase)

    def _server(self) -> Rpc:
        """The server, which is one of this network."""
        from bronze_tui.commands._anchors import open_rpc

        rpc = open_rpc(self.rpc, allow_private=self.allow_private, option="--rpc")
        try:
            rpc.require_network(self.passphrase)
        except BaseException:
            rpc.close()
            raise
        return rpc

    def _checked(self, envelope: str) -> Anchor:
        return check_anchor(envelope, self.head, self.account, self.passphrase)

    def _verdict(self, anchor: Anchor) -> str:
        return f"OK  transaction {anchor.transaction} anchors {self.head}"

    def _in_ledger(self, taken: Taken) -> str:
        from bronze_tui.audit.levels.pinned import pinned_validators

        signer = "no validator signed it"
        if taken.signer:
            from stellar_sdk import StrKey

            key = StrKey.encode_ed25519_public_key(taken.signer)
            name = pinned_validators(self.passphrase).get(key, "whom no list knows")
            signer = f"signed by {key}, {name}"
        return (
            f"In ledger {taken.ledger}, closed {_utc(taken.close_time)}, ledger hash "
            f"{taken.ledger_hash}: transaction set and results give it; {signer}. That this "
            "ledger is the network's is another proof: bronze verify --level ledger --anchors."
        )


def _placed(looked: Looked, rpc: Rpc) -> str:
    closed = _utc(looked.closed) if looked.closed else "at a time that it does not say"
    return f"In ledger {looked.ledger}, closed {closed}, says {safe_text(rpc.where)}."


def _utc(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"{seconds} seconds after 1970"
