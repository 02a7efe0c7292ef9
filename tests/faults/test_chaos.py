"""The chaos proxy makes each fault as it says: what the server saw, what the client saw."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from chaos import KINDS, SILENT_KINDS
from chaos_handle import Chaos

BODY = bytes(range(256)) * 64


class Server(ThreadingHTTPServer):
    """Keeps every request it got whole."""

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str, bytes]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *args: Any) -> None:
        """Clients that reset are what is tested."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        size = int(self.headers["Content-Length"])
        data = self.rfile.read(size)
        if len(data) < size:
            return
        self._seen(data)
        self._answer(201, BODY)

    def do_GET(self) -> None:
        self._seen(b"")
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (BODY[:5000], BODY[5000:]):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def do_HEAD(self) -> None:
        self._seen(b"")
        self.send_response(200)
        self.send_header("Content-Length", "77")
        self.end_headers()

    def _seen(self, data: bytes) -> None:
        assert isinstance(self.server, Server)
        self.server.seen.append((self.command, self.path, self.headers["Host"], data))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def chaos(server: Server) -> Iterator[Chaos]:
    with Chaos(server.server_address[1]) as proxy:
        yield proxy


def ask(chaos: Chaos, method: str = "PUT", target: str = "/b/k?x=%2F") -> tuple[int, bytes]:
    """Status and body; (0, b"") when the connection broke."""
    connection = http.client.HTTPConnection("127.0.0.1", chaos.port, timeout=20)
    try:
        connection.request(method, target, BODY if method == "PUT" else None)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (ConnectionError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def test_nothing_is_changed_without_trouble(chaos: Chaos, server: Server) -> None:
    assert ask(chaos) == (201, BODY)
    assert ask(chaos, "GET") == (200, BODY)
    assert ask(chaos, "HEAD") == (200, b"")
    host = f"127.0.0.1:{chaos.port}"
    assert server.seen == [
        ("PUT", "/b/k?x=%2F", host, BODY),
        ("GET", "/b/k?x=%2F", host, b""),
        ("HEAD", "/b/k?x=%2F", host, b""),
    ]
    assert chaos.faults() == {}


def test_a_connection_is_used_again(chaos: Chaos, server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", chaos.port, timeout=20)
    for number in range(3):
        connection.request("PUT", f"/{number}", BODY)
        assert connection.getresponse().read() == BODY
    connection.close()
    assert [path for _, path, *_ in server.seen] == ["/0", "/1", "/2"]


@pytest.mark.parametrize(
    ("kind", "reaches", "status"),
    [
        ("reset", False, 0),
        ("torn", False, 0),
        ("lost", True, 0),
        ("500", False, 500),
        ("503", False, 503),
        ("429", False, 429),
        ("late-500", True, 500),
        ("delay", True, 201),
        ("truncated", True, 0),
        ("slow", True, 201),
    ],
)
def test_each_fault(chaos: Chaos, server: Server, kind: str, reaches: bool, status: int) -> None:
    chaos.trouble({kind: 1})
    assert ask(chaos)[0] == status
    chaos.trouble({})
    assert ask(chaos, "HEAD")[0] == 200
    assert [method for method, *_ in server.seen] == ["PUT"] * reaches + ["HEAD"]
    assert chaos.faults() == {kind: 1}
    entry = chaos.log()[0]
    assert (entry["fault"], entry["status"]) == (kind, 201 if reaches else 0)


@pytest.mark.parametrize("kind", SILENT_KINDS)
def test_silence_lasts_until_the_client_gives_up(chaos: Chaos, server: Server, kind: str) -> None:
    chaos.trouble({kind: 1})
    connection = http.client.HTTPConnection("127.0.0.1", chaos.port, timeout=0.5)
    connection.request("PUT", "/b/k", BODY)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    assert len(server.seen) == (kind == "mute")
    connection.close()
    deadline = time.monotonic() + 20
    while not chaos.log()[0]["status"]:
        assert time.monotonic() < deadline
    assert [method for method, *_ in server.seen] == ["PUT"]
    assert chaos.log()[0]["told"] is False


def test_every_fault_is_tested() -> None:
    marks = test_each_fault.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == set(KINDS)


def test_503_says_when_to_come_again(chaos: Chaos) -> None:
    chaos.trouble({"503": 1})
    connection = http.client.HTTPConnection("127.0.0.1", chaos.port, timeout=20)
    connection.request("GET", "/")
    assert connection.getresponse().headers["Retry-After"] == "1"
    connection.close()


def test_one_seed_gives_one_sequence(chaos: Chaos) -> None:
    rates = {"500": 0.3, "429": 0.2}
    found = []
    for seed in (5, 5, 6):
        chaos.trouble(rates, seed)
        found.append([ask(chaos, "GET")[0] for _ in range(30)])
    assert found[0] == found[1] != found[2]
    assert {200, 500, 429} == set(found[0])


@pytest.mark.parametrize("effect", ["kill-before", "kill-after"])
def test_a_trap_kills_at_the_nth_request_that_matches(
    chaos: Chaos, server: Server, effect: str
) -> None:
    client = (
        "import http.client, sys\n"
        "for n in range(9):\n"
        "    for name in ('a', 'commits'):\n"
        "        c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]))\n"
        "        c.request('HEAD', f'/{name}/{n}'); c.getresponse()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.stdin.read()\n{client}", str(chaos.port)],
        stdin=subprocess.PIPE,
    )
    chaos.set_trap(3, effect, "commits", process.pid)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == -9
    last = "/a/2" if effect == "kill-before" else "/commits/2"
    assert server.seen[-1][1] == last
    assert chaos.unset() == 3


def test_it_ends_with_its_handle(server: Server) -> None:
    chaos = Chaos(server.server_address[1])
    assert ask(chaos)[0] == 201
    chaos.close()
    assert ask(chaos) == (0, b"")


@pytest.fixture
def echo() -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers what it gets; its port and what it got."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                try:
                    while data := client.recv(1 << 16):
                        seen.append(data)
                        client.sendall(data)
                except ConnectionError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1], seen
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize(("kind", "reaches"), [("reset", False), ("lost", True)])
def test_any_protocol_over_tcp(echo: tuple[int, list[bytes]], kind: str, reaches: bool) -> None:
    port, seen = echo
    with Chaos(port, mode="tcp") as chaos:
        chaos.set_trap(2, kind)
        with socket.create_connection(("127.0.0.1", chaos.port), 20) as client:
            client.sendall(b"one")
            assert client.recv(10) == b"one"
            client.sendall(b"two")
            with pytest.raises(ConnectionError):
                client.recv(10)
        assert seen == [b"one", b"two"][: 1 + reaches]
