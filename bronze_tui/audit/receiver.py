"""A small reference server for audit events: HTTP in front of an append-only archive.

``POST /events`` takes one event: 201 new, 200 the same again, 409 with the head that it should
continue. ``GET /events/HASH``, ``GET /heads`` and ``GET /health`` read. It has no TLS.
"""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import getaddrinfo
from socketserver import TCPServer
from typing import Any, cast

from bronze_tui import __version__
from bronze_tui.audit.archive import Archive, Receipt, WrongPlace
from bronze_tui.audit.event import MAX_EVENT_BYTES, EventRejected, is_hash
from bronze_tui.domain.endpoint import parse_endpoint
from bronze_tui.domain.errors import BronzeError, StoreError, StoreRefused, UsageError
from bronze_tui.domain.text import safe_text

EVENTS = "/events"
SILENCE = 30.0
"""Seconds that a client may be silent within a request, or between two."""
MAX_CLIENTS = 64
_SERVER = f"bronze-pas/{__version__}"

Log = Callable[[str], None]


class Receiver:
    """Listens on ``host:port`` (port 0: a free one) and answers from threads of its own.

    Args:
        folder: where events are kept.
        token: what clients must send as a bearer token; needed for any host but this machine's.
        log: takes one line a request; its text is safe to show.

    Raises:
        UsageError: the host needs a token. StoreRefused: the address cannot be used. What
        ``Archive`` raises.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str = "",
        log: Log | None = None,
    ) -> None:
        local = _is_this_machine(host)
        if not local and not token:
            raise UsageError(
                f"{host} can be reached by others, and no token guards it",
                where="--token",
                todo="set one, or listen on 127.0.0.1 behind a server with TLS",
            )
        self.archive = Archive(folder)
        try:
            self._server = _Server(host, port, self.archive, token, log)
        except (OSError, OverflowError) as error:
            self.archive.close()
            raise StoreRefused(
                f"cannot listen ({getattr(error, 'strerror', None) or error})",
                where=f"{host}:{port}",
                todo="give --host and --port an address of this machine that is free",
            ) from error
        self.port = int(self._server.server_address[1])
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}{EVENTS}"
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Answer in a thread."""
        self._thread = threading.Thread(target=self.serve, name="receiver", daemon=True)
        self._thread.start()

    def serve(self) -> None:
        """Answer until ``stop``."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """Have ``serve`` return; called from another thread."""
        self._server.shutdown()

    def close(self) -> None:
        """Stop and give the folder back; requests under way are answered first."""
        if self._thread is not None:
            self.stop()
            self._thread.join()
            self._thread = None
        self._server.server_close()
        self._server.idle.wait(SILENCE)
        self.archive.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = MAX_CLIENTS

    def __init__(self, host: str, port: int, archive: Archive, token: str, log: Log | None) -> None:
        self.address_family, *_, address = getaddrinfo(host, port)[0]
        self.archive, self.token, self.log = archive, token, log
        self.idle = threading.Event()
        self.idle.set()
        self._working = 0
        self._counting = threading.Lock()
        self._clients = threading.BoundedSemaphore(MAX_CLIENTS)
        super().__init__((str(address[0]), port), _Handler)

    def server_bind(self) -> None:
        """Bind without asking the name server who we are."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._clients.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._clients.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not news."""

    def working(self, delta: int) -> None:
        """Count requests under way."""
        with self._counting:
            self._working += delta
            if self._working:
                self.idle.clear()
            else:
                self.idle.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SILENCE
    disable_nagle_algorithm = True
    wbufsize = -1

    @property
    def _own(self) -> _Server:
        return cast(_Server, self.server)

    def do_POST(self) -> None:
        """Take one event."""
        self._guarded(self._post)

    def do_GET(self) -> None:
        """Read."""
        self._guarded(self._get)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            if self.path != "/health" and not self._admitted():
                return
            work()
        except BronzeError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": error.what}, close=True)

    def _admitted(self) -> bool:
        """The token, or without one that the client means this machine (a page in a browser may
        be made to ask us under another name)."""
        token = self._own.token
        if token:
            given = self.headers.get("Authorization", "")
            expected = f"Bearer {token}"
            if hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
                return True
            self._answer(HTTPStatus.UNAUTHORIZED, {"error": "wrong or missing token"}, close=True)
            return False
        if _names_this_machine(self.headers.get("Host", "")):
            return True
        self._answer(HTTPStatus.MISDIRECTED_REQUEST, {"error": "unknown host"}, close=True)
        return False

    def _post(self) -> None:
        if self.path.partition("?")[0].rstrip("/") != EVENTS:
            self._answer(HTTPStatus.NOT_FOUND, {"error": f"post to {EVENTS}"}, close=True)
            return
        if self.headers.get_content_type() != "application/json":
            text = "Content-Type must be application/json"
            self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"error": text}, close=True)
            return
        data = self._body()
        if data is None:
            return
        self._own.working(1)
        try:
            self._take(data)
        finally:
            self._own.working(-1)

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            text = "Content-Length is needed"
            self._answer(HTTPStatus.LENGTH_REQUIRED, {"error": text}, close=True)
            return None
        if len(length) > 9 or int(length) > MAX_EVENT_BYTES:
            text = f"an event has at most {MAX_EVENT_BYTES} bytes"
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": text}, close=True)
            return None
        data = self.rfile.read(int(length))
        if len(data) < int(length):
            self.close_connection = True
            return None
        return data

    def _take(self, data: bytes) -> None:
        try:
            receipt = self._own.archive.receive(data)
        except EventRejected as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": error.what, "kind": error.kind})
        except WrongPlace as error:
            doc = {"error": error.what, "head": error.head, "event_hash": error.holder}
            self._answer(HTTPStatus.CONFLICT, doc)
        except StoreError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": error.what}, close=True)
        else:
            self._acknowledge(receipt)

    def _acknowledge(self, receipt: Receipt) -> None:
        created = receipt.outcome == "created"
        self._answer(
            HTTPStatus.CREATED if created else HTTPStatus.OK,
            {
                "outcome": receipt.outcome,
                "chain_key": receipt.chain_key,
                "event_hash": receipt.event_hash,
                "events": receipt.count,
            },
        )

    def _get(self) -> None:
        path = self.path.partition("?")[0]
        archive = self._own.archive
        if path == "/health":
            self._answer(HTTPStatus.OK, {"status": "ok", "events": archive.events})
        elif path == "/heads":
            self._answer(HTTPStatus.OK, archive.heads)
        else:
            name = path.removeprefix(f"{EVENTS}/")
            data = archive.get(name) if is_hash(name) else None
            if data is None:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "no such event or page"})
            else:
                self._send(HTTPStatus.OK, data)

    def _answer(self, status: HTTPStatus, doc: dict[str, Any], *, close: bool = False) -> None:
        # Where a body was not read, what follows on the connection is not a request.
        self.close_connection = self.close_connection or close
        self._send(status, json.dumps(doc, indent=2).encode() + b"\n")

    def _send(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "5")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def version_string(self) -> str:
        """The server's name, without that of the language."""
        return _SERVER

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the base class refuses (methods, malformed requests), as JSON."""
        status = HTTPStatus(code)
        self._answer(status, {"error": message or status.phrase}, close=True)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        """One line, without headers."""
        status = int(code) if isinstance(code, int) else code
        line = f"{self.client_address[0]} {getattr(self, 'requestline', '')[:200]} {status}"
        if self._own.log is not None:
            self._own.log(safe_text(line))

    def log_message(self, format: str, *args: Any) -> None:
        """Time-outs and the like are not news."""


def _is_this_machine(host: str) -> bool:
    try:
        shown = f"[{host}]" if ":" in host else host
        return parse_endpoint(f"http://{shown}/").names_this_machine
    except ValueError:
        return False


def _names_this_machine(header: str) -> bool:
    try:
        return parse_endpoint(f"http://{header}/").names_this_machine
    except ValueError:
        return False
