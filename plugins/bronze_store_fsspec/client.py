"""Bucket clients on fsspec: S3 and GCS by their own conditional requests, others by what they can.

fsspec's own ``open`` and ``pipe`` are not used for S3 and GCS: a file object publishes a half
written object when its block raises, and gcsfs ends an upload early where the content holds its
fixed multipart boundary. Both clients offer the server's calls, which are used instead.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from bronze_store_fsspec.causes import Kind, cause_of
from bronze_store_fsspec.place import GCS, S3, Place, open_place
from bronze_tui.domain.errors import ConfigError, StoreRefused, StoreThrottled, StoreUnavailable
from bronze_tui.domain.writers import TEMP_PREFIX, temp_name
from bronze_tui.hooks.contracts import StoreOptions
from bronze_tui.remote.client import Body, Condition, ConditionFailed, Found, Written

ACCEPT = "accept_unconditional_create"
"""Setting of ``storage.options`` for places that cannot create only where nothing stands."""
_MEMORY = threading.Lock()
_BLOCK = 8 << 20
_TODO = {
    Kind.NO_BUCKET: "make it, or correct the bucket's name",
    Kind.REGION: "set storage.region to the bucket's",
    Kind.CREDENTIALS: "set them in the environment or the configuration",
    Kind.DENIED: "check the credentials and their right to write here",
    Kind.FULL: "free space or raise the quota, then run again",
}


def make_client(options: StoreOptions) -> FsspecClient:
    """The client for ``options.url``.

    Raises:
        ConfigError: see :func:`open_place`; or the place cannot create an object only where none
            stands, and the configuration does not accept that.
    """
    place = open_place("storage", options, ours=(ACCEPT,))
    if place.protocol in S3:
        return S3Client(place)
    if place.protocol in GCS:
        return GcsClient(place)
    if place.protocol == "memory":
        return MemoryClient(place)
    if dict(options.extra).get(ACCEPT, "").lower() != "true":
        raise ConfigError(
            [
                f"storage.url: {place.protocol}:// cannot create a file only where none stands, so "
                "two copiers could overwrite each other's partitions; use S3, GCS, Azure or a "
                f'local folder, or set storage.options.{ACCEPT}: "true" and make sure that only '
                "one copier ever writes there"
            ]
        )
    return FsspecClient(place)


class FsspecClient:
    """A :class:`bronze_tui.remote.client.BucketClient` on any filesystem.

    Writes go to a temp name that is then moved. Conditions are looked at before the write and not
    by the server: safe for one copier, not for several.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._fs = place.fs
        self._guard = threading.Lock()

    @property
    def location(self) -> str:
        """See the protocol."""
        return self._place.location

    def put(self, key: str, body: Body, condition: Condition, sha256: str) -> Written:
        """See the protocol; conditions of writers in this process are honoured."""
        with self._guard:
            self._check(key, condition)
            try:
                self._write(self._place.path(key), bytes(body))
            except Exception as error:
                raise self._error(error, key, absent=False) from None
        return Written({"sha256": sha256}, proven=False)

    def get(self, key: str) -> bytes:
        """See the protocol."""
        try:
            return bytes(self._fs.cat_file(self._place.path(key)))
        except Exception as error:
            raise self._error(error, key) from None

    def digest(self, key: str) -> tuple[str, int]:
        """See the protocol."""
        theirs, size = hashlib.sha256(), 0
        whole = self.head(key).size
        while size < whole:
            block = self.get_range(key, size, _BLOCK)
            if not block:
                break
            theirs.update(block)
            size += len(block)
        return theirs.hexdigest(), size

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See the protocol."""
        try:
            return bytes(self._fs.cat_file(self._place.path(key), start=start, end=start + length))
        except Exception as error:
            raise self._error(error, key) from None

    def head(self, key: str) -> Found:
        """See the protocol; for the bytes' digest as version only small objects are asked."""
        info = self._info(key)
        return Found(int(info["size"]), self._version(key, info), _modified(info))

    def list(self, folder: str | None) -> Iterator[tuple[str, int]]:
        """See the protocol."""
        path = self._place.path(folder or "").rstrip("/")
        try:
            found = self._fs.find(path, detail=True)
        except Exception as error:
            raise self._error(error, folder or "") from None
        root = f"{self._place.root}/"
        below = f"{folder}/" if folder else ""
        for name, info in found.items():
            key = str(name).removeprefix(root)
            if key.startswith(below) and not key.rpartition("/")[2].startswith(TEMP_PREFIX):
                yield key, int(info["size"])

    def delete(self, key: str) -> None:
        """See the protocol."""
        try:
            self._fs.rm_file(self._place.path(key))
        except Exception as error:
            raise self._error(error, key) from None

    def _check(self, key: str, condition: Condition) -> None:
        if condition == "overwrite":
            return
        try:
            standing = self.head(key)
        except FileNotFoundError:
            if condition == "create":
                return
            raise ConditionFailed(key) from None
        if condition == "create" or standing.version != condition:
            raise ConditionFailed(key)

    def _write(self, path: str, data: bytes) -> None:
        folder, _, name = path.rpartition("/")
        temp = f"{folder}/{temp_name(name)}"
        self._fs.makedirs(folder, exist_ok=True)
        self._fs.pipe_file(temp, data)
        self._fs.mv(temp, path)

    def _info(self, key: str) -> dict[str, Any]:
        try:
            info: dict[str, Any] = self._fs.info(self._place.path(key))
        except Exception as error:
            raise self._error(error, key) from None
        if info.get("type") == "directory":
            raise FileNotFoundError(f"{self.location}/{key}")
        return info

    def _version(self, key: str, info: dict[str, Any]) -> dict[str, str]:
        """Small objects are told apart by their bytes, where the place keeps no versions."""
        if int(info["size"]) > _BLOCK:
            return {}
        return {"sha256": hashlib.sha256(self.get(key)).hexdigest()}

    def _error(self, error: Exception, key: str, *, absent: bool = True) -> Exception:
        where = f"{self.location}/{key}"
        cause = cause_of(error)
        if cause.kind is Kind.ABSENT:
            if absent:
                return FileNotFoundError(where)
            todo = _TODO[Kind.NO_BUCKET]
            return StoreRefused("no such bucket or folder", where=where, todo=todo)
        if cause.kind is Kind.TAKEN:
            return ConditionFailed(where)
        if cause.kind is Kind.THROTTLED:
            return StoreThrottled(f"no answer ({cause.text})", where=where)
        if cause.kind is Kind.UNAVAILABLE:
            return StoreUnavailable(f"no answer ({cause.text})", where=where)
        todo = _TODO.get(cause.kind, "")
        return StoreRefused(f"{cause.kind.value} ({cause.text})", where=where, todo=todo)


class MemoryClient(FsspecClient):
    """``memory://``: only this process can see it, so its own lock makes conditions hold."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._guard = _MEMORY

    def _write(self, path: str, data: bytes) -> None:
        self._fs.pipe_file(path, data)


class S3Client(FsspecClient):
    """S3 through s3fs: one PUT with If-None-Match or If-Match and a SHA-256 the server verifies."""

    def put(self, key: str, body: Body, condition: Condition, sha256: str) -> Written:
        """See the protocol."""
        bucket, _, name = self._place.path(key).partition("/")
        match = {"IfNoneMatch": "*"} if condition == "create" else {}
        if not isinstance(condition, str):
            match = {"IfMatch": condition["e_tag"]}
        digest = base64.b64encode(bytes.fromhex(sha256)).decode()
        data = bytes(body)
        try:
            answer = self._fs.call_s3(
                "put_object",
                Bucket=bucket,
                Key=name,
                Body=data,
                ChecksumSHA256=digest,
                Metadata={"sha256": sha256},
                **match,
            )
        except Exception as error:
            raise self._error(error, key, absent=False) from None
        tag = str(answer["ETag"])
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return Written({"e_tag": tag}, proven=tag.strip('"') == md5)

    def _version(self, key: str, info: dict[str, Any]) -> dict[str, str]:  # noqa: ARG002
        return {"e_tag": str(info["ETag"])}


class GcsClient(FsspecClient):
    """GCS through gcsfs: one multipart upload with a boundary that nobody can foresee.

    Its condition is the generation, and the answer carries the MD5 of what is kept.
    """

    def put(self, key: str, body: Body, condition: Condition, sha256: str) -> Written:
        """See the protocol."""
        bucket, _, name = self._place.path(key).partition("/")
        match = {"ifGenerationMatch": "0"} if condition == "create" else {}
        if not isinstance(condition, str):
            match = {"ifGenerationMatch": condition["generation"]}
        kind, data = _related({"name": name, "metadata": {"sha256": sha256}}, body)
        try:
            answer = self._fs.call(
                "POST",
                f"{self._fs._location}/upload/storage/v1/b/{quote(bucket, safe='')}/o",
                uploadType="multipart",
                headers={"Content-Type": kind},
                data=data,
                json_out=True,
                **match,
            )
        except Exception as error:
            raise self._error(error, key, absent=False) from None
        md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        proven = answer.get("md5Hash") == md5 and int(answer["size"]) == len(body)
        return Written({"generation": str(answer["generation"])}, proven)

    def _version(self, key: str, info: dict[str, Any]) -> dict[str, str]:  # noqa: ARG002
        return {"generation": str(info["generation"])}


def _related(about: dict[str, Any], body: Body) -> tuple[str, bytes]:
    """Content type and bytes of a ``multipart/related`` upload (RFC 2387)."""
    mark = secrets.token_hex(16)
    head = (
        f"--{mark}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(about)}"
        f"\r\n--{mark}\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    whole = b"".join((head.encode(), body, f"\r\n--{mark}--\r\n".encode()))
    return f'multipart/related; boundary="{mark}"', whole


def _modified(info: dict[str, Any]) -> float:
    """Seconds since 1970 of the last write, by whatever name the filesystem gives it."""
    for name in ("LastModified", "updated", "mtime", "last_modified", "modified", "created"):
        value = info.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            try:
                return datetime.fromisoformat(value).timestamp()
            except ValueError:
                continue
    return 0.0
