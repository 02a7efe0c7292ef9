"""Which filesystem a URL and its options mean."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from bronze_store_fsspec.causes import first_line
from bronze_tui.domain.errors import ConfigError
from bronze_tui.hooks.contracts import SourceOptions, StoreOptions

S3 = ("s3", "s3a")
GCS = ("gs", "gcs")
_PROBES_GRPC = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"


@dataclass(frozen=True, slots=True)
class Place:
    """An fsspec filesystem and the folder of it that is ours."""

    fs: Any
    protocol: str
    root: str
    """Folder in the filesystem's own form, without a final slash."""
    location: str
    """The URL without credentials and final slash."""

    def path(self, key: str) -> str:
        """The filesystem's path of a key."""
        return f"{self.root}/{key}"


def open_place(
    section: str,
    options: SourceOptions | StoreOptions,
    *,
    ours: tuple[str, ...] = (),
    requester_pays: bool = False,
) -> Place:
    """The filesystem of ``options.url``; contacts nobody where the filesystem does not.

    Args:
        section: the configuration's section, for messages.
        ours: settings among ``options.extra`` that are not the filesystem's.

    Raises:
        ConfigError: no URL, an unknown protocol, a missing package, or a setting it does not take.
    """
    parts = urlsplit(options.url)
    protocol = parts.scheme
    if not protocol:
        raise ConfigError([f"{section}.url: fsspec needs an address such as sftp://host/folder"])
    settings = _settings(section, protocol, options, requester_pays)
    settings |= {name: _value(text) for name, text in options.extra if name not in ours}
    fs = _filesystem(section, protocol, settings, emulated=bool(options.endpoint))
    host = parts.netloc.rpartition("@")[2]
    location = f"{protocol}://{host}{parts.path}".rstrip("/")
    return Place(fs, protocol, str(fs._strip_protocol(options.url)).rstrip("/"), location)


def _settings(
    section: str, protocol: str, options: SourceOptions | StoreOptions, requester_pays: bool
) -> dict[str, Any]:
    """The configuration's own keys in the words of s3fs and gcsfs."""
    if protocol in S3:
        found: dict[str, Any] = {"anon": options.anonymous, "requester_pays": requester_pays}
        if options.endpoint:
            found["endpoint_url"] = options.endpoint
        if options.region:
            found["client_kwargs"] = {"region_name": options.region}
        # The store and the source make requests again themselves, and count them.
        config: dict[str, Any] = {
            "retries": {"total_max_attempts": 1},
            "connect_timeout": min(10.0, options.timeout),
            "read_timeout": options.timeout,
        }
        if options.path_style is not None:
            config["s3"] = {"addressing_style": "path" if options.path_style else "virtual"}
        return found | {"config_kwargs": config}
    if protocol in GCS:
        found = {"requester_pays": requester_pays, "requests_timeout": options.timeout}
        found |= {"endpoint_url": options.endpoint} if options.endpoint else {}
        return found | ({"token": "anon"} if options.anonymous else {})
    given = {
        "region": options.region,
        "endpoint": options.endpoint,
        "anonymous": options.anonymous,
        "requester_pays": requester_pays,
    }
    for name in (name for name, value in given.items() if value):
        raise ConfigError(
            [f"{section}.{name}: {protocol}:// does not know it; write {section}.options"]
        )
    return {}


def _filesystem(section: str, protocol: str, settings: dict[str, Any], *, emulated: bool) -> Any:
    if protocol in GCS and emulated:
        # gcsfs would ask Google's own gRPC endpoint about each bucket, for a minute.
        os.environ.setdefault(_PROBES_GRPC, "false")
    try:
        spec = import_module("fsspec")
    except ImportError:
        raise ConfigError(
            [f"{section}: fsspec is not installed; pip install 'bronze-tui[fsspec]'"]
        ) from None
    try:
        kind = spec.get_filesystem_class(protocol)
    except (ImportError, ValueError) as error:
        extra = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}.get(protocol)
        todo = f"; pip install 'bronze-tui[{extra}]'" if extra else ""
        raise ConfigError([f"{section}.url: {first_line(error)}{todo}"]) from None
    try:
        fs = kind(skip_instance_cache=True, use_listings_cache=False, **settings)
    except Exception as error:
        raise ConfigError([f"{section}: {protocol}:// {first_line(error)}"]) from None
    if protocol in S3:
        fs.retries = 1
    return fs


def _value(text: str) -> Any:
    """A setting's text as JSON (true, 5, {"a": 1}), or else as it stands."""
    try:
        return json.loads(text)
    except ValueError:
        return text
