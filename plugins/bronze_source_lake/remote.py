"""Lake objects behind an object store or web server, through obstore.

The one module that imports obstore; its errors are turned into ours by status and text, because
obstore tells throttling, wrong regions and missing credentials apart only there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, UnknownConfigurationKeyError

from bronze_tui.domain.errors import (
    ConfigError,
    SourceDataError,
    SourceDenied,
    SourceError,
    SourceThrottled,
    SourceUnavailable,
)
from bronze_tui.hooks.contracts import SourceOptions
from bronze_tui.lake.objects import LIST_PAGE, MAX_OBJECT_BYTES, public_url
from bronze_tui.remote.aws_profile import s3_credentials

_STATUS = re.compile(r"status code: (\d{3})")
_WRONG_REGION = ("incorrectly configured region", "PermanentRedirect", "HeaderMalformed")
_NO_CREDENTIALS = ("169.254.169.254", "metadata.google.internal", "metadata/identity")
_THROTTLING = frozenset({429, 503})


class RemoteObjects:
    """Objects of one obstore store.

    Args:
        store: an ``obstore.store`` whose prefix is the lake's root.
        location: the root's address without credentials.
        can_list: False for plain web servers.
    """

    is_local = False

    def __init__(self, store: Any, location: str, *, can_list: bool = True) -> None:
        self._store = store
        self.location = location
        self.can_list = can_list

    def read(self, key: str) -> bytes:
        """See ``LakeObjects.read``."""
        where = f"{self.location}/{key}"
        try:
            result = obstore.get(self._store, key)
            size = result.meta["size"]
            if size > MAX_OBJECT_BYTES:
                raise SourceDataError(
                    f"the object has {size} bytes, more than {MAX_OBJECT_BYTES}", where=where
                )
            return result.bytes().to_bytes()
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise _no_such_bucket(where) from None
            raise FileNotFoundError(where) from None
        except (BaseError, OSError) as error:
            raise source_error(error, where) from None

    def holds(self, key: str) -> bool:
        """See ``LakeObjects.holds``."""
        where = f"{self.location}/{key}"
        try:
            obstore.head(self._store, key)
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise _no_such_bucket(where) from None
            return False
        except (BaseError, OSError) as error:
            raise source_error(error, where) from None
        return True

    def list_keys(self) -> Iterator[str]:
        """See ``LakeObjects.list_keys``; stores list in lexicographic order, a page at a time."""
        try:
            for page in obstore.list(self._store, chunk_size=LIST_PAGE):
                for found in page:
                    yield found["path"]
        except (BaseError, OSError) as error:
            raise source_error(error, self.location) from None

    def close(self) -> None:
        """Connections belong to the store object and go with it."""


def open_remote(options: SourceOptions) -> RemoteObjects:
    """Make the store of ``options.url`` without contacting it.

    Raises:
        ConfigError: not an object URL, or a setting the store does not know.
    """
    parts = urlsplit(options.url)
    location = public_url(options.url)
    try:
        store = _make_store(options, parts.scheme, parts.netloc.rpartition("@")[2], parts.path)
    except UnknownConfigurationKeyError as error:
        raise ConfigError([f"source: {_first_line(error)}"]) from None
    except (BaseError, ValueError) as error:
        raise ConfigError([f"source.url {location}: {_first_line(error)}"]) from None
    return RemoteObjects(store, location, can_list=parts.scheme not in ("http", "https"))


def source_error(error: Exception, where: str) -> SourceError:
    """Our error for one of obstore's, naming the cause it can only tell in its text."""
    text = str(error).partition("\n\nDebug source")[0]
    match = _STATUS.search(text)
    status = int(match[1]) if match else 0
    if any(sign in text for sign in _WRONG_REGION):
        return SourceDenied(
            "the bucket is in another region", where=where, todo="set source.region to the bucket's"
        )
    if any(sign in text for sign in _NO_CREDENTIALS):
        return SourceDenied(
            "no credentials were found",
            where=where,
            todo="set them in the environment, or source.anonymous: true for a public lake",
        )
    if "NoSuchBucket" in text:
        return _no_such_bucket(where)
    if status in (401, 403) or type(error).__name__ in (
        "PermissionDeniedError",
        "UnauthenticatedError",
    ):
        return SourceDenied(
            f"access refused (HTTP {status or 403})",
            where=where,
            todo="check credentials, source.anonymous and source.requester_pays",
        )
    if 400 <= status < 500 and status not in (408, 429):
        return SourceDenied(f"request refused ({_first_line(error)})", where=where)
    kind = SourceThrottled if status in _THROTTLING else SourceUnavailable
    return kind(f"no answer ({_first_line(error)})", where=where)


def _make_store(options: SourceOptions, scheme: str, host: str, path: str) -> Any:
    from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

    prefix = path.strip("/") or None
    config: Any = dict(options.extra)
    web = options.endpoint or options.url
    common: dict[str, Any] = {
        "client_options": {
            "allow_http": web.startswith("http://"),
            "connect_timeout": timedelta(seconds=min(10.0, options.timeout)),
            "timeout": timedelta(seconds=options.timeout),
        },
        # What had no answer is asked for again by PatientObjects, which counts it.
        "retry_config": {"max_retries": 0},
    }
    if options.requester_pays and scheme != "s3":
        raise ConfigError(["source.requester_pays: only S3 knows it here"])
    if scheme in ("http", "https"):
        return HTTPStore(f"{scheme}://{host}{path}", **common)
    if options.anonymous:
        config["skip_signature"] = True
    if scheme == "s3":
        config |= s3_credentials(config | _s3_config(options)) | _s3_config(options)
        return S3Store(host, prefix=prefix, config=config, **common)
    if scheme in ("gs", "gcs"):
        if options.endpoint:
            config["base_url"] = options.endpoint
        return GCSStore(host, prefix=prefix, config=config, **common)
    if scheme in ("az", "azure"):
        if options.endpoint:
            config["endpoint"] = options.endpoint
        return AzureStore(host, prefix=prefix, config=config, **common)
    raise ConfigError([f"source.url has scheme {scheme!r}; use file, s3, gs, az, http or https"])


def _s3_config(options: SourceOptions) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if options.region:
        config["region"] = options.region
    if options.endpoint:
        config["endpoint"] = options.endpoint
    # Servers other than AWS rarely have a host name per bucket.
    path_style = bool(options.endpoint) if options.path_style is None else options.path_style
    config["virtual_hosted_style_request"] = not path_style
    if options.requester_pays:
        config["request_payer"] = True
    return config


def _no_such_bucket(where: str) -> SourceDenied:
    return SourceDenied("no such bucket", where=where, todo="correct source.url")


def _first_line(error: Exception) -> str:
    line = str(error).partition("\n")[0]
    return line if len(line) <= 300 else f"{line[:300]}..."
