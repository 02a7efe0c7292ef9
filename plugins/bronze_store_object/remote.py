"""Making the obstore client, and what its errors mean; causes stand only in their text."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError, UnknownConfigurationKeyError

from bronze_tui.domain.errors import ConfigError, StoreError, StoreRefused, StoreUnavailable
from bronze_tui.hooks.contracts import StoreOptions

REMOTE_ERRORS = (BaseError, OSError, ValueError, NotImplementedError)
"""All that a client's methods raise; absent objects come as FileNotFoundError."""

_STATUS = re.compile(r"status code: (\d{3})")
_WRONG_REGION = ("incorrectly configured region", "PermanentRedirect", "HeaderMalformed")
_NO_CREDENTIALS = ("169.254.169.254", "metadata.google.internal", "metadata/identity")
_FULL = ("QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "status code: 507")
_DENIED = ("PermissionDeniedError", "UnauthenticatedError")
_MALFORMED = (ValueError, NotImplementedError)
_SCHEMES = ("s3", "gs", "gcs", "az", "azure")
_PASSING = frozenset({408, 409, 425, 429})


def make_client(options: StoreOptions) -> Any:
    """An ``obstore.store`` for the bucket of ``options.url``.

    Raises:
        ConfigError: no bucket URL, or a setting the client does not know.
    """
    location = public_url(options.url)
    try:
        return _client(options)
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
        return StoreRefused("no such bucket", where=where, todo="correct the bucket's name")
    if any(sign in text for sign in _FULL):
        todo = "free space or raise the quota, then run again"
        return StoreRefused("the store is full", where=where, todo=todo)
    if status in (401, 403) or type(error).__name__ in _DENIED:
        todo = "check the credentials and their right to write here"
        return StoreRefused(f"access refused (HTTP {status or 403})", where=where, todo=todo)
    permanent = 400 <= status < 500 and status not in _PASSING
    if permanent or status == 501 or isinstance(error, _MALFORMED):
        return StoreRefused(f"request refused ({_first_line(error)})", where=where)
    return StoreUnavailable(f"no answer ({_first_line(error)})", where=where)


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
            "connect_timeout": timedelta(seconds=10),
            "timeout": timedelta(seconds=120),
        },
        "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=30)},
    }
    if parts.scheme == "s3":
        config |= _s3_config(options) | dict(options.extra)
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


def _first_line(error: Exception) -> str:
    line = str(error).partition("\n")[0]
    return line if len(line) <= 300 else f"{line[:300]}..."
