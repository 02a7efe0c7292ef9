"""GCS through google-cloud-storage: every write carries a generation as its condition and a CRC32C.

Multipart bodies get a random boundary from the library, so no content can end its own upload
early, and what the server says it keeps is compared with what was sent.
"""

from __future__ import annotations

import base64
import hashlib
import io
import mmap
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from bronze_tui.domain.errors import (
    ConfigError,
    StoreError,
    StoreRefused,
    StoreThrottled,
    StoreUnavailable,
)
from bronze_tui.hooks.contracts import StoreOptions
from bronze_tui.remote.client import Body, Condition, ConditionFailed, Found, Written

_ONE_REQUEST = 8 << 20
"""The library sends larger bodies as a resumable upload of several requests."""
_STEP = 1 << 20
_PASSING = frozenset({408, 409, 425, 429})
_THROTTLING = frozenset({429, 503})
_SETTINGS = ("project", "user_project")


class GoogleClient:
    """A :class:`bronze_tui.remote.client.BucketClient` on a google-cloud-storage bucket.

    Args:
        bucket: a ``google.cloud.storage.Bucket``.
        prefix: folder of all keys, without slashes at its ends.
        timeout: seconds without a byte of the answer.
    """

    def __init__(self, bucket: Any, prefix: str, location: str, timeout: float = 120.0) -> None:
        self._timeout = (min(10.0, timeout), timeout)
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._location = location

    @property
    def location(self) -> str:
        """See the protocol."""
        return self._location

    def put(self, key: str, body: Body, condition: Condition, sha256: str) -> Written:
        """See the protocol."""
        if condition == "create":
            # Also spares sending a large body to a name that is taken.
            if len(body) > _ONE_REQUEST and self._stands(key):
                raise ConditionFailed(self._where(key))
            wanted: int | None = 0
        elif isinstance(condition, str):
            wanted = None
        else:
            wanted = int(condition["generation"])
        blob = self._blob(key)
        blob.metadata = {"sha256": sha256}
        file = body if isinstance(body, mmap.mmap) else io.BytesIO(body)
        try:
            blob.upload_from_file(
                file,
                rewind=True,
                size=len(body),
                content_type="application/octet-stream",
                if_generation_match=wanted,
                checksum="crc32c",
                retry=None,
                timeout=self._timeout,
            )
        except Exception as error:
            raise self._refused_write(error, key) from None
        proven = blob.crc32c == crc32c(body) and blob.size == len(body)
        return Written(_version(blob), proven)

    def get(self, key: str) -> bytes:
        """See the protocol; the library checks the bytes against the server's checksum."""
        try:
            data: bytes = self._blob(key).download_as_bytes(
                raw_download=True, checksum="crc32c", retry=None, timeout=self._timeout
            )
        except Exception as error:
            raise self._absent_or_error(error, key) from None
        return data

    def digest(self, key: str) -> tuple[str, int]:
        """See the protocol."""
        sink = _Sink()
        try:
            self._blob(key).download_to_file(
                sink, raw_download=True, checksum="crc32c", retry=None, timeout=self._timeout
            )
        except Exception as error:
            raise self._absent_or_error(error, key) from None
        return sink.sha256.hexdigest(), sink.size

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See the protocol."""
        try:
            data: bytes = self._blob(key).download_as_bytes(
                start=start,
                end=start + length - 1,
                raw_download=True,
                checksum=None,
                retry=None,
                timeout=self._timeout,
            )
        except Exception as error:
            raise self._absent_or_error(error, key) from None
        return data

    def head(self, key: str) -> Found:
        """See the protocol."""
        blob = self._blob(key)
        try:
            blob.reload(retry=None, timeout=self._timeout)
        except Exception as error:
            raise self._absent_or_error(error, key) from None
        return Found(blob.size, _version(blob), blob.updated.timestamp())

    def list(self, folder: str | None) -> Iterator[tuple[str, int]]:
        """See the protocol."""
        prefix = self._prefix + (f"{folder}/" if folder else "")
        try:
            for blob in self._bucket.list_blobs(prefix=prefix, retry=None, timeout=self._timeout):
                yield blob.name.removeprefix(self._prefix), blob.size
        except Exception as error:
            raise self._absent_or_error(error, folder or "", absent=False) from None

    def delete(self, key: str) -> None:
        """See the protocol."""
        try:
            self._blob(key).delete(retry=None, timeout=self._timeout)
        except Exception as error:
            raise self._absent_or_error(error, key) from None

    def _stands(self, key: str) -> bool:
        try:
            self.head(key)
        except FileNotFoundError:
            return False
        return True

    def _blob(self, key: str) -> Any:
        return self._bucket.blob(f"{self._prefix}{key}")

    def _where(self, key: str) -> str:
        return f"{self._location}/{key}"

    def _refused_write(self, error: Exception, key: str) -> Exception:
        status = _status(error)
        if status == 412:
            return ConditionFailed(self._where(key))
        if status == 404:
            return _no_bucket(self._where(key))
        return google_error(error, self._where(key))

    def _absent_or_error(self, error: Exception, key: str, *, absent: bool = True) -> Exception:
        if _status(error) == 404:
            # The JSON API says "No such object" for an object, and words a bucket otherwise.
            gone = "bucket does not exist" in str(error) or not absent
            return _no_bucket(self._where(key)) if gone else FileNotFoundError(self._where(key))
        return google_error(error, self._where(key))


def make_google_client(options: StoreOptions) -> GoogleClient:
    """A client for the bucket of a ``gs://`` URL; contacts nobody.

    Raises:
        ConfigError: no bucket, unknown settings, no credentials, or the package is missing.
    """
    parts = urlsplit(options.url)
    bucket, prefix = parts.netloc.rpartition("@")[2], parts.path.strip("/")
    if not bucket:
        raise ConfigError([f"storage url {options.url!r} names no bucket"])
    extra = dict(options.extra)
    unknown = sorted(set(extra) - set(_SETTINGS))
    if unknown:
        known = ", ".join(_SETTINGS)
        raise ConfigError([f"storage.options: GCS knows {known}, not {', '.join(unknown)}"])
    client = _client(options, extra.get("project"))
    location = f"gs://{bucket}/{prefix}".rstrip("/")
    user_project = extra.get("user_project")
    return GoogleClient(
        client.bucket(bucket, user_project=user_project), prefix, location, options.timeout
    )


def google_error(error: Exception, where: str) -> StoreError:
    """Our error for one of the library's or of the network under it."""
    status, text = _status(error), _first_line(error)
    if type(error).__name__ in ("DefaultCredentialsError", "RefreshError"):
        todo = "set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login"
        return StoreRefused(f"no credentials that work ({text})", where=where, todo=todo)
    if status in (401, 403):
        todo = "check the credentials and their right to write here"
        return StoreRefused(f"access refused (HTTP {status})", where=where, todo=todo)
    if status == 507 or "quota" in text.lower():
        todo = "free space or raise the quota, then run again"
        return StoreRefused("the store is full", where=where, todo=todo)
    if type(error).__name__ in ("DataCorruption", "InvalidResponse") and not status:
        return StoreUnavailable(f"damaged on the way ({text})", where=where)
    if (400 <= status < 500 and status not in _PASSING) or isinstance(error, ValueError):
        return StoreRefused(f"request refused ({text})", where=where)
    kind = StoreThrottled if status in _THROTTLING else StoreUnavailable
    return kind(f"no answer ({text})", where=where)


def crc32c(body: Body) -> str:
    """CRC32C as GCS writes it: base64 of four bytes, big-endian."""
    checksum = import_module("google_crc32c").Checksum()
    for start in range(0, len(body), _STEP):
        checksum.update(body[start : start + _STEP])
    return base64.b64encode(checksum.digest()).decode()


class _Sink:
    """A file that only remembers its digest and size."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return len(data)


def _client(options: StoreOptions, project: str | None) -> Any:
    try:
        storage = import_module("google.cloud.storage")
        anonymous = import_module("google.auth.credentials").AnonymousCredentials
        failures = import_module("google.auth.exceptions").GoogleAuthError
    except ImportError:
        raise ConfigError(
            ["storage: gs:// needs google-cloud-storage; pip install 'bronze-tui[gcs]'"]
        ) from None
    place = {"api_endpoint": options.endpoint} if options.endpoint else None
    credentials = anonymous() if options.anonymous else None
    project = project or ("none" if options.anonymous else None)
    try:
        return storage.Client(project=project, credentials=credentials, client_options=place)
    except failures as error:
        raise ConfigError(
            [
                f"storage: no Google credentials ({_first_line(error)}); set "
                "GOOGLE_APPLICATION_CREDENTIALS, or storage.anonymous for an emulator"
            ]
        ) from None
    except OSError as error:
        # A project is not needed for objects, but the library wants to know one.
        raise ConfigError([f"storage.options.project: {_first_line(error)}"]) from None


def _status(error: Exception) -> int:
    """HTTP status of the library's two families of errors; 0 when there was no answer."""
    response = getattr(error, "response", None)
    status = getattr(error, "code", None) or getattr(response, "status_code", None)
    return int(status) if isinstance(status, int) else 0


def _version(blob: Any) -> dict[str, str]:
    return {"generation": str(blob.generation)}


def _no_bucket(where: str) -> StoreRefused:
    return StoreRefused("no such bucket", where=where, todo="make it, or correct the bucket's name")


def _first_line(error: Exception) -> str:
    line = str(error).partition("\n")[0]
    return line if len(line) <= 300 else f"{line[:300]}..."
