"""Serves the read-only app to browsers with textual-serve, behind checks of its own.

Every browser gets an app process that is attached without control; the engine is never part of
this process. Needs the extra ``web``.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp_jinja2
from aiohttp import web
from textual_serve.server import Server

from bronze_tui.domain.errors import StoreRefused, UsageError

COOKIE = "bronze_token"
_HEADERS = {
    # Nothing leaves this origin, whatever a page of textual-serve may ask for.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' ws: wss:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_FOREIGN_STYLE = re.compile(r'<link\b[^>]*\bhref="https?://[^>]*>')
_HEAD = """<style>
      @font-face {
        font-family: "Roboto Mono"; font-weight: 100 700;
        src: url("/static/fonts/RobotoMono-VariableFont_wght.ttf");
      }
    </style>
    <script>
      addEventListener("load", () => setTimeout(
        () => document.querySelector(".xterm-helper-textarea")?.focus()));
    </script>"""
"""In place of the foreign font: the same one from the files of textual-serve, for a browser without
a way out; and the keyboard's focus, which the terminal otherwise gets with the first click."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve; an empty token means none, which only loopback may have."""

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    max_sessions: int = 4


def is_loopback(host: str) -> bool:
    """Whether the address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def settled(options: Options) -> Options:
    """The options with a token where one is needed.

    Raises:
        UsageError: the given token is too short to be a secret.
    """
    if options.token and len(options.token) < 16:
        raise UsageError("the token is shorter than 16 characters", where="--token")
    if options.token or is_loopback(options.host):
        return options
    token = secrets.token_urlsafe(24)
    return Options(options.host, options.port, token, options.max_sessions)


class GuardedServer(Server):
    """textual-serve's server with a token, origin and host checks, and a limit of sessions."""

    def __init__(self, state_dir: Path, options: Options) -> None:
        words = [sys.executable, "-m", "bronze_tui.cli", "attach", "--state-dir", str(state_dir)]
        super().__init__(shlex.join(words), host=options.host, port=options.port, title="bronze")
        self.options = options
        self.sessions = 0

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self.guard)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Nothing to print: ``serve`` says where it listens."""

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who may come; a token in the address becomes a cookie."""
        self._check_place(request)
        given = request.query.get("token", "")
        if self.options.token and given and self._same(given):
            welcome = web.HTTPFound("/")
            welcome.set_cookie(COOKIE, given, httponly=True, samesite="Strict", path="/")
            raise welcome
        if self.options.token and not self._same(request.cookies.get(COOKIE, "")):
            raise web.HTTPForbidden(text="open the address that 'bronze serve' printed\n")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _same(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.options.token.encode())

    def _check_place(self, request: web.Request) -> None:
        """Other sites' pages must not reach us: neither by a name of theirs that resolves to this
        machine, nor by a socket opened from their page."""
        host = urlsplit(f"//{request.host}").hostname or ""
        if is_loopback(self.options.host) and not is_loopback(host):
            raise web.HTTPForbidden(text="this server answers to its own address only\n")
        origin = request.headers.get("Origin", "")
        if origin and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="opened from another site\n")

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """The page, with addresses as this browser knows us."""
        context: dict[str, Any] = {
            "font_size": _font_size(request.query.get("fontsize", "")),
            "app_websocket_url": f"ws://{request.host}/ws",
            "config": {"static": {"url": "/static/"}},
            "application": {"name": self.title},
        }
        page = aiohttp_jinja2.render_template("app_index.html", request, context)
        page.text = _FOREIGN_STYLE.sub(_HEAD, page.text or "")
        return page

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """One app process, unless there are enough."""
        if self.sessions >= self.options.max_sessions:
            raise web.HTTPServiceUnavailable(text=f"{self.sessions} sessions are open already\n")
        self.sessions += 1
        try:
            return await super().handle_websocket(request)
        finally:
            self.sessions -= 1


def serve(state_dir: Path, options: Options) -> int:
    """Serve until SIGINT or SIGTERM; the exit code.

    Raises:
        UsageError: the state folder or the token will not do. StoreRefused: the port is taken.
    """
    if not state_dir.is_dir():
        raise UsageError(
            "there is no such folder", where=str(state_dir), todo="start a run, or name another"
        )
    options = settled(options)
    try:
        listener = socket.create_server((options.host, options.port), family=_family(options.host))
    except OSError as error:
        raise StoreRefused(
            f"cannot listen ({error.strerror})",
            where=f"{options.host}:{options.port}",
            todo="name another --port or --host",
        ) from error
    port = listener.getsockname()[1]
    server = GuardedServer(state_dir, options)
    query = f"/?token={options.token}" if options.token else "/"
    shown = f"[{options.host}]" if ":" in options.host else options.host
    if not is_loopback(options.host):
        print("There is no TLS: use this in a network you trust.", file=sys.stderr, flush=True)
    said = f"Read-only view of {state_dir}: http://{shown}:{port}{query}"
    asyncio.run(_serve(server, listener, said))
    return 0


async def _serve(server: GuardedServer, listener: socket.socket, said: str) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    runner = web.AppRunner(await server._make_app(), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        # Whoever reads the address may open it, or end us, at once.
        print(said, flush=True)
        await ended.wait()
    finally:
        await runner.cleanup()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _font_size(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and 6 <= int(text) <= 48 else 16
