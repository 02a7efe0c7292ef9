"""A Stellar RPC server, asked for what proves: ledger headers, transactions, sequence numbers.

The Stellar SDK makes the requests and reads the answers; they travel over the connection that
checks addresses and bounds answers (``bronze_tui.remote.web``). What a server says is its word.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from bronze_tui.audit.history import Header, parse_header
from bronze_tui.config.redact import redact
from bronze_tui.domain.errors import BronzeError, SourceDataError, SourceUnavailable, UsageError
from bronze_tui.domain.ledger import MAX_LEDGER, LedgerRange
from bronze_tui.domain.text import safe_text

if TYPE_CHECKING:
    from bronze_tui.remote.web import Web

MAX_ANSWER = 64 << 20
"""Bytes of one answer: a ledger of the network comes whole, in base64."""
_SHOWN = 300
_BUSY = -32603
"""JSON-RPC's "internal error": the server's trouble, not the request's."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a server said to a transaction that was sent."""

    status: str
    """``PENDING``, ``DUPLICATE``, ``TRY_AGAIN_LATER`` or ``ERROR``."""
    result_xdr: str
    """Base64 TransactionResult of an ``ERROR``; may be empty."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a server said about a transaction."""

    status: str
    """``SUCCESS``, ``FAILED`` or ``NOT_FOUND``."""
    window: LedgerRange
    """Ledgers that the server keeps."""
    window_closed: int
    """Close time of the newest of them."""
    ledger: int = 0
    closed: int = 0
    envelope_xdr: str = ""
    result_xdr: str = ""


class Rpc:
    """One server; used by one thread.

    Args:
        web: the way to it, with MAX_ANSWER.
    """

    def __init__(self, web: Web) -> None:
        from stellar_sdk import SorobanServer

        self.where = web.where
        self._web = web
        self._server = SorobanServer(web.where, _client(web))

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._web.close()

    def passphrase(self) -> str:
        """Of the server's network.

        Raises:
            SourceError.
        """
        found: str = self._ask(self._server.get_network).passphrase
        return found

    def require_network(self, passphrase: str) -> None:
        """Refuse a server of another network.

        Raises:
            UsageError: it is of another. SourceError: it does not say.
        """
        theirs = self.passphrase()
        if theirs != passphrase:
            raise UsageError(
                f"the server is of network {safe_text(theirs)[:80]!a}, not {passphrase!a}",
                where=self.where,
                todo="give a server of this network, or the right network",
            )

    def window(self) -> LedgerRange:
        """Ledgers that the server keeps.

        Raises:
            SourceError.
        """
        health = self._ask(self._server.get_health)
        return self._range(health.oldest_ledger, health.latest_ledger)

    def header(self, sequence: int) -> Header:
        """The header of a ledger in the window, proven by its hash.

        Raises:
            SourceError: it has none, or another.
        """
        page = self._ask(lambda: self._server.get_ledgers(start_ledger=sequence, limit=1))
        found = page.ledgers[0] if page.ledgers else None
        if found is None or found.sequence != sequence:
            raise SourceDataError(f"no ledger {sequence} was given", where=self.where)
        where = f"{self.where} ledger {sequence}"
        header = parse_header(_bytes(found.header_xdr, where), where=where)
        if header.sequence != sequence or header.ledger_hash.hex() != found.hash:
            raise SourceDataError("header and hash are of two ledgers", where=where)
        return header

    def sequence(self, account: str) -> int:
        """The account's present sequence number.

        Raises:
            UsageError: there is no such account. SourceError.
        """
        from stellar_sdk.exceptions import AccountNotFoundException

        try:
            found = self._ask(lambda: self._server.load_account(account)).sequence
        except AccountNotFoundException:
            raise UsageError(
                f"account {account} does not exist on this network",
                where=self.where,
                todo="fund it, or check --account and --network",
            ) from None
        if not 0 <= found < 2**63 - 1:
            raise SourceDataError(f"{found} is no sequence number", where=self.where)
        return int(found)

    def send(self, envelope: str) -> Sent:
        """Hand a transaction in; the same one twice is safe.

        Raises:
            SourceError: whether it was taken is not known.
        """
        found = self._ask(lambda: self._server.send_transaction(envelope))
        return Sent(found.status.value, found.error_result_xdr or "")

    def transaction(self, transaction: str) -> Looked:
        """Look a transaction up by the hex of its hash.

        Raises:
            SourceError.
        """
        found = self._ask(lambda: self._server.get_transaction(transaction))
        window = self._range(found.oldest_ledger, found.latest_ledger)
        status = found.status.value
        if status == "NOT_FOUND":
            return Looked(status, window, found.latest_ledger_close_time)
        ledger, closed = found.ledger or 0, found.create_at or 0
        if not 0 < ledger <= MAX_LEDGER or not found.envelope_xdr or not found.result_xdr:
            raise SourceDataError("the answer lacks ledger, envelope or result", where=self.where)
        return Looked(
            status,
            window,
            found.latest_ledger_close_time,
            ledger,
            int(closed),
            found.envelope_xdr,
            found.result_xdr,
        )

    def _range(self, oldest: int, latest: int) -> LedgerRange:
        if not 0 <= oldest <= latest <= MAX_LEDGER:
            text = f"{oldest} to {latest} are no ledgers that it could keep"
            raise SourceDataError(text, where=self.where)
        return LedgerRange(oldest, latest)

    def _ask(self, request: Callable[[], T]) -> T:
        from stellar_sdk.exceptions import AccountNotFoundException, SorobanRpcErrorResponse

        try:
            return request()
        except (BronzeError, AccountNotFoundException):
            raise
        except SorobanRpcErrorResponse as error:
            text = safe_text(redact(str(error.message or "")))[:_SHOWN]
            kind = SourceUnavailable if error.code == _BUSY else SourceDataError
            raise kind(f"refused the request ({error.code}: {text})", where=self.where) from None
        except Exception as error:
            # Foreign answers make the SDK raise many kinds; all mean the same here.
            why = type(error).__name__
            raise SourceDataError(
                f"its answer is none of Stellar RPC's ({why})",
                where=self.where,
                todo="check that the address is one of Stellar RPC, with its path",
            ) from None


def _client(web: Web) -> Any:
    """The SDK's way to a server, over ours."""
    from stellar_sdk.client.base_sync_client import BaseSyncClient
    from stellar_sdk.client.response import Response

    class Client(BaseSyncClient):
        def get(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        def stream(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        def post(self, url: str, data: Any = None, json_data: Any = None) -> Response:  # noqa: ARG002
            body = web.post(json.dumps(json_data).encode())
            return Response(200, body.decode("utf-8"), {}, url)

        def close(self) -> None:
            web.close()

    return Client()


def _bytes(text: str, where: str) -> bytes:
    from base64 import b64decode

    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise SourceDataError("no base64", where=where) from None
