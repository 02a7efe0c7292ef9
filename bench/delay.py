"""A TCP proxy on loopback whose requests arrive late, as over a long line of any bandwidth.

    python bench/delay.py PORT MILLISECONDS

It prints its own port, and ends with the end of its standard input.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HOST = "127.0.0.1"


class _Side(asyncio.Protocol):
    """One end of a session: what it gets goes to ``other``, after ``delay`` seconds."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.other: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._later(lambda to: to.write(data))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._later(lambda to: to.close())

    def _later(self, work: object) -> None:
        loop = asyncio.get_running_loop()

        def do() -> None:
            if self.other.done():
                work(self.other.result())  # type: ignore[operator]
            else:
                self.other.add_done_callback(lambda made: work(made.result()))  # type: ignore[operator]

        if self.delay:
            loop.call_later(self.delay, do)
        else:
            do()


class _Front(_Side):
    """The client's end: opens the server's."""

    def __init__(self, port: int, delay: float) -> None:
        super().__init__(delay)
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._dialling = asyncio.ensure_future(self._dial())

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        to, back = await loop.create_connection(lambda: _Side(0.0), _HOST, self._port)
        assert self.transport is not None
        back.other.set_result(self.transport)
        self.other.set_result(to)


async def _serve(port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Front(port, delay), _HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def delayed(port: int, milliseconds: float) -> Iterator[int]:
    """The port of such a proxy in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__)), str(port), str(milliseconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
