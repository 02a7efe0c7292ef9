"""S3, GCS and Azure through obstore: the client, and what its errors mean.

obstore tells throttling, wrong regions and missing credentials apart only in its errors' text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PreconditionError,
    UnknownConfigurationKeyError,
)

from bronze_tui.domain.errors import (
    ConfigError,
    StoreError,
    StoreRefused,
    StoreThrottled,
    StoreUnavailable,
)
from bronze_tui.hooks.contracts import StoreOptions
from bronze_tui.remote.aws_profile import s3_credentials
from bronze_tui.remote.client import Body, Condition, ConditionFailed, Found, Written

REMOTE_ERRORS = (BaseError, OSError, ValueError, NotImplementedError)
"""All that a client's methods raise; absent objects come as FileNotFoundError."""

_STATUS = re.compile(r"status code: (\d{3})")
_WRONG_REGION = ("incorrectly configured region", "PermanentRedirect", "HeaderMalformed")
_NO_CREDENTIALS = ("169.254.169.254", "metadata.google.internal", "metadata/identity")
_FULL = ("QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "status code: 507")
_DENIED = ("PermissionDeniedError", "UnauthenticatedError")
_MALFORMED = (ValueError, NotImplementedError)
_PAST_END = ("Invalid range", "Wanted range starting")
_SCHEMES = ("s3", "gs", "gcs", "az", "azure")
_PASSING = frozenset({408, 409, 425, 429})
_THROTTLING = frozenset({429, 503})
_MD5 = re.compile(r"[0-9a-f]{32}")


class ObstoreClient:
    """A :class:`bronze_tui.remote.client.BucketClient` on an ``obstore.store``.

    Args:
        store: an ``obstore.store``, or anything with the same methods.
        location: the address of its root without credentials.
        md5_tags: the server's ETags are MD5 sums of what it keeps, as on S3 unless it encrypts
            with keys of its own.
    """

    def __init__(self, store: Any, location: str, *, md5_tags: bool = False) -> None:
        self._store = store
        self._location = location
        self._md5_tags = md5_tags

    @property
    def location(self) -> str:
        """See the protocol."""
        return self._location

    def put(self, key: str, body: Body, condition: Condition, sha256: str) -> Written:
        """See the protocol; on S3 the server verifies a SHA-256 that goes along."""
        where = self._where(key)
        mode = condition if isinstance(condition, str) else dict(condition)
        try:
            result = self._store.put(
                key, body, mode=mode, attributes={"sha256": sha256}, use_multipart=False
            )
        except (AlreadyExistsError, PreconditionError) as error:
            raise ConditionFailed(where) from error
        except FileNotFoundError:
            raise _no_bucket(where) from None
        except REMOTE_ERRORS as error:
            raise store_error(error, where) from None
        return Written(_version(result), self._md5_tags and _has_md5(result, body))

    def get(self, key: str) -> bytes:
        """See the protocol."""
        try:
            return bytes(self._store.get(key).bytes())
        except REMOTE_ERRORS as error:
            raise self._absent_or_error(error, key) from None

    def digest(self, key: str) -> tuple[str, int]:
        """See the protocol."""
        theirs, size = hashlib.sha256(), 0
        try:
            for chunk in self._store.get(key).stream():
                theirs.update(chunk)
                size += len(chunk)
        except REMOTE_ERRORS as error:
            raise self._absent_or_error(error, key) from None
        return theirs.hexdigest(), size

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See the protocol."""
        try:
            return bytes(self._store.get_range(key, start=start, length=length))
        except REMOTE_ERRORS as error:
            raise self._absent_or_error(error, key) from None

    def head(self, key: str) -> Found:
        """See the protocol."""
        try:
            meta = self._store.head(key)
        except REMOTE_ERRORS as error:
            raise self._absent_or_error(error, key) from None
        return Found(meta["size"], _version(meta), meta["last_modified"].timestamp())

    def list(self, folder: str | None) -> Iterator[tuple[str, int]]:
        """See the protocol."""
        try:
            for page in self._store.list(folder):
                for found in page:
                    yield found["path"], found["size"]
        except REMOTE_ERRORS as error:
            raise self._absent_or_error(error, folder or "") from None

    def delete(self, key: str) -> None:
        """See the protocol."""
        try:
            self._store.delete(key)
        except REMOTE_ERRORS as error:
            raise self._absent_or_error(error, key) from None

    def _where(self, key: str) -> str:
        return f"{self._location}/{key}"

    def _absent_or_error(self, error: Exception, key: str) -> Exception:
        if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
            return FileNotFoundError(self._where(key))
        return store_error(error, self._where(key))


def make_client(options: StoreOptions) -> ObstoreClient:
    """A client for the bucket of ``options.url``.

    Raises:
        ConfigError: no bucket URL, or a setting the client does not know.
    """
    location = public_url(options.url)
    try:
        return ObstoreClient(_client(options), location, md5_tags=location.startswith("s3://"))
    except UnknownConfigurationKeyError as error:
        raise ConfigError([f"storage: {_first_line(error)}"]) from None
    except (BaseError, ValueError) as error:
        raise ConfigError([f"storage url {location}: {_first_line(error)}"]) from None


def public_url(url: str) -> str:
    """The address without user, query and final slash."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def store_error(error: Exception, where: str) -> StoreError:
    """Our error for one of obstore's.

    409 is retryable: AWS answers it when two writers meet. All that has no HTTP status is too.
    """
    text = str(error).partition("\n\nDebug source")[0]
    match = _STATUS.search(text)
    status = int(match[1]) if match else 0
    if any(sign in text for sign in _WRONG_REGION):
        todo = "set storage.s3.region to the bucket's"
        return StoreRefused("the bucket is in another region", where=where, todo=todo)
    if any(sign in text for sign in _NO_CREDENTIALS):
        todo = "set them in the environment or the configuration"
        return StoreRefused("no credentials were found", where=where, todo=todo)
    if "NoSuchBucket" in text:
        return _no_bucket(where)
    if any(sign in text for sign in _FULL):
        todo = "free space or raise the quota, then run again"
        return StoreRefused("the store is full", where=where, todo=todo)
    # A delete is S3's DeleteObjects, which says no inside of an answer with status 200.
    denied = status in (401, 403) or "(code: AccessDenied)" in text
    if denied or type(error).__name__ in _DENIED:
        todo = "check the credentials and their right to write here"
        return StoreRefused(f"access refused (HTTP {status or 403})", where=where, todo=todo)
    permanent = 400 <= status < 500 and status not in _PASSING
    past_end = any(sign in text for sign in _PAST_END)
    if permanent or past_end or status == 501 or isinstance(error, _MALFORMED):
        return StoreRefused(f"request refused ({_first_line(error)})", where=where)
    kind = StoreThrottled if status in _THROTTLING else StoreUnavailable
    return kind(f"no answer ({_first_line(error)})", where=where)


def _client(options: StoreOptions) -> Any:
    from obstore.store import AzureStore, GCSStore, S3Store

    parts = urlsplit(options.url)
    bucket, prefix = parts.netloc.rpartition("@")[2], parts.path.strip("/") or None
    if parts.scheme not in _SCHEMES:
        raise ConfigError(
            [f"storage url {options.url!r} is no s3, gs or az URL; for a folder use backend local"]
        )
    if not bucket:
        raise ConfigError([f"storage url {options.url!r} names no bucket"])
    config: Any = {"skip_signature": True} if options.anonymous else {}
    common: dict[str, Any] = {
        "client_options": {
            "allow_http": options.endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=min(10.0, options.timeout)),
            "timeout": timedelta(seconds=options.timeout),
        },
        # The store repeats what had no answer itself, and counts it.
        "retry_config": {"max_retries": 0},
    }
    if parts.scheme == "s3":
        config |= _s3_config(options) | dict(options.extra)
        config |= s3_credentials(config)
        return S3Store(bucket, prefix=prefix, config=config, **common)
    if parts.scheme in ("gs", "gcs"):
        config |= {"base_url": options.endpoint} if options.endpoint else {}
        return GCSStore(bucket, prefix=prefix, config=config | dict(options.extra), **common)
    config |= {"endpoint": options.endpoint} if options.endpoint else {}
    return AzureStore(bucket, prefix=prefix, config=config | dict(options.extra), **common)


def _s3_config(options: StoreOptions) -> dict[str, Any]:
    config: dict[str, Any] = {"checksum_algorithm": "SHA256"}
    if options.region:
        config["region"] = options.region
    if options.endpoint:
        config["endpoint"] = options.endpoint
    # Servers other than AWS rarely have a host name per bucket.
    path_style = bool(options.endpoint) if options.path_style is None else options.path_style
    config["virtual_hosted_style_request"] = not path_style
    return config


def _version(result: Any) -> Mapping[str, str]:
    """What a compare-and-swap compares; obstore takes no None here."""
    names = ("e_tag", "version")
    return {name: result[name] for name in names if result.get(name) is not None}


def _has_md5(result: Any, body: Body) -> bool:
    tag = str(result.get("e_tag") or "").strip('"')
    if not _MD5.fullmatch(tag):
        return False
    return tag == hashlib.md5(body, usedforsecurity=False).hexdigest()


def _no_bucket(where: str) -> StoreRefused:
    return StoreRefused("no such bucket", where=where, todo="make it, or correct the bucket's name")


def _first_line(error: Exception) -> str:
    line = str(error).partition("\n")[0]
    return line if len(line) <= 300 else f"{line[:300]}..."
