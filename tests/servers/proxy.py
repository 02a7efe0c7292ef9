"""A TCP proxy before a PostgreSQL server that cuts a session around its COMMIT."""

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
