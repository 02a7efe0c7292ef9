"""A server that takes events, or fails in a way it is told: a real socket, one thread a client."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

Step = Callable[["FaultServer", "Peer"], bool]
"""Answers one request; whether the connection may be used again."""
LONG = 30.0


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Peer:
    """One connection; reading its request is up to the step."""

    sock: socket.socket
    reader: BinaryIO
    number: int

    def read(self) -> Request | None:
        head = self.reader.readline()
        if not head:
            return None
        method, target, _ = head.decode().split(" ", 2)
        headers = {}
        while line := self.reader.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self.reader.read(int(headers.get("content-length", 0)))
        return Request(method, target, headers, body, self.number)

    def reset(self) -> None:
        """Close so that the other side sees a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answer(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Step:
    """Take the request and answer it."""

    def step(server: FaultServer, peer: Peer) -> bool:
        request = peer.read()
        if request is None:
            return False
        server.note(request)
        given = {"Content-Length": str(len(body)), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        peer.sock.sendall(f"HTTP/1.1 {status} Told\r\n{lines}\r\n".encode() + body)
        return given.get("Connection") != "close"

    return step


@dataclass
class FaultServer:
    """Answers each request by the next step of ``script``, then by ``usual``."""

    tls: ssl.SSLContext | None = None
    script: list[Step] = field(default_factory=list)
    usual: Step = field(default_factory=lambda: answer(201))
    requests: list[Request] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self.over = threading.Event()
        self._peers: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/events"

    def __enter__(self) -> FaultServer:
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._peers:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in [self._accepting, *self._threads]:
            thread.join(LONG)

    def note(self, request: Request) -> None:
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()

    def wait_for_request(self, count: int = 1) -> None:
        self.wait(lambda: len(self.requests) >= count)

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, LONG)

    def bodies(self) -> list[bytes]:
        """Events taken, in order, the same again left out."""
        with self.changed:
            return list(dict.fromkeys(r.body for r in self.requests if r.method == "POST"))

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._peers.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError, ValueError):
            sock.settimeout(LONG)
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self._peers.append(sock)
            with sock, sock.makefile("rb") as reader:
                peer = Peer(sock, reader, len(self._threads))
                while reader.peek(1):
                    with self.changed:
                        step = self.script.pop(0) if self.script else self.usual
                    if not step(self, peer):
                        return

    # Faults.

    @staticmethod
    def reset_before(server: FaultServer, peer: Peer) -> bool:
        """The request is lost."""
        peer.reset()
        return False

    @staticmethod
    def reset_after(server: FaultServer, peer: Peer) -> bool:
        """The event is taken, its acknowledgement is lost."""
        request = peer.read()
        if request is not None:
            server.note(request)
        peer.reset()
        return False

    @staticmethod
    def garbage(server: FaultServer, peer: Peer) -> bool:
        peer.read()
        peer.sock.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        return False

    @staticmethod
    def cut_short(server: FaultServer, peer: Peer) -> bool:
        peer.read()
        peer.sock.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nhalf")
        return False

    @staticmethod
    def silent(server: FaultServer, peer: Peer) -> bool:
        request = peer.read()
        if request is not None:
            server.note(request)
        server.over.wait(LONG)
        return False

    @staticmethod
    def dripping_head(server: FaultServer, peer: Peer) -> bool:
        peer.read()
        peer.sock.sendall(b"HTTP/1.1 201 Created\r\nX-Slow: ")
        return server._drip(peer)

    @staticmethod
    def dripping_body(server: FaultServer, peer: Peer) -> bool:
        peer.read()
        peer.sock.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 9999\r\n\r\n")
        return server._drip(peer)

    def _drip(self, peer: Peer) -> bool:
        while not self.over.wait(0.05):
            peer.sock.sendall(b"x")
        return False

    @staticmethod
    def endless(server: FaultServer, peer: Peer) -> bool:
        peer.read()
        peer.sock.sendall(b"HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n")
        while not server.over.is_set():
            peer.sock.sendall(b"x" * 65_536)
        return False
