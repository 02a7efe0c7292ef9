"""Azurite, Microsoft's emulator of Azure blob storage, from npm."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import shutil
import urllib.request
from email.utils import formatdate
from pathlib import Path
from urllib.error import HTTPError

from servers.process import HOST, BucketServer, ServerProcess, free_ports

ACCOUNT = "bronzetest"
_VERSION = "2021-12-02"
_PROJECT_BIN = Path(__file__).parents[2] / ".npm/node_modules/.bin"


def find_azurite() -> str | None:
    """The program, from the project's ``.npm`` folder (see ``.ci/run``) or the path."""
    ours = _PROJECT_BIN / "azurite-blob"
    return str(ours) if ours.exists() else shutil.which("azurite-blob")


class AzuriteServer(BucketServer):
    """One blob server that keeps everything in memory."""

    def __init__(self, program: str) -> None:
        super().__init__("azure")
        (port,) = free_ports(1)
        self.key = base64.b64encode(secrets.token_bytes(32)).decode()
        self.endpoint = f"http://{HOST}:{port}/{ACCOUNT}"
        command = [
            program,
            *("--blobHost", HOST, "--blobPort", str(port)),
            *("--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"),
        ]
        env = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"}
        self.process = ServerProcess(command, self.folder / "azurite.log", self._answers, env)

    def make_container(self) -> str:
        """Make an empty container; its name."""
        name = f"c-{secrets.token_hex(6)}"
        self._call("PUT", f"/{name}", "restype=container", "restype:container")
        return name

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write a blob, whatever was there."""
        self._call("PUT", f"/{bucket}/{key}", "", "", data)

    def _call(self, method: str, path: str, query: str, canonical: str, data: bytes = b"") -> bytes:
        """One request signed with the account's key (Shared Key authorization)."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
        if not query:
            headers["x-ms-blob-type"] = "BlockBlob"
        kind = "application/octet-stream"
        named = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        resource = f"/{ACCOUNT}/{ACCOUNT}{path}" + (f"\n{canonical}" if canonical else "")
        length = str(len(data)) if data else ""
        text = f"{method}\n\n\n{length}\n\n{kind}\n\n\n\n\n\n\n{named}{resource}"
        digest = hmac.digest(base64.b64decode(self.key), text.encode(), hashlib.sha256)
        signature = base64.b64encode(digest).decode()
        headers |= {"Content-Type": kind, "Authorization": f"SharedKey {ACCOUNT}:{signature}"}
        url = f"{self.endpoint}{path}" + (f"?{query}" if query else "")
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            body: bytes = answer.read()
            return body

    def _answers(self) -> bool:
        try:
            self.make_container()
        except HTTPError as error:
            raise OSError(error.read()) from error
        return True
