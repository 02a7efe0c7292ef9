"""A proxy on loopback that stands before a server and makes trouble, in a process of its own.

Over HTTP (S3, GCS, Azure, audit endpoint) it understands requests and passes them on byte for
byte, ``Host`` and signature included; over plain TCP (PostgreSQL) a request is what the client
sends until the server answers. Each request draws its fault from the seed and its number, so one
seed gives one sequence of faults. A trap springs at exactly the n-th request that matches, and may
kill a process there. It ends with the end of its standard input, so it outlives nobody.

``python tests/faults/chaos.py PORT --seed 7 lost=0.1 503=0.2`` stands before port PORT by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import signal
import socket
import struct
import sys
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))

from chaos_wire import Lost, Message, read_request, read_response

HOST = "127.0.0.1"
KINDS = (
    "reset",  # the request is lost: the server never saw it
    "torn",  # the server got half of the request
    "lost",  # the server did it, the acknowledgement is lost
    "500",
    "503",
    "429",
    "late-500",  # the server did it, and 500 is answered
    "delay",
    "truncated",  # half of the answer
    "slow",  # the answer comes in drops
)
SILENT_KINDS = (
    "mute",  # the server did it, and nobody answers
    "stuck",  # nobody answers, and the server gets it when the client has given up
)
"""For clients that give up by themselves; the connection stays open."""
TCP_KINDS = ("reset", "torn", "lost", "delay", "truncated", "slow")


def troubles(part: str) -> tuple[str, ...]:
    """What can go wrong before the store, the catalog or the endpoint."""
    if part == "endpoint":
        return KINDS  # half a minute is how long a delivery waits for an answer
    return (*(TCP_KINDS if part == "catalog" else KINDS), *SILENT_KINDS)


_DROPS = 12
_TROUBLE = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Told so.</Message></Error>"


class Kill(Exception):
    """The trap's process was killed; what its connections say no longer matters."""


class Proxy:
    """State of the proxy process; see the handle in ``chaos_handle``."""

    def __init__(self, backend: int, mode: str, seed: int, rates: dict[str, float]) -> None:
        self.backend, self.mode, self.seed, self.rates = backend, mode, seed, rates
        self.number = 0
        self.faults: Counter[str] = Counter()
        self.log: list[dict[str, Any]] = []
        self.trap: dict[str, Any] = {}
        self.matched = 0

    def decide(self, line: str) -> str:
        """The fault of the next request, empty for none."""
        self.number += 1
        trap = self.trap
        if trap and trap["match"] in line:
            self.matched += 1
            if self.matched == trap["n"]:
                return str(trap["effect"])
        rng = random.Random(f"{self.seed}:{self.number}")
        point = rng.random()
        for kind, rate in self.rates.items():
            point -= rate
            if point < 0:
                return kind
        return ""

    def note(self, line: str, fault: str, body: bytes) -> dict[str, Any]:
        """Write a request down; what came of it is filled in later."""
        if fault:
            self.faults[fault] += 1
        entry = {"line": line, "fault": fault, "status": 0, "told": False}
        if line.startswith("POST"):
            entry["sha256"] = sha256(body).hexdigest()
        self.log.append(entry)
        return entry

    def kill(self) -> None:
        """Kill the process of the trap."""
        with suppress(ProcessLookupError):
            os.kill(self.trap["pid"], signal.SIGKILL)
        raise Kill

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client connection."""
        try:
            if self.mode == "tcp":
                await self._serve_tcp(reader, writer)
            else:
                while (request := await read_request(reader)) is not None:
                    await self._exchange(request, reader, writer)
        except (Kill, Lost, ConnectionError, asyncio.IncompleteReadError):
            _reset(writer)
        finally:
            writer.close()

    async def _exchange(
        self, request: Message, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        fault = self.decide(request.line)
        entry = self.note(request.line, fault, request.body)
        rng = random.Random(f"{self.seed}:{self.number}:how")
        if fault in ("500", "503", "429"):
            await self._refuse(fault, request, writer)
            return
        await self._before(fault, request.raw, rng)
        if fault == "stuck":
            await _gone(reader)
        answer = await self._ask(request)
        entry["status"] = answer.status
        if fault in SILENT_KINDS:
            await _gone(reader)
            raise Lost
        if "/events/" in request.line:
            entry["answer"] = sha256(answer.body).hexdigest()
        self._after(fault)
        if fault == "late-500":
            await self._refuse("500", request, writer)
            return
        entry["told"] = True  # also of half an answer, which has its status line
        await _pass_on(fault, answer.raw, writer)

    async def _before(self, fault: str, raw: bytes, rng: random.Random) -> None:
        if fault == "kill-before":
            self.kill()
        if fault == "reset":
            raise Lost
        if fault == "torn":
            _, writer = await self._dial()
            writer.write(raw[: len(raw) * rng.randint(1, 9) // 10])
            await writer.drain()
            _reset(writer)
            raise Lost
        if fault == "delay":
            await asyncio.sleep(rng.uniform(0.02, 0.4))

    def _after(self, fault: str) -> None:
        if fault == "kill-after":
            self.kill()
        if fault == "lost":
            raise Lost

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await asyncio.open_connection(HOST, self.backend, limit=1 << 20)
        except OSError as error:
            raise Lost from error

    async def _ask(self, request: Message) -> Message:
        """One request over a connection of its own: a reused one may be closed just then."""
        reader, writer = await self._dial()
        try:
            writer.write(request.raw)
            await writer.drain()
            return await read_response(reader, request.line.partition(" ")[0])
        finally:
            _reset(writer)

    async def _refuse(self, status: str, request: Message, writer: asyncio.StreamWriter) -> None:
        body = b"" if request.line.startswith("HEAD") else _TROUBLE
        again = "" if status == "500" else "Retry-After: 1\r\n"
        head = (
            f"HTTP/1.1 {status} Trouble\r\n{again}Content-Type: application/xml\r\n"
            f"Content-Length: {len(_TROUBLE)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await self._dial()
        answers = asyncio.create_task(_relay(theirs, writer))
        try:
            while data := await reader.read(1 << 16):
                fault = self.decide(data.decode("latin-1"))
                rng = random.Random(f"{self.seed}:{self.number}:how")
                self.note("", fault, b"")
                await self._before(fault, data, rng)
                if fault in SILENT_KINDS:
                    answers.cancel()
                    await _fall_silent(fault, data, reader, (theirs, ours))
                    return
                if fault in ("kill-after", "lost", "truncated", "slow"):
                    answers.cancel()
                    with suppress(asyncio.CancelledError):
                        await answers
                    await self._answer_tcp(fault, data, (theirs, ours), writer)
                    answers = asyncio.create_task(_relay(theirs, writer))
                    continue
                ours.write(data)
                await ours.drain()
        finally:
            answers.cancel()
            _reset(ours)

    async def _answer_tcp(
        self,
        fault: str,
        data: bytes,
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        writer: asyncio.StreamWriter,
    ) -> None:
        theirs, ours = server
        ours.write(data)
        await ours.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                answer = await theirs.read(1 << 16)
                self._after(fault)
                await _pass_on(fault, answer, writer)


async def _gone(reader: asyncio.StreamReader) -> None:
    """Wait until the client hangs up."""
    with suppress(ConnectionError):
        while await reader.read(1 << 16):
            pass


async def _fall_silent(
    fault: str,
    data: bytes,
    client: asyncio.StreamReader,
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Nothing is passed back any more; what was sent arrives at once, or when nobody waits."""
    theirs, ours = server
    if fault == "stuck":
        await _gone(client)
    ours.write(data)
    await ours.drain()
    await _gone(client)
    ours.write_eof()
    with suppress(TimeoutError):
        async with asyncio.timeout(2):
            await _gone(theirs)


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    _reset(writer)


async def _pass_on(fault: str, raw: bytes, writer: asyncio.StreamWriter) -> None:
    if fault == "truncated":
        writer.write(raw[: max(1, len(raw) * 3 // 4)])
        await writer.drain()
        raise Lost
    step = max(1, len(raw) // _DROPS) if fault == "slow" else max(1, len(raw))
    for start in range(0, len(raw), step):
        writer.write(raw[start : start + step])
        await writer.drain()
        if fault == "slow":
            await asyncio.sleep(0.03)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, not FIN."""
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Control:
    """Commands, one JSON line each, each answered by one JSON line."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what the handle asks."""
        proxy = self._proxy
        if "rates" in order:
            proxy.rates = order["rates"]
        if "seed" in order:
            proxy.seed, proxy.number = order["seed"], 0
        if "backend" in order:
            proxy.backend = order["backend"]
        if "trap" in order:
            proxy.trap, proxy.matched = order["trap"], 0
        if order.get("forget"):
            proxy.log.clear()
        answer: dict[str, Any] = {
            "number": proxy.number,
            "matched": proxy.matched,
            "faults": dict(proxy.faults),
        }
        if order.get("log"):
            answer["log"] = proxy.log
        return answer

    async def listen(self) -> None:
        """Until the standard input ends."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            print(json.dumps(self.obey(json.loads(line))), flush=True)


async def _run(proxy: Proxy, port: int) -> None:
    server = await asyncio.start_server(proxy.serve, HOST, port, limit=1 << 20)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"port": port, "seed": proxy.seed, "rates": proxy.rates}), flush=True)
    async with server:
        await Control(proxy).listen()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("backend", type=int, help="port of the server on this machine")
    parser.add_argument(
        "rates", nargs="*", help=f"KIND=SHARE, of {', '.join((*KINDS, *SILENT_KINDS))}"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    parser.add_argument("--mode", choices=("http", "tcp"), default="http")
    parser.add_argument("--port", type=int, default=0, help="where to listen")
    given = parser.parse_args()
    rates = {kind: float(share) for kind, _, share in (r.partition("=") for r in given.rates)}
    known = {*(KINDS if given.mode == "http" else TCP_KINDS), *SILENT_KINDS}
    if unknown := set(rates) - known:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(Proxy(given.backend, given.mode, given.seed, rates), given.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
