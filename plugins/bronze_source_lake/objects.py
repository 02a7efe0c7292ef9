"""What the lake source needs of a place that holds objects, and which place a URL means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from bronze_tui.domain.errors import ConfigError
from bronze_tui.hooks.contracts import SourceOptions

MAX_OBJECT_BYTES = 1 << 30
"""Larger objects are refused before they are read (the Go SDK's bound of a batch)."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://")


class LakeObjects(Protocol):
    """Read-only objects below one root. Every method may be called from several threads."""

    @property
    def location(self) -> str:
        """The root's address without credentials."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether reads cost no round trip."""
        ...

    @property
    def can_list(self) -> bool:
        """Whether ``list_keys`` works."""
        ...

    def read(self, key: str) -> bytes:
        """The object's bytes.

        Raises:
            FileNotFoundError: absent. SourceUnavailable: retryable. SourceDenied: permanent.
            SourceDataError: larger than ``MAX_OBJECT_BYTES``.
        """
        ...

    def list_keys(self) -> Iterator[str]:
        """Keys at the root and one folder deep, in lexicographic order, read as they are asked.

        Raises:
            SourceUnavailable: retryable. SourceDenied: permanent.
        """
        ...

    def close(self) -> None:
        """Release connections; idempotent."""
        ...


def open_objects(options: SourceOptions) -> LakeObjects:
    """The objects at ``options.url``; a URL without scheme is a local path.

    Raises:
        ConfigError: no such kind of URL. SourceDenied: a local root that is not there.
    """
    from bronze_source_lake.local import LocalObjects

    match = _SCHEME.match(options.url)
    if match is None or match[1] == "file":
        return LocalObjects(local_root(options.url))
    from bronze_source_lake.remote import open_remote

    return open_remote(options)


def local_root(url: str) -> Path:
    """The folder a ``file://`` URL or plain path means.

    Percent signs are taken literally when such a folder exists, since configurations are written
    both ways.

    Raises:
        ConfigError: the URL names a host or no absolute path.
    """
    path = url.removeprefix("file://")
    if url.startswith("file://") and not path.startswith("/"):
        raise ConfigError([f"source.url {url!r} must be file:///absolute/path"])
    if not path:
        raise ConfigError(["source.url is empty, the lake's address was expected"])
    literal = Path(path)
    decoded = Path(unquote(path))
    return decoded if url.startswith("file://") and not literal.exists() else literal


def public_url(url: str) -> str:
    """``url`` without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")
