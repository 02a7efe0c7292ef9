"""TCP proxies: one cuts a PostgreSQL session around its COMMIT, one falls silent."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Literal

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""The simple query message, as the driver sends it."""

When = Literal["", "before", "after"]


class CommitProxy:
    """Listens on loopback.

    With ``cut`` set, the next COMMIT's session is closed: ``before`` the server hears of it, or
    ``after`` the server answered, when the answer does not arrive. Then ``cut`` is empty again.
    """

    def __init__(self, target: int) -> None:
        self.cut: When = ""
        self.cuts = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Cut every session and stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            _shut(each)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            doomed = threading.Event()
            for work in (self._requests, self._answers):
                thread = threading.Thread(target=work, args=(client, server, doomed), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _requests(
        self, client: socket.socket, server: socket.socket, doomed: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                # Decided once, here: ``cut`` may be set anew before the answer comes.
                if _COMMIT in data and (when := self.cut):
                    self.cut, self.cuts = "", self.cuts + 1
                    if when == "before":
                        break
                    doomed.set()
                    server.sendall(data)
                    return  # the other direction ends it, with the server's answer
                server.sendall(data)
        _shut(client)
        _shut(server)

    def _answers(
        self, client: socket.socket, server: socket.socket, doomed: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if doomed.is_set() and b"COMMIT\x00" in data:
                    break
                client.sendall(data)
        _shut(client)
        _shut(server)


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


class SilentProxy:
    """Listens on loopback and passes bytes on, until it is silent: it then takes connections and
    bytes, and nothing arrives. ``release`` lets all of it arrive, late, even what was sent by
    clients who have given up since.

    Args:
        mark: the request around which ``arm`` makes it silent.
    """

    def __init__(self, target: int, mark: bytes = _COMMIT) -> None:
        self._target = target
        self._mark = mark
        self._armed: tuple[When, bool] = ("", False)
        self._gate = threading.Condition()
        self._everywhere = False
        self._held: set[socket.socket] = set()
        self.fell_silent = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def arm(self, when: When, *, everywhere: bool = True) -> None:
        """Fall silent at the next request with the mark: ``before`` it is passed on, or ``after``.

        With ``everywhere`` false only for that connection, and new ones are served.
        """
        self.fell_silent.clear()
        self._armed = (when, everywhere)

    def be_silent(self) -> None:
        """For all connections, at once."""
        with self._gate:
            self._everywhere = True
        self.fell_silent.set()

    def release(self) -> None:
        """Pass on what was held, and everything from now on."""
        with self._gate:
            self._everywhere = False
            self._held.clear()
            self._gate.notify_all()

    def close(self) -> None:
        """Cut every session and stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.release()
        for each in self._sockets:
            _shut(each)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            for one, other, asks in ((client, server, True), (server, client, False)):
                thread = threading.Thread(
                    target=self._pass_on, args=(one, other, client, asks), daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _pass_on(
        self, one: socket.socket, other: socket.socket, client: socket.socket, asks: bool
    ) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                when = self._spring(client) if asks and self._mark in data else ""
                if when != "after":
                    self._wait(client)
                other.sendall(data)
            # Whoever hangs up is not heard either while it is silent.
            self._wait(client)
        _shut(other)

    def _spring(self, client: socket.socket) -> When:
        when, everywhere = self._armed
        if when:
            self._armed = ("", False)
            with self._gate:
                self._everywhere = everywhere
                self._held.add(client)
            self.fell_silent.set()
        return when

    def _wait(self, client: socket.socket) -> None:
        with self._gate:
            self._gate.wait_for(lambda: not self._everywhere and client not in self._held)
