"""A Stellar RPC server on a loopback socket: JSON-RPC 2.0 over HTTP, answers in the documented
form (getNetwork, getHealth, getLedgers, getLedgerEntries, sendTransaction, getTransaction)."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stellar_sdk import Keypair
from stellar_sdk import xdr as x

CLOSED = 1_750_000_000


def account_entry(account: str, sequence: int) -> x.LedgerEntryData:
    """What getLedgerEntries has of an account."""
    return x.LedgerEntryData(
        x.LedgerEntryType.ACCOUNT,
        account=x.AccountEntry(
            account_id=Keypair.from_public_key(account).xdr_account_id(),
            balance=x.Int64(10**9),
            seq_num=x.SequenceNumber(x.Int64(sequence)),
            num_sub_entries=x.Uint32(0),
            inflation_dest=None,
            flags=x.Uint32(0),
            home_domain=x.String32(b""),
            thresholds=x.Thresholds(b"\1\0\0\0"),
            signers=[],
            ext=x.AccountEntryExt(0),
        ),
    )


@dataclass
class RpcState:
    """What the server knows; tests change it."""

    passphrase: str
    entries: dict[int, bytes] = field(default_factory=dict)
    """LedgerHeaderHistoryEntry by ledger."""
    accounts: dict[str, int] = field(default_factory=dict)
    sends: list[dict[str, Any]] = field(default_factory=list)
    """Answers to sendTransaction in order; the last one stays."""
    looks: list[dict[str, Any]] = field(default_factory=list)
    """Answers to getTransaction in order; the last one stays."""
    raw: bytes | None = None
    """Answered to everything instead."""
    status: int = 200
    asked: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    on_send: Callable[[str], None] = lambda _: None

    def methods(self) -> list[str]:
        """Methods asked for, in order."""
        return [method for method, _ in self.asked]

    def answer(self, method: str, params: Any) -> Any:
        """The result of one call."""
        found: Any = getattr(self, f"_{method}")(params or {})
        return found

    @property
    def _window(self) -> tuple[int, int]:
        return (min(self.entries), max(self.entries)) if self.entries else (10, 20)

    def _times(self) -> dict[str, Any]:
        oldest, latest = self._window
        return {
            "latestLedger": latest,
            "latestLedgerCloseTime": str(CLOSED),
            "oldestLedger": oldest,
            "oldestLedgerCloseTime": str(CLOSED - 100),
        }

    def _getNetwork(self, _: Any) -> Any:
        return {"passphrase": self.passphrase, "protocolVersion": 23}

    def _getHealth(self, _: Any) -> Any:
        return {"status": "healthy", "ledgerRetentionWindow": 120960, **self._times()}

    def _getLedgers(self, params: Any) -> Any:
        ledger = params["startLedger"]
        entry = self.entries[ledger]
        found = {
            "hash": entry[:32].hex(),
            "sequence": ledger,
            "ledgerCloseTime": str(CLOSED),
            "headerXdr": b64encode(entry).decode(),
            "metadataXdr": "",
        }
        return {"ledgers": [found], "cursor": str(ledger), **self._times()}

    def _getLedgerEntries(self, params: Any) -> Any:
        key = x.LedgerKey.from_xdr(params["keys"][0])
        account = Keypair.from_raw_ed25519_public_key(
            key.account.account_id.account_id.ed25519.uint256
        ).public_key
        found = []
        if account in self.accounts:
            data = account_entry(account, self.accounts[account]).to_xdr()
            found = [{"key": params["keys"][0], "xdr": data, "lastModifiedLedgerSeq": 1}]
        return {"entries": found, "latestLedger": self._window[1]}

    def _sendTransaction(self, params: Any) -> Any:
        self.on_send(params["transaction"])
        said = self.sends.pop(0) if len(self.sends) > 1 else self.sends[0]
        return {
            "hash": "00" * 32,
            "latestLedger": self._window[1],
            "latestLedgerCloseTime": str(CLOSED),
            **said,
        }

    def _getTransaction(self, params: Any) -> Any:
        said = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {**self._times(), "txHash": params["hash"], **said}


class RpcServer(ThreadingHTTPServer):
    """Serves one state."""

    daemon_threads = True

    def __init__(self, state: RpcState) -> None:
        self.state = state
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}/rpc"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: RpcServer

    def do_POST(self) -> None:
        state = self.server.state
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        state.asked.append((call["method"], call.get("params")))
        state.headers.append({k.lower(): v for k, v in self.headers.items()})
        body = state.raw
        if body is None:
            reply: dict[str, Any] = {"jsonrpc": "2.0", "id": call["id"]}
            try:
                reply["result"] = state.answer(call["method"], call.get("params"))
            except (KeyError, IndexError) as error:
                reply["error"] = {"code": -32602, "message": f"invalid parameters: {error}"}
            body = json.dumps(reply).encode()
        self.send_response(state.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not news."""


@contextmanager
def rpc_server(state: RpcState) -> Iterator[RpcServer]:
    """A running server."""
    server = RpcServer(state)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
