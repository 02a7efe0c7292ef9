"""A plain HTTP file server: no listing, as web servers of lakes are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from servers.process import HOST


class WebServer(ThreadingHTTPServer):
    """Serves files of one folder; ``refuse`` maps paths to a status that is answered instead."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refuse: dict[str, int] = {}
        self.asked: list[str] = []
        super().__init__((HOST, 0), _Handler)

    @property
    def url(self) -> str:
        """Address of the folder, without a final slash."""
        return f"http://{HOST}:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WebServer

    def __init__(self, *args: Any) -> None:
        super().__init__(*args, directory=str(args[2].folder))

    def do_HEAD(self) -> None:
        self.server.asked.append(self.path)
        super().do_HEAD()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status = self.server.refuse.get(self.path)
        if status is not None:
            self.send_error(status)
        else:
            super().do_GET()

    def list_directory(self, path: Any) -> None:
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not news."""


@contextmanager
def serving(folder: Path) -> Iterator[WebServer]:
    """Serve ``folder`` while the block runs."""
    with WebServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
