"""HTTP/1.1 messages as raw bytes: just enough of RFC 9112 to know where one ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


class Lost(Exception):
    """Nothing more comes, or shall come, over this connection."""


@dataclass(frozen=True)
class Message:
    """One request or answer."""

    line: str
    """``METHOD target`` of a request, empty for an answer."""
    raw: bytes
    body: bytes
    """As on the wire; a chunked one with its chunk heads."""
    status: int = 0


async def read_request(reader: asyncio.StreamReader) -> Message | None:
    """The next request; None when the client is done."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Lost from error
        return None
    body = await _body(reader, _headers(head), until_end=False)
    line = head.partition(b"\r\n")[0].decode("latin-1")
    return Message(line.rpartition(" ")[0], head + body, body)


async def read_response(reader: asyncio.StreamReader, method: str) -> Message:
    """The answer to a request of this method.

    Raises:
        Lost: the server closed the connection without one.
    """
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Lost from error
        status = int(head.split(b" ", 2)[1])
        if status >= 200:
            break
    if method == "HEAD" or status in (204, 304):
        return Message("", head, b"", status)
    body = await _body(reader, _headers(head), until_end=True)
    return Message("", head + body, body, status)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str], *, until_end: bool) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _chunks(reader)
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return await reader.read() if until_end else b""


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while True:
        head = await reader.readline()
        size = int(head.partition(b";")[0], 16)
        parts += [head, await reader.readexactly(size + 2) if size else b""]
        if not size:
            break
    while True:  # trailers, then an empty line
        line = await reader.readline()
        parts.append(line)
        if line in (b"\r\n", b""):
            return b"".join(parts)
