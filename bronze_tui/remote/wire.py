"""One connection to a checked address, and one request at a time over it, bounded in time.

TLS is verified against the endpoint's name although the connection goes to an address. Redirects
and proxies are never followed: the answer comes from who was checked, or there is none.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from bronze_tui.domain.endpoint import Endpoint
from bronze_tui.domain.errors import StoreUnavailable
from bronze_tui.remote.addresses import POSTED, Lookup, Named, checked_addresses, lookup

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 30.0
"""From name to the end of the answer."""
KEEP_SECONDS = 60.0
"""A connection is not used longer, so that changes of a name are followed."""
MAX_ANSWER = 64 << 10
"""Bytes of an answer that are read, where nothing else is asked for."""

_FAILURES = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said; header names are lowercase."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False
    """Whether the body was longer."""


class Wire:
    """The way to one endpoint; used by one thread, closed by any.

    Args:
        resolve: replaces the machine's resolver.
        seconds: time for one request in all.
        most: bytes of an answer that are read; one that is longer comes cut to this.
        named: for errors.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        allow_private: bool,
        resolve: Lookup = lookup,
        seconds: float = TOTAL_SECONDS,
        most: int = MAX_ANSWER,
        named: Named = POSTED,
    ) -> None:
        self._endpoint = endpoint
        self._allow_private = allow_private
        self._most = most
        self._named = named
        self._resolve = resolve
        self._seconds = seconds
        self._context = ssl.create_default_context() if endpoint.scheme == "https" else None
        self._connection: HTTPConnection | None = None
        self._opened = 0.0
        self._closed = threading.Event()

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request and read its answer.

        Raises:
            StoreUnavailable: no address that is allowed, no connection, or no whole answer in
                time; whether the server took the request is not known.
        """
        deadline = time.monotonic() + self._seconds
        try:
            if self._reusable():
                try:
                    return self._exchange(method, target, headers, body, deadline)
                except _FAILURES:
                    # Servers close idle connections. Asking twice is safe: requests are
                    # idempotent by their key.
                    if self._closed.is_set() or time.monotonic() >= deadline:
                        raise
                    self._drop()
            self._connect(deadline)
            return self._exchange(method, target, headers, body, deadline)
        except _FAILURES as error:
            self._drop()
            raise self._unavailable(error, deadline) from error
        except BaseException:
            self._drop()
            raise

    def close(self) -> None:
        """Close the connection; a request under way fails at once, and so does every later one."""
        self._closed.set()
        self._cut()

    def _reusable(self) -> bool:
        connection = self._connection
        if connection is None:
            return False
        fresh = time.monotonic() - self._opened < KEEP_SECONDS
        if fresh and connection.sock is not None and connection.is_connected:
            return True
        self._drop()
        return False

    def _connect(self, deadline: float) -> None:
        addresses = checked_addresses(
            self._endpoint,
            allow_private=self._allow_private,
            resolve=self._resolve,
            named=self._named,
        )
        for last, address in enumerate(addresses, start=1 - len(addresses)):
            left = deadline - time.monotonic()
            if self._closed.is_set() or left <= 0:
                raise TimeoutError
            connection = self._connection_to(address, min(CONNECT_SECONDS, left))
            try:
                connection.connect()
            except (urllib3.exceptions.HTTPError, OSError):
                connection.close()
                if last == 0:
                    raise
            else:
                self._connection, self._opened = connection, time.monotonic()
                return

    def _connection_to(self, address: str, seconds: float) -> HTTPConnection:
        port = self._endpoint.port
        if self._context is None:
            return HTTPConnection(address, port, timeout=seconds)
        return HTTPSConnection(
            address,
            port,
            timeout=seconds,
            ssl_context=self._context,
            server_hostname=self._endpoint.host,
            assert_hostname=self._endpoint.host,
        )

    def _exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> Answer:
        connection = self._connection
        left = deadline - time.monotonic()
        if connection is None or connection.sock is None or left <= 0 or self._closed.is_set():
            raise TimeoutError
        connection.timeout = left
        # A timeout holds for one read; a server that sends a byte now and then needs a clock.
        late = threading.Event()
        clock = threading.Timer(left, self._too_late, (late,))
        clock.daemon = True
        clock.start()
        try:
            connection.request(
                method,
                target,
                body=body or None,
                headers={"Host": self._endpoint.authority, **headers},
                preload_content=False,
                decode_content=False,
            )
            response = connection.getresponse()
            found = _read(response, self._most)
        finally:
            clock.cancel()
        if late.is_set() or self._closed.is_set():
            # What was read so far may look whole.
            raise TimeoutError
        if len(found) > self._most or response.status < 200:
            self._drop()
        return Answer(
            response.status,
            response.reason or "",
            {name.lower(): value for name, value in response.headers.items()},
            found[: self._most],
            len(found) > self._most,
        )

    def _too_late(self, late: threading.Event) -> None:
        late.set()
        self._cut()

    def _cut(self) -> None:
        """Wake whoever waits on the socket; the descriptor stays its owner's to close."""
        connection = self._connection
        sock = None if connection is None else connection.sock
        if sock is not None:
            with suppress(OSError):
                # Not the TLS layer's: it would pull the layer away from under a reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def _unavailable(self, error: BaseException, deadline: float) -> StoreUnavailable:
        timed_out = isinstance(error, TimeoutError | urllib3.exceptions.ReadTimeoutError)
        if self._closed.is_set():
            what = "given up because this process ends"
        elif type(error) is urllib3.exceptions.ConnectTimeoutError:
            what = f"no connection in {CONNECT_SECONDS:g} s"
        elif timed_out or time.monotonic() >= deadline:
            what = f"no answer in {self._seconds:g} s"
        else:
            what = _cause(error)
        return StoreUnavailable(
            what, where=self._endpoint.shown, todo="check the server and the way to it"
        )


def _read(response: urllib3.response.BaseHTTPResponse, most: int) -> bytes:
    """The whole body, or a bit more than is wanted of a longer one."""
    found = bytearray()
    while len(found) <= most and (more := response.read(1 << 14, decode_content=False)):
        found += more
    return bytes(found)


def _cause(error: BaseException) -> str:
    """The innermost reason, in the system's words."""
    while (inner := error.__cause__ or error.__context__) is not None and isinstance(
        inner, OSError | http.client.HTTPException
    ):
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    if isinstance(error, OSError) and error.strerror:
        return f"no connection, or a broken one ({error.strerror})"
    return f"no HTTP answer ({type(error).__name__}: {error})"
